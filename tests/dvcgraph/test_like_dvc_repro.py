"""What the runner leaves behind is what `dvc repro` leaves behind, for every kind of stage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dvc_project import Project

from dvcgraph.schedule import reproduce

EVERY_KIND = """
stages:
  plain:
    cmd: cat data.csv > plain.txt
    deps: [data.csv]
    outs: [plain.txt]
  folder:
    cmd: mkdir folder && cp plain.txt folder/a && echo b > folder/b
    deps: [plain.txt]
    outs: [folder]
  kept:
    cmd: echo more >> kept.txt
    deps: [plain.txt]
    outs:
      - kept.txt:
          persist: true
  uncached:
    cmd: echo u > uncached.txt
    deps: [plain.txt]
    outs:
      - uncached.txt:
          cache: false
  scores:
    cmd: 'echo "{\\"accuracy\\": 0.5}" > scores.json; echo "x,y" > curve.csv; echo "1,2" >> curve.csv'
    deps: [plain.txt]
    params: [rate, model.size]
    metrics:
      - scores.json:
          cache: false
    plots: [curve.csv]
  always:
    cmd: echo always > always.txt
    deps: [plain.txt]
    outs: [always.txt]
    always_changed: true
  fixed:
    cmd: echo never > fixed.txt
    deps: [plain.txt]
    outs: [fixed.txt]
    frozen: true
  inside:
    wdir: work
    cmd: cat ../plain.txt > made.txt
    deps: [../plain.txt]
    outs: [made.txt]
  nodeps:
    cmd: echo n > nodeps.txt
    outs: [nodeps.txt]
  callback:
    cmd: echo called
  two:
    cmd:
      - echo one > two.txt
      - echo two >> two.txt
    deps: [plain.txt]
    outs: [two.txt]
  each:
    foreach: [a, b]
    do:
      cmd: echo ${item} > each-${item}.txt
      deps: [plain.txt]
      outs: ["each-${item}.txt"]
  last:
    cmd: cat sub/below.txt each-a.txt > last.txt
    deps: [sub/below.txt, each-a.txt]
    outs: [last.txt]
"""
BELOW = """
stages:
  below:
    cmd: cat ../plain.txt > below.txt
    deps: [../plain.txt]
    outs: [below.txt]
