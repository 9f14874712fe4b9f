"""Running a search by its name: from the command line, and from Prefect's pages."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flows.progress import values_text
from stages import paths
from tandem.config import Params, parse_params, read_params
from tandem.errors import ParameterError, StorageError, suggest
from tandem.plan import Plan, make_plan, search_frameworks, with_search, write_plan
from tandem.searches.records import SearchRecord
from tandem.storage import write_text

_LOCK = Path(".tandem/plan.lock")


@contextmanager
def planning(root: Path) -> Iterator[None]:
    """Let no other run of this project read params.yaml and write what follows from it inside the block.

    Two searches that are started at once would else each write the suite without the other.
    """
    lock = root / _LOCK
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("ab")
    except OSError as error:
        raise StorageError(f"{lock}: cannot be written ({error.strerror}); make the folder writable") from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)  # freed by the kernel when this process ends, however it does
        yield


def plan_search(root: Path, name: str, frameworks: Sequence[str]) -> tuple[Params, Plan, bool]:
    """Plan a search, which is added to the suite of params.yaml if it is not in there; call it inside of `planning`.

    Args:
        root: the project's folder.
        name: of the search.
        frameworks: chosen ones; checked before anything is written.

    Returns:
        What is declared, its plan, and whether the search was added.

    Raises:
        ParameterError: the declarations are wrong, the search is not declared, or does not search in a framework.
        StorageError: a file could not be written.
    """
    path = root / paths.PARAMS
    params = read_params(path)
    text = with_search(params, name, path)
    known = search_frameworks(params, name)
    for framework in frameworks:
        if framework not in known:
            raise ParameterError(f"search '{name}' has no framework '{framework}'; {suggest(framework, known)}")
    added = name not in params.suite.searches
    if added:
        params = parse_params(text, path)
    plan = make_plan(params)
    if added:  # only now, so that no stage sees the one without the other for longer than need be
        write_text(path, text)
    write_plan(plan, root / paths.RUNS)
    return params, plan, added


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
