"""Finds flow runs whose process is gone, which the server believes to go on, and marks them Crashed.

A flow run's process holds an advisory lock on a file of the run's own, and every process that may have runs shares
one lock besides. The kernel frees both after any death. So a run whose own file is free is dead; and whoever gets
the shared one for itself alone knows that every run that the project's own database believes to go on is.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import filters
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Crashed

from flows.prefect_settings import API_URL_VARIABLE, DATABASE_VARIABLE

MESSAGE = "its process ended without a word"
_GOING_ON = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
_STOPPED = [StateType.CRASHED, StateType.CANCELLED, StateType.CANCELLING]
_LIMIT = 200  # the server's, for one answer


@contextmanager
def living_process(home: Path) -> Iterator[bool]:
    """Say that this process may have flow runs, until the block is left; and first mark dead ones Crashed.

    Args:
        home: Prefect's home in the project.
    """
    with _shared_lock(home).open("a") as shared:
        try:
            fcntl.flock(shared, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_alone = True
        except BlockingIOError:
            is_alone = False
        mark_dead_runs(home, every_run=is_alone and _database_is_own())
        fcntl.flock(shared, fcntl.LOCK_SH)
        yield is_alone


@contextmanager
def living_run(home: Path, flow_run: str) -> Iterator[None]:
    """Say that this process carries a flow run out, until the block is left."""
    path = _folder(home) / f"{UUID(flow_run)}.lock"
    with path.open("a") as own, _shared_lock(home).open("a") as shared:
        fcntl.flock(own, fcntl.LOCK_EX)
        fcntl.flock(shared, fcntl.LOCK_SH)
        yield
        path.unlink(missing_ok=True)  # left in place by an exception: the server may not learn of the end


def mark_dead_runs(home: Path, *, every_run: bool = False) -> list[UUID]:
    """Mark flow runs whose process is gone Crashed, and their tasks; return the identifiers of those runs.

    Args:
        home: Prefect's home in the project.
        every_run: all runs that the server believes to go on are dead.
    """
    dead = _runs_without_process(home)
    if not dead and not every_run:
        return []
    marked = []
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=_by_id([*dead]), limit=_LIMIT) if dead else []
        if every_run:
            runs += client.read_flow_runs(flow_run_filter=_by_state(_GOING_ON), limit=_LIMIT)
        for run in {run.id: run for run in runs}.values():
            if run.state is not None and run.state.type in _GOING_ON:
                client.set_flow_run_state(run.id, Crashed(message=MESSAGE), force=True)
                marked.append(run.id)
        stopped = [run for run in runs if run.state is not None and run.state.type in (*_GOING_ON, *_STOPPED)]
        _mark_tasks(client, stopped)
    for path in dead.values():
        path.unlink(missing_ok=True)
    return marked


def _mark_tasks(client: SyncPrefectClient, runs: list[FlowRun]) -> None:
    """Mark the tasks of dead runs that are said to go on."""
    if not runs:
        return
    going_on = filters.TaskRunFilter(
        state=filters.TaskRunFilterState(type=filters.TaskRunFilterStateType(any_=[*_GOING_ON]))
    )
    found = client.read_task_runs(
        flow_run_filter=_by_id([run.id for run in runs]), task_run_filter=going_on, limit=_LIMIT
    )
    for task in found:
        client.set_task_run_state(task.id, Crashed(message=MESSAGE), force=True)


def _runs_without_process(home: Path) -> dict[UUID, Path]:
    """Return the runs that have a file which nobody holds."""
    found = {}
    for path in _folder(home).glob("*-*-*.lock"):
        try:
            with path.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found[UUID(path.stem)] = path
        except (OSError, ValueError):  # its process lives, or it is no run's
            continue
    return found


def _by_id(runs: list[UUID]) -> filters.FlowRunFilter:
    return filters.FlowRunFilter(id=filters.FlowRunFilterId(any_=runs))


def _by_state(types: list[StateType]) -> filters.FlowRunFilter:
    return filters.FlowRunFilter(state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=types)))


def _shared_lock(home: Path) -> Path:
    return _folder(home) / "processes.lock"


def _folder(home: Path) -> Path:
    folder = home / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _database_is_own() -> bool:
    return not os.environ.get(API_URL_VARIABLE) and not os.environ.get(DATABASE_VARIABLE)
