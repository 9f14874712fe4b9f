"""Runs the commands of one stage, as part of an event loop: output, progress, log, exit status."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from dvcgraph.adapter import Invocation
from dvcgraph.processes import Group, Reaper, search_path
from dvcgraph.reaper import GRACE_SECONDS

PROGRESS_VARIABLE = "DVCGRAPH_PROGRESS"
TEMPORARY_FAILURE = 75  # EX_TEMPFAIL: the command asks to be run again later
PROGRESS_SECONDS = 0.2  # how often the progress file is read

_TAIL_LINES = 20
_LAST_WORDS_SECONDS = 1.0  # how long output is read once the shell has ended
_READS_AT_THE_END = 16  # of 64 KiB: a pipe holds 1 MiB at most
_LONGEST_LINE = 65536  # bytes without a line end that are passed on as a line
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f]")


class Execution:
    """The commands of a stage, one after another, each in a process group of its own.

    The owner's loop calls :meth:`read` when :attr:`output` can be read, and :meth:`advance` again and again;
    neither waits.
    """

    def __init__(
        self,
        invocations: Sequence[Invocation],
        log: Path,
        guard: Reaper,
        *,
        environment: Mapping[str, str],
        keep_open: Sequence[int] = (),
        on_output: Callable[[str], None],
        on_progress: Callable[[dict[str, Any]], None],
    ) -> None:
        """Start the first command.

        Args:
            invocations: the commands; those after one that fails do not run.
            log: file for all of their output, their exit status and duration; its folder is made if need be.
            guard: ends them if this process dies.
            environment: added to each command's own.
            keep_open: file descriptors that the commands inherit.
            on_output: called with each line that a command writes.
            on_progress: called with each JSON object that a command appends, as a line, to the file named in
                DVCGRAPH_PROGRESS.

        Raises:
            OSError: the log cannot be written.
        """
        self.log = log
        self._began = time.monotonic()
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self.status: int | None = None  # of the last command, negative for a signal
        self.failure = ""  # why it failed; empty while it runs, and after it ended well
        self._waiting = deque(invocations)
        self._guard = guard
        self._environment = dict(environment)
        self._keep_open = tuple(keep_open)
        self._on_output = on_output
        self._on_progress = on_progress
        self._lines = _Lines()
        self.stopped = False  # by :meth:`stop` or :meth:`kill`
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log: BinaryIO = log.open("ab")  # a stage that is tried again goes on in it
        self._progress = _JsonLines(log.with_suffix(".progress.jsonl"))
        self._progress.path.unlink(missing_ok=True)
        self._progress_due = 0.0
        self._group: Group | None = None
        self._reading = False
        self._phase: Literal["running", "last words", "ending", "over"] = "running"
        self._deadline = 0.0
        self._command = ""
        self._next()

    @property
    def over(self) -> bool:
        """Whether all is done: no process of the commands is left."""
        return self._phase == "over"

    @property
    def output(self) -> BinaryIO | None:
        """What to wait on for :meth:`read`; another one for each command; ``None`` if nothing more will come."""
        group = self._group
        return group.output if group is not None and not group.output.closed and self._reading else None

    def read(self) -> None:
        """Pass on what the command has written."""
        assert self._group is not None  # noqa: S101 - for the type checker
        try:
            chunk = os.read(self._group.output.fileno(), 65536)
        except BlockingIOError:
            return
        if not chunk:
            self._reading = False
            return
        with contextlib.suppress(OSError):  # a full disk loses the log, not the work
            self._log.write(chunk)
            self._log.flush()
        for line in self._lines.feed(chunk):
            self._pass_on(line)

    def advance(self) -> None:
        """Take the next step, if it is time: progress, the end of a command, the start of the next."""
        if time.monotonic() >= self._progress_due:
            self._pass_progress_on()
            self._progress_due = time.monotonic() + PROGRESS_SECONDS
        if self._phase == "running":
            self._look_for_the_end()
        if self._phase == "last words" and (not self._reading or time.monotonic() >= self._deadline):
            self._end_group()
        if self._phase == "ending":
            self._look_for_the_groups_end()

    def stop(self) -> None:
        """Ask the commands to end; they are killed after a grace. Those that have ended well are not stopped."""
        self.stopped = self.stopped or bool(self._waiting) or self._phase == "running"
        self._waiting.clear()
        if self._phase in ("running", "last words"):
            self._end_group()

    def kill(self) -> None:
        """End the commands at once, and wait until they have."""
        self.stopped = True
        self._waiting.clear()
        if self._group is not None and self._phase != "over":
            self._group.kill()
            self._close_group()

    def _next(self) -> None:
        """Start the next command, if there is one and the last one ended well."""
        if not self._waiting or self.failure or self.stopped:
            self._phase = "over"
            with contextlib.suppress(OSError):
                self._log.write(f"(exit status {self.status} after {time.monotonic() - self._began:.1f} s)\n".encode())
                self._log.close()
            return
        invocation = self._waiting.popleft()
        self._command = invocation.command
        variables = dict(invocation.environment) | self._environment
        variables["PATH"] = search_path(variables, Path(sys.executable).parent)
        variables[PROGRESS_VARIABLE] = str(self._progress.path.resolve())
        variables.setdefault("PYTHONUNBUFFERED", "1")  # into a pipe, Python would keep its lines for long
        self._tell(f"$ {invocation.command}")
        self.status = None
        try:
            self._group = Group(invocation, variables, self._guard, self._keep_open)
        except OSError as error:
            self.status = 127
            self.failure = f"could not start `{invocation.command}` in {invocation.folder}: {error.strerror}"
            self._next()
            return
        os.set_blocking(self._group.output.fileno(), False)
        self._reading = True
        self._phase = "running"

    def _look_for_the_end(self) -> None:
        assert self._group is not None  # noqa: S101 - for the type checker
        status = self._group.status
        if status is None:
            return
        self.status = status
        if status != 0 and not self.stopped:
            self.failure = _failure(self._command, status)
        self._phase = "last words"  # what it started may keep the pipe open, and write
        self._deadline = time.monotonic() + _LAST_WORDS_SECONDS
        for _ in range(_READS_AT_THE_END):  # what is in the pipe now, unless somebody fills it for ever
            before = self._lines.fed
            if self._reading:
                self.read()
            if self._lines.fed == before:
                break

    def _end_group(self) -> None:
        """End what the command left running."""
        assert self._group is not None  # noqa: S101 - for the type checker
        self._phase = "ending"
        self._deadline = time.monotonic() + GRACE_SECONDS
        self._group.terminate()

    def _look_for_the_groups_end(self) -> None:
        assert self._group is not None  # noqa: S101 - for the type checker
        if self._group.lives:
            if time.monotonic() < self._deadline:
                return
            self._group.kill()
        self._close_group()

    def _close_group(self) -> None:
        assert self._group is not None  # noqa: S101 - for the type checker
        self._reading = False
        self._group.forget()
        if self.status is None:
            self.status = self._group.process.returncode
        self._group = None
        for line in self._lines.rest():
            self._pass_on(line)
        self._pass_progress_on()
        self._next()

    def _tell(self, line: str) -> None:
        with contextlib.suppress(OSError):
            self._log.write(line.encode() + b"\n")
            self._log.flush()
        self._on_output(line)

    def _pass_on(self, line: str) -> None:
        self.tail.append(line)
        self._on_output(line)

    def _pass_progress_on(self) -> None:
        for values in self._progress.read():
            self._on_progress(values)


def file_name(stage: str) -> str:
    """Return a file name for a stage's name, a different one for each."""
    safe = re.sub(r"[^A-Za-z0-9_@.-]+", "_", stage)[:120]
    if safe == stage:
        return safe
    return f"{safe}-{hashlib.sha256(stage.encode()).hexdigest()[:8]}"


