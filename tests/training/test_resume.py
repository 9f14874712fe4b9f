"""A training killed at any moment goes on from its last checkpoint and ends with the weights of an unkilled one."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from workspace import Workspace, make_workspace

EXPERIMENT = "breast-cancer-mlp"  # dropout, batch normalisation, Adam, best checkpoint, early stopping


@pytest.fixture(scope="module", params=["torch", pytest.param("keras", marks=pytest.mark.slow)])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    """A workspace in which the training ran unkilled; ``whole`` holds its models."""
    workspace = make_workspace(tmp_path_factory.mktemp(f"resume-{request.param}"), suite=(EXPERIMENT,))
    path = workspace.root / "params.yaml"
    head, entry = path.read_text().split(f"\n  {EXPERIMENT}:\n")
    entry = entry.replace("epochs: 2", "epochs: 40", 1).replace("patience: 2", "patience: 12", 1)
    path.write_text(f"{head}\n  {EXPERIMENT}:\n{entry}")
    workspace.prepare("breast-cancer")
    done = workspace.stage("train", EXPERIMENT, request.param)
    assert done.returncode == 0, done.stderr
    shutil.move(workspace.root / "models", workspace.root / "whole")
    return workspace, request.param


def training(workspace: Workspace, framework: str) -> subprocess.Popen[str]:
    progress = workspace.root / "progress"
    progress.unlink(missing_ok=True)
    progress.touch()
    more = {"TANDEM_CHECKPOINT_SECONDS": "0", "DVCGRAPH_PROGRESS": str(progress)}
    return subprocess.Popen(
        [sys.executable, "-m", "stages.train", EXPERIMENT, framework],
        cwd=workspace.root, env=workspace.environment | more,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def epochs_told(workspace: Workspace) -> int:
    return (workspace.root / "progress").read_text().count("\n")


def kill_after(workspace: Workspace, framework: str, epochs: int) -> int:
    """Kill a training with SIGKILL once it has told this many epochs; return how many it had told."""
    process = training(workspace, framework)
    try:
        while process.poll() is None and epochs_told(workspace) < epochs:
            time.sleep(0.001)
    finally:
        process.kill()
        process.communicate()
    return epochs_told(workspace)


def finish(workspace: Workspace, framework: str) -> int:
    """Let the training end; return how many epochs it trained."""
    process = training(workspace, framework)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return epochs_told(workspace)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def _clean(whole: tuple[Workspace, str]) -> Iterator[None]:
    yield
    for name in ("models", ".checkpoints", "timings", "logs", "history"):
        shutil.rmtree(whole[0].root / name, ignore_errors=True)


def same_as_whole(workspace: Workspace) -> bool:
    found, expected = files(workspace.root / "models"), files(workspace.root / "whole")
    assert expected
    return found == expected


def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(whole):
    workspace, framework = whole
    first = kill_after(workspace, framework, 5)
    assert not (workspace.root / "models").exists()
    second = kill_after(workspace, framework, 20)  # in the same replicate or the next
    last = finish(workspace, framework)
    total = sum(1 for _ in (workspace.root / "whole").rglob("replicate-*"))
    assert first >= 5
    assert second >= 1
    assert last < 40 * total, "it began anew"
    assert same_as_whole(workspace)


def test_a_finished_training_leaves_no_checkpoint(whole):
    workspace, framework = whole
    finish(workspace, framework)
    assert not [path for path in (workspace.root / ".checkpoints").rglob("*") if path.is_file()]
    assert same_as_whole(workspace)


def test_a_changed_parameter_starts_anew(whole):
    workspace, framework = whole
    kill_after(workspace, framework, 10)
    kept = {path.name for path in (workspace.root / ".checkpoints" / EXPERIMENT / framework).iterdir()}
    workspace.edit("{name: adam, learning_rate: 0.003}", "{name: adam, learning_rate: 0.004}")
    try:
        kill_after(workspace, framework, 1)
        now = {path.name for path in (workspace.root / ".checkpoints" / EXPERIMENT / framework).iterdir()}
        assert len(now - kept) == 1, "it went on from the checkpoint of other parameters"
    finally:
        workspace.edit("{name: adam, learning_rate: 0.004}", "{name: adam, learning_rate: 0.003}")


def test_changed_data_and_changed_code_start_anew(whole):
    workspace, framework = whole
    kill_after(workspace, framework, 1)
    folder = workspace.root / ".checkpoints" / EXPERIMENT / framework
    keys = [{path.name for path in folder.iterdir()}]
    for changed in ("data/scale/breast-cancer/fold-0.json", f"tandem/frameworks/{framework}/fit.py"):
        path = workspace.root / changed
        before = path.read_bytes()
        path.write_bytes(before + b"\n")
        try:
            kill_after(workspace, framework, 1)
        finally:
            path.write_bytes(before)
        keys.append({path.name for path in folder.iterdir()})
    assert [len(found) for found in keys] == [1, 2, 3]


def test_a_damaged_checkpoint_counts_as_missing(whole):
    workspace, framework = whole
    kill_after(workspace, framework, 3)
    checkpoints = list((workspace.root / ".checkpoints" / EXPERIMENT / framework).rglob("*.npz"))
    assert checkpoints
    for checkpoint in checkpoints:
        checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    finish(workspace, framework)
    assert same_as_whole(workspace)


@pytest.mark.slow
@pytest.mark.parametrize("whole", ["torch", pytest.param("keras", marks=pytest.mark.long)], indirect=True)
def test_twenty_kills_at_random_moments_end_with_the_same_bytes(whole):
    """Every kill comes after progress: while epochs are told, or a moment later, while a checkpoint is written."""
    workspace, framework = whole
    generator = random.Random(20)
    kills = 0
    while kills < 20:
        process = training(workspace, framework)
        wanted = generator.randint(1, 8)
        while process.poll() is None and epochs_told(workspace) < wanted:
            time.sleep(0.001)
        time.sleep(generator.uniform(0, 0.01))  # anywhere between two epochs
        if process.poll() is None:
            process.kill()
        process.communicate()
        if process.returncode == 0:  # it came to its end: begin again
            assert same_as_whole(workspace)
            shutil.rmtree(workspace.root / "models")
        elif epochs_told(workspace):
            kills += 1
    finish(workspace, framework)
    assert kills == 20
    assert same_as_whole(workspace)
