"""The command itself."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tandem.doctor.drawing import as_json, lines, print_lines
from tandem.doctor.examination import examine
from tandem.doctor.findings import exit_status
from tandem.doctor.gathering import gather

DEFAULT_LIMIT = 60.0  # the first import after an installation reads gigabytes from the disk


def run_doctor(root: Path, *, as_machine: bool = False, limit: float = DEFAULT_LIMIT) -> int:
    """Look at the environment, say what is found, and return the exit status.

    Args:
        root: the project's folder.
        as_machine: write JSON instead of lines for people.
        limit: seconds that each child is given.

    Returns:
        0 when the declared suite can run, warnings or not; 1 when a problem keeps it from running.
    """
    began = time.monotonic()
    with _told("looking; the frameworks take some seconds", shown=not as_machine and sys.stderr.isatty()):
        facts = gather(root, os.environ, limit)
    sections = examine(facts)
    if as_machine:
        print(as_json(sections, facts, time.monotonic() - began))
    else:
        print_lines(list(lines(sections, shutil.get_terminal_size().columns)))
    return exit_status(sections)


@contextmanager
def _told(text: str, *, shown: bool) -> Iterator[None]:
    """Show a line on the terminal while something takes time, and take it away again."""
    if shown:
        print(text, end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
