"""What the flows and tasks over a DVC graph do; the decorated functions stay thin.

The graph runs in a thread of dvcgraph's own, which only puts events into queues: it never waits for Prefect. The
flow's thread takes the events out, starts a stage's task when the stage starts, and hands each task the events of
its stage. State that tasks share lives here, by flow run.
"""

from __future__ import annotations

import json
import logging
import math
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.states import Cancelled, Completed, Failed, State

from dvcgraph.adapter import StageNode
from dvcgraph.events import Ended, Event, Listener, Notice, Outcome, Output, Progress, Queued, Started, Summary, Waiting
from dvcgraph.schedule import open_run
from flows.progress import describe_progress, percent_done
from tandem.searches.progress import SearchProgress, read_progress

METRICS_PATTERN = "metrics/*/*.json"  # metrics/<experiment>/<framework>.json
REPORTS_PATTERN = "reports/*.html"

_LONGEST_LOG_LINE = 10_000  # characters; the whole line is in the stage's log file
_LOOK_SECONDS = 1.0  # between two looks at whether the run still lives
_PROGRESS_SECONDS = 1.0  # between two updates of a stage's progress
_LAST_PROGRESS_SECONDS = 3.0  # how long the end of a run waits for the last update
_TAIL_LINES = 12  # of a failed stage, in the summary


def _ignore(_event: Event) -> None:
    """Tell nobody."""


_listener: ContextVar[Listener] = ContextVar("listener", default=_ignore)

Submit = Callable[[str, Sequence[PrefectFuture[Any]]], PrefectFuture[Any]]
"""Starts the task of a stage, which waits for other tasks."""


@dataclass(frozen=True)
class GraphRun:
    """What came of a graph."""

    stages: tuple[StageNode, ...]
    summary: Summary

    @property
    def made(self) -> tuple[Path, ...]:
        """The outs of all stages that are up to date now, and exist."""
        good = set(self.summary.stages("completed", "restored", "unchanged"))
        return tuple(sorted(out for node in self.stages if node.name in good for out in node.outs if out.exists()))

    @property
    def reports(self) -> tuple[Path, ...]:
        """The report pages among the outs."""
        return tuple(out for out in self.made if out.match(REPORTS_PATTERN))

    @property
    def did_something(self) -> bool:
        """Whether any stage did more than to find that it is unchanged."""
        return any(outcome.state != "unchanged" for outcome in self.summary.outcomes)


@dataclass(frozen=True)
class Link:
    """Where a report can be read."""

    name: str
    address: str


# ------------------------------------------------------------------------------------- the graph in a flow


@dataclass
class _OpenRun:
    """What the tasks of a flow run share."""

    progress: _ProgressReporter
    feeds: dict[str, queue.SimpleQueue[Event | None]] = field(default_factory=dict)
    futures: dict[str, PrefectFuture[Any]] = field(default_factory=dict)


_open_runs: dict[str, _OpenRun] = {}


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell ``listener`` what happens in flows that are called inside this context."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def run_graph(
    root: Path,
    targets: Sequence[str],
    submit: Submit,
    *,
    jobs: int | None = None,
    force: bool = False,
    environment: Mapping[str, str] | None = None,
) -> GraphRun:
    """Run a DVC graph inside a flow, with a task run for each stage.

    Whatever ends this function, no command runs afterwards: cancelling a flow run and SIGTERM arrive here as
    exceptions.

    Args:
        root: the folder from which targets are named.
        targets: what to run; by default the stages of ``root/dvc.yaml``.
        submit: starts a stage's task, whose body is :func:`follow_stage`.
        jobs: how many threads may work at a time; by default the cores.
        force: run commands even if nothing changed.
        environment: what the commands' environment is made from; by default this process's.

    Raises:
        GraphError: the graph cannot be run; nothing was touched. Or dvc.lock could not be written.
    """
    key = flow_run_id()
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    opened = _OpenRun(_ProgressReporter())
    upstream: dict[str, tuple[str, ...]] = {}
    take_in = _notices_at_once(events)
    _open_runs[key] = opened
    try:
        with open_run(root, targets, jobs=jobs, force=force, on_event=take_in, environment=environment) as run:
            for event in _until_over(events, lambda: all(future.done() for future in run.futures.values())):
                _listener.get()(event)
                _pass_on(event, opened, upstream, submit)
            _let_tasks_end(opened)  # those of a run that an error ended early, too
            for future in opened.futures.values():
                future.wait()
            return GraphRun(run.stages, run.wait())
    finally:
        _let_tasks_end(opened)
        opened.progress.close()
        del _open_runs[key]


def _notices_at_once(events: queue.SimpleQueue[Event]) -> Listener:
    """Return what dvcgraph's thread calls; notices are told there, since they may come before the run is open."""
    listener, logger = _listener.get(), get_run_logger()

    def take_in(event: Event) -> None:
        if isinstance(event, Notice):
            listener(event)
            logger.info("%s", event.text)
        else:
            events.put(event)

    return take_in


