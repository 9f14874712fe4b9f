"""A search in the product's own graph: killed at any moment, several at once, and by the command line."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from workspace import Workspace, make_workspace, outs_of, read_lock

from tandem.config import parse_params, read_params
from tandem.records import RunRecord, read_record
from tandem.searches.records import SearchRecord

ENTRY = "from flows.command_line import main; main()"
SEARCHES = """\
  cancer:
    description: Rates and sizes of batches.
    experiment: breast-cancer-mlp
    strategy: grid
    space:
      optimizer.learning_rate: {choices: [0.001, 0.003, 0.01]}
      training.batch_size: {choices: [32, 64]}
    protocol: {method: k-fold, folds: 2, stratify: true}
    metric: log_loss
    epochs: 30
    batch: 2
  rule:
    description: Rates for a rule.
    experiment: five-rule
    strategy: random
    space:
      optimizer.learning_rate: {log_uniform: [0.001, 0.1]}
    budget: {trials: 3}
    metric: accuracy
    epochs: 3
    frameworks: [torch]
  other-rule:
    description: Sizes of batches for a rule.
    experiment: five-rule
    strategy: grid
    space:
      training.batch_size: {choices: [10, 20, 40]}
    metric: log_loss
    epochs: 3
    frameworks: [torch]
"""


def files(root: Path, *folders: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in folders
        for path in (root / folder).rglob("*")
        if path.is_file()
    }


# ------------------------------------------------------------------------------------- killed, and gone on


@pytest.fixture(scope="module", params=["torch", pytest.param("keras", marks=pytest.mark.long)])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str, dict]:
    """A workspace in which the search was trained unkilled, the framework, and the bytes of what it wrote."""
    workspace = make_workspace(tmp_path_factory.mktemp(f"search-{request.param}"), searches=SEARCHES)
    workspace.prepare("breast-cancer")
    done = workspace.stage("search", "cancer", request.param)
    assert done.returncode == 0, done.stderr
    written = files(workspace.root, "models", "trials", "history")
    assert written
    for name in ("models", "trials", "history", "timings", "logs"):
        shutil.rmtree(workspace.root / name)
    return workspace, request.param, written


def told(workspace: Workspace) -> list[dict]:
    """Return the progress lines that are there in full."""
    text = (workspace.root / "progress").read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def start(workspace: Workspace, framework: str) -> subprocess.Popen[str]:
    (workspace.root / "progress").write_text("")
    more = {"TANDEM_CHECKPOINT_SECONDS": "0", "DVCGRAPH_PROGRESS": str(workspace.root / "progress")}
    return subprocess.Popen(
        [sys.executable, "-m", "stages.search", "cancer", framework],
        cwd=workspace.root, env=workspace.environment | more,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def kill_when(workspace: Workspace, framework: str, ready: Callable[[list[dict]], bool]) -> None:
    """Kill the stage with SIGKILL as soon as it has told enough."""
    process = start(workspace, framework)
    try:
        while not ready(told(workspace)):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.001)
    finally:
        process.kill()
        process.communicate()


def trials(lines: list[dict]) -> int:
    return max((line["search"]["trials"] for line in lines if "search" in line), default=0)


def refit_epochs(lines: list[dict]) -> int:
    return sum("epoch" in line for line in lines)


@pytest.mark.slow
def test_a_search_killed_among_its_trials_and_in_the_training_of_the_best_ends_with_the_same_bytes(whole):
    workspace, framework, written = whole
    kill_when(workspace, framework, lambda lines: trials(lines) >= 1)
    (journal,) = (workspace.root / ".searches/cancer" / framework).glob("*/trials.jsonl")
    recorded = journal.read_text().count('"trial":{')
    assert recorded >= 1
    kill_when(workspace, framework, lambda lines: refit_epochs(lines) >= 5)
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    numbers = Counter(entry["trial"]["number"] for entry in entries if entry["entry"] == "trial")
    assert numbers == Counter(range(6)), "a trial was repeated, or is missing"
    before = journal.read_bytes()
    last = start(workspace, framework)
    output, _ = last.communicate()
    assert last.returncode == 0, output
    assert "goes on from its checkpoint" in output
    assert before, "the trials were there, and none was added"
    assert not journal.exists()
    assert files(workspace.root, "models", "trials", "history") == written
    assert not files(workspace.root, ".searches", ".checkpoints")


def test_the_trials_are_a_table_and_the_best_setting_is_a_declaration(whole):
    workspace, framework, written = whole
    header, *rows = written[f"trials/cancer/{framework}/trials.csv"].decode().splitlines()
    assert header == ("trial,batch,state,log_loss,epochs,way,optimizer.learning_rate,training.batch_size,fold 0,fold 1")
    assert [row.split(",")[:3] for row in rows] == [[str(n), str(n // 2), "finished"] for n in range(6)]
    record = SearchRecord.model_validate_json(written[f"trials/cancer/{framework}/search.json"])
    best = record.trials[record.best]
    assert best.value == min(trial.value for trial in record.trials)
    assert [fold.train + fold.valid for fold in record.folds] == [319, 319]

    name = f"cancer-{framework}"
    yaml = written[f"trials/cancer/{framework}/best.yaml"].decode()
    entry = yaml.partition("experiments:\n")[2]
    path = workspace.root / "params.yaml"
    text = path.read_text(encoding="utf-8").replace("\nexperiments:\n", f"\nexperiments:\n{entry}", 1)
    declared = parse_params(text, path).experiments[name]
    assert declared.optimizer.learning_rate == best.parameters["optimizer.learning_rate"]
    assert declared.training.batch_size == best.parameters["training.batch_size"]
    assert declared.training.epochs == 30
    run = RunRecord.model_validate_json(written[f"models/cancer/{framework}/run.json"])
    assert run.declaration == declared.model_dump(mode="json", exclude_none=True)


# ---------------------------------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A git and DVC repository whose suite holds no search."""
    folder = tmp_path_factory.mktemp("searches")
    workspace = make_workspace(folder, suite=("five-rule",), searches=SEARCHES, repository=True)
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(LEASE_RECORDER, encoding="utf-8")
    (folder / "leases-seen").mkdir()
    return Workspace(
        workspace.root,
        workspace.environment
        | {"PYTHONPATH": f"{workspace.root}:{site}", "TANDEM_TEST_LEASES": str(folder / "leases-seen")},
    )


