"""A k-fold data set through the stages: each fold's network, its scaler, its scores, and no leak up to the weights."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from workspace import Workspace, divide_into_folds, make_workspace, write_raw_files

from tandem.config import KFold
from tandem.datasets import Rows
from tandem.folds import fold_interval
from tandem.records import DataDescription, EvaluationRecord, FoldRows, RunRecord, read_record
from tandem.splits import divide

pytestmark = pytest.mark.slow

EXPERIMENT, ROWS, FOLDS = "housing-mlp", 400, 3
SPLIT = "{method: k-fold, folds: 3, seed: 7, test: 0.25}"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which the houses are divided into folds."""
    workspace = make_workspace(tmp_path_factory.mktemp("folds"), suite=(EXPERIMENT,))
    divide_into_folds(workspace, "housing", SPLIT)
    write_raw_files(workspace.root)
    workspace.prepare("housing")
    return workspace


@pytest.fixture(scope="module")
def trained(prepared: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The same after training and evaluation."""
    root = tmp_path_factory.mktemp("trained") / "project"
    shutil.copytree(prepared.root, root)
    workspace = Workspace(root, prepared.environment | {"PYTHONPATH": str(root)})
    for stage in ("train", "evaluate"):
        workspace.run(sys.executable, "-m", f"stages.{stage}", EXPERIMENT, "torch")
    return workspace


def models_of(root: Path) -> dict[str, bytes]:
    folder = root / "models" / EXPERIMENT / "torch"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_each_replicate_is_trained_on_each_fold(trained):
    folder = trained.root / "models" / EXPERIMENT / "torch"
    run = read_record(RunRecord, folder / "run.json")
    assert [(entry.fold, entry.replicate, entry.seed) for entry in run.replicates] == [
        (fold, replicate, replicate) for fold in range(FOLDS) for replicate in range(2)
    ]
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {entry.name for entry in run.replicates}
    assert run.replicates[3].name == "replicate-1-fold-1"


def test_each_network_is_evaluated_on_its_own_folds_rows_as_training_saw_them(trained):
    record = read_record(EvaluationRecord, trained.root / "evaluation" / EXPERIMENT / "torch" / "evaluation.json")
    assert len(set(record.recorded_valid)) == 2 * FOLDS
    assert record.metrics["valid"]["loss"] == pytest.approx(list(record.recorded_valid), rel=1e-6)


def test_results_over_the_folds_follow_from_those_of_each(trained):
    folder = trained.root / "evaluation" / EXPERIMENT / "torch"
    record = read_record(EvaluationRecord, folder / "evaluation.json")
    assert record.folds is not None
    assert record.folds.protocol == "3-fold cross-validation"
    assert record.folds.rows == (FoldRows(repeat=0, train=200, valid=100),) * FOLDS
    assert record.folds.watched  # it stops early
    estimates = {(found.part, found.metric): found for found in record.folds.estimates}
    for part in ("valid", "test"):
        found = estimates[part, "mse"]
        expected = np.reshape(record.metrics[part]["mse"], (FOLDS, 2)).mean(axis=1)
        assert found.values == pytest.approx(expected)
        assert found.interval == fold_interval(found.values, record.folds.rows, (0.0, np.inf))
    predictions, targets = np.load(folder / "predictions.npy"), np.load(folder / "targets.npy")
    assert predictions.shape == (2 * FOLDS, 100)
    assert np.square(predictions - targets).mean(axis=1) == pytest.approx(record.metrics["test"]["mse"])


def test_new_rows_are_predicted_by_the_network_and_the_scaler_of_a_fold(trained):
    raw = np.load(trained.root / "data/split/housing/test/features.npy")[:5]
    np.save(trained.root / "rows.npy", raw)
    stored = np.load(trained.root / "evaluation" / EXPERIMENT / "torch" / "predictions.npy")
    done = trained.tandem("predict", EXPERIMENT, "rows.npy", "-F", "torch", "--replicate", "1", "--fold", "1")
    assert done.returncode == 0, done.stderr
    values = [float(line.rpartition(",")[2]) for line in done.stdout.splitlines()[1:]]
    assert values == pytest.approx(stored[3][:5], rel=1e-5)  # fold after fold, two replicates each
    done = trained.tandem("predict", EXPERIMENT, "rows.npy", "-F", "torch", "--fold", "3")
    assert done.returncode == 1
    assert done.stderr.strip() == "error: fold 3 of 'housing-mlp' is not there; allowed: 0 to 2"


def test_a_leak_planted_outside_of_a_fold_leaves_its_trained_weights_as_they_are(prepared, trained, tmp_path):
    """From the raw file on: huge values, which tell the target, in all rows that fold 0 does not train on."""
    root = tmp_path / "leaking"
    shutil.copytree(prepared.root, root)
    workspace = Workspace(root, prepared.environment | {"PYTHONPATH": str(root)})
    plant(root)
    shutil.rmtree(root / "data/split")
    workspace.prepare("housing")
    workspace.run(sys.executable, "-m", "stages.train", EXPERIMENT, "torch")
    same_scaler = [
        (trained.root / file).read_bytes() == (root / file).read_bytes()
        for file in (f"data/scale/housing/fold-{fold}.json" for fold in range(FOLDS))
    ]
    assert same_scaler == [True, False, False]
    clean, leaking = models_of(trained.root), models_of(root)
    same_weights = {name for name, data in clean.items() if name.endswith("model.pt") and leaking[name] == data}
    assert same_weights == {"replicate-0-fold-0/model.pt", "replicate-1-fold-0/model.pt"}


def plant(root: Path) -> None:
    file = root / "data/raw/housing/cal_housing.data"
    table = np.loadtxt(file, delimiter=",")
    declared = KFold(method="k-fold", folds=FOLDS, seed=7, test=0.25)
    parts = divide(Rows(np.arange(ROWS)[:, None], np.zeros(ROWS)), None, declared)
    inside = parts.fit.features[parts.folds[0].train, 0]
    outside = np.setdiff1d(np.arange(ROWS), inside)
    table[outside, 7] = 1e4 * table[outside, 8]  # the income tells the house's value, in another size
    np.savetxt(file, table, delimiter=",", fmt="%.6f")


def test_a_training_killed_in_the_middle_of_a_fold_goes_on_there(trained, tmp_path):
    root = tmp_path / "killed"
    shutil.copytree(trained.root, root)
    shutil.rmtree(root / "models")
    progress = root / "progress"
    progress.touch()
    more = {"TANDEM_CHECKPOINT_SECONDS": "0", "DVCGRAPH_PROGRESS": str(progress), "PYTHONPATH": str(root)}

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "stages.train", EXPERIMENT, "torch"],
            cwd=root, env=trained.environment | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    process = start()
    try:
        while process.poll() is None and progress.read_text().count("\n") < 5:  # fold 1: two epochs and replicates
            time.sleep(0.001)
    finally:
        process.kill()
        process.communicate()
    told = progress.read_text().count("\n")
    process = start()
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert progress.read_text().count("\n") - told < 4 * FOLDS, "it began anew"
    assert models_of(root) == models_of(trained.root)
    assert not [path for path in (root / ".checkpoints").rglob("*") if path.is_file()]


def test_the_description_names_the_folds(prepared):
    found = read_record(DataDescription, prepared.root / "data/split/housing/fit/description.json")
    assert found.protocol == "3-fold cross-validation"
    assert [fold.valid for fold in found.folds] == [100] * FOLDS
