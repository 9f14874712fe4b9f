"""What runs a stage: the one function that another way of running (in parallel, elsewhere) would replace."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from dvcgraph.adapter import Graph, Invocation
from dvcgraph.errors import GraphError
from dvcgraph.events import Outcome
from dvcgraph.processes import end_group, search_path, start

PROGRESS_VARIABLE = "DVCGRAPH_PROGRESS"
TEMPORARY_FAILURE = 75  # EX_TEMPFAIL: the command asks to be run again later

_TAIL_LINES = 20
_POLL_SECONDS = 0.2  # how often the progress file is read
_LAST_WORDS_SECONDS = 1.0  # how long output is read once the shell has ended
_FLUSH_AFTER_SECONDS = 1.0  # a command that runs this long leaves time to write dvc.lock
_LONGEST_LINE = 65536  # bytes without a line end that are passed on as a line
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f]")


def run_stage(
    graph: Graph,
    name: str,
    *,
    force: bool = False,
    on_output: Callable[[str], None],
    on_progress: Callable[[dict[str, Any]], None] | None = None,
    environment: Mapping[str, str],
    logs: Path,
) -> Outcome:
    """Bring one stage up to date, as ``dvc repro -s`` would; its upstream stages must be.

    Args:
        graph: the loaded graph; it and both callbacks are used in the calling thread only.
        name: the stage, as DVC names it.
        force: run the command even if nothing changed.
        on_output: called with each line that the command writes, while it runs.
        on_progress: called with each JSON object that the command appends, as a line, to the file named in
            DVCGRAPH_PROGRESS.
        environment: what the command's environment is made from.
        logs: folder for the stage's output; made if need be.

    Returns:
        How the stage ended. If an exception (an interrupt, too) passes through, the command's whole process
        group has been ended, and nothing is recorded.
    """
    begun = time.monotonic()

    def outcome(state: Any, message: str = "", execution: _Execution | None = None) -> Outcome:
        seconds = time.monotonic() - begun
        if execution is None:
            return Outcome(name, state, seconds, message)
        tail = tuple(execution.tail)
        return Outcome(name, state, seconds, message, tail, execution.status, execution.log)

    graph.on_wait = on_output
    execution = None
    try:
        beginning = graph.begin(name, force=force)
        if beginning == "recorded":
            return outcome("completed", "recorded as it lies there")
        if beginning != "run":
            return outcome(beginning)
        execution = _Execution(logs / f"{file_name(name)}.log", on_output, on_progress, graph.flush)
        try:
            failure = execution.run(graph.invocations(name, environment))
        finally:
            if execution.status != 0:
                graph.release(name)
        if failure:
            return outcome("failed", failure, execution)
        changed = graph.finish(name)
        return outcome("completed", _warning(changed), execution)
    except GraphError as error:
        return outcome("failed", str(error), execution)


def file_name(stage: str) -> str:
    """Return a file name for a stage's name, a different one for each."""
    safe = re.sub(r"[^\w@.-]+", "_", stage)[:120]
    if safe == stage:
        return safe
    return f"{safe}-{hashlib.sha256(stage.encode()).hexdigest()[:8]}"


def _warning(changed: tuple[str, ...]) -> str:
    if not changed:
        return ""
    return f"{', '.join(changed)} changed while it ran; recorded as before, so the stage is out of date"


class _Execution:
    """The commands of a stage, one after another, with their log, their last lines and their status."""

    def __init__(
        self,
        log: Path,
        on_output: Callable[[str], None],
        on_progress: Callable[[dict[str, Any]], None] | None,
        flush: Callable[..., None],
    ) -> None:
        self.log = log
        self.status: int | None = None
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._on_output = on_output
        self._on_progress = on_progress
        self._flush = flush
        self._flush_at = time.monotonic() + _FLUSH_AFTER_SECONDS
        self._lines = _Lines()
        self._progress = _JsonLines(log.with_suffix(".progress.jsonl"))

    def run(self, invocations: tuple[Invocation, ...]) -> str:
        """Run the commands up to the first that fails; return why it failed, or an empty text."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._progress.path.unlink(missing_ok=True)
        with self.log.open("wb") as log:
            for invocation in invocations:
                self._tell(f"$ {invocation.command}", log)
                try:
                    self.status = self._run_one(invocation, log)
                except OSError as error:
                    self.status = 127
                    return f"could not start `{invocation.command}` in {invocation.folder}: {error.strerror}"
                if self.status != 0:
                    return _failure(invocation.command, self.status)
        return ""

    def _run_one(self, invocation: Invocation, log: BinaryIO) -> int:
        variables = dict(invocation.environment)
        variables["PATH"] = search_path(variables, Path(sys.executable).parent)
        variables[PROGRESS_VARIABLE] = str(self._progress.path.resolve())
        variables.setdefault("PYTHONUNBUFFERED", "1")  # into a pipe, Python would keep its lines for long
        self.status = None
        process, output = start(invocation, variables)
        with output:
            try:
                status = self._follow(process, output.fileno(), log)
            finally:
                end_group(process)
        for line in self._lines.rest():
            self._pass_on(line)
        self._pass_progress_on()
        return status

    def _follow(self, process: subprocess.Popen[bytes], pipe: int, log: BinaryIO) -> int:
        """Pass output and progress on until the shell has ended and its pipe is empty."""
        os.set_blocking(pipe, False)
        last = float("inf")
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while time.monotonic() < last:
                ended = process.poll() is not None
                if ended and last == float("inf"):  # what it started may keep the pipe open, and write
                    last = time.monotonic() + _LAST_WORDS_SECONDS
                ready = selector.select(0 if ended else _POLL_SECONDS)
                chunk = os.read(pipe, 65536) if ready else b""
                if chunk:
                    log.write(chunk)
                    log.flush()
                    for line in self._lines.feed(chunk):
                        self._pass_on(line)
                elif ready or ended:
                    break
                self._meanwhile()
        while True:  # a command may close its output and work on
            try:
                return process.wait(_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                self._meanwhile()

    def _meanwhile(self) -> None:
        self._pass_progress_on()
        now = time.monotonic()
        if now >= self._flush_at:
            self._flush_at = now + 10 * _FLUSH_AFTER_SECONDS
            with contextlib.suppress(GraphError):  # told at the end of the run; no reason to end a command
                self._flush(wait=False)

    def _tell(self, line: str, log: BinaryIO) -> None:
        log.write(line.encode() + b"\n")
        log.flush()
        self._on_output(line)

    def _pass_on(self, line: str) -> None:
        self.tail.append(line)
        self._on_output(line)

    def _pass_progress_on(self) -> None:
        if self._on_progress is not None:
            for values in self._progress.read():
                self._on_progress(values)


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

    def feed(self, chunk: bytes) -> list[str]:
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
