"""What cannot be run is refused in one clear line, which names the next step."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc_project import Project
from hermetic import hermetic_environment
from warm_process import WarmProcess, warm_process

from dvcgraph.adapter import Graph
from dvcgraph.errors import GraphError
from dvcgraph.schedule import reproduce

ONE = "stages: {train: {cmd: echo a > a, outs: [a]}}"


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmProcess]:
    with warm_process(hermetic_environment(tmp_path_factory.mktemp("warm"))) as process:
        yield process


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


ON_GPU = "stages: {a: {cmd: echo a > a, outs: [a], meta: {device: gpu, required: true}}}"

REFUSED = {
    "a cycle": (
        {"dvc.yaml": "stages: {a: {cmd: x, deps: [a], outs: [a]}}"},
        [],
        "the graph has a cycle: Same item(s) are defined as both a dependency and an output in stage: a; "
        "take one of these dependencies out of dvc.yaml",
    ),
    "two stages with one out": (
        {"dvc.yaml": "stages: {one: {cmd: x, outs: [o]}, two: {cmd: y, outs: [o]}}"},
        [],
        "the out 'o' is declared twice, by one, two; leave it to one of them",
    ),
    "an unknown target": (
        {"dvc.yaml": ONE},
        ["trian"],
        "no stage 'trian' in PROJECT; did you mean 'train'?; `dvc stage list` lists them",
    ),
    "no dvc.yaml": (
        {},
        [],
        "no dvc.yaml in PROJECT; go to the project's folder, or name what to run",
    ),
    "a damaged dvc.lock": (
        {"dvc.yaml": ONE, "dvc.lock": "schema: '2.0'\nstages: {train: {cmd: [\n"},
        [],
        "./dvc.lock, line 3, column 1: did not find expected node content; the file is damaged: take it from git by "
        "`git checkout ./dvc.lock`, or delete it; finished stages then come from the run cache",
    ),
    "a device that does not exist": (
        {"dvc.yaml": ON_GPU},
        [],
        "stage 'a' must have a GPU, but there is none: TANDEM_DEVICES=cpu:0 lists none; remove `required: true` under "
        "its meta in dvc.yaml to let it run on the CPU",
    ),
    "more devices than there are": (
        {"dvc.yaml": ON_GPU.replace("required", "count: 3, required")},
        [],
        "stage 'a' must have 3 GPUs, but there are 2 (gpu:0, gpu:1); lower count, or remove `required: true` under "
        "its meta in dvc.yaml to let it run on the CPU",
    ),
    "a kind of device that does not exist": (
        {"dvc.yaml": ON_GPU.replace("gpu", "tpu")},
        [],
        "stage 'a': meta in dvc.yaml: device is 'tpu'; allowed: gpu, cpu",
    ),
    "-j 0": ({"dvc.yaml": ONE}, ["-j", "0"], "jobs is 0; allowed: a whole number of at least 1"),
    "-j two": ({"dvc.yaml": ONE}, ["-j", "two"], "jobs is two; allowed: a whole number of at least 1"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_run_ends_with_2_and_one_line(what: str, project: Project, warm: WarmProcess) -> None:
    files, arguments, message = REFUSED[what]
    for name, text in files.items():
        project.write(name, text)
    before = sorted(path.name for path in project.path.iterdir() if path.name != ".dvcgraph")
    devices = "gpu:0,gpu:1" if "more" in what else "cpu:0"
    done = warm.dvcgraph(project.path, "repro", *arguments, TANDEM_DEVICES=devices)
    assert (done.status, done.output) == (2, f"error: {message}\n".replace("PROJECT", str(project.path)))
    assert sorted(path.name for path in project.path.iterdir() if path.name != ".dvcgraph") == before


def test_the_command_line_without_a_repository(project: Project, warm: WarmProcess) -> None:
    project.write("dvc.yaml", ONE)
    (project.path / ".git").rename(project.path.parent / "git-elsewhere")
    path = project.path
    done = warm.dvcgraph(path, "repro")
    assert (done.status, done.output) == (
        2,
        f"error: {path} is not a git repository; this DVC project expects git: run `git init` in {path}, "
        "or `dvc config core.no_scm true` to work without\n",
    )
    (path / ".dvc").rename(path.parent / "dvc-elsewhere")
    done = warm.dvcgraph(path, "repro")
    assert (done.status, done.output) == (
        2,
        f"error: no DVC repository in {path} or above it; go to the project's folder, or make one: "
        "`git init` and `dvc init`\n",
    )


FAILED = {
    "a missing dependency": (
        "stages: {train: {cmd: x, deps: [data/x], outs: [a]}}",
        "train: failed (SECONDS): missing dependency data/x of train; put it there, take it from a remote by "
        "`dvc pull`, or correct dvc.yaml\n1 failed\n",
    ),
    "a missing parameter": (
        "stages: {train: {cmd: x, params: [rate], outs: [a]}}",
        "train: failed (SECONDS): Parameters 'rate' are missing from 'params.yaml'; add them there, or correct "
        "`params:` in dvc.yaml\n1 failed\n",
    ),
    "a command that does not exist": (
        "stages: {train: {cmd: no-such-command --at all, outs: [a]}}",
        "train | $ no-such-command --at all\n"
        "train | /bin/sh: 1: no-such-command: not found\n"
        "train: failed (SECONDS): `no-such-command --at all` failed with exit status 127\n"
        "train >> /bin/sh: 1: no-such-command: not found\n"
        "train: its output is in LOG\n"
        "1 failed\n",
    ),
    "an out that was not made": (
        "stages: {train: {cmd: 'true', outs: [a]}}",
        "train | $ true\n"
        "train: failed (SECONDS): output 'a' does not exist, although the command ended well; correct the command, "
        "or `outs:` in dvc.yaml\n"
        "train: its output is in LOG\n"
        "1 failed\n",
    ),
}


@pytest.mark.parametrize("what", FAILED)
def test_a_stage_that_fails_ends_with_1_and_says_why(what: str, project: Project, warm: WarmProcess) -> None:
    declared, output = FAILED[what]
    project.write("dvc.yaml", declared)
    project.write("params.yaml", "other: 1\n")
    done = warm.dvcgraph(project.path, "repro")
    said = re.sub(r"\(\d+\.\d s\)", "(SECONDS)", done.output)
    said = re.sub(rf"{project.path}/\.dvcgraph/logs/\S+/train\.log", "LOG", said)
    assert (done.status, said) == (1, output)
    assert not (project.path / "dvc.lock").exists()


def test_a_refusal_goes_to_stderr(project: Project) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "dvcgraph", "repro", "-j", "0"],
        cwd=project.path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "error: jobs is 0; allowed: a whole number of at least 1\n"


def test_dry_says_what_would_run_and_runs_nothing(project: Project, warm: WarmProcess) -> None:
    project.write("dvc.yaml", ONE)
    done = warm.dvcgraph(project.path, "repro", "--dry")
    assert (done.status, done.output) == (0, "train: would run: echo a > a\n")
    assert not (project.path / "a").exists()
