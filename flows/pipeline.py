"""The flow that runs the DVC graph: one task run per stage, named as DVC names it.

Apply :mod:`flows.prefect_settings` before importing this module. The bodies are thin on purpose: see
:mod:`flows.execution`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.states import State

from flows import execution


@task(name="stage", task_run_name="{stage}", cache_policy=NO_CACHE, persist_result=False)
def run_stage(stage: str) -> State:
    """Run one stage of the DVC graph."""
    return execution.run_stage(stage)


def _run_stage_task(stage: str, upstream: Sequence[Any]) -> State:
    return run_stage(stage, wait_for=list(upstream), return_state=True)


@flow(name="pipeline", persist_result=False)
def pipeline(root: str = ".", targets: list[str] | None = None, force: bool = False) -> State:
    """Bring the DVC graph up to date and report what came of it.

    Args:
        root: The project's folder.
        targets: Stages to run, with all they depend on; everything if none is named.
        force: Run commands even if nothing changed.
    """
    return execution.run_graph(Path(root), targets or [], force, _run_stage_task)
