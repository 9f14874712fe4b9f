"""Starts a command in a process group of its own and ends the whole group."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import BinaryIO, cast

import psutil

from dvcgraph.adapter import Invocation

_POLL_SECONDS = 0.02


def start(invocation: Invocation, environment: dict[str, str]) -> tuple[subprocess.Popen[bytes], BinaryIO]:
    """Start a command; return it and the pipe of its two outputs. Its group's number is its process number.

    A session of its own keeps a terminal's Ctrl-C for the runner, which then ends the group in order.
    """
    receiving, sending = os.pipe()
    try:
        process = subprocess.Popen(
            invocation.arguments,
            cwd=invocation.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sending,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except BaseException:
        os.close(receiving)
        raise
    finally:
        os.close(sending)
    return process, cast(BinaryIO, os.fdopen(receiving, "rb", buffering=0))


def end_group(process: subprocess.Popen[bytes], *, grace_seconds: float = 5.0) -> None:
    """End every process of a command's group: SIGTERM, then SIGKILL for what is left after the grace.

    The shell that was started may be gone while what it started lives on: the group counts, not the shell.
    Interrupted while it waits, it kills at once.
    """
    group = process.pid
    if not _signal(group, signal.SIGTERM):
        process.wait()
        return
    try:
        _signal(group, signal.SIGCONT)  # a stopped process acts on SIGTERM only when it continues
        deadline = time.monotonic() + grace_seconds
        while _lives(process) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
    finally:
        _signal(group, signal.SIGKILL)
        process.wait()


def search_path(environment: dict[str, str], first: Path) -> str:
    """Return PATH with ``first`` in front, so that `python` is the one that runs this program."""
    rest = environment.get("PATH", os.defpath)
    return os.pathsep.join([str(first), *(part for part in rest.split(os.pathsep) if part != str(first))])


def _signal(group: int, number: int) -> bool:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


def _lives(process: subprocess.Popen[bytes]) -> bool:
    """Say whether the group has a process that is more than a zombie somebody else has to reap."""
    process.poll()
    if not _signal(process.pid, 0):
        return False
    for other in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            if os.getpgid(other.pid) == process.pid and other.status() != psutil.STATUS_ZOMBIE:
                return True
    return False
