"""Git, DVC and Prefect."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from tandem.doctor.facts import Facts, Failure
from tandem.doctor.findings import Finding, SectionTitle
from tandem.doctor.remedies import install, install_missing

SECTION: SectionTitle = "Workspace"
ORDER = 3
_DEBIAN = "sudo apt-get install git"


def check(facts: Facts) -> Iterator[Finding]:
    """Look at each."""
    yield _git(facts)
    for name, title, probe in (("dvc", "DVC", facts.dvc), ("prefect", "Prefect", facts.prefect)):
        if probe.answer is not None:
            yield Finding("ok", title, probe.answer.version)
        elif probe.failure is not None:
            yield _broken(facts, name, title, probe.failure)


def _git(facts: Facts) -> Finding:
    workspace = facts.workspace
    if not workspace.git:
        return Finding("problem", "git", "is not installed; DVC needs it", "Install it, on Debian or Ubuntu:", _DEBIAN)
    if "dubious ownership" in workspace.git_error:
        return Finding(
            "problem",
            "git",
            f"{workspace.git}; does not touch {workspace.root}, which belongs to another user",
            "Tell git that you trust the folder:",
            f"git config --global --add safe.directory {shlex.quote(workspace.root)}",
        )
    if workspace.git_error:
        return Finding(
            "problem",
            "git",
            f"{workspace.git}; {workspace.root} is no git repository ({workspace.git_error}), and DVC needs one",
            "Make it one:",
            "git init && git add -A && git commit -m Start",
        )
    return Finding("ok", "git", workspace.git)


def _broken(facts: Facts, name: str, title: str, failure: Failure) -> Finding:
    if failure.kind == "missing" and failure.module == name:
        return Finding("problem", title, "is not installed", *install_missing(facts, name))
    said = failure.text if failure.kind != "hung" else f"importing it did not end within {failure.seconds:.0f} s"
    return Finding(
        "problem", title, f"cannot be imported: {said}", "Install it anew, with all that it needs:",
        install(facts, name, options="--force-reinstall"),
    )  # fmt: skip