def _until_over(events: queue.SimpleQueue[Event], is_over: Callable[[], bool]) -> Iterator[Event]:
    """Give the events up to the last one; also of a run that an error ended early."""
    left = 0
    queued = False
    while not queued or left:
        try:
            event = events.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            if is_over() and events.empty():
                return
            continue
        left += isinstance(event, Queued) - isinstance(event, Ended)
        queued = queued or not isinstance(event, Queued)
        yield event


def _pass_on(event: Event, opened: _OpenRun, upstream: dict[str, tuple[str, ...]], submit: Submit) -> None:
    """Hand an event to its stage's task, which begins with the stage, or with the end of one that never started."""
    if isinstance(event, Notice):
        return
    if isinstance(event, Queued):
        upstream[event.stage] = event.upstream
        opened.feeds[event.stage] = queue.SimpleQueue()
        return
    opened.feeds[event.stage].put(event)
    if isinstance(event, (Started, Ended)) and event.stage not in opened.futures:
        before = [opened.futures[name] for name in upstream[event.stage] if name in opened.futures]
        opened.futures[event.stage] = submit(event.stage, before)


def _let_tasks_end(opened: _OpenRun) -> None:
    for feed in opened.feeds.values():
        feed.put(None)


def follow_stage(name: str) -> State:
    """Follow a stage inside its task, with its output in the task's log; return the state of the task."""
    opened = _open_runs[flow_run_id()]
    logger = get_run_logger()
    for event in iter(opened.feeds[name].get, None):
        match event:
            case Output(_, line):
                logger.info("%s", line[:_LONGEST_LOG_LINE])
            case Waiting(_, reason):
                logger.info("%s", reason)
            case Started(_, devices) if devices:
                logger.info("on %s", ", ".join(devices))
            case Progress(_, values):
                opened.progress.report(name, values)
            case Ended(_, outcome):
                opened.progress.end(name, outcome)
                if outcome.message:
                    level = logging.ERROR if outcome.state == "failed" else logging.WARNING
                    logger.log(level, "%s", outcome.message)
                return _task_state(outcome)
    return Cancelled(message="the run was stopped")


def tell(text: str) -> None:
    """Say something about the flow run as a whole: in its log, and to who listens."""
    get_run_logger().info("%s", text)
    _listener.get()(Notice(text))


def flow_run_id() -> str:
    """Return the identifier of the flow run that this is called in."""
    context = FlowRunContext.get()
    flow_run = context.flow_run if context else None
    if flow_run is None:
        raise RuntimeError("this belongs into a flow run")
    return str(flow_run.id)


def flow_run_name() -> str:
    """Return the name of the flow run that this is called in."""
    context = FlowRunContext.get()
    flow_run = context.flow_run if context else None
    return flow_run.name if flow_run is not None else ""


def final_state(summary: Summary, problems: Sequence[str] = ()) -> State:
    """Return the state of a flow run: Failed, with a message like "2 failed, 3 skipped", or Completed.

    Args:
        summary: how the stages ended.
        problems: more reasons to fail, one line each.
    """
    reasons = list(problems)
    if summary.failed:
        skipped = len(summary.stages("skipped"))
        reasons.insert(0, f"{len(summary.failed)} failed" + (f", {skipped} skipped" if skipped else ""))
    if reasons:
        return Failed(message="; ".join(reasons))
    return Completed(message=summary.text)


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


# ---------------------------------------------------------------------------------------- progress artifacts


@dataclass
class _Shown:
    """A stage's progress as it is and as the server has it."""

    context: Context  # of the stage's task: the artifact belongs to it
    percent: float = 0.0
    text: str = ""
    search: SearchProgress | None = None
    is_new: bool = True
    artifact: UUID | None = None
    table: UUID | None = None  # of a search's best trials so far
    told: SearchProgress | None = None  # what the table shows
    sent_at: float = -math.inf


