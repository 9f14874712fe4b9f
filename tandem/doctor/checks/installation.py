"""Whether Tandem and what it needs are installed in the interpreter that runs, or in another one."""

from __future__ import annotations

import os
from collections.abc import Iterator

from tandem.doctor.facts import Facts
from tandem.doctor.findings import Finding, SectionTitle
from tandem.doctor.packages import OWN_NAME, TENSORFLOWS
from tandem.doctor.remedies import FRAMEWORK_PACKAGES, install, shown

SECTION: SectionTitle = "Interpreter"
ORDER = 2
_SHOWN = 8


def missing_packages(facts: Facts) -> list[str]:
    """Return what Tandem requires and is not installed, but for frameworks that the suite does not name."""
    spared = {name for framework, names in FRAMEWORK_PACKAGES.items() if not facts.needs(framework) for name in names}
    if any(facts.packages.version(name) for name in TENSORFLOWS):
        spared.add("tensorflow")  # another build of it serves as well
    unmet = (entry for entry in facts.packages.unmet if entry.package == OWN_NAME and not entry.found)
    return [entry.name for entry in unmet if entry.name not in spared]


def check(facts: Facts) -> Iterator[Finding]:
    """Look for Tandem in this interpreter, then for its packages."""
    found = facts.installation
    missing = missing_packages(facts)
    if not found.installed:
        yield _not_installed(facts, missing)
    elif missing:
        yield Finding(
            "problem",
            "installation",
            f"Tandem {found.installed} is installed, but not {_listed(missing)}",
            "Install what is missing:",
            install(facts),
        )
    elif found.editable and os.path.realpath(found.editable) != os.path.realpath(found.source):
        yield Finding(
            "warning",
            "installation",
            f"the Tandem that runs is {found.source}, but the one installed is {found.editable}",
            "Install this one, or work in the other folder:",
            install(facts),
        )
    else:
        yield Finding("ok", "installation", f"Tandem {found.installed} from {found.editable or found.source}")


def _not_installed(facts: Facts, missing: list[str]) -> Finding:
    text = f"Tandem is not installed in {facts.interpreter.executable}"
    if missing:
        text += f", and neither is {_listed(missing)}"
    elsewhere = facts.installation.elsewhere
    if elsewhere:
        remedy = f"It is installed in {', '.join(elsewhere)}; use that interpreter:"
        return Finding(
            "problem" if missing else "warning", "installation", text, remedy,
            f"{shown(elsewhere[0], facts)} -m tandem.doctor",
        )  # fmt: skip
    remedy = (
        f"No other interpreter found here has it either; install it in {shown(facts.interpreter.executable, facts)}:"
    )
    return Finding("problem" if missing else "warning", "installation", text, remedy, install(facts))


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
