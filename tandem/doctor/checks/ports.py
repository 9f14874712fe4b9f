"""The ports on which `tandem ui` shows its pages."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.doctor.facts import Facts
from tandem.doctor.findings import Finding, SectionTitle

SECTION: SectionTitle = "Workspace"
ORDER = 4
_NEXT = 100


def check(facts: Facts) -> Iterator[Finding]:
    """Look at each; a taken one keeps no suite from running."""
    for port in facts.ports:
        if port.taken:
            yield Finding(
                "note",
                f"port {port.number}",
                f"taken ({port.purpose}): `tandem ui` runs already, or another program is there",
                "If it is another program, take another port:",
                f"tandem ui {port.option} {port.number + _NEXT}",
            )
        else:
            yield Finding("ok", f"port {port.number}", f"free ({port.purpose})")
