"""Intervals: their coverage, their pairing and their formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tandem import metrics
from tandem.statistics import LEVEL, RESAMPLES, resampled_metrics, sample_interval, seed_interval


def interval(task, targets, outputs, metric):
    point, resamples = resampled_metrics(task, targets, outputs)
    return sample_interval(point[metric], resamples[metric], len(targets))


def test_all_right_still_leaves_room_for_other_samples():
    found = sample_interval(1.0, np.ones(RESAMPLES), 100, share=True)
    assert (found.low, found.high) == (pytest.approx(0.025 ** (1 / 100)), 1.0)
    found = sample_interval(0.0, np.zeros(RESAMPLES), 100, share=True)
    assert (found.low, found.high) == (0.0, pytest.approx(1 - 0.025 ** (1 / 100)))


def test_an_interval_over_seeds_stays_within_what_the_metric_can_be():
    found = seed_interval([0.99, 1.0, 0.95], (0.0, 1.0))
    assert found is not None
    assert found.high == 1.0
    assert found.low is not None
    assert found.low < 0.95


def test_the_value_is_the_metric_on_all_samples():
    generator = np.random.default_rng(0)
    targets = generator.normal(size=500)
    outputs = targets + generator.normal(size=500)
    point, resamples = resampled_metrics("regression", targets, [outputs])
    assert point == pytest.approx(metrics.compute("regression", targets, outputs))
    assert set(resamples) == set(point)
    assert all(values.shape == (RESAMPLES,) for values in resamples.values())


def test_resamples_are_metrics_of_rows_drawn_with_replacement():
    generator = np.random.default_rng(1)
    targets = generator.normal(size=40)
    outputs = targets + generator.normal(size=40)
    _, resamples = resampled_metrics("regression", targets, [outputs])
    expected = [
        metrics.compute("regression", targets[rows], outputs[rows])["r2"]
        for rows in np.random.default_rng(2).integers(0, 40, (4_000, 40))
    ]
    assert np.median(resamples["r2"]) == pytest.approx(np.median(expected), abs=0.02)
    assert resamples["r2"].std() == pytest.approx(np.std(expected), rel=0.1)


@pytest.mark.parametrize(("share", "count"), [(0.8, 100), (0.5, 60)])
def test_the_interval_of_an_accuracy_covers_the_true_one_as_often_as_it_says(share, count):
    generator = np.random.default_rng(3)
    covered = []
    for _ in range(200):
        right = generator.random(count) < share
        outputs = np.where(right[:, None], [0.9, 0.1], [0.2, 0.8])
        found = interval("classification", np.zeros(count, dtype=int), [outputs], "accuracy")
        covered.append(found.low <= share <= found.high)
    assert 0.90 <= np.mean(covered) <= 0.985


def test_the_interval_of_an_error_covers_the_true_one_as_often_as_it_says():
    generator = np.random.default_rng(4)
    covered = []
    for _ in range(200):
        targets = generator.normal(size=80)
        found = interval("regression", targets, [targets + generator.normal(0, 2, 80)], "mae")
        covered.append(found.low <= 2 * np.sqrt(2 / np.pi) <= found.high)
    assert 0.90 <= np.mean(covered) <= 0.985


def test_more_samples_give_a_narrower_interval():
    generator = np.random.default_rng(5)

    def width(count):
        targets = generator.normal(size=count)
        found = interval("regression", targets, [targets + generator.normal(size=count)], "mae")
        return found.high - found.low

    assert width(10_000) < 0.2 * width(100)


def test_differences_on_the_same_rows_are_narrower_than_on_different_ones():
    generator = np.random.default_rng(6)
    targets = generator.normal(size=400)
    shared = generator.normal(0, 3, 400)
    outputs = [targets + shared, targets + shared + generator.normal(0, 0.1, 400)]
    (_, first), (_, second) = (resampled_metrics("regression", targets, [output]) for output in outputs)
    paired = np.ptp(np.quantile(second["mse"] - first["mse"], [0.025, 0.975]))
    shuffled = np.random.default_rng(7).permutation(first["mse"])
    unpaired = np.ptp(np.quantile(second["mse"] - shuffled, [0.025, 0.975]))
    assert paired < 0.2 * unpaired


def test_two_calls_draw_the_same_rows():
    targets, outputs = np.arange(50.0), np.arange(50.0)[::-1]
    (_, first), (_, second) = (resampled_metrics("regression", targets, [outputs]) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_replicates_are_averaged_sample_by_sample():
    targets = np.array([0.0, 0.0])
    point, _ = resampled_metrics("regression", targets, [np.array([1.0, 1.0]), np.array([3.0, 3.0])])
    assert point["mse"] == 5  # (1 + 9) / 2, not the square of the mean
    assert point["mae"] == 2


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_handful_of_samples_still_gives_an_interval(count):
    targets = np.arange(float(count))
    found = interval("regression", targets, [targets + 1], "mse")
    assert (found.low, found.value, found.high, found.n) == (1, 1, 1, count)


def test_r2_on_resamples_of_one_value_is_left_out_of_the_interval():
    targets = np.array([0.0, 1.0])
    found = interval("regression", targets, [targets + 0.1], "r2")
    assert found.low == pytest.approx(0.96)
    assert found.high == pytest.approx(0.96)


def test_r2_keeps_its_digits_for_targets_far_from_zero():
    generator = np.random.default_rng(8)
    targets = 1e6 + generator.normal(size=200)
    outputs = targets + generator.normal(0, 0.3, 200)
    point, resamples = resampled_metrics("regression", targets, [outputs])
    expected = metrics.compute("regression", targets, outputs)["r2"]
    assert point["r2"] == pytest.approx(expected, abs=1e-6)
    far, near = resamples["r2"], resampled_metrics("regression", targets - 1e6, [outputs - 1e6])[1]["r2"]
    assert far == pytest.approx(near, abs=1e-4)


def test_many_samples_do_not_need_more_memory_at_once():
    """The draws are made in parts; a part's number does not change the result's size."""
    targets = np.zeros(30_000)
    _, resamples = resampled_metrics("regression", targets, [np.ones(30_000)])
    assert resamples["mse"].shape == (RESAMPLES,)
    assert np.all(resamples["mse"] == 1)


@pytest.mark.parametrize("values", [[0.1, 0.2], [1.0, 1.5, 1.2, 0.9, 1.1], [-3.0, 3.0, 0.0]])
def test_the_interval_over_seeds_is_students_t(values):
    found = seed_interval(values)
    low, high = stats.t.interval(LEVEL, len(values) - 1, np.mean(values), stats.sem(values))
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(values), low, high))
    assert (found.over, found.level, found.n) == ("seeds", 0.95, len(values))


def test_equal_seeds_give_an_interval_without_width():
    found = seed_interval([0.5, 0.5, 0.5])
    assert (found.low, found.value, found.high) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("values", [[], [0.5]])
def test_fewer_than_two_seeds_have_no_interval(values):
    assert seed_interval(values) is None
