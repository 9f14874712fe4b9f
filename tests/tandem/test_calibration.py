"""Calibration: numbers worked out by hand, and what is known of made probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.calibration import (
    BINS,
    ROWS_PER_BIN,
    bin_rows,
    brier_scores,
    calibrate,
    calibration_errors,
    reliability_bins,
    wilson,
)


def binary(chances):
    return np.stack([1 - chances, chances], axis=-1)


def draw(rows, shift=0.0, seed=0):
    """Return labels and probabilities (1, rows, 2); the labels come true more often by ``shift``."""
    random = np.random.default_rng(seed)
    chances = random.uniform(0.1, 0.9, rows)
    return (random.random(rows) < chances + shift).astype(int), binary(chances)[None]


def test_the_error_is_the_mean_gap_of_the_bins():
    predicted = np.array([[0.2, 0.2, 0.8, 0.8]])
    observed = np.array([[0.0, 1.0, 1.0, 1.0]])
    # bins of two rows each: |0.2 - 0.5| and |0.8 - 1|
    assert calibration_errors(predicted, observed, np.array([[0, 0, 1, 1]])) == pytest.approx([0.25])


def test_gaps_within_a_bin_cancel():
    predicted, observed = np.array([[0.4, 0.6]]), np.array([[0.0, 1.0]])
    assert calibration_errors(predicted, observed, np.array([[0, 0]])) == pytest.approx([0.0])
    assert calibration_errors(predicted, observed, np.array([[0, 1]])) == pytest.approx([0.4])


def test_two_classes_score_the_second_ones_probability():
    assert brier_scores(np.array([1, 0]), binary(np.array([[0.9, 0.4]]))) == pytest.approx(np.array([[0.01, 0.16]]))


def test_more_classes_score_all_of_them():
    scores = brier_scores(np.array([2]), np.array([[[0.1, 0.2, 0.7]]]))
    assert scores == pytest.approx(np.array([[0.01 + 0.04 + 0.09]]))


@pytest.mark.parametrize(
    ("share", "count", "low", "high"),  # 0 and 5 of 10, 49 of 50: Newcombe's method 3, R's prop.test(correct = FALSE)
    [(0.0, 10, 0.0, 0.27753), (0.5, 10, 0.23659, 0.76341), (0.98, 50, 0.89505, 0.99646)],
)
def test_wilsons_interval(share, count, low, high):
    assert wilson(share, count) == pytest.approx((low, high), abs=1e-5)


def test_bins_have_equal_mass():
    places = bin_rows(np.random.default_rng(1).random(BINS * 40))
    assert np.bincount(places).tolist() == [40] * BINS


def test_few_rows_get_few_bins():
    assert bin_rows(np.linspace(0, 1, 3 * ROWS_PER_BIN)).max() == 2
    assert bin_rows(np.linspace(0, 1, 5)).tolist() == [0] * 5


def test_equal_probabilities_share_a_bin():
    predicted = np.concatenate([np.full(700, 1.0), np.linspace(0.2, 0.9, 300)])
    places = bin_rows(predicted)
    assert len(set(places[:700])) == 1
    assert not set(places[:700]) & set(places[700:])
    assert sorted(set(places)) == list(range(places.max() + 1))


def test_bins_hold_all_predictions_in_order():
    targets, probabilities = draw(900)
    bins = calibrate(targets, probabilities).bins
    assert sum(found.count for found in bins) == 900
    assert [found.predicted for found in bins] == sorted(found.predicted for found in bins)
    assert all(found.low <= found.observed <= found.high for found in bins)


def test_calibrated_probabilities_are_within_chance():
    for seed in range(5):
        found = calibrate(*draw(500, seed=seed))
        assert found.error.low == 0
        assert found.error.value < 1.3 * found.chance


def test_probabilities_that_are_off_are_told_from_chance():
    found = calibrate(*draw(3000, shift=-0.1))
    assert found.error.value > 2 * found.chance
    assert found.error.low > 0.05
    assert found.error.low <= 0.1 <= found.error.high


def test_the_interval_reaches_0_if_and_only_if_chance_explains_the_error():
    found = [calibrate(*draw(150, shift=-0.06, seed=seed)) for seed in range(12)]
    beyond = [calibration.error.value > calibration.chance for calibration in found]
    assert [calibration.error.low > 0 for calibration in found] == beyond
    assert 0 < sum(beyond) < 12


@pytest.mark.parametrize("rows", [1, 30, 400])
def test_the_interval_holds_its_value(rows):
    found = calibrate(*draw(rows, shift=0.05))
    assert 0 <= found.error.low <= found.error.value <= found.error.high <= 1
    assert found.brier.low <= found.brier.value <= found.brier.high
    assert found.error.n == found.rows == rows
    assert found.error_seeds is None


def test_replicates_do_not_multiply_the_rows():
    targets, probabilities = draw(600, shift=-0.05)
    one, three = calibrate(targets, probabilities), calibrate(targets, np.repeat(probabilities, 3, axis=0))
    assert three.error.model_dump() == pytest.approx(one.error.model_dump())
    assert three.chance == pytest.approx(one.chance)
    assert three.error_seeds.low == pytest.approx(one.error.value)
    for single, pooled in zip(one.bins, three.bins, strict=True):
        assert pooled.count == 3 * single.count
        assert (pooled.low, pooled.high) == pytest.approx((single.low, single.high))


def test_replicates_on_folds_are_less_sure():
    targets, first = draw(600)
    both = np.concatenate([first, binary(0.9 * first[..., 1])])
    seeds, folds = calibrate(targets, both), calibrate(targets, both, overlap=0.25)
    assert (seeds.error_seeds.over, folds.error_seeds.over, folds.brier_seeds.over) == ("seeds", "folds", "folds")
    assert folds.error_seeds.high - folds.error_seeds.low > seeds.error_seeds.high - seeds.error_seeds.low
    assert folds.error == seeds.error


def test_more_classes_are_judged_by_the_predicted_one():
    probabilities = np.array([[[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]]])
    found = calibrate(np.array([0, 2]), probabilities)
    assert [(b.predicted, b.observed) for b in found.bins] == [(pytest.approx(0.75), 0.5)]
    assert (found.confidence, found.accuracy) == (pytest.approx(0.75), 0.5)
    assert found.error.value == pytest.approx(0.25)


def test_the_same_rows_give_the_same_numbers():
    assert calibrate(*draw(200)) == calibrate(*draw(200))


@pytest.mark.parametrize(("rows", "shape"), [(3, (1, 2, 2)), (0, (1, 0, 2)), (2, (0, 2, 2)), (2, (2, 2))])
def test_shapes_that_do_not_fit_are_refused(rows, shape):
    with pytest.raises(ValueError, match="do not fit"):
        calibrate(np.zeros(rows, dtype=int), np.zeros(shape))


def test_a_bin_needs_rows_of_one_replicate_only():
    predicted = np.tile(np.linspace(0, 1, 2 * ROWS_PER_BIN), (4, 1))
    assert len(reliability_bins(predicted, np.ones_like(predicted))) == 2