# Writes down when a process of the stage `search` began and ended, and on which device.
LEASE_RECORDER = """
import atexit, os, sys, time
if "stages.search" in sys.orig_argv:
    began = time.monotonic_ns()
    def write():
        line = f"{os.environ.get('TANDEM_DEVICE')} {began} {time.monotonic_ns()}"
        with open(os.path.join(os.environ["TANDEM_TEST_LEASES"], str(os.getpid())), "w") as file:
            file.write(line)
    atexit.register(write)
"""


def tandem(workspace: Workspace, *arguments: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ENTRY, *arguments],
        cwd=workspace.root, env=workspace.environment | more,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def searched(project: Workspace) -> tuple[str, ...]:
    """What two commands said that searched at once, with one pretended GPU."""
    assert project.tandem("run", "check").returncode == 0  # makes Prefect's database, which two cannot at once
    running = [tandem(project, "search", name, TANDEM_DEVICES="gpu:0") for name in ("rule", "other-rule")]
    outputs = tuple(process.communicate()[0] for process in running)
    assert [process.returncode for process in running] == [0, 0], outputs
    return outputs


@pytest.mark.long
def test_several_searches_at_once_share_a_device_and_are_both_whole(project, searched):
    for name, output in zip(("rule", "other-rule"), searched, strict=True):
        assert f"'{name}' added to suite: searches: in params.yaml" in output
        assert f"report: {(project.root / f'reports/{name}.html').as_uri()}" in output
        assert "torch: best of 3 trials is " in output
    seen = [path.read_text().split() for path in Path(project.environment["TANDEM_TEST_LEASES"]).iterdir()]
    assert [device for device, _, _ in seen] == ["gpu:0", "gpu:0"]
    (_, _, first_end), (_, second_begin, _) = sorted(seen, key=lambda entry: int(entry[1]))
    assert int(first_end) <= int(second_begin), "two searches had one device at once"
    assert set(read_params(project.root / "params.yaml").suite.searches) == {"rule", "other-rule"}


