"""A search that is killed at random moments ends as one that was not, whatever it was at."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from workspace import Workspace, make_workspace

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1800)]
KILLS = 20
# Rungs, settings of several widths, and in Keras two batches at a time.
SEARCHES = """\
  killed:
    description: Widths and rates in brackets.
    experiment: breast-cancer-mlp
    strategy: {name: hyperband, minimum_epochs: 3}
    space:
      optimizer.learning_rate: {log_uniform: [0.0003, 0.03]}
      model.sequential.0.dense.units: {choices: [5, 12, 20, 40]}
    budget: {epochs: 700}
    protocol: {method: k-fold, folds: 3}
    metric: log_loss
    epochs: 27
    threads: 2
"""


def written(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in ("models", "trials", "history")
        for path in (root / folder).rglob("*")
        if path.is_file()
    }


def recorded(root: Path) -> list[int]:
    """Return the numbers of the trials that are on disk."""
    lines = [line for path in root.glob(".searches/**/trials.jsonl") for line in path.read_bytes().split(b"\n")[:-1]]
    return [entry["trial"]["number"] for entry in map(json.loads, lines) if entry["entry"] == "trial"]


def start(workspace: Workspace, framework: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "stages.search", "killed", framework],
        cwd=workspace.root, env=workspace.environment | {"TANDEM_CHECKPOINT_SECONDS": "0.2"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_twenty_kills_at_random_moments_repeat_no_trial_and_end_with_the_same_bytes(framework, tmp_path):
    workspace = make_workspace(tmp_path, searches=SEARCHES)
    workspace.prepare("breast-cancer")
    began = time.monotonic()
    assert start(workspace, framework).wait() == 0
    seconds, whole = time.monotonic() - began, written(workspace.root)
    assert whole
    moments, kills, among_trials = random.Random(7), 0, 0
    while kills < KILLS:
        for name in ("models", "trials", "history", "timings", "logs"):
            shutil.rmtree(workspace.root / name, ignore_errors=True)
        known: set[int] = set()
        while True:
            process = start(workspace, framework)
            try:
                assert process.wait(moments.uniform(0.3, 0.9) * seconds if kills < KILLS else None) == 0
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if known and not list(workspace.root.glob(".searches/**/trials.jsonl")):
                break  # all was written, and what was kept for going on was removed: the process was about to exit
            kills += 1
            numbers = recorded(workspace.root)
            assert len(set(numbers)) == len(numbers), "a recorded trial was repeated"
            assert known <= set(numbers), "a recorded trial was lost"
            among_trials += bool(numbers)
            known = set(numbers)
        assert written(workspace.root) == whole
    assert among_trials, "no kill came while there were trials on disk"
