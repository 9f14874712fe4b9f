"""The stage ``search`` with threads of its own: what cannot share a batch is trained in processes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from workspace import Workspace, make_workspace

from tandem.records import RunRecord
from tandem.searches.records import SearchRecord

THREADS = "    epochs: 3\n    threads: 2\n"
SEARCHES = f"""\
  recurrent:
    description: Rows of an image as a sequence, or all of its numbers at once.
    experiment: digits-mlp
    strategy: grid
    space:
      model.sequential.0: {{choices: [{{flatten: {{}}}}, {{gru: {{units: 3}}}}, {{gru: {{units: 4}}}}]}}
      optimizer.learning_rate: {{choices: [0.02, 0.05]}}
    metric: accuracy
{THREADS}"""


@pytest.fixture(scope="module", params=["torch", pytest.param("keras", marks=pytest.mark.long)])
def searched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workspace, str, SearchRecord]:
    """A workspace in which the search has run with two threads, the framework, and what it found."""
    workspace = make_workspace(tmp_path_factory.mktemp(f"processes-{request.param}"), searches=SEARCHES)
    workspace.prepare("digits")
    done = workspace.stage("search", "recurrent", request.param)
    assert done.returncode == 0, done.stderr
    return workspace, request.param, record(workspace, request.param)


def rows_by_way(workspace: Workspace, framework: str, way: str) -> list[dict[str, str]]:
    """Return the rows of trials.csv that were trained in one way."""
    text = (workspace.root / f"trials/recurrent/{framework}/trials.csv").read_text(encoding="utf-8")
    return [row for row in csv.DictReader(text.splitlines()) if row["way"] == way]


def record(workspace: Workspace, framework: str) -> SearchRecord:
    path = workspace.root / f"trials/recurrent/{framework}/search.json"
    return SearchRecord.model_validate_json(path.read_bytes())


@pytest.mark.slow
def test_what_is_trained_alone_does_not_depend_on_the_number_of_processes(searched):
    workspace, framework, _ = searched
    by_two = rows_by_way(workspace, framework, "alone")
    batched = rows_by_way(workspace, framework, "batched")
    assert (len(by_two), len(batched)) == (4, 2)
    run = RunRecord.model_validate_json((workspace.root / f"models/recurrent/{framework}/run.json").read_bytes())
    assert run.threads == 1, "the best setting is trained with the experiment's threads, as by the stage train"
    one = THREADS.replace("2", "1")
    workspace.edit(THREADS, one)
    try:
        done = workspace.stage("search", "recurrent", framework)
    finally:
        workspace.edit(one, THREADS)
    assert done.returncode == 0, done.stderr
    assert rows_by_way(workspace, framework, "alone") == by_two
    if framework == "keras":  # whose batches have the experiment's threads each
        assert rows_by_way(workspace, framework, "batched") == batched


def ways(folder: Path) -> list[str]:
    """Return how the trials were trained whose lines are whole."""
    lines = [line for path in folder.glob("*/trials.jsonl") for line in path.read_bytes().split(b"\n")[:-1]]
    return [entry["trial"]["way"] for entry in map(json.loads, lines) if entry["entry"] == "trial"]


@pytest.mark.slow
def test_a_search_that_is_killed_leaves_no_process_and_goes_on(searched):
    workspace, framework, whole = searched
    search = subprocess.Popen(
        [sys.executable, "-m", "stages.search", "recurrent", framework],
        cwd=workspace.root, env=workspace.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    folder = workspace.root / ".searches/recurrent" / framework
    try:
        while "alone" not in ways(folder):
            assert search.poll() is None
            family = psutil.Process(search.pid).children(recursive=True)
            time.sleep(0.005)
    finally:
        search.kill()
        search.wait()
    assert len(family) == 2
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    assert workspace.stage("search", "recurrent", framework).returncode == 0
    assert record(workspace, framework) == whole
