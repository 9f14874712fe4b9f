"""Whether the suite's data can be had; no network is touched to find out."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.doctor.facts import DataState, Facts
from tandem.doctor.findings import Finding, SectionTitle

SECTION: SectionTitle = "Suite"
ORDER = 2


def check(facts: Facts) -> Iterator[Finding]:
    """Tell each data set that is fetched from elsewhere; the others in one line."""
    project = facts.project.answer
    states = project.data if project else ()
    there = {
        "fetched": "in the workspace", "local": "needs no download", "given": "in the folder that TANDEM_DATA names",
    }  # fmt: skip
    for state, words in there.items():
        names = [entry.dataset for entry in states if entry.state == state]
        if names:
            yield Finding("ok", "data", f"{', '.join(names)}: {words}")
    for entry in states:
        if entry.state == "download":
            yield _to_download(entry)
        elif entry.state == "refused":
            found = f"{entry.dataset} cannot be had: {entry.detail}"
            yield Finding(
                "problem", "data", found, "Put the file there, or let Tandem download it:", "unset TANDEM_DATA"
            )
        elif entry.state == "absent":
            found = f"{entry.dataset} cannot be had: {entry.detail} is not there"
            yield Finding("problem", "data", found, "Put it there, or correct its path in params.yaml.")


def _to_download(entry: DataState) -> Finding:
    return Finding(
        "note",
        "data",
        f"{entry.dataset} is not here yet; the first run downloads it from {entry.detail}",
        "Without a network, name a folder that holds the files:",
        "export TANDEM_DATA=FOLDER",
    )
