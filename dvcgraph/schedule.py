"""Runs a graph's stages in parallel: the interface. A failed one stops what depends on it, and nothing else."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from dvcgraph.adapter import StageNode
from dvcgraph.errors import GraphError
from dvcgraph.events import Listener, Outcome, Summary
from dvcgraph.loop import Loop

RETRY_VARIABLE = "DVCGRAPH_RETRY_SECONDS"
_RETRY_SECONDS = (5.0, 20.0, 60.0)  # before each further try of a stage that ended with exit status 75


def _ignore(_event: object) -> None:
    """Tell nobody."""


class Run:
    """A run that goes on in a thread of its own; made by :func:`open_run`."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._opened = threading.Event()
        self._summary: Summary | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="dvcgraph", daemon=True)

    @property
    def stages(self) -> tuple[StageNode, ...]:
        """The stages of this run, inputs before what depends on them."""
        return self._loop.stages

    @property
    def futures(self) -> Mapping[str, Future[Outcome]]:
        """How each stage ended, once it has; they never raise."""
        return self._loop.futures

    @property
    def logs(self) -> Path:
        """The folder of this run's logs, a file for each stage."""
        return self._loop.logs

    def wait(self) -> Summary:
        """Wait until every stage has ended and everything is recorded.

        Raises:
            GraphError: ``dvc.lock`` could not be written.
            BaseException: what a listener raised.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._summary is not None  # noqa: S101 - for the type checker
        return self._summary

    def stop(self) -> None:
        """End every command and the run; what is finished stays recorded. Returns at once; from any thread."""
        self._loop.stop()

    def _start(self) -> None:
        self._thread.start()
        self._opened.wait()
        if not self._loop.stages and self._error is not None:
            self._thread.join()
            raise self._error

    def _work(self) -> None:
        try:
            self._summary = self._loop.run(self._opened.set)
        except BaseException as error:
            self._error = error
        finally:
            self._opened.set()

    def _end(self) -> None:
        self._loop.stop()
        self._thread.join()
        self._loop.close()


@contextmanager
def open_run(
    root: Path,
    targets: Sequence[str] = (),
    *,
    jobs: int | None = None,
    force: bool = False,
    keep_going: bool = True,
    on_event: Listener = _ignore,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Run]:
    """Start what ``dvc repro TARGETS`` would run in ``root``; the block goes on beside it.

    Leaving the block stops the run if it is still going on. Once left, no command runs and no lease is held.

    Args:
        root: the folder from which targets are named, in a DVC project.
        targets: stages, groups of stages (``train``), ``dvc.yaml`` or ``.dvc`` files; by default the stages
            of ``root/dvc.yaml``. What they depend on runs too.
        jobs: how many threads may work at a time, each stage counting as many as its ``meta: threads`` says;
            by default the cores that this process may use.
        force: run commands even if nothing changed.
        keep_going: after a failure, go on with what does not depend on it; otherwise no further stage begins.
        on_event: told what happens, in the run's own thread; what it raises stops the run.
        environment: what the commands' environment is made from; by default this process's.

    Raises:
        GraphError: the project cannot be loaded; a target, or a device that a stage must have, does not
            exist; ``jobs`` is not at least 1. Nothing was run.
    """
    run = Run(_loop(root, targets, jobs, force, keep_going, on_event, environment))
    try:
        run._start()
        yield run
    finally:
        run._end()


def reproduce(
    root: Path,
    targets: Sequence[str] = (),
    *,
    jobs: int | None = None,
    force: bool = False,
    keep_going: bool = True,
    on_event: Listener = _ignore,
    environment: Mapping[str, str] | None = None,
    stopping: Callable[[Callable[[], None]], None] = _ignore,
) -> Summary:
    """Run what ``dvc repro TARGETS`` would run, in this thread, and wait for it; see :func:`open_run`.

    Args:
        root: see :func:`open_run`, as for the rest.
        targets: stages.
        jobs: threads at a time.
        force: run commands even if nothing changed.
        keep_going: after a failure, go on with what does not depend on it.
        on_event: told what happens, in this thread.
        environment: what the commands' environment is made from.
        stopping: given a function that stops the run, before it begins; for a signal handler, say.

    Raises:
        GraphError: the project cannot be loaded, or ``dvc.lock`` could not be written.
    """
    loop = _loop(root, targets, jobs, force, keep_going, on_event, environment)
    try:
        stopping(loop.stop)
        return loop.run(lambda: None)
    finally:
        loop.close()


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Let SIGINT, SIGTERM and SIGHUP stop a run in order; a second one interrupts it wherever it is."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(other, _interrupt)
        stop()

    def _interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handle)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _loop(
    root: Path,
    targets: Sequence[str],
    jobs: int | None,
    force: bool,
    keep_going: bool,
    on_event: Listener,
    environment: Mapping[str, str] | None,
) -> Loop:
    if jobs is not None and (isinstance(jobs, bool) or jobs < 1):
        raise GraphError(f"jobs is {jobs}; allowed: a whole number of at least 1")
    environment = os.environ if environment is None else environment
    return Loop(
        Path(root),
        targets,
        jobs=jobs or usable_cores(),
        force=force,
        keep_going=keep_going,
        retry_seconds=_retry_seconds(environment),
        on_event=on_event,
        environment=environment,
    )


def _retry_seconds(environment: Mapping[str, str]) -> tuple[float, ...]:
    text = environment.get(RETRY_VARIABLE)
    if text is None:
        return _RETRY_SECONDS
    try:
        pauses = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        pauses = (-1.0,)
    if any(not 0 <= pause < 86400 for pause in pauses):
        raise GraphError(f"{RETRY_VARIABLE} is '{text}'; allowed: seconds with commas between, such as 5,20,60")
    return pauses
