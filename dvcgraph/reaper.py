"""Ends the commands of a run when the run itself is gone, for whatever reason.

Started as a program, it reads lines from its standard input: ``+GROUP`` for a process group that began,
``-GROUP`` for one that ended. When the pipe closes (the runner has ended, or was killed), it ends the groups
that are left, and whatever else carries the run's mark in its environment. It imports little, so that a run
pays a few milliseconds for it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable, Set
from pathlib import Path

MARK = "DVCGRAPH_RUN"  # environment variable that every command of a run carries
GRACE_SECONDS = 5.0
_POLL_SECONDS = 0.05


def marked_processes(run: str) -> set[int]:
    """Return the processes whose environment has a mark that begins with ``run``; none where /proc is not there."""
    wanted = f"{MARK}={run}".encode()
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            # It may stand first, or after a zero byte.
            if (b"\0" + (folder / "environ").read_bytes()).find(b"\0" + wanted) >= 0:
                found.add(int(folder.name))
    return found


def end_processes(groups: Iterable[int], run: str, *, grace_seconds: float = GRACE_SECONDS) -> None:
    """End process groups, and marked processes outside them: SIGTERM, then SIGKILL for what is left after the grace."""
    groups = set(groups)
    end = time.monotonic() + grace_seconds
    asked: set[int] = set()
    for group in groups:
        _signal_group(group, signal.SIGTERM)
        _signal_group(group, signal.SIGCONT)  # a stopped process acts on SIGTERM only when it continues
    while True:
        living = {group for group in groups if _signal_group(group, 0)}
        strays = marked_processes(run) - {os.getpid()}
        if not living and not strays:
            return
        if time.monotonic() >= end:
            for group in living:
                _signal_group(group, signal.SIGKILL)
            _signal(strays, signal.SIGKILL)
            if time.monotonic() >= end + grace_seconds:
                return  # zombies that nobody reaps, or processes that the kernel does not let go
        else:
            _signal(strays - asked, signal.SIGTERM)
            asked |= strays
        time.sleep(_POLL_SECONDS)


def end_marked(run: str) -> None:
    """End marked processes at once."""
    _signal(marked_processes(run) - {os.getpid()}, signal.SIGKILL)


def _signal(processes: Set[int], number: int) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main(run: str) -> None:
    """Read groups until the pipe closes, then end those that are left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the runner's end is what counts
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    if groups or marked_processes(run):
        end_processes(groups, run)


if __name__ == "__main__":
    main(sys.argv[1])
