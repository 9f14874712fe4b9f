"""Runs every check over the facts."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tandem.doctor import checks
from tandem.doctor.facts import Facts
from tandem.doctor.findings import SECTIONS, Finding, Section, SectionTitle


@dataclass(frozen=True)
class Check:
    """A module of ``checks/``."""

    name: str
    section: SectionTitle
    order: int
    run: Callable[[Facts], Iterator[Finding]]


def all_checks() -> tuple[Check, ...]:
    """Return every check, by section and order."""
    found = []
    for module in pkgutil.iter_modules(checks.__path__):
        loaded = importlib.import_module(f"{checks.__name__}.{module.name}")
        found.append(Check(module.name, loaded.SECTION, loaded.ORDER, loaded.check))
    return tuple(sorted(found, key=lambda check: (SECTIONS.index(check.section), check.order)))


def examine(facts: Facts) -> tuple[Section, ...]:
    """Return the findings of all checks, by section."""
    findings: dict[SectionTitle, list[Finding]] = {title: [] for title in SECTIONS}
    for check in all_checks():
        findings[check.section] += _run(check, facts)
    return tuple(Section(title, tuple(found)) for title, found in findings.items() if found)


def _run(check: Check, facts: Facts) -> list[Finding]:
    """Run a check; one that fails itself must not hide what the others find."""
    try:
        return list(check.run(facts))
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return [
            Finding("warning", check.name, f"this check failed itself: {said}", "Report it with the output of --json.")
        ]
