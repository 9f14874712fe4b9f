"""Intervals: their coverage, their pairing and their formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tandem import metrics, statistics
from tandem.statistics import (
    LEVEL,
    RESAMPLES,
    crossed_interval,
    resampled_differences,
    resampled_metrics,
    sample_interval,
    seed_interval,
)


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


def test_an_interval_of_another_level_and_over_folds_is_students_t_too():
    values = [1.0, 1.5, 1.2, 0.9, 1.1]
    found = seed_interval(values, level=0.9)
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.9, 4, np.mean(values), stats.sem(values)))
    error = np.std(values, ddof=1) * np.sqrt(1 / 5 + 1 / 4)  # five folds: n_test / n_train is 1/4
    folds = seed_interval(values, overlap=1 / 4)
    assert (folds.low, folds.high) == pytest.approx(stats.t.interval(LEVEL, 4, np.mean(values), error))


def both(targets, first, second, metric="mse", task="regression"):
    (one, _), (other, _) = (resampled_metrics(task, targets, outputs) for outputs in (first, second))
    resamples = resampled_differences(task, targets, first, second)
    return crossed_interval(other[metric] - one[metric], resamples[metric], len(targets)), resamples[metric]


def simulated(generator, rows, replicates, of_rows, of_replicates):
    """Return targets of 0 and outputs whose squared errors differ by row and by replicate effects around 0."""
    effect = of_rows * generator.normal(size=rows) + of_replicates * generator.normal(size=(replicates, 1))
    return np.zeros(rows), list(np.sqrt(np.full((replicates, rows), 10.0))), list(np.sqrt(10.0 + effect))


@pytest.mark.parametrize(("of_rows", "of_replicates"), [(1.0, 0.02), (0.05, 0.3), (1.0, 0.15)])
def test_the_interval_over_rows_and_replicates_covers_what_varies(monkeypatch, of_rows, of_replicates):
    """The bootstrap of 10 replicates is a little narrow: it has (n - 1)/n of their variance, and no t."""
    monkeypatch.setattr(statistics, "RESAMPLES", 300)
    generator = np.random.default_rng(9)
    covered = []
    for _ in range(150):
        drawn = resampled_differences("regression", *simulated(generator, 60, 10, of_rows, of_replicates))["mse"]
        low, high = np.quantile(drawn, [0.025, 0.975])
        covered.append(low <= 0 <= high)
    assert 0.86 <= np.mean(covered) <= 1.0


def test_over_replicates_that_differ_the_interval_is_wider_than_over_rows_alone():
    generator = np.random.default_rng(10)
    targets, first, second = simulated(generator, 400, 8, 0.1, 0.5)
    found, _ = both(targets, first, second)
    alone = [resampled_metrics("regression", targets, outputs)[1]["mse"] for outputs in (first, second)]
    low, high = np.quantile(alone[1] - alone[0], [0.025, 0.975])
    assert found.high - found.low > 5 * (high - low)
    assert (found.over, found.n) == ("test samples and seeds", 400)


def test_equal_replicates_leave_the_rows_alone_to_vary():
    generator = np.random.default_rng(11)
    targets = generator.normal(size=200)
    first, second = [targets + 1.0] * 6, [targets + generator.normal(1, 0.1, 200)] * 6
    _, resamples = both(targets, first, second)
    alone = [resampled_metrics("regression", targets, outputs)[1]["mse"] for outputs in (first, second)]
    assert resamples == pytest.approx(alone[1] - alone[0])


@pytest.mark.parametrize("metric", ["mse", "rmse", "mae", "r2"])
def test_differences_over_both_are_metrics_of_rows_and_replicates_drawn_with_replacement(metric):
    generator = np.random.default_rng(12)
    targets = generator.normal(size=60)
    first, second = ([targets + generator.normal(0, width, 60) for _ in range(5)] for width in (1.0, 0.8))
    _, resamples = both(targets, first, second, metric)
    expected = []
    for _ in range(1000):
        rows, replicates = generator.integers(0, 60, 60), generator.integers(0, 5, 5)
        drawn = [resample(targets, outputs, rows, replicates) for outputs in (first, second)]
        expected.append(drawn[1][metric] - drawn[0][metric])
    assert np.mean(resamples) == pytest.approx(np.mean(expected), abs=0.1 * np.std(expected))
    assert np.std(resamples) == pytest.approx(np.std(expected), rel=0.1)


def resample(targets, outputs, rows, replicates):
    errors = np.concatenate([(outputs[i] - targets)[rows] for i in replicates])
    squared = np.mean(errors**2)
    r2 = 1 - squared / np.var(targets[rows])
    return {"mse": squared, "rmse": np.sqrt(squared), "mae": np.mean(np.abs(errors)), "r2": r2}


def test_classes_are_resampled_over_both_too():
    labels = np.zeros(100, dtype=int)
    right, wrong = np.tile([0.9, 0.1], (100, 1)), np.tile([0.2, 0.8], (100, 1))
    found, _ = both(labels, [wrong] * 5, [right] * 5, "accuracy", "classification")
    assert (found.low, found.value, found.high) == (1, 1, 1)


@pytest.mark.filterwarnings("error")
def test_what_no_resample_has_is_said_to_have_no_interval():
    found = sample_interval(float("nan"), np.full(RESAMPLES, np.nan), 1)  # R² of a single row
    assert np.isnan([found.low, found.high]).all()
    found = sample_interval(0.5, np.r_[np.nan, np.linspace(0, 1, 101)], 1)
    assert (found.low, found.high) == (pytest.approx(0.025), pytest.approx(0.975))
