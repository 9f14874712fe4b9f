"""Losses against their formulas, and the output layer that each asks for."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tandem.losses import LOSSES, allowed_losses, output_layer, sample_losses

GENERATOR = np.random.default_rng(0)
VALUES = GENERATOR.normal(3, 2, 300)
PREDICTIONS = VALUES + GENERATOR.normal(0, 0.5, 300)
LOGITS = np.array([[1.3, 0.1, 0.3], [0.9, 1.2, 0.9], [0.5, 1.4, 0.2]])
LABELS = np.array([1, 2, 0])


def test_squared_and_absolute_error_are_those_of_each_sample():
    errors = PREDICTIONS - VALUES
    assert sample_losses("mse", PREDICTIONS[:, None], VALUES, "linear") == pytest.approx(errors**2)
    assert sample_losses("squared_error_sum", PREDICTIONS[:, None], VALUES, "linear") == pytest.approx(errors**2)
    assert sample_losses("mae", PREDICTIONS[:, None], VALUES, "linear") == pytest.approx(abs(errors))


def test_several_outputs_share_a_target_and_their_errors_are_averaged():
    raw, targets = np.array([[1.0, 3.0], [2.0, 2.0]]), np.array([0.0, 1.0])
    assert sample_losses("mse", raw, targets, "linear").tolist() == [5.0, 1.0]
    assert sample_losses("mae", raw, targets, "linear").tolist() == [2.0, 1.0]


@pytest.mark.parametrize("loss", ["cross_entropy", "categorical_cross_entropy"])
def test_cross_entropy_is_the_logarithm_of_the_softmax(loss):
    softmax = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    assert sample_losses(loss, LOGITS, LABELS, "softmax") == pytest.approx(-np.log(softmax[[0, 1, 2], LABELS]))


def test_binary_cross_entropy_is_the_logarithm_of_the_sigmoid():
    raw, targets = np.array([[2.0], [-1.0], [0.5]]), np.array([1, 1, 0])
    p = 1 / (1 + np.exp(-raw[:, 0]))
    found = sample_losses("binary_cross_entropy", raw, targets, "sigmoid")
    assert found == pytest.approx([-np.log(p[0]), -np.log(p[1]), -np.log(1 - p[2])])


def test_squared_error_of_classes_is_taken_on_probabilities():
    raw, targets = np.array([[2.0], [-1.0]]), np.array([1, 1])
    p = 1 / (1 + np.exp(-raw[:, 0]))
    assert sample_losses("mse", raw, targets, "sigmoid") == pytest.approx((p - 1) ** 2)
    found = sample_losses("mse", np.zeros((1, 4)), np.array([2]), "softmax")
    assert found[0] == pytest.approx((3 * 0.25**2 + 0.75**2) / 4)


@pytest.mark.parametrize(
    ("loss", "raw", "target", "expected"),
    [
        ("cross_entropy", [1000.0, -1000.0], 0, 0.0),
        ("cross_entropy", [1000.0, -1000.0], 1, 2000.0),
        ("categorical_cross_entropy", [1000.0, -1000.0], 1, 2000.0),
        ("binary_cross_entropy", [1000.0], 1, 0.0),
        ("binary_cross_entropy", [1000.0], 0, 1000.0),
        ("binary_cross_entropy", [-1000.0], 1, 1000.0),
    ],
)
def test_losses_of_large_logits_are_exact_and_warn_of_nothing(loss, raw, target, expected):
    output, _ = output_layer("classification", loss, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = sample_losses(loss, np.array([raw]), np.array([target]), output)
    assert found[0] == pytest.approx(expected)


def test_outputs_of_single_precision_are_computed_in_double():
    raw = np.full((3, 1), 0.1, dtype=np.float32)
    found = sample_losses("mse", raw, np.zeros(3, dtype=np.float32), "linear")
    assert found.dtype == np.float64
    assert found[0] == float(np.float32(0.1)) ** 2


def test_a_task_takes_the_losses_that_fit_it():
    assert allowed_losses("regression", 0) == ("mse", "squared_error_sum", "mae")
    assert allowed_losses("classification", 2) == (
        "cross_entropy", "categorical_cross_entropy", "binary_cross_entropy", "mse",
    )  # fmt: skip
    assert "binary_cross_entropy" not in allowed_losses("classification", 3)
    assert set(allowed_losses("regression", 0)) | set(allowed_losses("classification", 2)) == set(LOSSES)
