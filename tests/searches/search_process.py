"""Runs searches, each in a process that may be killed: reads "STRATEGY FOLDER SECONDS" lines, answers with outcomes.

Each search is a fork of this process, so that packages are imported once. It is killed after SECONDS (0: not at all).
The answer is "killed", or "over" with the exit status.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from fake_search import FakeEvaluator, declare

from tandem.searches.loop import run_search


def search(strategy: str, folder: Path) -> None:
    evaluator = FakeEvaluator(seconds=0.003, log=folder / "trained")
    found = run_search(declare(strategy), evaluator, folder / "kept")
    (folder / "found.json").write_text(found.record.model_dump_json(), encoding="utf-8")


def wait(child: int, seconds: float) -> int:
    """Wait for a process, and kill it after so many seconds; return how it ended."""
    end = time.monotonic() + seconds
    while seconds and time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    if seconds:
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    warmed = set()
    for line in sys.stdin:
        strategy, folder, seconds = line.split()
        if strategy not in warmed:  # Optuna imports much of itself when it is first used
            warmed.add(strategy)
            with tempfile.TemporaryDirectory() as kept:
                run_search(declare(strategy), FakeEvaluator(), Path(kept))
        child = os.fork()
        if child == 0:
            try:
                search(strategy, Path(folder))
                os._exit(0)
            finally:
                os._exit(1)
        ended = wait(child, float(seconds))
        print("killed" if ended == -signal.SIGKILL else f"over {ended}", flush=True)


if __name__ == "__main__":
    main()
