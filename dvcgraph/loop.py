"""The scheduler: one loop, in one thread, over the bookkeeping of stages and the output of their commands.

A stage is *waiting* for its inputs, *ready* to be looked at, *prepared* if its commands have to run, *running*,
*done* when they have ended well, and *ended*. Looking, beginning and finishing need the repository's lock and
are done in short turns; nothing here waits while a command could be read or started.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from dvcgraph.adapter import Graph, StageNode
from dvcgraph.commands import PROGRESS_SECONDS, TEMPORARY_FAILURE, Execution, file_name
from dvcgraph.devices import Inventory, find_devices
from dvcgraph.errors import BusyError, GraphError, PathsBusyError, StoppedError
from dvcgraph.events import Ended, Event, Listener, Notice, Outcome, Output, Progress, Queued, Started, Summary, Waiting
from dvcgraph.leases import DeviceQueue, Lease, Ticket, lease_folder
from dvcgraph.needs import Needs, read_needs
from dvcgraph.order import remaining_seconds
from dvcgraph.processes import Reaper
from dvcgraph.reaper import MARK, end_marked
from dvcgraph.workspace import Workspace

_HOLD_SECONDS = 0.25  # how long the repository's lock is kept at most, for many short steps,
_BUSY_HOLD_SECONDS = 0.01  # and while all slots are taken, so that an end is noticed soon
_RETRY_SECONDS = 0.5  # between two tries for paths that another DVC process works on
_LOCK_RETRY_SECONDS = 0.05  # between two tries for the repository's lock
_DEVICE_SECONDS = 0.1  # between two tries for a device
_END_SECONDS = 0.002  # how soon a command that closed its output is looked at
_FRESH_SECONDS = 1.0  # how long what was found about a stage is believed
_PATIENCE_SECONDS = 1.0  # of waiting for the repository's lock, before it is told
_LAST_FLUSH_SECONDS = 30.0  # how long a stopped run waits to write dvc.lock; the journal keeps it otherwise

State = Literal["waiting", "ready", "prepared", "running", "done", "ended"]


@dataclass
class _Work:
    """A stage on its way through the run."""

    node: StageNode
    needs: Needs
    priority: float  # seconds until everything that depends on it can be done
    position: int
    missing: int  # stages before it that have not ended
    state: State = "waiting"
    looked: float = 0.0  # when it was prepared,
    revision: int = 0  # and at which state of the lock files
    not_before: float = 0.0  # of the next try
    told: str = ""  # why it waits
    tries: int = 0
    began: float = 0.0
    ticket: Ticket | None = None
    lease: Lease | None = None
    execution: Execution | None = None

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def rank(self) -> tuple[float, int]:
        return (-self.priority, self.position)


class Loop:
    """One run of a graph."""

    def __init__(
        self,
        folder: Path,
        targets: Sequence[str],
        *,
        jobs: int,
        force: bool,
        keep_going: bool,
        retry_seconds: Sequence[float],
        on_event: Listener,
        environment: Mapping[str, str],
    ) -> None:
        self.stages: tuple[StageNode, ...] = ()
        self.futures: dict[str, Future[Outcome]] = {}
        self.logs = Path()
        self._folder = folder
        self._targets = tuple(targets)
        self._jobs = jobs
        self._force = force
        self._keep_going = keep_going
        self._retry_seconds = tuple(retry_seconds)
        self._on_event = on_event
        self._environment = environment
        self._graph: Graph
        self._workspace: Workspace
        self._queue: DeviceQueue
        self._reaper: Reaper
        self._works: dict[str, _Work] = {}
        self._in: dict[State, dict[str, _Work]] = {state: {} for state in get_args(State)}
        self._dependents: dict[str, list[str]] = {}
        self._open = 0  # stages that have not ended
        self._outcomes: list[Outcome] = []
        self._durations: dict[str, float] = {}
        self._events: deque[Event] = deque()
        self._halted_by = ""
        self._cut_short = False
        self._continued = False  # what a killed run had finished is taken over
        self._flush_not_before = 0.0
        self._to_release: set[str] = set()
        self._lock_free_at = 0.0
        self._lock_wanted_since = 0.0
        self._stop = threading.Event()
        self._woken, wake = os.pipe()
        os.set_blocking(wake, False)
        self._wake: int | None = wake

    def stop(self) -> None:
        """End every command and the run; from any thread or signal handler."""
        self._stop.set()
        wake = self._wake
        if wake is not None:
            with contextlib.suppress(BlockingIOError):  # full of wake-ups already
                os.write(wake, b"x")

    def run(self, opened: Callable[[], None]) -> Summary:
        """Run the graph.

        Args:
            opened: called when the stages are known, before the first is looked at.

        Raises:
            GraphError: the project cannot be loaded, a target or a device does not exist; nothing was run.
                Or ``dvc.lock`` could not be written; the journal keeps what it should hold.
        """
        try:
            with ExitStack() as stack:
                self._workspace = Workspace(Graph.find_root(self._folder))
                stack.enter_context(self._workspace.lock(self._tell_at_once, self._stop.is_set))
                self._workspace.sweep(self._tell_at_once)
                self._graph = Graph.load(self._folder, self._targets, wait=self._wait_for_the_lock)
                self._lock_wanted_since = 0.0
                stack.callback(self._graph.close)
                self._plan()
                self._reaper = stack.enter_context(Reaper(self._workspace.run))
                stack.callback(self._queue.close)
                stack.callback(self._record_the_rest)
                stack.callback(self._leave_nothing_running)
                opened()
                self._deliver()
                self._continue()
                self._turn_until_done()
            return Summary(tuple(self._outcomes), self._cut_short or self._open > 0)
        finally:
            self._resolve_futures()

    def close(self) -> None:
        """Close the pipe by which :meth:`stop` wakes the loop."""
        wake, self._wake = self._wake, None
        if wake is not None:
            os.close(wake)
            os.close(self._woken)

    # Setting up

    def _plan(self) -> None:
        nodes = self._graph.stages
        inventory: Inventory | None = None
        durations = self._workspace.read_durations()
        priorities = remaining_seconds(nodes, durations)
        for position, node in enumerate(nodes):
            needs = read_needs(node.meta, node.name, self._graph.parameter)
            if needs.device is not None:
                inventory = inventory or find_devices(self._environment)
                inventory.choose(needs, node.name)  # refuses what can never be met, before anything runs
            before = {*node.upstream, *node.after}
            self._works[node.name] = _Work(node, needs, priorities[node.name], position, missing=len(before))
            for name in before:
                self._dependents.setdefault(name, []).append(node.name)
            self.futures[node.name] = Future()
            self._events.append(Queued(node.name, node.upstream))
        for work in self._works.values():
            self._move(work, "waiting" if work.missing else "ready")
        self._queue = DeviceQueue(inventory or Inventory(()), lease_folder(self._environment))
        self._open = len(self._works)
        self.stages = nodes
        self.logs = self._workspace.logs

    def _continue(self) -> None:
        taken: tuple[str, ...] = ()
        while not self._stop.is_set():
            try:
                with self._graph.hold():
                    taken = self._graph.continue_from(self._workspace.journal)
                self._continued = True
                break
            except BusyError as error:
                self._tell_of_the_lock(error)
                time.sleep(_LOCK_RETRY_SECONDS)
        self._lock_wanted_since = 0.0
        if taken:
            self._tell(Notice(f"{len(taken)} stages were finished by a run that was killed; they are recorded now"))

    # The loop

    def _turn_until_done(self) -> None:
        while self._open and not (self._stop.is_set() and not self._running()):
            self._wait_for_something()
            for work in self._running():
                assert work.execution is not None  # noqa: S101 - for the type checker
                if self._stop.is_set():
                    work.execution.stop()
                work.execution.advance()
                if work.execution.over:
                    self._take_result(work)
            self._deliver()
            if not self._stop.is_set():
                begun = self._keep_books()
                self._deliver()
                for work in begun:
                    self._start(work)
                self._deliver()

    def _move(self, work: _Work, state: State) -> None:
        self._in[work.state].pop(work.name, None)
        self._in[state][work.name] = work
        work.state = state

    def _running(self) -> list[_Work]:
        return list(self._in["running"].values())

    def _wait_for_something(self) -> None:
        """Wait for output, an end, a wake-up, or the time of the next try."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        readable: dict[int, Execution] = {}
        for work in self._running():
            if work.execution is not None and work.execution.output is not None:
                descriptor = work.execution.output.fileno()
                poll.register(descriptor, select.POLLIN)
                readable[descriptor] = work.execution
        for descriptor, _ in poll.poll(max(self._seconds_to_wait(), 0.0) * 1000):
            if descriptor == self._woken:
                os.read(self._woken, 4096)
            else:
                readable[descriptor].read()

    def _seconds_to_wait(self) -> float:
        now = time.monotonic()
        times = [now + 60.0]
        for work in self._running():
            assert work.execution is not None  # noqa: S101 - for the type checker
            times.append(now + (PROGRESS_SECONDS if work.execution.output is not None else _END_SECONDS))
        if not self._stop.is_set():
            due = [work.not_before for work in self._due()]
            if due:
                times.append(max(min(due), self._lock_free_at))
            if self._flush_is_due:
                times.append(self._lock_free_at)
            elif self._graph.has_records:
                times.append(now + 1.0)
        return min(times) - now

    def _due(self) -> list[_Work]:
        """Return what there is to look at, to begin or to finish, best first."""
        return [*self._in["done"].values(), *self._in["ready"].values(), *self._startable()]

    def _startable(self) -> list[_Work]:
        """Return the prepared stages that the free slots allow to begin, the longest remaining path first."""
        free = self._free_slots()
        overtaking = True
        found = []
        for work in sorted(self._in["prepared"].values(), key=lambda work: work.rank):
            if work.lease is not None:  # its slots are set aside already
                found.append(work)
                continue
            threads = self._threads(work)
            if threads > free or not overtaking:
                if work.ticket is None:
                    overtaking = False  # a stage that waits for enough slots is not overtaken
                elif not work.ticket.paused:
                    work.ticket.pause()
                continue
            if work.ticket is not None and work.ticket.paused:
                work.ticket.resume()
            found.append(work)
            if work.needs.device is None:
                free -= threads
        return found

    def _threads(self, work: _Work) -> int:
        return min(work.needs.all_threads, self._jobs)

    def _free_slots(self) -> int:
        busy = sum(self._threads(work) for work in self._in["running"].values())
        return self._jobs - busy - sum(self._threads(work) for work in self._in["prepared"].values() if work.lease)

    def _take_devices(self) -> None:
        """Take devices for stages that could begin now; needs no lock, so that none idles while one is waited for."""
        now = time.monotonic()
        for work in self._startable():
            waits = work.needs.device is not None and work.lease is None and work.not_before <= now
            if waits and self._threads(work) <= self._free_slots():
                self._take_device(work)

    # Bookkeeping, in turns under the repository's lock

    def _keep_books(self) -> list[_Work]:
        """Take the steps that are due; return the stages whose commands can start."""
        self._take_devices()
        now = time.monotonic()
        if now < self._lock_free_at:
            return []
        if not self._flush_is_due and not self._to_release and not any(work.not_before <= now for work in self._due()):
            return []
        begun: list[_Work] = []
        try:
            with self._graph.hold():
                self._lock_wanted_since = 0.0
                for name in list(self._to_release):
                    self._release(self._works[name])
                end = time.monotonic() + (_HOLD_SECONDS if self._free_slots() > 0 else _BUSY_HOLD_SECONDS)
                while self._step(begun):
                    if (begun and self._free_slots() <= 0) or time.monotonic() >= end:
                        break  # what has begun should start, and what has ended be noticed
                if self._flush_is_due:
                    self._flush_in_between()
        except BusyError as error:
            self._lock_free_at = time.monotonic() + _LOCK_RETRY_SECONDS
            self._tell_of_the_lock(error)
        return begun

    def _step(self, begun: list[_Work]) -> bool:
        """Take the next step: what ended first, then what has the longest path before it; say whether there was one."""
        now = time.monotonic()
        done = self._first("done", now)
        if done is not None:
            self._finish(done)
            return True
        ready = self._first("ready", now)
        startable = next((work for work in self._startable() if self._can_begin(work, now)), None)
        if ready is not None and (startable is None or ready.rank < startable.rank):
            self._look(ready)
        elif startable is not None:
            self._begin(startable, begun)
        else:
            return False
        return True

    @staticmethod
    def _can_begin(work: _Work, now: float) -> bool:
        return work.not_before <= now and (work.needs.device is None or work.lease is not None)

    def _first(self, state: State, now: float) -> _Work | None:
        works = (work for work in self._in[state].values() if work.not_before <= now)
        return min(works, key=lambda work: work.rank, default=None)

    def _look(self, work: _Work) -> bool:
        """Find out whether a stage has to run; say whether it has."""
        began = time.monotonic()
        try:
            found = self._graph.prepare(work.name, force=self._force)
        except PathsBusyError as error:
            self._give_device_back(work)  # others may use it meanwhile
            self._put_off(work, _RETRY_SECONDS, f"waiting for another DVC process: {error}")
            return False
        except GraphError as error:
            self._end(work, Outcome(work.name, "failed", time.monotonic() - began, str(error)))
            return False
        work.looked = time.monotonic()
        work.revision = self._graph.revision
        if found == "run":
            self._move(work, "prepared")
            return True
        seconds = work.looked - began
        if found == "recorded":
            self._end(work, Outcome(work.name, "completed", seconds, "recorded as it lies there"))
        else:
            self._end(work, Outcome(work.name, found, seconds))
        return False

    def _begin(self, work: _Work, begun: list[_Work]) -> None:
        if work.revision != self._graph.revision or time.monotonic() - work.looked > _FRESH_SECONDS:
            self._move(work, "ready")
            if not self._look(work):
                return
        try:
            self._graph.begin(work.name)
        except PathsBusyError as error:
            self._give_device_back(work)
            self._put_off(work, _RETRY_SECONDS, f"waiting for another DVC process: {error}")
            return
        except GraphError as error:
            self._release(work)
            self._end(work, Outcome(work.name, "failed", message=str(error)))
            return
        self._move(work, "running")  # its slots are taken from here on
        begun.append(work)

    def _take_device(self, work: _Work) -> None:
        try:
            if work.ticket is None:
                work.ticket = self._queue.ask(work.needs, work.name, self._graph.root)
            work.lease = work.ticket.try_take()
        except GraphError as error:
            self._end(work, Outcome(work.name, "failed", message=str(error)))
            return
        if work.lease is None:
            self._put_off(work, _DEVICE_SECONDS, f"waiting for {work.ticket.wanted}")
        else:
            work.ticket = None

    def _finish(self, work: _Work) -> None:
        execution = work.execution
        assert execution is not None  # noqa: S101 - for the type checker
        try:
            changed = self._graph.finish(work.name)
        except PathsBusyError as error:
            self._put_off(work, _RETRY_SECONDS, f"waiting for another DVC process: {error}")
            return
        except GraphError as error:
            self._release(work)
            self._end(work, self._outcome(work, "failed", str(error)))
            return
        message = ""
        if changed:
            names = ", ".join(changed)
            message = f"{names} changed while it ran; recorded as before, so the stage is out of date"
        self._durations[work.name] = time.monotonic() - work.began
        self._end(work, self._outcome(work, "completed", message))

    @property
    def _flush_is_due(self) -> bool:
        return self._graph.flush_is_due and time.monotonic() >= self._flush_not_before

    def _release(self, work: _Work) -> None:
        """Give a stage's locks back, now or in a later turn."""
        try:
            self._graph.release(work.name)
            self._to_release.discard(work.name)
        except (BusyError, GraphError):
            self._to_release.add(work.name)

    def _flush_in_between(self) -> None:
        try:
            self._graph.flush()
        except (GraphError, OSError) as error:  # the journal has it all; the end of the run tries again
            self._flush_not_before = time.monotonic() + _LAST_FLUSH_SECONDS
            self._tell(Notice(f"dvc.lock could not be written, trying again later: {error}"))

    # Commands

    def _start(self, work: _Work) -> None:
        work.began = time.monotonic()
        work.tries += 1
        work.told = ""
        log = self.logs / f"{file_name(work.name)}.log"
        devices = work.lease.devices if work.lease is not None else ()
        self._tell(Started(work.name, devices, log))
        try:
            work.execution = Execution(
                self._graph.invocations(work.name, self._environment),
                log,
                self._reaper,
                environment={MARK: self._mark(work)} | (work.lease.environment if work.lease is not None else {}),
                keep_open=work.lease.file_descriptors if work.lease is not None else (),
                on_output=lambda line: self._tell(Output(work.name, line)),
                on_progress=lambda values: self._tell(Progress(work.name, values)),
            )
        except OSError as error:
            self._release(work)
            message = f"{log}: cannot be written ({error.strerror}); free some space, or make its folder writable"
            self._end(work, Outcome(work.name, "failed", message=message))

    def _mark(self, work: _Work) -> str:
        return f"{self._workspace.run}.{work.position}."

    def _take_result(self, work: _Work) -> None:
        """Decide what the end of a stage's commands means."""
        execution = work.execution
        assert execution is not None  # noqa: S101 - for the type checker
        if work.lease is not None:  # a process that left its group would keep the device
            end_marked(self._mark(work))
        self._give_device_back(work)
        if execution.status == 0 and not execution.stopped:
            self._move(work, "done")
            return
        self._release(work)
        if self._stop.is_set():
            self._cut_short = True
            self._end(work, self._outcome(work, "failed", "interrupted"))
            return
        if execution.status == TEMPORARY_FAILURE and work.tries <= len(self._retry_seconds) and not self._halted_by:
            pause = self._retry_seconds[work.tries - 1]
            self._move(work, "ready")
            of = f"try {work.tries + 1} of {len(self._retry_seconds) + 1}"
            self._put_off(work, pause, f"failed for now (exit status {TEMPORARY_FAILURE}); {of} in {pause:g} s")
            return
        self._end(work, self._outcome(work, "failed", execution.failure))

    def _outcome(self, work: _Work, state: Literal["completed", "failed"], message: str) -> Outcome:
        execution = work.execution
        assert execution is not None  # noqa: S101 - for the type checker
        seconds = time.monotonic() - work.began
        tail = tuple(execution.tail)
        return Outcome(work.name, state, seconds, message, tail, execution.status, execution.log)

    # Ends

    def _end(self, work: _Work, outcome: Outcome) -> None:
        """Note how a stage ended, and what that means for those that depend on it."""
        self._move(work, "ended")
        self._open -= 1
        if work.ticket is not None:
            work.ticket.cancel()
            work.ticket = None
        self._give_device_back(work)
        self._outcomes.append(outcome)
        self._tell(Ended(work.name, outcome))
        if outcome.state == "failed":
            self._skip(work.name, work.name)
            if not self._keep_going and not self._halted_by and not self._stop.is_set():
                self._halted_by = work.name
                for other in (
                    *self._in["waiting"].values(),
                    *self._in["ready"].values(),
                    *self._in["prepared"].values(),
                ):
                    if other.state != "ended":
                        self._leave_out(other, work.name)
        for name in self._dependents.get(work.name, ()):
            dependent = self._works[name]
            dependent.missing -= 1
            if dependent.state == "waiting" and not dependent.missing:
                self._move(dependent, "ready")

    def _leave_out(self, work: _Work, failed: str) -> None:
        """End a stage that will not run any more, since another one failed."""
        if work.execution is None:
            self._end(work, Outcome(work.name, "skipped", message=f"not begun: {failed} failed"))
        else:
            self._end(
                work, self._outcome(work, "failed", f"{work.execution.failure}; not tried again: {failed} failed")
            )

    def _skip(self, name: str, failed: str) -> None:
        for dependent in self._dependents.get(name, ()):
            work = self._works[dependent]
            if work.state != "ended" and name in work.node.upstream:
                self._end(work, Outcome(dependent, "skipped", message=f"{failed} failed"))
                self._skip(dependent, failed)

    def _give_device_back(self, work: _Work) -> None:
        if work.lease is not None:
            work.lease.release()
            work.lease = None

    def _put_off(self, work: _Work, seconds: float, reason: str) -> None:
        work.not_before = time.monotonic() + seconds
        if work.told != reason:
            work.told = reason
            self._tell(Waiting(work.name, reason))

    def _leave_nothing_running(self) -> None:
        """End what runs, if an exception ended the loop; give everything back."""
        for work in self._works.values():
            if work.execution is not None and not work.execution.over:
                with contextlib.suppress(Exception):
                    work.execution.kill()
            if work.state not in ("ended", "done"):
                self._give_device_back(work)
                self._release(work)

    def _record_the_rest(self) -> None:
        """Finish what has ended well, and write dvc.lock, before the run ends in whatever way."""
        self._workspace.write_durations(self._durations)
        end = time.monotonic() + _LAST_FLUSH_SECONDS
        while True:
            try:
                with self._graph.hold():
                    for work in list(self._in["done"].values()):
                        self._finish(work)
                        if work.state == "done" and time.monotonic() > end:
                            self._release(work)
                            self._end(work, self._outcome(work, "failed", f"not recorded: {work.told}"))
                    for name in list(self._to_release):
                        self._release(self._works[name])
                    self._graph.flush()
                    self._stage_for_git()
                if not self._in["done"]:
                    break
                time.sleep(_LOCK_RETRY_SECONDS)
            except BusyError as error:
                if self._stop.is_set() and time.monotonic() > end:
                    raise GraphError(f"dvc.lock was not written: {error}; {self._what_the_journal_does}") from error
                self._tell_of_the_lock(error)
                time.sleep(_LOCK_RETRY_SECONDS)
            except OSError as error:
                reason = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
                raise GraphError(f"dvc.lock was not written ({reason}); {self._what_the_journal_does}") from error
        if self._continued:
            self._workspace.journal.clear()
        with contextlib.suppress(Exception):
            self._deliver()

    def _stage_for_git(self) -> None:
        try:
            self._graph.stage_for_git()
        except GraphError as error:
            self._tell(Notice(f"not added to git's index, as core.autostage asks: {error}"))

    @property
    def _what_the_journal_does(self) -> str:
        return f"the next run writes it from {self._workspace.journal.path}"

    def _resolve_futures(self) -> None:
        """Give those who wait an answer for every stage, also for those that an early end left out."""
        ended = {outcome.stage: outcome for outcome in self._outcomes}
        for name, future in self.futures.items():
            if not future.done():
                future.set_result(ended.get(name) or Outcome(name, "skipped", message="the run was stopped"))

    # Events

    def _tell(self, event: Event) -> None:
        """Keep an event until no lock is held: who listens may look at the repository."""
        self._events.append(event)

    def _tell_at_once(self, text: str) -> None:
        self._on_event(Notice(text))

    def _wait_for_the_lock(self, error: BusyError) -> None:
        if self._stop.is_set():
            raise StoppedError(f"stopped before it began: {error}")
        self._tell_of_the_lock(error)
        time.sleep(_LOCK_RETRY_SECONDS)

    def _tell_of_the_lock(self, error: Exception) -> None:
        now = time.monotonic()
        if not self._lock_wanted_since:
            self._lock_wanted_since = now
        elif 0 < self._lock_wanted_since < now - _PATIENCE_SECONDS:
            self._lock_wanted_since = float("inf")  # once is enough
            self._tell_at_once(f"waiting: {error}")

    def _deliver(self) -> None:
        while self._events:
            event = self._events.popleft()
            if isinstance(event, Ended):
                self.futures[event.stage].set_result(event.outcome)
            self._on_event(event)
