"""The tutorials' results on the genuine data, in both frameworks, from the committed declarations."""

from __future__ import annotations

import os
import re
import statistics
import sys
from pathlib import Path

import pytest
from workspace import REPOSITORY, Workspace, make_workspace

from tandem.records import EvaluationRecord, RunRecord, read_record
from tandem.searches.records import SearchRecord

pytestmark = [pytest.mark.slow, pytest.mark.data]
FRAMEWORKS = ("keras", "torch")
# Experiment → what the tutorials print: parameters, and the accuracy or the bound of the median test MSE.
ACCURACIES = {"fashion-mlp": (266_610, 0.8794), "fashion-selu-alpha-dropout": (271_410, 0.8568)}
ERRORS = {"housing-mlp": (301, 0.40), "housing-wide-deep": (1_176, 0.38)}
PARAMETERS = {"housing-wide-deep-one-input": 1_239, "housing-wide-deep-two-outputs": 1_207}
TOLERANCE = 0.015
TRAIN = """
import sys
from stages import evaluate, train
framework, *experiments = sys.argv[1:]
for experiment in experiments:
    train.main([experiment, framework])
    evaluate.main([experiment, framework])
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, mirror: Path) -> Workspace:
    made = make_workspace(tmp_path_factory.mktemp("genuine"), suite=(*ACCURACIES, *ERRORS))
    # Fewer replicates than declared, so that it takes minutes: five of the housing networks, one of the others.
    params = re.sub(r"\breplicates: [1-9]\b", "replicates: 1", (REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    (made.root / "params.yaml").write_text(params.replace("replicates: 10", "replicates: 5"), encoding="utf-8")
    workspace = Workspace(made.root, made.environment | {"TANDEM_DATA": str(mirror)})
    for dataset in ("fashion", "housing"):
        workspace.prepare(dataset)
    for framework in FRAMEWORKS:
        workspace.run(sys.executable, "-c", TRAIN, framework, *ERRORS, *PARAMETERS)
    return workspace


@pytest.fixture(scope="module")
def fashion(workspace: Workspace) -> Workspace:
    """The workspace, with the experiments on images trained too, which takes minutes."""
    for framework in FRAMEWORKS:
        workspace.run(sys.executable, "-c", TRAIN, framework, *ACCURACIES)
    return workspace


def results(workspace: Workspace, experiment: str, framework: str, metric: str) -> list[float]:
    path = workspace.root / "evaluation" / experiment / framework / "evaluation.json"
    values = read_record(EvaluationRecord, path).metrics["test"][metric]
    return [float("inf") if value is None else value for value in values]


def parameters(workspace: Workspace, experiment: str, framework: str) -> int:
    return read_record(RunRecord, workspace.root / "models" / experiment / framework / "run.json").model.parameters


@pytest.mark.long
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("experiment", ACCURACIES)
def test_accuracy_is_the_tutorials(fashion, experiment, framework):
    count, accuracy = ACCURACIES[experiment]
    assert parameters(fashion, experiment, framework) == count
    (found,) = results(fashion, experiment, framework, "accuracy")
    assert found >= accuracy - TOLERANCE


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("experiment", ERRORS)
def test_the_median_error_of_five_seeds_is_the_tutorials(workspace, experiment, framework):
    count, bound = ERRORS[experiment]
    assert parameters(workspace, experiment, framework) == count
    found = results(workspace, experiment, framework, "mse")
    assert len(found) == 5
    assert statistics.median(found) <= bound


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("experiment", PARAMETERS)
def test_parameter_counts_are_the_tutorials(workspace, experiment, framework):
    assert parameters(workspace, experiment, framework) == PARAMETERS[experiment]


def test_a_mirror_folder_is_used_and_no_network(workspace):
    raw = {path.name for path in (workspace.root / "data/raw/fashion").iterdir()}
    assert os.environ["TANDEM_DATA"]
    assert len(raw) == 4
    assert {path.name for path in (workspace.root / "data/raw/housing").iterdir()} == {"cal_housing.data"}


@pytest.mark.long
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_tutorials_grid_has_all_its_trainings_and_a_better_winner(workspace, framework):
    workspace.run(sys.executable, "-m", "stages.search", "housing-grid", framework)
    path = workspace.root / "trials" / "housing-grid" / framework / "search.json"
    record = read_record(SearchRecord, path)
    assert len(record.trials) == 150
    assert {len(trial.folds) for trial in record.trials} == {5}
    assert {trial.state for trial in record.trials} <= {"finished", "diverged"}
    assert record.best is not None
    assert record.trials[record.best].value >= 0.59
