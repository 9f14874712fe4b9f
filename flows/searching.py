"""Running a search by its name: from the command line, and from Prefect's pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.progress import values_text
from stages import paths
from tandem.config import Params, read_params
from tandem.errors import ParameterError, suggest
from tandem.plan import Plan, add_search, search_frameworks
from tandem.searches.records import SearchRecord


def put_into_suite(params: Params, name: str, frameworks: Sequence[str], root: Path) -> tuple[Params, bool]:
    """Add a search to the suite of params.yaml if it is not in there; return the declarations, and whether it did.

    Args:
        params: as declared.
        name: of the search.
        frameworks: chosen ones; checked before anything is written.
        root: the project's folder.

    Raises:
        ParameterError: the search is not declared, or does not search in a framework.
        StorageError: params.yaml could not be written.
    """
    if name in params.searches:
        known = search_frameworks(params, name)
        for framework in frameworks:
            if framework not in known:
                raise ParameterError(f"search '{name}' has no framework '{framework}'; {suggest(framework, known)}")
    added = add_search(params, name, root / paths.PARAMS)
    return (read_params(root / paths.PARAMS) if added else params), added


def search_targets(plan: Plan, name: str, frameworks: Sequence[str]) -> tuple[str, ...]:
    """Return the DVC stages that bring a search up to date.

    That is its page, which compares all of its frameworks; for some of them, their evaluations.
    """
    named = [entry.framework for entry in plan.searches.values() if entry.search == name]
    if set(frameworks) in (set(), set(named)):
        return (f"report@{name}",)
    return tuple(f"evaluate@{name}-{framework}" for framework in named if framework in frameworks)


def best_line(record: SearchRecord) -> str:
    """Say in a line what a search found."""
    if record.best is None:
        return f"{record.framework}: none of {len(record.trials)} trials finished"
    best = record.trials[record.best]
    assert best.value is not None  # noqa: S101 - the best one has finished
    return (
        f"{record.framework}: best of {len(record.trials)} trials is {best.number}, "
        f"{record.metric} {best.value:.4g}: {values_text(best.parameters)}"
    )
