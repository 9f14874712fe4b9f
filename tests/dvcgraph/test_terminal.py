"""What a person sees at a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios

from dvc_project import Project
from hermetic import REPOSITORY


def test_no_progress_bar_of_dvc_tears_the_terminal(project: Project) -> None:
    """DVC and its libraries draw bars of their own as soon as stderr is a terminal."""
    project.write("input", "1")
    project.write(
        "dvc.yaml", "stages: {a: {cmd: 'mkdir d; for i in 1 2 3; do echo $i > d/$i; done', deps: [input], outs: [d]}}"
    )
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 120))
    process = subprocess.Popen(
        [sys.executable, "-m", "dvcgraph", "repro"],
        cwd=project.path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    while chunk := _read(ours):
        seen += chunk
    os.close(ours)
    assert process.wait() == 0, seen.decode()
    assert b"1 completed" in seen
    assert b"Checking" not in seen
    assert b"%|" not in seen


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""