@pytest.mark.slow
@pytest.mark.usefixtures("searched")
def test_a_search_that_is_up_to_date_is_not_repeated_and_its_best_predicts(project):
    done = project.tandem("search", "rule")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n8 unchanged\n" in done.stdout
    assert project.dvc("status", "report@rule").strip() == "Data and pipelines are up to date."
    rows = project.root / "rows.csv"
    names = json.loads((project.root / "data/split/five-rule/fit/description.json").read_text())["columns"]
    rows.write_text(",".join(column["name"] for column in names) + "\n0.9,0.1,0.1,0.1,0.2\n")
    predicted = project.tandem("predict", "rule", "rows.csv", "-F", "torch")
    assert predicted.returncode == 0, predicted.stderr
    assert len(predicted.stdout.splitlines()) == 2


def test_an_unknown_name_and_framework_are_told_with_the_nearest(project):
    before = (project.root / "params.yaml").read_bytes()
    done = project.tandem("search", "cancre")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: search 'cancre' is not declared under searches in params.yaml; allowed: cancer, housing-controller, "
        "housing-genetic, housing-grid, housing-grid-random, housing-hyperband, housing-random, housing-tpe, "
        "other-rule, rule; did you mean 'cancer'?\n"
    )
    done = project.tandem("search", "cancer", "-F", "troch")
    assert done.returncode == 1
    assert done.stderr == (
        "error: search 'cancer' has no framework 'troch'; allowed: keras, torch; did you mean 'torch'?\n"
    )
    done = project.tandem("run", "cancer")
    assert done.stderr == (
        "error: 'cancer' is a search that is not in the suite; `tandem search cancer` adds and runs it\n"
    )
    assert (project.root / "params.yaml").read_bytes() == before


@pytest.mark.slow
@pytest.mark.usefixtures("searched")
def test_results_of_a_search_that_is_no_longer_planned_leave_the_workspace(project):
    path = project.root / "params.yaml"
    params = read_params(path)
    listed = f"  searches: [{', '.join(params.suite.searches)}]\n"
    text = path.read_text(encoding="utf-8")
    assert listed in text
    path.write_text(text.replace(listed, "  searches: [other-rule]\n"))
    assert (project.root / "trials/rule").exists()
    done = project.tandem("plan")
    assert "results of other plans left the workspace" in done.stdout
    assert not (project.root / "trials/rule").exists()
    assert (project.root / "trials/other-rule/torch/search.json").exists()
    assert not [
        path
        for path in outs_of(read_lock(project))
        if path.startswith("models/rule") and (project.root / path).exists()
    ]
    read_record(SearchRecord, project.root / "trials/other-rule/torch/search.json")


@pytest.mark.slow
def test_ctrl_c_leaves_no_process_and_keeps_the_trials(project):
    path = project.root / "params.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("    epochs: 3\n    frameworks", "    epochs: 2000\n    frameworks")
    )
    runner = tandem(project, "search", "rule")
    journals = project.root / ".searches/rule/torch"
    try:
        while not any('"entry":"trial"' in file.read_text() for file in journals.glob("*/trials.jsonl")):
            assert runner.poll() is None, runner.communicate()[0]
            time.sleep(0.05)
        family = psutil.Process(runner.pid).children(recursive=True)
        assert any("stages.search" in process.cmdline() for process in family)
    finally:
        runner.send_signal(signal.SIGINT)
        output, _ = runner.communicate(timeout=100)
    assert runner.returncode == 130, output
    assert "interrupted; finished stages are recorded, run again to go on" in output
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    (journal,) = journals.glob("*/trials.jsonl")
    assert journal.stat().st_size
