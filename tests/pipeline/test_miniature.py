"""Every committed experiment runs, in miniature, through its stages in both frameworks.

Those of the tutorials that are many of a kind take minutes together, and run apart.
"""

from __future__ import annotations

import html
import json
import sys

import pytest
from workspace import BASE, REPOSITORY, Workspace, make_workspace, write_raw_files

from tandem.config import read_params
from tandem.records import EvaluationRecord, RunRecord, read_record

PARAMS = read_params(REPOSITORY / "params.yaml")
OTHERS = tuple(name for name in PARAMS.experiments if name not in BASE)
FRAMEWORKS = ("keras", "torch")
# Dropout draws from each framework's own random numbers.
DETERMINED = tuple(
    name
    for name, experiment in PARAMS.experiments.items()
    if "dropout" not in json.dumps(experiment.model.model_dump(exclude_none=True))
)
MAY_DIVERGE = {name for name in OTHERS if name.endswith(("-unscaled", "-too-fast", "-rate-3e-2"))}
# One process a framework, so that it is imported once.
TRAIN = """
import sys
from stages import evaluate, parity, train
framework, *experiments = sys.argv[1:]
for experiment in experiments:
    train.main([experiment, framework])
    evaluate.main([experiment, framework])
    parity.main([experiment, framework])
"""
REPORT = """
import sys
from stages import compare, index, ladder, report
for experiment in sys.argv[1:]:
    compare.main([experiment, "keras torch"])
    ladder.main([experiment, "keras torch"])
    report.main([experiment, "keras torch"])
index.main([])
"""


@pytest.fixture(scope="module", params=[BASE, pytest.param(OTHERS, marks=pytest.mark.long)], ids=["base", "others"])
def experiments(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return request.param


@pytest.fixture(scope="module")
def workspace(experiments: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = make_workspace(tmp_path_factory.mktemp("miniature"), suite=experiments)
    write_raw_files(workspace.root)
    for dataset in {PARAMS.experiments[experiment].dataset for experiment in experiments}:
        workspace.prepare(dataset)
    for framework in FRAMEWORKS:
        workspace.run(sys.executable, "-c", TRAIN, framework, *experiments)
    workspace.run(sys.executable, "-c", REPORT, *experiments)
    return workspace


def test_both_frameworks_have_the_same_parameters_and_epochs(workspace, experiments):
    for experiment in experiments:
        keras, torch = (
            read_record(RunRecord, workspace.root / "models" / experiment / framework / "run.json")
            for framework in FRAMEWORKS
        )
        assert keras.model.parameters == torch.model.parameters, experiment
        assert keras.model.trainable == torch.model.trainable, experiment
        assert [entry.epochs for entry in keras.replicates] == [entry.epochs for entry in torch.replicates], experiment
        if experiment not in MAY_DIVERGE:
            assert all(entry.outcome != "diverged" for entry in (*keras.replicates, *torch.replicates)), experiment


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_evaluating_the_saved_model_reproduces_the_recorded_validation_loss(workspace, experiments, framework):
    for experiment in experiments:
        path = workspace.root / "evaluation" / experiment / framework / "evaluation.json"
        record = read_record(EvaluationRecord, path)
        if "valid" not in record.metrics:
            assert PARAMS.datasets[PARAMS.experiments[experiment].dataset].split.valid == 0
            continue
        pairs = zip(record.metrics["valid"]["loss"], record.recorded_valid, strict=True)
        for evaluated, recorded in pairs:
            assert evaluated == (None if recorded is None else pytest.approx(recorded, rel=1e-6)), experiment


def test_metrics_are_finite_and_a_page_is_written(workspace, experiments):
    for experiment in experiments:
        for framework in FRAMEWORKS:
            metrics = json.loads((workspace.root / "metrics" / experiment / f"{framework}.json").read_text())
            if experiment not in MAY_DIVERGE:
                assert all(value is not None for value in metrics.values()), experiment
        page = (workspace.root / "reports" / f"{experiment}.html").read_text(encoding="utf-8")
        assert html.escape(PARAMS.experiments[experiment].description) in page


def test_without_dropout_both_frameworks_have_the_same_losses(workspace, experiments):
    for experiment in (name for name in experiments if name in DETERMINED):
        histories = [
            (workspace.root / "history" / experiment / f"{framework}.csv").read_text().splitlines()
            for framework in FRAMEWORKS
        ]
        assert histories[0][0] == histories[1][0]
        for keras, torch in zip(histories[0][1:], histories[1][1:], strict=True):
            assert [float(value) for value in keras.split(",")] == pytest.approx(
                [float(value) for value in torch.split(",")], rel=1e-3
            ), experiment


def test_nothing_half_written_and_no_checkpoint_is_left(workspace):
    assert not list(workspace.root.rglob("*.partial-*"))
    assert not [path for path in (workspace.root / ".checkpoints").rglob("*") if path.is_file()]
