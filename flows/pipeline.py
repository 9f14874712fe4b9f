"""The flow that runs the DVC graph: one task run per stage, named as DVC names it.

Apply :mod:`flows.prefect_settings` before importing this module. The bodies are thin on purpose: see
:mod:`flows.execution`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import allow_failure, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.states import State

from flows import execution
from flows.run_request import RunRequest, run_request


@task(name="stage", task_run_name="{stage}", cache_policy=NO_CACHE, persist_result=False)
def run_stage(stage: str) -> State:
    """Follow one stage of the DVC graph."""
    return execution.follow_stage(stage)


def submit_stage(stage: str, upstream: Sequence[PrefectFuture[Any]]) -> PrefectFuture[Any]:
    """Start the task of a stage, after the tasks of the stages that it depends on."""
    return run_stage.submit(stage, wait_for=[allow_failure(future) for future in upstream], return_state=False)


@flow(name="pipeline", persist_result=False)
def pipeline(root: str = ".", targets: list[str] | None = None, force: bool = False, jobs: int | None = None) -> State:
    """Bring the DVC graph up to date and report what came of it.

    Args:
        root: The project's folder.
        targets: Stages to run, with all they depend on; everything if none is named.
        force: Run commands even if nothing changed.
        jobs: How many threads may work at a time; by default the cores.
    """
    return run_request(Path(root), RunRequest(targets=tuple(targets or ()), force=force, jobs=jobs), submit_stage)
