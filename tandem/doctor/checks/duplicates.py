"""Packages that write the same files or stand in one another's way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from tandem.doctor.facts import Facts
from tandem.doctor.findings import Finding, SectionTitle
from tandem.doctor.packages import TENSORFLOWS
from tandem.doctor.remedies import install, uninstall
from tandem.doctor.versions import release

SECTION: SectionTitle = "Packages"
ORDER = 1


def check(facts: Facts) -> Iterator[Finding]:
    """Look for several TensorFlows, for a Keras 2, and for packages that stand twice."""
    level: Literal["problem", "warning"] = "problem" if facts.needs("keras") else "warning"
    yield from _tensorflows(facts, level)
    yield from _kerases(facts, level)
    yield from _twice(facts)


def _tensorflows(facts: Facts, level: Literal["problem", "warning"]) -> Iterator[Finding]:
    there = [name for name in TENSORFLOWS if facts.packages.version(name)]
    if len(there) > 1:
        listed = " and ".join(f"{name} {facts.packages.version(name)}" for name in there)
        yield Finding(
            level,
            "TensorFlow",
            f"{listed} are installed: they write the same files, so that neither is whole",
            "Remove all of them, then install one:",
            f"{uninstall(facts, *there)} && {install(facts, 'tensorflow')}",
        )


def _kerases(facts: Facts, level: Literal["problem", "warning"]) -> Iterator[Finding]:
    keras, legacy = facts.packages.version("keras"), facts.packages.version("tf-keras")
    tensorflow = next((name for name in TENSORFLOWS if facts.packages.version(name)), "")
    if keras and tensorflow and release(keras) < (3,):
        yield Finding(
            level,
            "Keras",
            f"keras {keras} stands beside {tensorflow} {facts.packages.version(tensorflow)}, which needs Keras 3: "
            "imports fail, or end in \"Duplicate registrations for type 'optimizer'\"",
            "Remove the old Keras, then install the one that fits:",
            f"{uninstall(facts, 'keras')} && {install(facts, 'keras')}",
        )
    if keras and legacy and tensorflow:
        yield Finding(
            "warning",
            "Keras",
            f"tf-keras {legacy}, a Keras 2, stands beside keras {keras}: code that mixes them ends in "
            "\"Duplicate registrations for type 'optimizer'\"",
            "Tandem does not need it; remove it:",
            uninstall(facts, "tf-keras"),
        )


def _twice(facts: Facts) -> Iterator[Finding]:
    places: dict[str, list[tuple[str, str]]] = {}
    for found in facts.packages.distributions:
        places.setdefault(found.name, []).append((found.version, found.location))
    for name, entries in places.items():
        if len({version for version, _ in entries}) > 1:
            listed = ", ".join(f"{version} in {location}" for version, location in entries)
            yield Finding(
                "warning",
                name,
                f"stands {len(entries)} times: {listed}; Python takes the first",
                "Remove it until none is left (or take the other folder from PYTHONPATH), then install it:",
                f"{uninstall(facts, name)} && {install(facts, name)}",
            )