def _failure(command: str, status: int) -> str:
    if status == TEMPORARY_FAILURE:
        return f"`{command}` failed for now (exit status {status}); run it again later"
    if status < 0:
        return f"`{command}` was ended by signal {-status}"
    return f"`{command}` failed with exit status {status}"


@dataclass
class _Lines:
    """Cuts a stream of bytes into lines; of a line that was overwritten (a progress bar) the last state."""

    kept: bytes = b""
    fed: int = 0  # bytes so far

    def feed(self, chunk: bytes) -> list[str]:
        self.fed += len(chunk)
        *whole, self.kept = (self.kept + chunk).split(b"\n")
        if len(self.kept) > _LONGEST_LINE:
            whole.append(self.kept)
            self.kept = b""
        return [self._clean(line) for line in whole]

    def rest(self) -> list[str]:
        line, self.kept = self.kept, b""
        return [self._clean(line)] if line else []

    @staticmethod
    def _clean(line: bytes) -> str:
        text = line.decode("utf-8", errors="replace")
        states = [state for state in re.split(r"[\r\b]+", text) if state.strip()]
        return _TERMINAL_CODES.sub("", states[-1] if states else "").rstrip()


class _JsonLines:
    """A growing file of JSON lines; what is no object, or not yet a whole line, is left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._position = 0
        self._kept = b""

    def read(self) -> list[dict[str, Any]]:
        """Return the objects that were appended since the last call."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._position)
                chunk = file.read()
        except OSError:
            return []
        self._position += len(chunk)
        *whole, self._kept = (self._kept + chunk).split(b"\n")
        values = [_parsed(line) for line in whole]
        return [value for value in values if isinstance(value, dict)]


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
