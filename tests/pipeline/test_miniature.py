"""Every committed experiment runs, in miniature, through its stages in both frameworks."""

from __future__ import annotations

import html
import json
import sys

import pytest
from workspace import REPOSITORY, Workspace, make_workspace, write_raw_files

from tandem.config import read_params
from tandem.records import EvaluationRecord, RunRecord, read_record

PARAMS = read_params(REPOSITORY / "params.yaml")
EXPERIMENTS = tuple(PARAMS.experiments)
FRAMEWORKS = ("keras", "torch")
# Dropout draws from each framework's own random numbers.
DETERMINED = tuple(
    name
    for name, experiment in PARAMS.experiments.items()
    if "dropout" not in json.dumps(experiment.model.model_dump(exclude_none=True))
)
# One process a framework, so that it is imported once.
TRAIN = """
import sys
from stages import evaluate, train
framework, *experiments = sys.argv[1:]
for experiment in experiments:
    train.main([experiment, framework])
    evaluate.main([experiment, framework])
"""
REPORT = """
import sys
from stages import compare, report, index
for experiment in sys.argv[1:]:
    compare.main([experiment, "keras torch"])
    report.main([experiment, "keras torch"])
index.main([])
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = make_workspace(tmp_path_factory.mktemp("miniature"), suite=EXPERIMENTS)
    write_raw_files(workspace.root)
    for dataset in {experiment.dataset for experiment in PARAMS.experiments.values()}:
        workspace.prepare(dataset)
    for framework in FRAMEWORKS:
        workspace.run(sys.executable, "-c", TRAIN, framework, *EXPERIMENTS)
    workspace.run(sys.executable, "-c", REPORT, *EXPERIMENTS)
    return workspace


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_both_frameworks_have_the_same_parameters_and_epochs(workspace, experiment):
    keras, torch = (
        read_record(RunRecord, workspace.root / "models" / experiment / framework / "run.json")
        for framework in FRAMEWORKS
    )
    assert keras.model.parameters == torch.model.parameters
    assert keras.model.trainable == torch.model.trainable
    assert [entry.epochs for entry in keras.replicates] == [entry.epochs for entry in torch.replicates]
    assert all(entry.outcome != "diverged" for entry in (*keras.replicates, *torch.replicates))


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_evaluating_the_saved_model_reproduces_the_recorded_validation_loss(workspace, experiment, framework):
    path = workspace.root / "evaluation" / experiment / framework / "evaluation.json"
    record = read_record(EvaluationRecord, path)
    if "valid" not in record.metrics:
        assert PARAMS.datasets[PARAMS.experiments[experiment].dataset].split.valid == 0
        return
    assert record.metrics["valid"]["loss"] == pytest.approx(list(record.recorded_valid), rel=1e-6)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_metrics_are_finite_and_a_page_is_written(workspace, experiment):
    for framework in FRAMEWORKS:
        metrics = json.loads((workspace.root / "metrics" / experiment / f"{framework}.json").read_text())
        assert all(value is not None for value in metrics.values())
    page = (workspace.root / "reports" / f"{experiment}.html").read_text(encoding="utf-8")
    assert html.escape(PARAMS.experiments[experiment].description) in page


@pytest.mark.parametrize("experiment", DETERMINED)
def test_without_dropout_both_frameworks_have_the_same_losses(workspace, experiment):
    histories = [
        (workspace.root / "history" / experiment / f"{framework}.csv").read_text().splitlines()
        for framework in FRAMEWORKS
    ]
    assert histories[0][0] == histories[1][0]
    for keras, torch in zip(histories[0][1:], histories[1][1:], strict=True):
        assert [float(value) for value in keras.split(",")] == pytest.approx(
            [float(value) for value in torch.split(",")], rel=1e-3
        )


def test_nothing_half_written_and_no_checkpoint_is_left(workspace):
    assert not list(workspace.root.rglob("*.partial-*"))
    assert not [path for path in (workspace.root / ".checkpoints").rglob("*") if path.is_file()]
