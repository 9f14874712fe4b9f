"""Flow runs whose process is gone are marked Crashed, and those of living processes are not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

pytestmark = pytest.mark.usefixtures("prefect_server")

HOLD = """
import sys
from pathlib import Path
from flows.dead_runs import living_run
with living_run(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


def running_flow_run() -> UUID:
    """Make a flow run with a task, both said to be running."""
    from prefect import flow, get_client, task
    from prefect.states import Running

    @task
    def nothing() -> None:
        """Do nothing."""

    @flow
    def some() -> None:
        """Do nothing."""

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(some)
        client.set_flow_run_state(run.id, Running(), force=True)
        client.create_task_run(nothing, run.id, "0", name="stage", state=Running())
    return run.id


def states(run: UUID) -> tuple[str, str]:
    """Return the states of a flow run and of its task."""
    from prefect import get_client
    from prefect.client.schemas import filters

    of_run = filters.FlowRunFilter(id=filters.FlowRunFilterId(any_=[run]))
    with get_client(sync_client=True) as client:
        (flow_run,), (task,) = (
            client.read_flow_runs(flow_run_filter=of_run),
            client.read_task_runs(flow_run_filter=of_run),
        )
    return flow_run.state.name, task.state.name


@contextmanager
def held(home: Path, run: UUID) -> Iterator[Any]:
    """Let another process carry a run out."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home), str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_run_is_dead_when_its_process_was_killed_and_not_before(tmp_path: Path) -> None:
    from flows.dead_runs import mark_dead_runs

    run = running_flow_run()
    with held(tmp_path, run) as process:
        assert mark_dead_runs(tmp_path) == []
        assert states(run) == ("Running", "Running")
        process.kill()
        process.wait()
        assert mark_dead_runs(tmp_path) == [run]
    assert states(run) == ("Crashed", "Crashed")
    assert mark_dead_runs(tmp_path) == []


def test_who_is_alone_marks_every_run_and_who_is_not_none_without_a_trace(tmp_path: Path) -> None:
    from flows.dead_runs import living_process

    other, run = running_flow_run(), running_flow_run()
    with held(tmp_path, other), living_process(tmp_path) as is_alone:
        assert not is_alone
        assert states(run) == ("Running", "Running")
    with living_process(tmp_path) as is_alone:
        assert is_alone
    assert states(run) == ("Crashed", "Crashed")


def test_a_run_that_ended_in_order_leaves_no_file(tmp_path: Path) -> None:
    from flows.dead_runs import living_run

    run = running_flow_run()
    with living_run(tmp_path, str(run)):
        assert (tmp_path / f"runs/{run}.lock").exists()
    assert not (tmp_path / f"runs/{run}.lock").exists()
