"""Variables that give Keras another backend, or another Keras."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from tandem.doctor.facts import Facts
from tandem.doctor.findings import Finding, SectionTitle

SECTION: SectionTitle = "Frameworks"
ORDER = 2


def check(facts: Facts) -> Iterator[Finding]:
    """Look at KERAS_BACKEND and TF_USE_LEGACY_KERAS."""
    level: Literal["problem", "note"] = "problem" if facts.needs("keras") else "note"
    backend = facts.variables.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        yield Finding(
            level,
            "KERAS_BACKEND",
            f"is {backend!r}: Tandem's Keras networks need 'tensorflow'",
            "Take the variable away, in this shell and in its start-up file:",
            "unset KERAS_BACKEND",
        )
    if facts.variables.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true"):
        yield Finding(
            level,
            "TF_USE_LEGACY_KERAS",
            "is set: TensorFlow takes Keras 2 (tf-keras), Tandem Keras 3",
            "Take the variable away, in this shell and in its start-up file:",
            "unset TF_USE_LEGACY_KERAS",
        )
