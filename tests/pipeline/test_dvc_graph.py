"""The graph by real DVC: what runs, what re-runs, what each stage reads, and what DVC's commands say."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from workspace import (
    RECORDER,
    TIMED,
    Workspace,
    differing_outs,
    divide_into_folds,
    make_workspace,
    read_lock,
    untimed,
)

SUITE = ("five-rule", "digits-mlp")
SEARCH = """\
  digits-search:
    description: Two sizes of a layer.
    experiment: digits-mlp
    strategy: grid
    space:
      model.sequential.1.dense.units: {choices: [4, 12]}
    metric: accuracy
    epochs: 2
"""
DATA_FOLDERS = (
    "data/", "models/", "trials/", "timings/", "evaluation/", "parity/", "ladder/", "comparison/", "metrics/",
    "reports/",
)  # fmt: skip


@dataclass(frozen=True)
class Reproduced:
    """A workspace after ``dvc repro``, with what its stages' processes imported and opened."""

    workspace: Workspace
    output: str
    records: Path
    lock: dict


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Reproduced:
    folder = tmp_path_factory.mktemp("graph")
    workspace = make_folded_workspace(folder)
    records = folder / "records"
    records.mkdir()
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(RECORDER, encoding="utf-8")
    recorded = Workspace(
        workspace.root,
        workspace.environment
        | {"PYTHONPATH": f"{workspace.root}:{folder / 'site'}", "TANDEM_TEST_RECORDS": str(records)},
    )
    output = recorded.dvc("repro")
    return Reproduced(workspace, output, records, read_lock(workspace))


def make_folded_workspace(folder: Path) -> Workspace:
    """Make the workspace of these tests: one data set with a hold-out split, the other with two folds and a search."""
    workspace = make_workspace(folder, suite=SUITE, searches=SEARCH, repository=True)
    divide_into_folds(workspace, "digits", "{method: k-fold, folds: 2, seed: 7, stratify: true, test: 0.25}")
    workspace.edit("  searches: []\n", "  searches: [digits-search]\n")
    assert workspace.tandem("plan").returncode == 0
    workspace.run("git", "commit", "-q", "-a", "-m", "folds")
    return workspace


