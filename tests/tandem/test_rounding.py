"""Telling a difference from what float32 leaves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tandem import metrics
from tandem.records import Interval
from tandem.rounding import is_rounding, rounding_reach

TARGETS = 3 + np.random.default_rng(7).standard_normal(500)


def interval(value, low, high):
    return Interval(value=value, low=low, high=high, over="test samples", n=100)


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (interval(9e-9, 8e-9, 1e-8), True),
        (interval(0.0, 0.0, 0.0), True),
        (interval(0.0, -0.007, 0.007), False),  # equal by chance: other samples would part them
        (interval(1e-3, 5e-4, 2e-3), False),
        (interval(None, None, None), False),
    ],
)
def test_only_an_interval_that_is_all_rounding_counts(difference, expected):
    assert is_rounding(difference, 0.36e-6) is expected


def test_without_values_nothing_is_rounding():
    reach = rounding_reach("mse", (float("nan"), 0.36), TARGETS)
    assert reach is None
    assert not is_rounding(interval(0.0, 0.0, 0.0), reach)


@pytest.mark.parametrize("error", [1e-12, 8e-6, 0.36, 30.0])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e5])
def test_predictions_that_differ_by_rounding_have_metrics_that_differ_by_rounding(error, scale):
    draw = np.random.default_rng(0)
    targets = scale * TARGETS
    first = targets + math.sqrt(error) * scale * draw.standard_normal(len(targets))
    second = first + 2e-7 * np.sqrt(np.square(targets).mean()) * draw.standard_normal(len(targets))
    for metric, value in metrics.compute("regression", targets, first).items():
        other = metrics.compute("regression", targets, second)[metric]
        reach = rounding_reach(metric, (value, other), targets)
        assert reach is not None
        assert abs(other - value) <= reach, metric
        assert reach < 0.01 * abs(value) or error == 1e-12, metric


def test_far_from_0_no_more_than_a_hundredth_of_an_error_is_rounding():
    pressure = 101325 + 0.3 * TARGETS  # in pascal; one unit in float32's last place is 0.008
    assert rounding_reach("rmse", (0.25, 0.28), pressure) == pytest.approx(0.0028)
    assert rounding_reach("mse", (0.0625, 0.0784), pressure) == pytest.approx(0.000784)
    assert rounding_reach("r2", (0.1, 0.3), pressure) == pytest.approx(0.009)


def test_a_share_and_a_loss_of_classes_are_measured_against_themselves():
    labels = np.array([0, 1, 2, 2])
    assert rounding_reach("accuracy", (0.5, 0.75), labels) == pytest.approx(0.75e-6)
    assert rounding_reach("log_loss", (0.2, 0.1), labels) == pytest.approx(0.2e-6)


def test_constant_targets_have_no_variance_to_measure_r2_by():
    assert rounding_reach("r2", (0.5, 0.5), np.full(5, 3.0)) == pytest.approx(0.5e-6)
