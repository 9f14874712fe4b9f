"""Other DVC processes, and other runs of ours, in the same workspace."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dvc_project import Project

_WAIT_SECONDS = 60.0

# `gated` waits until a test lets it go on; every command notes that it ran, outside the project.
GRAPH = """
stages:
  gated:
    cmd: echo gated >> ../ran; touch ../started; while [ ! -e ../go ]; do sleep 0.02; done; cat source > gated
    deps: [source]
    outs: [gated]
  other:
    cmd: echo other >> ../ran; cat source > other
    deps: [source]
    outs: [other]
  scores:
    cmd: 'echo scores >> ../ran; echo "accuracy: 0.5" > scores.yaml'
    deps: [source]
    metrics: [scores.yaml]
  after:
    cmd: echo after >> ../ran; cat gated > after
    deps: [gated]
    outs: [after]
"""


@pytest.fixture
def gated(project: Project) -> Project:
    project.write("dvc.yaml", GRAPH)
    project.write("source", "1\n")
    return project


def test_others_look_on_and_work_elsewhere_while_a_stage_of_ours_runs(gated: Project) -> None:
    assert gated.dvc("repro", "scores").returncode == 0
    with in_the_middle(gated, "dvcgraph", "repro", "gated") as run:
        status = gated.dvc("status", "--json")
        assert status.returncode == 0, status.stderr
        assert "gated" in json.loads(status.stdout)
        metrics = gated.dvc("metrics", "show", "--json")
        assert metrics.returncode == 0, metrics.stderr
        assert json.loads(metrics.stdout)[""]["data"]["scores.yaml"]["data"] == {"accuracy": 0.5}
        same = gated.dvc("repro", "-s", "gated")
        assert same.returncode != 0
        assert "is busy, it is being blocked by" in same.stderr
        assert "dvcgraph" in same.stderr
        unrelated = gated.dvc("repro", "-s", "other")
        assert unrelated.returncode == 0, unrelated.stderr
        entry = gated.yaml("dvc.lock")["stages"]["other"]
    assert run.returncode == 0
    assert set(gated.yaml("dvc.lock")["stages"]) == {"scores", "other", "gated"}
    assert gated.yaml("dvc.lock")["stages"]["other"] == entry
    assert ran(gated) == ["gated", "other", "scores"]
    assert "up to date" in gated.dvc("status", "gated", "other", "scores").stdout


def test_ours_waits_for_a_foreign_run_and_says_so(gated: Project, tmp_path: Path) -> None:
    with in_the_middle(gated, "dvc", "repro", "gated") as foreign:
        log = tmp_path / "ours"
        with log.open("w") as file:
            ours = subprocess.Popen(
                [sys.executable, "-m", "dvcgraph", "repro"], cwd=gated.path, stdout=file, stderr=file
            )
        wait_until(lambda: str(foreign.pid) in log.read_text(), ours)
        assert "waiting for another DVC process" in log.read_text()
    assert ours.wait(timeout=_WAIT_SECONDS) == 0, log.read_text()
    assert foreign.returncode == 0
    assert "gated: unchanged" in log.read_text()
    assert ran(gated) == ["after", "gated", "other", "scores"]
    assert "up to date" in gated.dvc("status").stdout


def test_two_of_our_runs_queue_behind_one_another(gated: Project, tmp_path: Path) -> None:
    with in_the_middle(gated, "dvcgraph", "repro") as first:
        log = tmp_path / "second"
        with log.open("w") as file:
            second = subprocess.Popen(
                [sys.executable, "-m", "dvcgraph", "repro"], cwd=gated.path, stdout=file, stderr=file
            )
        wait_until(lambda: str(first.pid) in log.read_text(), second)
        assert "waiting" in log.read_text()
    assert second.wait(timeout=_WAIT_SECONDS) == 0, log.read_text()
    assert first.returncode == 0
    assert "4 unchanged" in log.read_text()
    assert ran(gated) == ["after", "gated", "other", "scores"]


@pytest.mark.slow
def test_a_run_goes_on_when_the_one_before_it_is_killed(gated: Project, tmp_path: Path) -> None:
    with in_the_middle(gated, "dvcgraph", "repro") as first:
        log = tmp_path / "second"
        with log.open("w") as file:
            second = subprocess.Popen(
                [sys.executable, "-m", "dvcgraph", "repro"], cwd=gated.path, stdout=file, stderr=file
            )
        wait_until(lambda: str(first.pid) in log.read_text(), second)
        first.kill()
    assert second.wait(timeout=_WAIT_SECONDS) == 0, log.read_text()
    assert gated.read("after") == "1\n"
    assert ran(gated).count("gated") == 2
    assert "up to date" in gated.dvc("status").stdout


@contextmanager
def in_the_middle(project: Project, module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start ``python -m MODULE ARGUMENTS`` and go on while `gated` runs; then let it go on, and wait for its end."""
    folder = project.path.parent
    with (folder / "first").open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], cwd=project.path, stdout=file, stderr=file
        )
    try:
        wait_until((folder / "started").exists, process)
        yield process
    finally:
        (folder / "go").touch()
        process.wait(timeout=_WAIT_SECONDS)


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not holds():
        assert process.poll() is None, "it ended"
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def ran(project: Project) -> list[str]:
    return sorted((project.path.parent / "ran").read_text(encoding="utf-8").split())
