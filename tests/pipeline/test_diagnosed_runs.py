"""Real trainings that show one case each, diagnosed alike in each framework."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tandem.diagnosis import ReplicateDiagnosis
from tandem.frameworks import framework_names
from tandem.records import History

WORKER = Path(__file__).parent / "diagnosis_worker.py"
DIGITS = ("deep sigmoid", "deep relu", "dead", "tiny", "memorising")
GENUINE = ("housing", "large steps", "raw pixels")

pytestmark = pytest.mark.slow


def train(framework: str, cases: tuple[str, ...]) -> dict[str, tuple[ReplicateDiagnosis, History]]:
    environment = os.environ | {"PYTHONPATH": str(WORKER.parents[2]), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, str(WORKER), framework, *cases]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return {
        case: (ReplicateDiagnosis.model_validate(found["diagnosis"]), History.model_validate(found["history"]))
        for case, found in json.loads(done.stdout.splitlines()[-1]).items()
    }


def cases_of(found: ReplicateDiagnosis) -> list[str]:
    return [diagnosis.case for diagnosis in found.diagnoses]


@pytest.fixture(scope="module", params=framework_names())
def digits(request):
    return train(request.param, DIGITS)


@pytest.fixture(scope="module", params=framework_names())
def genuine(request):
    return train(request.param, GENUINE)


def test_the_gradients_of_twenty_sigmoid_layers_vanish(digits):
    found, history = digits["deep sigmoid"]
    assert cases_of(found) == ["vanishing gradients"]
    layers = list(history.gradient_norms.values())
    assert len(layers) == 21
    assert all(len(norms) == len(history.epochs) + 1 for norms in layers)
    assert layers[0][0] < 1e-9 * layers[-1][0]


def test_those_of_twenty_relu_layers_that_have_not_started_either_do_not(digits):
    found, history = digits["deep relu"]
    assert "vanishing gradients" not in cases_of(found)
    assert found.learned < 0.05
    layers = list(history.gradient_norms.values())
    assert layers[0][0] > 0.01 * layers[-1][0]


def test_one_step_that_is_too_large_leaves_dead_units(digits):
    found, history = digits["dead"]
    assert cases_of(found) == ["dead units"]
    first = next(iter(history.gradient_norms.values()))
    assert first[0] > 0
    assert first[-1] == 0


def test_one_hidden_unit_underfits(digits):
    found, _ = digits["tiny"]
    assert "underfitting" in cases_of(found)
    assert "overfitting" not in cases_of(found)
    assert 0.05 < found.learned < 0.5


def test_two_hundred_rows_are_memorised(digits):
    found, history = digits["memorising"]
    assert found.diagnoses[0].case == "overfitting"
    assert found.diagnoses[0].title == "Overfitting: the training rows are memorised"
    assert history.columns["train_accuracy"][-1] == 1.0


@pytest.mark.data
def test_a_learning_rate_of_one_diverges(genuine):
    found, _ = genuine["large steps"]
    assert cases_of(found) == ["divergence", "exploding gradients"]


@pytest.mark.data
def test_the_same_network_with_small_steps_is_healthy(genuine):
    found, _ = genuine["housing"]
    assert found.diagnoses[0].case in ("still learning", "converged")
    assert len(found.diagnoses) == 1
    assert found.learned > 0.6


@pytest.mark.data
def test_raw_pixels_diverge_or_stay_at_chance(genuine):
    """M1b: which of the two happens is a matter of the seed and the framework."""
    found, history = genuine["raw pixels"]
    assert found.diagnoses[0].case in ("divergence", "dead units", "bottleneck", "vanishing gradients")
    accuracies = [value for value in history.columns["valid_accuracy"] if value is not None]
    assert found.diagnoses[0].case == "divergence" or accuracies[-1] < 0.2
