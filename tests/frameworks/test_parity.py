"""Keras and PyTorch compute the same from one declaration; each runs in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import KINDS, OPTIMIZERS
from worker import DEEPLY

FOLDER = Path(__file__).parent
UNTRAINED = {"float64": 1e-12, "float32": 1e-5}
TRAINED = {"float64": 1e-12, "float32": 1e-4}


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("parity")
    environment = dict(os.environ) | {"PYTHONPATH": str(FOLDER.parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
    sides = {}
    for framework in ("keras", "torch"):
        file = folder / f"{framework}.npz"
        command = [sys.executable, str(FOLDER / "worker.py"), framework, str(file)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        with np.load(file, allow_pickle=False) as arrays:
            sides[framework] = dict(arrays)
    return sides


def largest_relative_difference(sides: dict[str, dict[str, np.ndarray]], key: str) -> float:
    keras, torch = sides["keras"][key], sides["torch"][key]
    assert keras.shape == torch.shape
    assert np.isfinite(keras).all()
    assert np.ptp(keras) > 0, "equal outputs prove nothing"
    return float(np.abs(keras - torch).max() / np.abs(keras).max())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_untrained_outputs_agree(sides, kind, dtype):
    assert largest_relative_difference(sides, f"{kind}/{dtype}/sgd/untrained") <= UNTRAINED[dtype]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_agree_after_ten_steps_of_gradient_descent(sides, kind, dtype):
    assert largest_relative_difference(sides, f"{kind}/{dtype}/sgd/trained") <= TRAINED[dtype]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", DEEPLY)
def test_every_optimiser_agrees_after_ten_steps_in_float64(sides, kind, optimizer):
    assert largest_relative_difference(sides, f"{kind}/float64/{optimizer}/trained") <= TRAINED["float64"]


@pytest.mark.parametrize("kind", KINDS)
def test_ten_steps_change_the_outputs(sides, kind):
    for side in sides.values():
        before, after = (side[f"{kind}/float64/sgd/{state}"] for state in ("untrained", "trained"))
        assert np.abs(before - after).max() > 1e-3 * np.abs(before).max()


@pytest.mark.parametrize("kind", KINDS)
def test_every_array_agrees_after_ten_steps_running_statistics_too(sides, kind):
    prefix = f"{kind}/float64/sgd/weights/"
    names = [key for key in sides["keras"] if key.startswith(prefix)]
    assert names
    assert names == [key for key in sides["torch"] if key.startswith(prefix)]
    for name in names:
        np.testing.assert_allclose(sides["torch"][name], sides["keras"][name], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_the_epochs_loss_and_metric_agree(sides, kind):
    key = f"{kind}/float64/sgd/totals"
    np.testing.assert_allclose(sides["torch"][key], sides["keras"][key], rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_parameter_counts_agree(sides, kind):
    architecture = KINDS[kind].architecture
    arrays = [parameter for layer in architecture.layers for parameter in layer.parameters]
    expected = [
        sum(int(np.prod(array.shape)) for array in arrays),
        sum(int(np.prod(array.shape)) for array in arrays if array.trainable),
    ]
    for side in sides.values():
        assert side[f"{kind}/parameters"].tolist() == expected


@pytest.mark.parametrize("constants", ["aligned", "native"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_network_loads_with_the_same_predictions(sides, kind, constants):
    for side in sides.values():
        np.testing.assert_array_equal(side[f"{kind}/{constants}/loaded"], side[f"{kind}/{constants}/saved"])


@pytest.mark.parametrize("kind", KINDS)
def test_saving_twice_gives_the_same_bytes(sides, kind):
    for side in sides.values():
        assert side[f"{kind}/aligned/same bytes"]


def test_native_initial_weights_differ_between_the_frameworks(sides):
    kind = "dense-relu"
    keras, torch = (sides[name][f"{kind}/native/saved"] for name in ("keras", "torch"))
    assert np.abs(keras - torch).max() > 0.01