def ran(output: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", output))


def test_every_stage_runs_once(reproduced):
    runs = [f"{experiment}-{framework}" for experiment in SUITE for framework in ("keras", "torch")]
    expected = {"check", "index"}
    expected |= {f"{stage}@{name}" for stage in ("fetch", "split", "standardize") for name in ("five-rule", "digits")}
    searched = [f"digits-search-{framework}" for framework in ("keras", "torch")]
    expected |= {f"{stage}@{run}" for stage in ("parity", "train") for run in runs}
    expected |= {f"search@{run}" for run in searched} | {f"evaluate@{run}" for run in (*runs, *searched)}
    expected |= {f"ladder@{name}" for name in SUITE}
    expected |= {f"{stage}@{name}" for stage in ("compare", "report") for name in (*SUITE, "digits-search")}
    assert ran(reproduced.output) == expected


def test_a_second_run_does_nothing(reproduced):
    assert "Data and pipelines are up to date." in reproduced.workspace.dvc("repro")
    assert reproduced.workspace.dvc("status").strip() == "Data and pipelines are up to date."


def covered(path: str, declared: list[str]) -> bool:
    return any(path == dep or path.startswith(f"{dep}/") for dep in declared)


def test_a_page_of_folds_shows_them(reproduced):
    pages = {name: (reproduced.workspace.root / f"reports/{name}.html").read_text(encoding="utf-8") for name in SUITE}
    assert {name: '<section id="folds"' in page for name, page in pages.items()} == {
        "five-rule": False,
        "digits-mlp": True,
    }


def test_every_module_that_a_stage_imports_is_a_dependency_of_it(reproduced):
    missing = {}
    for stage, entry in reproduced.lock.items():
        lines = record_of(reproduced, entry["cmd"])
        imported = [line.removeprefix("import ") for line in lines if line.startswith("import ")]
        own = [path for path in imported if path.endswith(".py") and not path.endswith("stages/__init__.py")]
        assert any(path.startswith("stages/") for path in own), f"{stage} recorded nothing"
        deps = [dep["path"] for dep in entry["deps"]]
        lacking = [path for path in own if not covered(path, deps) and path != "tandem/__init__.py"]
        if lacking:
            missing[stage] = lacking
    assert not missing


def test_every_module_dependency_is_one_that_the_stage_imports(reproduced):
    unused = {}
    for stage, entry in reproduced.lock.items():
        imported = [line.removeprefix("import ") for line in record_of(reproduced, entry["cmd"])]
        code = [dep["path"] for dep in entry["deps"] if dep["path"].startswith(("tandem/", "stages/"))]
        extra = [dep for dep in code if not any(covered(path, [dep]) for path in imported)]
        # What sources share: which one uses it is not known in dvc.yaml.
        shared = {f"tandem/datasets/{name}.py" for name in ("download", "own", "tables")}
        extra = [dep for dep in extra if dep not in shared]
        if extra:
            unused[stage] = extra
    assert not unused


def test_every_data_file_that_a_stage_opens_is_a_dependency_or_out_of_it(reproduced):
    for stage, entry in reproduced.lock.items():
        opened = {
            line.removeprefix("open ") for line in record_of(reproduced, entry["cmd"]) if line.startswith("open ")
        }
        known = [part["path"] for kind in ("deps", "outs") for part in entry.get(kind, [])]
        strays = {
            path
            for path in opened
            if path.startswith(DATA_FOLDERS) and ".partial-" not in path and not covered(path, known)
        }
        assert not strays, f"{stage} opens {strays}"


def test_only_evaluate_opens_the_test_rows(reproduced):
    openers = {
        path.name.partition("-")[0]
        for path in reproduced.records.iterdir()
        for line in path.read_text().splitlines()
        if line.startswith("open ") and re.search(r"data/split/[^/]+/test/", line)
    }
    assert openers == {"stages.evaluate"}
    scalers = [f"open data/scale/digits/fold-{fold}.json" for fold in range(2)]
    for run in ("search-digits-search", "train-digits-mlp", "evaluate-digits-mlp"):
        opened = (reproduced.records / f"stages.{run}-torch").read_text().splitlines()
        assert set(scalers) <= set(opened)
    test_rows = {line for line in opened if line.startswith("open data/split/digits/test/")}
    assert test_rows == {f"open data/split/digits/test/{name}.npy" for name in ("features", "targets")}


def record_of(reproduced: Reproduced, command: str) -> list[str]:
    name = command.removeprefix("python -m ").replace('"', "")
    stage, _, rest = name.partition(" ")
    of_all = stage.removeprefix("stages.") in ("compare", "ladder", "report")  # their last argument has the frameworks
    arguments = [rest] if not rest else rest.split(" ", 1) if of_all else rest.split()
    file = "-".join([stage, *(part for part in arguments if part)]).replace(" ", "+")
    return (reproduced.records / file).read_text().splitlines()


def test_dvc_commands_say_something_sensible(reproduced):
    workspace = reproduced.workspace
    metrics = json.loads(workspace.dvc("metrics", "show", "--json"))[""]["data"]
    names = (*SUITE, "digits-search")
    assert set(metrics) == {f"metrics/{name}/{fw}.json" for name in names for fw in ("keras", "torch")}
    for shown in metrics.values():
        assert 0 <= shown["data"]["test_accuracy"] <= 1
    assert "train@five-rule-keras" in workspace.dvc("dag", "--mermaid")
    workspace.edit("{name: adam, learning_rate: 0.001}", "{name: adam, learning_rate: 0.002}")
    try:
        changed = workspace.dvc("params", "diff", "--json")
        assert "experiments.five-rule.optimizer.learning_rate" in changed
    finally:
        workspace.edit("{name: adam, learning_rate: 0.002}", "{name: adam, learning_rate: 0.001}")
    plots = json.loads(workspace.dvc("plots", "show", "--json", "-o", "plots"))
    assert any("history/five-rule/keras.csv" in name for name in plots["data"])


def test_push_and_pull_of_a_remote(reproduced, tmp_path):
    workspace = reproduced.workspace
    workspace.dvc("remote", "add", "--local", "-d", "store", str(tmp_path / "store"))
    workspace.dvc("push", "-q")
    model = workspace.root / "models/five-rule/torch/replicate-0/model.pt"
    before = model.read_bytes()
    workspace.run("git", "clone", "-q", str(workspace.root), str(tmp_path / "clone"))
    (tmp_path / "clone" / "dvc.lock").write_bytes((workspace.root / "dvc.lock").read_bytes())
    clone = Workspace(tmp_path / "clone", workspace.environment)
    clone.dvc("remote", "add", "--local", "-d", "store", str(tmp_path / "store"))
    clone.dvc("pull", "-q")
    assert (clone.root / model.relative_to(workspace.root)).read_bytes() == before


def test_the_flow_leaves_what_dvc_repro_leaves(reproduced, tmp_path):
    """A fresh run by the Prefect flow gives the same bytes, timed outs aside, and nothing for DVC to do."""
    other = make_folded_workspace(tmp_path)
    done = other.tandem("run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "report: file://" in done.stdout
    assert other.dvc("status").strip() == "Data and pipelines are up to date."
    assert not ran(other.dvc("repro"))
    lock = read_lock(other)
    assert untimed(lock) == untimed(reproduced.lock)
    timed = {path for path in differing_outs(lock, reproduced.lock) if TIMED.fullmatch(path)}
    assert timed, "nothing holds a wall-clock time: the list of exceptions is not needed"


def test_a_learning_rate_re_runs_its_own_experiment_alone(reproduced):
    workspace = reproduced.workspace
    workspace.edit("{name: adam, learning_rate: 0.001}", "{name: adam, learning_rate: 0.01}")
    output = workspace.dvc("repro")
    runs = ("five-rule-keras", "five-rule-torch")
    assert ran(output) == {
        "check", "ladder@five-rule", "compare@five-rule", "report@five-rule", "index",
        *(f"{stage}@{run}" for stage in ("parity", "train", "evaluate") for run in runs),
    }  # fmt: skip


def test_a_margin_of_equivalence_compares_again_and_trains_nothing(reproduced):
    workspace = reproduced.workspace
    path = workspace.root / "params.yaml"
    before = path.read_text(encoding="utf-8")
    margin = "{experiment: five-rule, metric: accuracy, margin: 0.02, relative: false}"
    path.write_text(f"{before}\nequivalence:\n  - {margin}\n", encoding="utf-8")
    try:
        assert ran(workspace.dvc("repro")) == {
            "check", "compare@five-rule", "compare@digits-mlp", "compare@digits-search", "report@five-rule", "index",
        }  # fmt: skip
        record = json.loads((workspace.root / "comparison/five-rule/comparison.json").read_text(encoding="utf-8"))
        margins = {entry["metric"]: entry["equivalence"]["margin"] for entry in record["differences"]}
        assert margins["accuracy"] == {"size": 0.02, "relative": False}
    finally:
        path.write_text(before, encoding="utf-8")


def test_a_run_that_is_not_planned_is_refused_before_anything_runs(reproduced):
    workspace = reproduced.workspace
    workspace.edit("  experiments: [five-rule, digits-mlp]", "  experiments: [five-rule, coffee]")
    try:
        done = workspace.call(sys.executable, "-m", "dvc", "repro")
        assert done.returncode != 0
        assert (
            "error: runs.yaml: not the plan of params.yaml: it lacks coffee-keras, coffee-torch; has digits-mlp-keras, "
            "digits-mlp-torch, which the suite does not; run `tandem plan`"
        ) in done.stdout + done.stderr
        assert ran(done.stdout) == {"check"}
    finally:
        workspace.edit("  experiments: [five-rule, coffee]", "  experiments: [five-rule, digits-mlp]")
