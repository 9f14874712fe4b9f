"""Losses and metrics against scikit-learn's and against their formulas."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import sklearn.metrics

from tandem import metrics
from tandem.models import ModelDeclaration, resolve

GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(0, 4, 300)
PROBABILITIES = GENERATOR.dirichlet(np.ones(4), 300)
VALUES = GENERATOR.normal(3, 2, 300)
PREDICTIONS = VALUES + GENERATOR.normal(0, 0.5, 300)


def network(task="regression", loss="mse", classes=0, heads=("joint",)):
    several = {"wide_deep": {"hidden": (3,), "outputs": heads}}
    declared = several if len(heads) > 1 else {"sequential": ()}
    return resolve(ModelDeclaration.model_validate(declared), (2,), task, loss, classes)


def test_classification_metrics_are_scikit_learns():
    found = metrics.compute("classification", LABELS, PROBABILITIES)
    assert list(found) == list(metrics.METRICS["classification"])
    assert found["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(LABELS, PROBABILITIES.argmax(axis=1)))
    assert found["log_loss"] == pytest.approx(sklearn.metrics.log_loss(LABELS, PROBABILITIES))


def test_regression_metrics_are_scikit_learns():
    found = metrics.compute("regression", VALUES, PREDICTIONS)
    assert list(found) == list(metrics.METRICS["regression"])
    assert found["mse"] == pytest.approx(sklearn.metrics.mean_squared_error(VALUES, PREDICTIONS))
    assert found["rmse"] == pytest.approx(sklearn.metrics.root_mean_squared_error(VALUES, PREDICTIONS))
    assert found["mae"] == pytest.approx(sklearn.metrics.mean_absolute_error(VALUES, PREDICTIONS))
    assert found["r2"] == pytest.approx(sklearn.metrics.r2_score(VALUES, PREDICTIONS))


def test_a_probability_of_zero_costs_much_but_not_infinitely():
    found = metrics.compute("classification", np.array([0]), np.array([[0.0, 1.0]]))
    assert found["log_loss"] == pytest.approx(-math.log(1e-15))


def test_r2_of_equal_targets_is_not_a_number():
    assert math.isnan(metrics.compute("regression", np.ones(3), np.arange(3.0))["r2"])


def test_the_main_metric_and_its_direction_are_known_for_each_task():
    for task, main in metrics.MAIN_METRIC.items():
        assert metrics.METRICS[task][0] == main
    assert frozenset({"accuracy", "r2"}) == metrics.HIGHER_IS_BETTER


# ------------------------------------------------------------------------------------------------- losses


def test_squared_and_absolute_error_are_those_of_each_sample():
    raw, targets = PREDICTIONS[:, None, None], VALUES
    assert metrics.sample_losses(network(loss="mse"), raw, targets)[:, 0] == pytest.approx((PREDICTIONS - VALUES) ** 2)
    assert metrics.sample_losses(network(loss="mae"), raw, targets)[:, 0] == pytest.approx(abs(PREDICTIONS - VALUES))


def test_cross_entropy_is_the_logarithm_of_the_softmax():
    raw = np.array([[[1.3, 0.1, 0.3]], [[0.9, 1.2, 0.9]], [[0.5, 1.4, 0.2]]])
    losses = metrics.sample_losses(network("classification", "cross_entropy", 3), raw, np.array([1, 2, 0]))
    softmax = np.exp(raw[:, 0]) / np.exp(raw[:, 0]).sum(axis=1, keepdims=True)
    assert losses[:, 0] == pytest.approx(-np.log(softmax[[0, 1, 2], [1, 2, 0]]))


def test_binary_cross_entropy_is_the_logarithm_of_the_sigmoid():
    raw, targets = np.array([[[2.0]], [[-1.0]], [[0.5]]]), np.array([1, 1, 0])
    losses = metrics.sample_losses(network("classification", "binary_cross_entropy", 2), raw, targets)
    p = 1 / (1 + np.exp(-raw[:, 0, 0]))
    assert losses[:, 0] == pytest.approx([-np.log(p[0]), -np.log(p[1]), -np.log(1 - p[2])])


def test_squared_error_of_classes_is_taken_on_probabilities():
    raw, targets = np.array([[[2.0]], [[-1.0]]]), np.array([1, 1])
    p = 1 / (1 + np.exp(-raw[:, 0, 0]))
    assert metrics.sample_losses(network("classification", "mse", 2), raw, targets)[:, 0] == pytest.approx((p - 1) ** 2)
    raw, targets = np.array([[[0.0, 0.0, 0.0, 0.0]]]), np.array([2])
    losses = metrics.sample_losses(network("classification", "mse", 4), raw, targets)
    assert losses[0, 0] == pytest.approx((3 * 0.25**2 + 0.75**2) / 4)


@pytest.mark.parametrize(
    ("loss", "classes", "raw", "target", "expected"),
    [
        ("cross_entropy", 2, [1000.0, -1000.0], 0, 0.0),
        ("cross_entropy", 2, [1000.0, -1000.0], 1, 2000.0),
        ("binary_cross_entropy", 2, [1000.0], 1, 0.0),
        ("binary_cross_entropy", 2, [1000.0], 0, 1000.0),
        ("binary_cross_entropy", 2, [-1000.0], 1, 1000.0),
    ],
)
def test_losses_of_large_logits_are_exact_and_warn_of_nothing(loss, classes, raw, target, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = metrics.sample_losses(network("classification", loss, classes), np.array([[raw]]), np.array([target]))
    assert found[0, 0] == pytest.approx(expected)


def test_outputs_of_single_precision_are_computed_in_double():
    raw = np.full((3, 1, 1), 0.1, dtype=np.float32)
    found = metrics.sample_losses(network(), raw, np.zeros(3, dtype=np.float32))
    assert found.dtype == np.float64
    assert found[0, 0] == float(np.float32(0.1)) ** 2


# ----------------------------------------------------------------------------------- what training records


def test_an_epochs_values_are_the_mean_loss_and_the_metric():
    values = metrics.epoch_values(network(), PREDICTIONS[:, None, None], VALUES)
    assert values == pytest.approx(
        {"loss": ((PREDICTIONS - VALUES) ** 2).mean(), "mae": abs(PREDICTIONS - VALUES).mean()}
    )
    raw = np.log(PROBABILITIES)[:, None, :]
    values = metrics.epoch_values(network("classification", "cross_entropy", 4), raw, LABELS)
    assert list(values) == ["loss", "accuracy"]
    assert values["loss"] == pytest.approx(sklearn.metrics.log_loss(LABELS, PROBABILITIES))
    assert values["accuracy"] == (PROBABILITIES.argmax(axis=1) == LABELS).mean()


def test_two_heads_give_the_sum_of_their_losses_and_each_one():
    raw = np.stack([PREDICTIONS[:, None], VALUES[:, None] + 2], axis=1)
    values = metrics.epoch_values(network(heads=("joint", "deep")), raw, VALUES)
    assert values["loss_joint"] == pytest.approx(((PREDICTIONS - VALUES) ** 2).mean())
    assert values["loss_deep"] == pytest.approx(4)
    assert values["loss"] == pytest.approx(values["loss_joint"] + 4)
    assert values["mae"] == pytest.approx(abs(PREDICTIONS - VALUES).mean())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
@pytest.mark.parametrize(
    ("task", "loss", "classes", "units"),
    [
        ("regression", "mse", 0, 1),
        ("classification", "cross_entropy", 3, 3),
        ("classification", "binary_cross_entropy", 2, 1),
        ("classification", "mse", 2, 1),
    ],
)
def test_a_diverged_networks_outputs_give_values_and_no_warning(bad, task, loss, classes, units):
    raw = np.zeros((4, 1, units))
    raw[1] = bad
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = metrics.epoch_values(network(task, loss, classes), raw, np.array([0, 1, 0, 1]))
    if np.isnan(bad) or (task == "regression" and np.isinf(bad)):
        assert not math.isfinite(values["loss"])
