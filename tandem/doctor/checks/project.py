"""params.yaml, and runs.yaml, the plan that follows from it."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.doctor.checks.installation import missing_packages
from tandem.doctor.facts import Facts, Failure, Project
from tandem.doctor.findings import Finding, SectionTitle
from tandem.doctor.remedies import install

SECTION: SectionTitle = "Suite"
ORDER = 1


def check(facts: Facts) -> Iterator[Finding]:
    """Look at what the stages read."""
    project = facts.project.answer
    if project is None:
        if facts.project.failure is not None:
            yield _unread(facts, facts.project.failure)
        return
    yield _params(project)
    if project.plan_error:
        yield Finding(
            "warning",
            "runs.yaml",
            project.plan_error,
            "`tandem run` plans by itself, `dvc repro` does not; write the plan:",
            "tandem plan",
        )


def _params(project: Project) -> Finding:
    if project.mistakes:
        mistakes = project.mistakes.replace("; run the command in a Tandem project, or create the file", "")
        return Finding(
            "problem", "params.yaml", mistakes, "Correct each of these places in params.yaml, then look again:",
            "tandem doctor",
        )  # fmt: skip
    count = len(project.experiments)
    experiments = f"{count} experiment{'' if count == 1 else 's'} in {', '.join(project.frameworks)}"
    return Finding("ok", "params.yaml", f"valid; the suite has {experiments}")


def _unread(facts: Facts, failure: Failure) -> Finding:
    if missing_packages(facts):
        return Finding("note", "params.yaml", "not checked: packages that read it are missing; see Interpreter")
    said = failure.text if failure.kind != "hung" else f"no answer within {failure.seconds:.0f} s"
    return Finding(
        "problem", "params.yaml", f"cannot be read: {said}", "Install the packages that Tandem reads it with:",
        install(facts),
    )  # fmt: skip
