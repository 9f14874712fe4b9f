"""Data with two features through the stages: outputs between the rows, calibration, and the page that shows both."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator
from workspace import Workspace, make_workspace

from tandem.records import EvaluationRecord, read_record
from tandem.surfaces import lay_grid

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Coffee after training and evaluation in PyTorch."""
    workspace = make_workspace(tmp_path_factory.mktemp("pictures"), suite=("coffee",))
    workspace.prepare("coffee")
    workspace.run(sys.executable, "-m", "stages.check")
    for stage in ("train", "evaluate"):
        workspace.run(sys.executable, "-m", f"stages.{stage}", "coffee", "torch")
    return workspace


def load(workspace: Workspace, path: str) -> np.ndarray:
    return np.load(workspace.root / path, allow_pickle=False)


def test_the_surface_is_what_the_saved_networks_predict_between_the_rows(evaluated: Workspace) -> None:
    rows = load(evaluated, "data/split/coffee/fit/folds/0/train.npy")
    grid = lay_grid(load(evaluated, "data/split/coffee/fit/features.npy")[rows])
    surface = load(evaluated, "evaluation/coffee/torch/surface.npy")
    tested = load(evaluated, "evaluation/coffee/torch/test_features.npy")
    assert surface.shape == (2, len(grid.points), 2)
    assert surface.dtype == np.float32
    assert np.array_equal(tested, load(evaluated, "data/split/coffee/test/features.npy"))
    probabilities = load(evaluated, "evaluation/coffee/torch/probabilities.npy")
    for drawn, predicted in zip(surface, probabilities, strict=True):
        table = drawn.reshape(*map(len, grid.axes), 2)
        assert RegularGridInterpolator(grid.axes, table)(tested) == pytest.approx(predicted, abs=1e-3)


def test_the_evaluation_says_how_far_probabilities_can_be_believed(evaluated: Workspace) -> None:
    found = read_record(EvaluationRecord, evaluated.root / "evaluation/coffee/torch/evaluation.json").calibration
    assert found is not None
    assert (found.rows, found.replicates) == (300, 2)
    assert sum(b.count for b in found.bins) == 600


def test_the_page_shows_boundary_and_calibration(evaluated: Workspace) -> None:
    evaluated.run(sys.executable, "-m", "stages.parity", "coffee", "torch")
    for stage in ("ladder", "compare", "report"):
        evaluated.run(sys.executable, "-m", f"stages.{stage}", "coffee", "torch")
    page = (evaluated.root / "reports/coffee.html").read_text(encoding="utf-8")
    assert "Decision boundary of PyTorch" in page
    assert "Reliability diagram of PyTorch" in page
    assert len(page) < 400_000
