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


# ----------------------------------------------------------------------------------- what training records


def test_an_epochs_values_are_the_mean_loss_and_the_metric():
    values = metrics.epoch_values(network(), [PREDICTIONS[:, None]], VALUES)
    assert values == pytest.approx(
        {"loss": ((PREDICTIONS - VALUES) ** 2).mean(), "mae": abs(PREDICTIONS - VALUES).mean()}
    )
    raw = [np.log(PROBABILITIES)]
    values = metrics.epoch_values(network("classification", "cross_entropy", 4), raw, LABELS)
    assert list(values) == ["loss", "accuracy"]
    assert values["loss"] == pytest.approx(sklearn.metrics.log_loss(LABELS, PROBABILITIES))
    assert values["accuracy"] == (PROBABILITIES.argmax(axis=1) == LABELS).mean()


def test_two_heads_give_the_sum_of_their_losses_and_each_one():
    raw = [PREDICTIONS[:, None], VALUES[:, None] + 2]
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
    raw = np.zeros((4, units))
    raw[1] = bad
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = metrics.epoch_values(network(task, loss, classes), [raw], np.array([0, 1, 0, 1]))
    if np.isnan(bad) or (task == "regression" and np.isinf(bad)):
        assert not math.isfinite(values["loss"])