class _ProgressReporter:
    """Keeps a progress artifact for each stage that reports progress, and for a search a table of its best trials.

    One thread sends the newest value only, each stage's at most once a second. With the server gone a call blocks
    for more than a minute: nobody waits for this thread for long, and what it raises is nobody's concern.
    """

    def __init__(self) -> None:
        self._stages: dict[str, _Shown] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def report(self, stage: str, values: Mapping[str, Any]) -> None:
        """Take in what a stage told; called in its task."""
        percent, search = percent_done(values), read_progress(values)
        if percent is not None or search is not None:
            self._take_in(stage, percent or 0.0, describe_progress(values), search)

    def end(self, stage: str, outcome: Outcome) -> None:
        """Take in that a stage ended."""
        shown = self._stages.get(stage)
        if shown is not None:
            self._take_in(stage, 100.0 if outcome.state == "completed" else shown.percent, outcome.state)

    def close(self) -> None:
        """Send what is left, if the server takes it soon."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_LAST_PROGRESS_SECONDS)

    def _take_in(self, stage: str, percent: float, text: str, search: SearchProgress | None = None) -> None:
        with self._changed:
            shown = self._stages.get(stage)
            if shown is None:
                shown = self._stages[stage] = _Shown(copy_context())
            shown.percent, shown.text, shown.is_new = percent, text, True
            shown.search = search or shown.search
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_for_ever, name="progress", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _send_for_ever(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                new = {stage: shown for stage, shown in self._stages.items() if shown.is_new}
                due = {s: shown for s, shown in new.items() if self._closed or now >= shown.sent_at + _PROGRESS_SECONDS}
                for shown in due.values():
                    shown.is_new = False
                if not due:
                    if self._closed:
                        return
                    self._changed.wait(_PROGRESS_SECONDS / 4 if new else None)
                    continue
                values = {stage: (shown.percent, shown.text, shown.search) for stage, shown in due.items()}
            for stage, (percent, text, search) in values.items():
                shown = due[stage]
                try:
                    shown.context.run(_send, stage, shown, percent, text)
                    if search is not None and search.leaders and search != shown.told:
                        shown.context.run(_send_leaders, shown, search)
                except Exception as error:
                    logging.getLogger(__name__).debug("no progress artifact of %s: %s", stage, error)
                shown.sent_at = time.monotonic()


def _send(stage: str, shown: _Shown, percent: float, text: str) -> None:
    description = f"{stage}: {text}"
    if shown.artifact is None:
        key = artifact_key(f"progress-{stage}")
        made = create_progress_artifact(progress=percent, key=key, description=description)
        shown.artifact = cast(UUID, made)  # there is no event loop in this thread
    else:
        update_progress_artifact(shown.artifact, progress=percent, description=description)


def _send_leaders(shown: _Shown, search: SearchProgress) -> None:
    """Keep the table of a search's best trials so far as it is now; its page shows each change."""
    rows = [{"trial": leader.trial, search.metric: leader.value, **leader.parameters} for leader in search.leaders]
    description = f"{search.search} in {search.framework}: the best of {search.trials} trials so far"
    if shown.table is None:
        key = artifact_key(f"best-{search.search}-{search.framework}")
        shown.table = cast(UUID, create_table_artifact(table=rows, key=key, description=description))
    else:
        update = ArtifactUpdate(data=json.dumps(rows), description=description)
        get_client(sync_client=True).update_artifact(shown.table, update)
    shown.told = search


# --------------------------------------------------------------------------------- artifacts of the whole run


def publish_artifacts(run: GraphRun, links: Sequence[Link], notes: Sequence[str] = ()) -> None:
    """Make a table of the metrics, links to the reports, and a summary in words.

    What goes wrong here is logged and never fails a run.

    Args:
        run: what came of the graph.
        links: to the reports that were published.
        notes: more lines for the summary, such as what the gate says.
    """
    try:
        rows = read_metrics([out for out in run.made if out.match(METRICS_PATTERN)])
        if rows:
            create_table_artifact(table=rows, key="metrics", description="Metrics on the test rows")
        for link in links:
            key = artifact_key(f"report-{link.name}")
            create_link_artifact(link=link.address, link_text=link.name, key=key, description=f"Report of {link.name}")
        create_markdown_artifact(summary_text(run.summary, links, notes), key="summary", description=run.summary.text)
    except Exception as error:  # a lost server must not lose a finished run
        get_run_logger().warning("no artifacts: %s", error)


def summary_text(summary: Summary, links: Sequence[Link] = (), notes: Sequence[str] = ()) -> str:
    """Say in Markdown how a run ended: what failed and why, what that skipped, and what was published."""
    parts = [f"**{summary.text}**"]
    for outcome in summary.outcomes:
        if outcome.state == "failed":
            parts += _failure(outcome, summary)
    if notes:
        parts.append("\n".join(f"- {_escaped(note)}" for note in notes))
    if links:
        heading = "Published all the same:" if summary.failed else "Published:"
        parts.append(f"{heading}\n\n" + "\n".join(f"- [{_escaped(link.name)}]({link.address})" for link in links))
    elif summary.failed:
        finished = summary.stages("completed", "restored")
        parts.append(f"Finished all the same: {_listed(finished)}" if finished else "Nothing else ran.")
    return "\n\n".join(parts)


def _failure(outcome: Outcome, summary: Summary) -> list[str]:
    parts = [f"### {_escaped(outcome.stage)} failed", _escaped(outcome.message)]
    tail = "\n".join(outcome.tail[-_TAIL_LINES:])
    if tail:
        longest = max((len(ticks) for ticks in re.findall(r"`+", tail)), default=0)
        fence = "`" * max(3, longest + 1)
        parts.append(f"{fence}text\n{tail}\n{fence}")
    if outcome.log is not None:
        parts.append(f"All of its output: {_escaped(str(outcome.log))}")
    why = f"{outcome.stage} failed"
    stopped = [other.stage for other in summary.outcomes if other.state == "skipped" and other.message == why]
    if stopped:
        parts.append(f"Skipped because of it: {_listed(stopped)}")
    return parts


def _listed(names: Iterable[str]) -> str:
    return ", ".join(_escaped(name) for name in names)


def _escaped(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&!])", r"\\\1", text)


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
