"""What cannot be run is refused in one clear line, which names the next step."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from dvc_project import Project

from dvcgraph.adapter import Graph
from dvcgraph.errors import GraphError
from dvcgraph.schedule import reproduce

ONE = "stages: {train: {cmd: echo a > a, outs: [a]}}"


def refusal(path: Path, *targets: str) -> str:
    with pytest.raises(GraphError) as caught:
        Graph.load(path, targets)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_no_dvc_repository(tmp_path: Path, template: Path) -> None:
    assert re.match(r"no DVC repository in .*`dvc init`", refusal(tmp_path))
    assert template.exists()


def test_no_git_repository(project: Project) -> None:
    project.write("dvc.yaml", ONE)
    (project.path / ".git").rename(project.path.parent / "git-elsewhere")
    message = refusal(project.path)
    assert "git" in message
    assert "`git init`" in message


def test_no_dvc_yaml(project: Project) -> None:
    assert "no dvc.yaml in" in refusal(project.path)


def test_a_cycle(project: Project) -> None:
    project.write(
        "dvc.yaml",
        "stages: {a: {cmd: x, deps: [b], outs: [a]}, b: {cmd: x, deps: [a], outs: [b]}}",
    )
    message = refusal(project.path)
    assert "cycle" in message
    assert re.search(r"\ba\b.*\bb\b|\bb\b.*\ba\b", message)


def test_two_stages_with_one_out(project: Project) -> None:
    project.write("dvc.yaml", "stages: {one: {cmd: x, outs: [o]}, two: {cmd: y, outs: [o]}}")
    assert "'o' is declared twice, by one, two" in refusal(project.path)


def test_overlapping_outs(project: Project) -> None:
    project.write("dvc.yaml", "stages: {one: {cmd: x, outs: [o]}, two: {cmd: y, outs: [o/p]}}")
    assert "outs of its own" in refusal(project.path)


def test_an_unknown_target_with_the_nearest(project: Project) -> None:
    project.write("dvc.yaml", "stages: {train: {foreach: [a], do: {cmd: 'echo ${item}'}}}")
    assert "no stage 'trian'" in refusal(project.path, "trian")
    assert "did you mean 'train'?" in refusal(project.path, "trian")
    assert "did you mean 'train@a'?" in refusal(project.path, "train@b")


def test_an_out_as_a_target_names_its_stage(project: Project) -> None:
    project.write("dvc.yaml", ONE)
    assert "an out, not a stage; run the stage that makes it: train" in refusal(project.path, "a")


def test_a_damaged_lock_file(project: Project) -> None:
    project.write("dvc.yaml", ONE)
    project.write("dvc.lock", "schema: '2.0'\nstages: {train: {cmd: [\n")
    assert re.search(r"dvc\.lock, line \d+.*git checkout", refusal(project.path))
    project.write("dvc.lock", "schema: '2.0'\nstages: {train: {surprise: 1}}\n")
    assert re.search(r"dvc\.lock: .*surprise.*git checkout", refusal(project.path))


def test_yaml_that_does_not_parse(project: Project) -> None:
    project.write("dvc.yaml", "stages:\n  a: [\n")
    assert re.search(r"dvc\.yaml, line \d+, column \d+: .*correct it there", refusal(project.path))


def test_yaml_of_the_wrong_shape(project: Project) -> None:
    project.write("dvc.yaml", "stages: {a: {cmd: x, surprise: 1}}")
    assert re.search(r"dvc\.yaml: .*surprise", refusal(project.path))


def test_a_template_that_finds_nothing(project: Project) -> None:
    project.write("dvc.yaml", "stages: {a: {cmd: 'echo ${nothing}'}}")
    assert "nothing" in refusal(project.path)


def test_a_missing_dependency_fails_its_stage_and_keeps_the_outs(project: Project) -> None:
    project.write("a", "made before")
    project.write("dvc.yaml", "stages: {train: {cmd: x, deps: [data/x], outs: [a]}, b: {cmd: echo b}}")
    train, other = reproduce(project.path, on_event=lambda _: None).outcomes
    assert train.state == "failed"
    assert "missing dependency data/x of train" in train.message
    assert other.state == "completed"
    assert project.read("a") == "made before"


def test_a_missing_parameter_fails_its_stage(project: Project) -> None:
    project.write("params.yaml", "other: 1\n")
    project.write("dvc.yaml", "stages: {train: {cmd: x, params: [rate], outs: [a]}}")
    (train,) = reproduce(project.path, on_event=lambda _: None).outcomes
    assert train.state == "failed"
    assert "rate" in train.message


def test_an_out_that_was_not_made_fails_its_stage(project: Project) -> None:
    project.write("dvc.yaml", "stages: {train: {cmd: 'true', outs: [a]}}")
    (train,) = reproduce(project.path, on_event=lambda _: None).outcomes
    assert train.state == "failed"
    assert "'a' does not exist, although the command ended well" in train.message
    assert not (project.path / "dvc.lock").exists()


def test_the_command_line_says_errors_in_one_line(project: Project) -> None:
    project.write("dvc.yaml", ONE)
    ended = subprocess.run(
        [sys.executable, "-m", "dvcgraph", "repro", "nothing"],
        cwd=project.path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert re.fullmatch(r"error: no stage 'nothing' in .*\n", ended.stderr)


def test_dry_says_what_would_run_and_runs_nothing(project: Project) -> None:
    project.write("dvc.yaml", ONE)
    ended = subprocess.run(
        [sys.executable, "-m", "dvcgraph", "repro", "--dry"],
        cwd=project.path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (0, "train: would run: echo a > a\n")
    assert not (project.path / "a").exists()
