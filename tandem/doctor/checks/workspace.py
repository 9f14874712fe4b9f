"""The project's folder: whether it is one, and whether it can be written."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from tandem.doctor.facts import Facts
from tandem.doctor.findings import Finding, SectionTitle

SECTION: SectionTitle = "Workspace"
ORDER = 1


def check(facts: Facts) -> Iterator[Finding]:
    """Look at the folder's files and permissions."""
    workspace = facts.workspace
    if workspace.missing:
        yield Finding(
            "problem",
            "folder",
            f"{workspace.root} has no {', '.join(workspace.missing)}: it is no Tandem project",
            "Name the project's folder:",
            "tandem -C FOLDER doctor",
        )
    if workspace.write_error:
        yield Finding(
            "problem",
            "folder",
            f"{workspace.root} cannot be written: {workspace.write_error}",
            "Make the folder yours, or work in a copy in a folder that is:",
            f'sudo chown -R "$USER" {shlex.quote(workspace.root)}',
        )
    elif not workspace.missing:
        yield Finding("ok", "folder", f"{workspace.root}, can be written")
    if workspace.locked:
        yield Finding(
            "problem",
            "folders",
            f"cannot be written: {', '.join(workspace.locked)}; another user made them, perhaps a run as root",
            "Make them yours:",
            f'sudo chown -R "$USER" {" ".join(map(shlex.quote, workspace.locked))}',
        )
    if workspace.shadows:
        yield Finding(
            "problem",
            "names",
            f"{', '.join(workspace.shadows)} would be imported by the stages instead of the package of that name",
            "Rename them, for instance:",
            f"mv {shlex.quote(workspace.shadows[0])} my_{shlex.quote(workspace.shadows[0])}",
        )
