"""Children that try what may raise, hang or crash, each with a time limit, all at the same time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.doctor.facts import Failure

_FOLDER = Path(__file__).resolve().parent
# As in `python -m stages.train`, the working folder comes first on the path. The answering script is run by its
# file, not imported: another `tandem` may come first there.
_START = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"
_LAST_LINES = 2
_LAST_SECONDS = 2


@dataclass(frozen=True)
class Outcome:
    """What a child gave: an answer, or a failure."""

    answer: dict[str, Any] | None = None
    failure: Failure | None = None


def probe_names() -> tuple[str, ...]:
    """Return the names of all probes: the modules of ``probes/``."""
    return tuple(sorted(path.stem for path in (_FOLDER / "probes").glob("*.py") if path.stem != "__init__"))


def run_probes(
    requests: Mapping[str, Mapping[str, str]], folder: Path, environment: Mapping[str, str], limit: float
) -> dict[str, Outcome]:
    """Run probes in children, at the same time.

    Args:
        requests: by the probe's name, what it is told.
        folder: in which the children run.
        environment: of the children.
        limit: seconds that each is given; a child that takes longer is killed, with all that it started.
    """
    children = _Children(folder, environment, limit)
    with ThreadPoolExecutor(max(1, len(requests))) as pool:
        try:
            running = {name: pool.submit(children.run, name, request) for name, request in requests.items()}
            return {name: future.result() for name, future in running.items()}
        finally:
            children.kill()


class _Children:
    """The running children, which a Ctrl-C ends."""

    def __init__(self, folder: Path, environment: Mapping[str, str], limit: float) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self._limit = limit
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._over = False

    def run(self, name: str, request: Mapping[str, str]) -> Outcome:
        """Run one child and wait for it."""
        began = time.monotonic()
        child = self._start(name, request)
        if child is None:
            return Outcome(failure=Failure("silent", "not started"))
        try:
            output, errors = child.communicate(timeout=self._limit)
        except subprocess.TimeoutExpired:
            _kill(child)
            with contextlib.suppress(subprocess.TimeoutExpired):  # what left its group may still hold the pipe
                child.communicate(timeout=_LAST_SECONDS)
            return Outcome(failure=Failure("hung", "no answer", seconds=round(time.monotonic() - began, 1)))
        finally:
            with self._lock:
                self._running.discard(child)
        return _read(output, errors, child.returncode)

    def _start(self, name: str, request: Mapping[str, str]) -> subprocess.Popen[str] | None:
        script = [str(_FOLDER / "answering.py"), str(_FOLDER / "probes" / f"{name}.py"), json.dumps(request)]
        with self._lock:
            if self._over:
                return None
            child = subprocess.Popen(
                [sys.executable, "-c", _START, *script],
                cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace", start_new_session=True,
            )  # fmt: skip
            self._running.add(child)
            return child

    def kill(self) -> None:
        """End all children that still run, and start no more."""
        with self._lock:
            self._over = True
            for child in self._running:
                _kill(child)


def _kill(child: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def _read(output: str, errors: str, status: int) -> Outcome:
    with contextlib.suppress(ValueError, TypeError):
        message = json.loads(output)
        if "failure" in message:
            return Outcome(failure=Failure(**message["failure"]))
        return Outcome(answer=message["answer"])
    last = " / ".join(errors.strip().splitlines()[-_LAST_LINES:])
    if status < 0:
        return Outcome(failure=Failure("killed", _signal_name(-status)))
    return Outcome(failure=Failure("silent", f"exit status {status}" + (f": {last}" if last else "")))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