"""
ALWAYS = {"always", "callback"}


@pytest.fixture
def twins(project: Project) -> tuple[Project, Project]:
    """Two equal projects with a stage of every kind: one for `dvc repro`, one for the runner."""
    project.write("dvc.yaml", EVERY_KIND)
    project.write("sub/dvc.yaml", BELOW)
    project.write("params.yaml", "rate: 0.1\nmodel: {size: 3}\nother: 1\n")
    project.write("data.csv", "1,2\n")
    project.write("fixed.txt", "by hand\n")
    (project.path / "work").mkdir()
    assert project.dvc("add", "-q", "data.csv").returncode == 0
    return project, project.twin("twin")


def assert_same(theirs: Project, ours: Project) -> None:
    for name in ("dvc.lock", "sub/dvc.lock", "data.csv.dvc"):
        assert ours.yaml(name) == theirs.yaml(name)
    for name in (".gitignore", "work/.gitignore", "sub/.gitignore"):
        assert sorted(ours.read(name).split()) == sorted(theirs.read(name).split())
    assert ours.cached() == theirs.cached()


def test_every_kind_of_stage_is_recorded_as_dvc_records_it(twins: tuple[Project, Project]) -> None:
    theirs, ours = twins
    assert theirs.dvc("repro").returncode == 0
    summary = reproduce(ours.path, on_event=lambda _: None)
    assert not summary.failed
    assert "sub/dvc.yaml:below" in summary.stages("completed")
    assert_same(theirs, ours)
    assert (
        ours.dvc("status").stdout
        == theirs.dvc("status").stdout
        == ("always:\n\talways changed\ncallback:\n\talways changed\n")
    )
    again = ours.dvc("repro")
    assert sorted(line for line in again.stdout.splitlines() if line.startswith("Running")) == [
        "Running stage 'always':",
        "Running stage 'callback':",
    ]

    second = reproduce(ours.path, on_event=lambda _: None)
    assert set(second.stages("completed")) == ALWAYS
    assert not set(second.stages("restored", "failed", "skipped"))
    assert_same(theirs, ours)


def test_lost_outs_and_lock_are_restored_as_dvc_restores_them(twins: tuple[Project, Project]) -> None:
    theirs, ours = twins
    reproduce(theirs.path, on_event=lambda _: None)
    reproduce(ours.path, on_event=lambda _: None)
    for twin in twins:
        for name in ("plain.txt", "two.txt", "each-a.txt", "last.txt", "dvc.lock", "curve.csv"):
            (twin.path / name).unlink()
        shutil.rmtree(twin.path / "folder")
    assert theirs.dvc("repro").returncode == 0
    summary = reproduce(ours.path, on_event=lambda _: None)
    restored = {"plain", "folder", "scores", "inside", "two", "each@a", "each@b", "last"}
    assert set(summary.stages("restored")) == restored
    assert_same(theirs, ours)


def test_lost_data_of_a_dvc_file_and_of_a_frozen_stage_comes_from_the_cache(
    twins: tuple[Project, Project],
) -> None:
    _, ours = twins
    reproduce(ours.path, on_event=lambda _: None)
    for name in ("data.csv", "fixed.txt"):
        (ours.path / name).unlink()
    summary = reproduce(ours.path, on_event=lambda _: None)
    assert set(summary.stages("restored")) == {"data.csv.dvc", "fixed"}
    assert ours.read("data.csv") == "1,2\n"
    assert ours.read("fixed.txt") == "by hand\n"


def test_edited_data_of_a_dvc_file_is_recorded_not_overwritten(twins: tuple[Project, Project]) -> None:
    theirs, ours = twins
    for twin in twins:
        reproduce(twin.path, on_event=lambda _: None)
        (twin.path / "data.csv").unlink()  # the cache may be linked
        twin.write("data.csv", "3,4\n")
    assert theirs.dvc("repro").returncode == 0
    summary = reproduce(ours.path, on_event=lambda _: None)
    assert not summary.failed
    assert ours.read("data.csv") == "3,4\n"
    assert ours.read("last.txt") == theirs.read("last.txt") == "3,4\na\n"
    assert_same(theirs, ours)


def test_a_changed_parameter_runs_its_stage_only(twins: tuple[Project, Project]) -> None:
    theirs, ours = twins
    for twin in twins:
        reproduce(twin.path, on_event=lambda _: None)
        twin.write("params.yaml", "rate: 0.2\nmodel: {size: 3}\nother: 2\n")
    assert theirs.dvc("repro").returncode == 0
    summary = reproduce(ours.path, on_event=lambda _: None)
    assert set(summary.stages("completed")) == {"scores"} | ALWAYS
    assert_same(theirs, ours)


def test_targets_run_with_what_they_depend_on_and_nothing_else(twins: tuple[Project, Project]) -> None:
    _, ours = twins
    summary = reproduce(ours.path, ["each", "two"], on_event=lambda _: None)
    assert {outcome.stage for outcome in summary.outcomes} == {"data.csv.dvc", "plain", "two", "each@a", "each@b"}
    assert not (ours.path / "folder").exists()
    forced = reproduce(ours.path, ["each@a"], force=True, on_event=lambda _: None)
    assert set(forced.stages("completed")) >= {"plain", "each@a"}


def test_comments_of_the_lock_file_and_entries_of_others_stay(twins: tuple[Project, Project]) -> None:
    _, ours = twins
    reproduce(ours.path, ["two"], on_event=lambda _: None)
    lock = Path(ours.path / "dvc.lock")
    lock.write_text("# kept\n" + lock.read_text())
    assert ours.dvc("repro", "each@a").returncode == 0
    reproduce(ours.path, ["inside"], on_event=lambda _: None)
    assert lock.read_text().startswith("# kept\n")
    assert set(ours.yaml("dvc.lock")["stages"]) == {"plain", "two", "each@a", "inside"}
    assert not list(ours.path.glob(".dvc.lock*"))


def test_stages_that_share_a_list_parameter_are_recorded_without_aliases(project: Project) -> None:
    project.write("params.yaml", "shared: {sizes: [1.5, 2.5]}\n")
    project.write("dvc.yaml", "stages:\n" + "".join(
        f"  {name}:\n    cmd: echo {name} > {name}.txt\n    params: [shared]\n    outs: [{name}.txt]\n"
        for name in ("one", "two")
    ))  # fmt: skip
    reproduce(project.path, on_event=lambda _: None)
    lock = project.path / "dvc.lock"
    lock.write_text(lock.read_text().rstrip("\n"))  # then the whole file is written anew, not only the entries
    project.write("params.yaml", "shared: {sizes: [1.5, 3.5]}\n")
    assert not reproduce(project.path, on_event=lambda _: None).failed
    assert "&" not in lock.read_text()
    assert project.yaml("dvc.lock")["stages"]["two"]["params"] == {"params.yaml": {"shared": {"sizes": [1.5, 3.5]}}}
    assert project.dvc("status").stdout == "Data and pipelines are up to date.\n"


def test_a_parameter_that_dvc_refuses_fails_its_own_stage_alone(project: Project) -> None:
    project.write("params.yaml", "m: {a: 1}\nt: {a: 1, b: 2}\n")
    project.write("dvc.yaml", "stages:\n" + "".join(
        f"  {name}:\n    cmd: echo {name} > {name}.txt\n    params: ['{key}']\n    outs: [{name}.txt]\n"
        for name, key in (("bad", "t.*"), ("good", "m.*"))
    ))  # fmt: skip
    summary = reproduce(project.path, keep_going=True, on_event=lambda _: None)
    assert summary.stages("completed") == ("good",)
    assert summary.stages("failed") == ("bad",)
