"""Runs the pipeline's flow in this process: what ``tandem run`` does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.text import Text

from dvcgraph.adapter import Graph
from dvcgraph.errors import GraphError
from dvcgraph.events import Ended, Event, Outcome, Summary
from flows import prefect_settings
from flows.prefect_settings import SettingsError
from flows.progress import showing
from flows.server import ServerError, home_in_use, running_server
from tandem.imports import quick_imports

INTERRUPTED = 130
INDEX = Path("reports/index.html")
_NAMES_SHOWN = 8


def run_pipeline(
    root: Path,
    targets: Sequence[str],
    force: bool,
    console: Console,
    pages: Sequence[Path] = (INDEX,),
    *,
    jobs: int | None = None,
) -> int:
    """Run the DVC graph of ``root`` through the Prefect flow, with a display on ``console``.

    Args:
        root: the project's folder.
        targets: DVC stages; none: all.
        force: run what has not changed, too.
        console: to show the run on.
        pages: below ``root``, named at the end where they exist.
        jobs: how many threads may work at a time; by default the cores.

    Returns:
        0; 1 if anything failed, after lines that say what; 130 if it was interrupted.
    """
    root = root.resolve()
    outcomes: list[Outcome] = []
    try:
        prefect_settings.apply(root)
        with _termination_as_interrupt():
            succeeded, message = _run_flow(root, targets, force, jobs, console, outcomes)
    except (GraphError, SettingsError, ServerError) as error:
        _say(console, f"error: {error}")
        return 1
    except KeyboardInterrupt:
        _say(console, "interrupted; finished stages are recorded, run again to go on")
        return INTERRUPTED
    summary = Summary(tuple(outcomes))
    for line in summary_lines(summary):
        _say(console, line)
    if not succeeded and not summary.failed:
        _say(console, f"error: {message}")
    for page in pages:
        if (root / page).exists():
            _say(console, f"report: {(root / page).as_uri()}")
    return 0 if succeeded else 1


def _run_flow(
    root: Path, targets: Sequence[str], force: bool, jobs: int | None, console: Console, outcomes: list[Outcome]
) -> tuple[bool, str]:
    """Call the flow and add each stage's outcome to ``outcomes``; return success and the flow's message."""
    with running_server() as server:
        if server is not None:  # meanwhile it starts
            Graph.load(root, targets).close()
        with quick_imports():
            from prefect.exceptions import TerminationSignal
            from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

            from flows.dead_runs import living_process
            from flows.execution import listening
            from flows.pipeline import pipeline

        if server is not None:
            server.wait()
        try:
            # No heartbeat: it would let the end of every run wait for up to a second.
            quiet = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
            with quiet, living_process(home_in_use()), showing(console) as display:

                def listen(event: Event) -> None:
                    if isinstance(event, Ended):
                        outcomes.append(event.outcome)
                    display(event)

                with listening(listen):
                    state = pipeline(str(root), list(targets), force, jobs, return_state=True)
        except TerminationSignal as error:
            raise KeyboardInterrupt from error
        return state.is_completed(), state.message or ""


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the run in order, as Ctrl-C does.

    While the flow runs, Prefect has its own handler in place; it sends itself the signal again afterwards,
    which without this would end the process with the display still open.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def summary_lines(summary: Summary) -> list[str]:
    """Say how a run ended: the counts, then for each failure why, where its log is, and what it stopped."""
    lines = []
    for outcome in summary.outcomes:
        if outcome.state != "failed":
            continue
        lines.append(f"failed: {outcome.stage}: {outcome.message}")
        if outcome.log is not None:
            lines.append(f"  its output: {outcome.log}")
        stopped = [
            other.stage
            for other in summary.outcomes
            if other.state == "skipped" and other.message == f"{outcome.stage} failed"
        ]
        if stopped:
            lines.append(f"  skipped because of it: {_names(stopped)}")
    finished = summary.stages("completed", "restored")
    if lines and finished:
        lines.append(f"finished all the same: {_names(finished)}")
    return [*lines, summary.text]


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more"


def _say(console: Console, line: str) -> None:
    console.print(Text(line), soft_wrap=True)
