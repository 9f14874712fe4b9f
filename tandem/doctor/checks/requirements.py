"""Requirements that are not met, as `pip check` finds them, and pins of constraints.txt that do not hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tandem.doctor.checks.installation import missing_packages
from tandem.doctor.facts import Facts, Unmet
from tandem.doctor.findings import Finding, SectionTitle
from tandem.doctor.packages import OWN_NAME
from tandem.doctor.remedies import install, install_missing
from tandem.doctor.versions import same_release

SECTION: SectionTitle = "Packages"
ORDER = 3
_SHOWN = 6


def check(facts: Facts) -> Iterator[Finding]:
    """Look at requirements, then at pins."""
    yield from _requirements(facts)
    packages = facts.packages
    pinned = {name: packages.version(name) for name in packages.pins if packages.version(name)}
    if pinned:
        yield _pins(facts, pinned)


def _requirements(facts: Facts) -> Iterator[Finding]:
    packages = facts.packages
    # What Tandem itself lacks is told under Interpreter and Frameworks.
    unmet = [entry for entry in packages.unmet if entry.found or entry.package != OWN_NAME]
    if packages.unchecked:
        found = f"cannot be checked: {packages.unchecked}"
        yield Finding("warning", "requirements", found, *install_missing(facts, "packaging"))
    elif unmet:
        yield Finding(
            "warning",
            "requirements",
            f"{len(unmet)} not met: {_listed([_sentence(entry) for entry in unmet])}",
            "Install the pinned versions of them:",
            install(facts, *dict.fromkeys(entry.name for entry in unmet[:_SHOWN])),
        )
    elif not missing_packages(facts):
        yield Finding("ok", "requirements", f"those of {len(packages.distributions)} packages are met")


def _sentence(entry: Unmet) -> str:
    found = f"{entry.found} is installed" if entry.found else "it is not installed"
    return f"{entry.package} requires {entry.requirement}, but {found}"


def _pins(facts: Facts, there: Mapping[str, str]) -> Finding:
    pins = facts.packages.pins
    other = [name for name, version in there.items() if not same_release(version, pins[name])]
    if other:
        listed = _listed([f"{name} {there[name]} (pinned {pins[name]})" for name in other])
        return Finding(
            "warning",
            "pins",
            f"{len(other)} of {len(there)} packages differ from constraints.txt: {listed}; results may differ, too",
            "Install the pinned, tested set:",
            install(facts),
        )
    return Finding("ok", "pins", f"{len(there)} packages are as constraints.txt pins them")


def _listed(texts: list[str]) -> str:
    more = len(texts) - _SHOWN
    return "; ".join(texts[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
