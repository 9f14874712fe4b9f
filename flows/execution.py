"""What the pipeline's flow and tasks do; their bodies stay thin.

``serve()`` ships the bodies of flows and tasks as copies that do not share this module's state, so that state
(the open run of each flow run, the listener) lives here and is used through these functions only.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from prefect import allow_failure, get_run_logger
from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.context import FlowRunContext
from prefect.states import Completed, Failed, State

from dvcgraph.errors import GraphError
from dvcgraph.events import Event, Listener, Outcome, Output, Summary
from dvcgraph.schedule import Reproduction, open_reproduction

METRICS_PATTERN = "metrics/*/*.json"  # metrics/<experiment>/<framework>.json
REPORTS_PATTERN = "reports/*.html"

_LONGEST_LOG_LINE = 10_000  # characters; the whole line is in the stage's log file

_open_runs: dict[str, Reproduction] = {}


def _ignore(_event: Event) -> None:
    """Tell nobody."""


_listener: ContextVar[Listener] = ContextVar("listener", default=_ignore)

RunStage = Callable[[str, Sequence[Any]], State]


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell ``listener`` what happens in flows that are called inside this context."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def run_graph(root: Path, targets: Sequence[str], force: bool, run_stage: RunStage) -> State:
    """Run the graph inside a flow, and publish its metrics and reports.

    Args:
        root: the folder from which targets are named.
        targets: what to run; by default the stages of ``root/dvc.yaml``.
        force: run commands even if nothing changed.
        run_stage: runs a stage's task, given its name and the states of the tasks it waits for.

    Returns:
        Failed, with a message like "1 failed, 2 skipped", if anything failed; else Completed.
    """
    key = _flow_run_key()
    try:
        with open_reproduction(root, targets, force=force, on_event=_listener.get()) as reproduction:
            _open_runs[key] = reproduction
            states: dict[str, State] = {}
            for node in reproduction.stages:
                upstream = [allow_failure(states[name]) for name in node.upstream]
                states[node.name] = run_stage(node.name, upstream)
            summary = reproduction.summary
            outs = [out for node in reproduction.stages for out in node.outs]
    except GraphError as error:
        return Failed(message=str(error))
    finally:
        _open_runs.pop(key, None)
    publish(outs)
    return _final_state(summary)


def run_stage(name: str) -> State:
    """Run one stage inside its task, with its output in the task's log; return the state of the task."""
    logger = get_run_logger()

    def log(event: Event) -> None:
        if isinstance(event, Output):
            logger.info("%s", event.line[:_LONGEST_LOG_LINE])

    outcome = _open_runs[_flow_run_key()].run(name, log)
    if outcome.message:
        level = logging.ERROR if outcome.state == "failed" else logging.WARNING
        logger.log(level, "%s", outcome.message)
    return _task_state(outcome)


def publish(outs: Iterable[Path]) -> None:
    """Make a table of the metrics and links to the reports that are among the outs of a run.

    What goes wrong here is logged and never fails a run.
    """
    try:
        made = sorted(out for out in outs if out.is_file())
        rows = read_metrics([out for out in made if out.match(METRICS_PATTERN)])
        if rows:
            create_table_artifact(table=rows, key="metrics", description="Metrics on the test rows")
        for report in (out for out in made if out.match(REPORTS_PATTERN)):
            create_link_artifact(link=report.as_uri(), link_text=report.stem, key=artifact_key(f"report-{report.stem}"))
    except Exception as error:  # a lost server must not lose a finished run
        get_run_logger().warning("no artifacts: %s", error)


def read_metrics(files: Iterable[Path]) -> list[dict[str, Any]]:
    """Return one row per experiment and framework from files ``metrics/<experiment>/<framework>.json``.

    Nested values are named by their path, for instance ``test.accuracy``; a file that is no JSON object gives
    a row that says so, and a number that is not finite is ``None``. Every row has the same columns.
    """
    rows = [_metrics_row(path) for path in files]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return [{column: row.get(column) for column in columns} for row in rows]


def artifact_key(name: str) -> str:
    """Return ``name`` as Prefect wants keys: lowercase letters, digits and single dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "report"


def _flow_run_key() -> str:
    context = FlowRunContext.get()
    flow_run = context.flow_run if context else None
    if flow_run is None:
        raise RuntimeError("this belongs into a flow run")
    return str(flow_run.id)


def _task_state(outcome: Outcome) -> State:
    message = outcome.message or None
    match outcome.state:
        case "unchanged":
            return Completed(name="Unchanged", message=message)
        case "restored":
            return Completed(name="Restored", message=message or "from DVC's cache")
        case "skipped":
            return Completed(name="Skipped", message=message)
        case "failed":
            return Failed(message=message)
        case _:
            return Completed(message=message)


def _final_state(summary: Summary) -> State:
    if not summary.failed:
        return Completed(message=summary.text)
    skipped = len(summary.stages("skipped"))
    return Failed(message=f"{len(summary.failed)} failed" + (f", {skipped} skipped" if skipped else ""))


def _metrics_row(path: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"experiment": path.parent.name, "framework": path.stem}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        return row | {"note": "not a JSON object"}
    return row | dict(_flat(content))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", json.dumps(value)
        elif isinstance(value, float) and not math.isfinite(value):
            yield f"{prefix}{key}", None
        else:
            yield f"{prefix}{key}", value
