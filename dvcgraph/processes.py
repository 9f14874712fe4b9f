"""Starts commands in process groups of their own, and ends whole groups, also when this process is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

import psutil

from dvcgraph import reaper
from dvcgraph.adapter import Invocation

# Waits for a line before it becomes the command: until then the reaper has to know the group. At the end of
# the file instead of a line, the runner is gone.
_GATE = 'read -r go || exit 125; exec "$@" </dev/null'


class Reaper:
    """The process that ends the commands of this run if this process dies."""

    def __init__(self, run: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(reaper.__file__).resolve()), run],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # a terminal's Ctrl-C is for the runner
        )

    def __enter__(self) -> Reaper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()

    def began(self, group: int) -> None:
        """Say that a group began."""
        self._tell(f"+{group}\n")

    def ended(self, group: int) -> None:
        """Say that a group ended."""
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        with contextlib.suppress(BrokenPipeError):  # it was killed: a start of the next run looks for what is left
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()


class Group:
    """A command in a process group, and session, of its own; its group's number is its process number."""

    def __init__(
        self, invocation: Invocation, environment: Mapping[str, str], guard: Reaper, keep_open: Sequence[int] = ()
    ) -> None:
        """Start a command.

        Args:
            invocation: what to start, and where.
            environment: its environment.
            guard: told of the group before the command begins.
            keep_open: file descriptors that the command inherits.

        Raises:
            OSError: its folder or its shell is not there.
        """
        receiving, sending = os.pipe()
        try:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", _GATE, "dvcgraph", *invocation.arguments],
                cwd=invocation.folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=sending,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=keep_open,
            )
        except BaseException:
            os.close(receiving)
            raise
        finally:
            os.close(sending)
        self.output = cast(BinaryIO, os.fdopen(receiving, "rb", buffering=0))
        self._guard = guard
        guard.began(self.process.pid)
        assert self.process.stdin is not None  # noqa: S101 - for the type checker
        with contextlib.suppress(BrokenPipeError), self.process.stdin as gate:
            gate.write(b"go\n")

    @property
    def status(self) -> int | None:
        """Exit status of the command itself, negative for a signal; ``None`` while it runs."""
        return self.process.poll()

    @property
    def lives(self) -> bool:
        """Whether any process of the group is more than a zombie that somebody else has to reap."""
        running = self.process.poll() is None
        if not self._signal(0):
            return running
        for other in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
                if os.getpgid(other.pid) == self.process.pid and other.status() != psutil.STATUS_ZOMBIE:
                    return True
        return False

    def terminate(self) -> None:
        """Ask every process of the group to end."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # a stopped process acts on SIGTERM only when it continues

    def kill(self) -> None:
        """End every process of the group at once."""
        self._signal(signal.SIGKILL)

    def forget(self) -> None:
        """Close what belongs to a group that has ended."""
        self.process.wait()
        self.output.close()
        self._guard.ended(self.process.pid)

    def _signal(self, number: int) -> bool:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)
            return True
        return False


def search_path(environment: Mapping[str, str], first: Path) -> str:
    """Return PATH with ``first`` in front, so that `python` is the one that runs this program."""
    rest = environment.get("PATH", os.defpath)
    return os.pathsep.join([str(first), *(part for part in rest.split(os.pathsep) if part != str(first))])
