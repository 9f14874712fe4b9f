"""The runner's own folder in a project, ``.dvcgraph``: the lock of the run, its journal, logs and durations."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dvcgraph.errors import GraphError, StoppedError
from dvcgraph.journal import NAME, Journal
from dvcgraph.reaper import MARK, end_processes, marked_processes

FOLDER = ".dvcgraph"  # beside .dvc; ignored by git through a .gitignore of its own
_KEPT_LOGS = 50  # folders, one for each run
_POLL_SECONDS = 0.2


class Workspace:
    """A project's ``.dvcgraph``, while this process runs its graph."""

    def __init__(self, root: Path) -> None:
        self.folder = root / FOLDER
        # Every command of a run carries its mark, by which what a killed run left behind is found.
        self._mark = f"{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]}-"
        now = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{time.monotonic_ns() % 10**6}"
        self.run = self._mark + now
        self.logs = self.folder / "logs" / now
        self.journal = Journal(self.folder / NAME)

    @contextmanager
    def lock(self, notice: Callable[[str], None], stopped: Callable[[], bool]) -> Iterator[None]:
        """Hold the lock that lets one run at a time work in a project; wait for it as long as it takes.

        Args:
            notice: told, once, for whom it waits.
            stopped: asked again and again whether to give up.

        Raises:
            GraphError: the folder cannot be used, the wait was given up, or a command of a run wants to
                start another in the same project.
        """
        if os.environ.get(MARK, "").startswith(self._mark):
            raise GraphError(
                f"a stage of a run in {self.folder.parent} cannot start another run there; take it out of its command"
            )
        try:
            self.folder.mkdir(exist_ok=True)
            ignore = self.folder / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")
            file = (self.folder / "lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise GraphError(f"{self.folder}: {error.strerror}; make it writable") from error
        with file:
            told = False
            while not _locked(file.fileno()):
                if stopped():
                    raise StoppedError("stopped before it began: another run is going on in this project")
                if not told:
                    file.seek(0)
                    holder = file.read().strip()
                    notice(f"waiting for the run of process {holder or '?'} in this project to end")
                    told = True
                time.sleep(_POLL_SECONDS)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def sweep(self, notice: Callable[[str], None]) -> None:
        """End what a killed run left running here, and remove all but the newest logs. Under :meth:`lock`."""
        left = marked_processes(self._mark) - {os.getpid()}
        if left:
            notice(f"ending processes that a killed run left behind: {', '.join(map(str, sorted(left)))}")
            end_processes((), self._mark)
        with contextlib.suppress(OSError):
            runs = sorted((self.folder / "logs").iterdir(), key=lambda run: run.stat().st_mtime)
            for run in runs[:-_KEPT_LOGS]:
                shutil.rmtree(run, ignore_errors=True)

    def read_durations(self) -> dict[str, float]:
        """Return how many seconds each stage's commands took when they last ran."""
        try:
            values: Any = json.loads((self.folder / "durations.json").read_text(encoding="utf-8"))
            return {str(stage): float(seconds) for stage, seconds in values.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def write_durations(self, durations: Mapping[str, float]) -> None:
        """Remember durations, those of other stages too; without them the next run is as right, only slower."""
        merged = self.read_durations() | {stage: round(seconds, 3) for stage, seconds in durations.items()}
        partial = self.folder / f".durations.json.partial-{os.getpid()}"
        with contextlib.suppress(OSError):
            partial.write_text(json.dumps(merged, indent=0, sort_keys=True), encoding="utf-8")
            partial.replace(self.folder / "durations.json")


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
