"""Free space where runs write."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.doctor.facts import Disk, Facts
from tandem.doctor.findings import Finding, SectionTitle
from tandem.doctor.remedies import size

SECTION: SectionTitle = "Workspace"
ORDER = 2
NONE = 100 * 2**20  # a run of the default suite writes some 20 MiB, of the genuine data sets some 200 MiB
LITTLE = 2**30


def check(facts: Facts) -> Iterator[Finding]:
    """Look at each disk once."""
    alike: dict[int, list[Disk]] = {}
    for disk in facts.workspace.disks:
        alike.setdefault(disk.device, []).append(disk)
    yield from map(_space, alike.values())


def _space(disks: list[Disk]) -> Finding:
    free = disks[0].free
    where = ", ".join(f"{disk.purpose} ({disk.path})" for disk in disks)
    if free is None:
        return Finding("note", "disk", f"free space is not known: {where}")
    text = f"{size(free)} free: {where}"
    if free >= LITTLE:
        return Finding("ok", "disk", text)
    if all(disk.purpose == "temporary files" for disk in disks):
        remedy = ("Free space there, or name another folder for temporary files:", "export TMPDIR=FOLDER")
    else:
        remedy = ("Free space, or drop results of old runs from DVC's cache:", "tandem clean --cache")
    return Finding("problem" if free < NONE else "warning", "disk", text, *remedy)
