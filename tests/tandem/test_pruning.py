"""Pruning takes the smallest weights of all kernels, and scores what is left."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tandem.config import read_params
from tandem.datasets import Rows
from tandem.errors import ParameterError
from tandem.frameworks import load_framework
from tandem.models import ModelDeclaration, resolve
from tandem.pruning import kernels, prune, pruning_record, score_pruned

LAYERS = [{"dense": {"units": 6, "activation": "relu"}}, {"dense": {"units": 5, "activation": "tanh"}}]
DECLARED = ModelDeclaration.model_validate_json(json.dumps({"sequential": LAYERS}))
CLASSES = resolve(DECLARED, (4,), "classification", "cross_entropy", 3)
VALUES = resolve(DECLARED, (4,), "regression", "mse", 0)
NUMPY = load_framework("numpy")


def made_weights() -> dict[str, np.ndarray]:
    network = NUMPY.build(CLASSES, seed=1, constants="aligned")
    generator = np.random.default_rng(2)
    return {name: generator.normal(size=array.shape) for name, array in NUMPY.weights(network).items()}


def test_kernels_are_pruned_and_nothing_else():
    assert kernels(CLASSES) == ("dense_1/kernel", "dense_2/kernel", "output/kernel")
    recurrent = ModelDeclaration.model_validate_json(json.dumps({"sequential": [{"lstm": {"units": 2}}]}))
    architecture = resolve(recurrent, (3, 4), "regression", "mse", 0)
    assert kernels(architecture) == ("lstm_1/kernel", "lstm_1/recurrent_kernel", "output/kernel")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_the_smallest_of_all_kernels_together_become_zero(share):
    weights = made_weights()
    before = {name: array.copy() for name, array in weights.items()}
    pruned = prune(weights, kernels(CLASSES), share)
    everything = np.concatenate([weights[name].ravel() for name in kernels(CLASSES)])
    threshold = np.sort(np.abs(everything))[round(share * everything.size)]
    for name, array in weights.items():
        np.testing.assert_array_equal(array, before[name])
        expected = np.where(np.abs(array) < threshold, 0, array) if name.endswith("/kernel") else array
        np.testing.assert_array_equal(pruned[name], expected)
    shares = [np.mean(pruned[name] == 0) for name in kernels(CLASSES)]
    assert len(set(shares)) > 1, "each kernel loses its own share"


def test_the_share_is_exact_where_weights_are_equal():
    weights = {"a/kernel": np.full((2, 3), -1.0), "b/kernel": np.ones(4)}
    pruned = prune(weights, ("a/kernel", "b/kernel"), 0.7)
    assert pruned["a/kernel"].tolist() == [[0, 0, 0], [0, 0, 0]]
    assert pruned["b/kernel"].tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(("architecture", "metric"), [(CLASSES, "accuracy"), (VALUES, "mse")])
def test_a_pruned_network_is_scored_with_what_is_left(architecture, metric):
    network = NUMPY.build(architecture, seed=1, constants="aligned")
    generator = np.random.default_rng(4)
    features = generator.normal(size=(300, 4)).astype(np.float32)
    raw = NUMPY.predict(network, features)[0]
    classified = architecture.task == "classification"
    targets = raw.argmax(axis=1).astype(np.int32) if classified else raw[:, 0]
    scores = score_pruned(NUMPY, network, architecture, (0.3, 0.999), Rows(features, targets))
    assert scores[0][metric] == (1 if classified else 0), "the whole network made the targets"
    left = NUMPY.weights(network)
    assert sum(np.count_nonzero(left[name]) for name in kernels(architecture)) == 0
    constant = np.mean(targets == 0) if classified else np.mean(targets**2)  # biases are zero
    assert scores[2][metric] == pytest.approx(constant, rel=1e-6)
    between = sorted([scores[0][metric], scores[2][metric]])
    assert between[0] < scores[1][metric] < between[1]


def test_a_training_that_diverged_has_no_scores():
    scores = [{"accuracy": 0.9, "log_loss": 0.1}, {"accuracy": 0.5, "log_loss": float("inf")}]
    record = pruning_record(CLASSES, (0.5,), [scores, None])
    assert record.weights == 4 * 6 + 6 * 5 + 5 * 3
    assert [(level.share, level.metrics) for level in record.levels] == [
        (0.0, {"accuracy": (0.9, None), "log_loss": (0.1, None)}),
        (0.5, {"accuracy": (0.5, None), "log_loss": (None, None)}),
    ]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("[0.5, 0.2]", "44: experiments.coffee.pruning: [0.5, 0.2]: each share must be greater than the one before"),
        ("[0.5, 1.0]", "44: experiments.coffee.pruning[1]: 1.0: must be less than 1"),
        ("0.5", "44: experiments.coffee.pruning: 0.5: must be a list"),
    ],
)
def test_a_mistake_is_told(write_params, declared, message):
    path = write_params(("checkpoint: last}\n", f"checkpoint: last}}\n    pruning: {declared}\n"))
    with pytest.raises(ParameterError) as caught:
        read_params(path)
    assert str(caught.value).splitlines()[0].partition("params.yaml:")[2] == message
