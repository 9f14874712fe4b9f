"""Scalers against scikit-learn's, fitted on training rows and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from tandem.config import Standardize
from tandem.records import read_record, write_record
from tandem.scaling import Scaler, fit_scaler, summarize_scaling

# Samples of more than one chunk of 4096 rows, columns of very different size and offset.
FEATURES = np.random.default_rng(0).normal([0, 1e3, -5, 1e-6], [1, 1e-2, 1e4, 1e-7], (9_000, 4))
ROWS = np.random.default_rng(1).permutation(9_000)[:6_000]
PEERS = {"zscore": StandardScaler, "minmax": MinMaxScaler}


@pytest.mark.parametrize("method", PEERS)
def test_each_feature_is_scaled_as_scikit_learn_scales_it(method):
    scaler = fit_scaler(FEATURES, ROWS, Standardize(method=method))
    peer = PEERS[method]().fit(FEATURES[ROWS])
    np.testing.assert_allclose(scaler.transform(FEATURES, "float64"), peer.transform(FEATURES), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("method", PEERS)
def test_one_scale_for_all_features_is_that_of_all_numbers_in_one_column(method):
    scaler = fit_scaler(FEATURES, ROWS, Standardize(method=method, per="all"))
    assert (len(scaler.center), len(scaler.scale)) == (1, 1)
    peer = PEERS[method]().fit(FEATURES[ROWS].reshape(-1, 1))
    expected = peer.transform(FEATURES.reshape(-1, 1)).reshape(FEATURES.shape)
    np.testing.assert_allclose(scaler.transform(FEATURES, "float64"), expected, rtol=1e-9, atol=1e-12)


def test_no_scaling_leaves_every_number_as_it_is():
    scaler = fit_scaler(FEATURES, ROWS, Standardize(method="none"))
    assert np.array_equal(scaler.transform(FEATURES, "float64"), FEATURES)


@pytest.mark.parametrize("method", PEERS)
def test_a_constant_feature_is_only_centred(method):
    features = np.column_stack([np.arange(10.0), np.full(10, 7.25)])
    scaled = fit_scaler(features, np.arange(10), Standardize(method=method)).transform(features, "float64")
    assert scaled[:, 1].tolist() == [0.0] * 10
    assert scaled[:, 0].std() > 0.3


@pytest.mark.parametrize("method", PEERS)
def test_a_constant_feature_whose_mean_rounds_is_only_centred(method):
    """The mean of many equal numbers may differ from them in the last bit; no noise may be blown up."""
    features = np.full((30_000, 1), 0.1)
    scaler = fit_scaler(features, np.arange(30_000), Standardize(method=method))
    assert np.abs(scaler.transform(features, "float64")).max() < 1e-6
    assert abs(scaler.transform(np.array([[0.2]]), "float64")[0, 0]) < 1


@pytest.mark.parametrize("method", PEERS)
@pytest.mark.parametrize("per", ["feature", "all"])
def test_rows_outside_the_training_rows_change_nothing(method, per):
    declared = Standardize(method=method, per=per)
    other = FEATURES.copy()
    other[np.setdiff1d(np.arange(9_000), ROWS)] = 1e12
    assert fit_scaler(other, ROWS, declared) == fit_scaler(FEATURES, ROWS, declared)
    other[ROWS[0]] = 1e12
    assert fit_scaler(other, ROWS, declared) != fit_scaler(FEATURES, ROWS, declared)


@pytest.mark.parametrize("method", PEERS)
def test_kept_features_stay_as_they_are_and_the_others_scale_as_ever(method):
    codes = np.random.default_rng(3).integers(0, 9, (9_000, 2)).astype(float)
    features = np.column_stack([FEATURES[:, :2], codes[:, 0], FEATURES[:, 2:], codes[:, 1]])
    scaled = fit_scaler(features, ROWS, Standardize(method=method), keep=(2, 5)).transform(features, "float64")
    assert np.array_equal(scaled[:, [2, 5]], codes)
    expected = fit_scaler(FEATURES, ROWS, Standardize(method=method)).transform(FEATURES, "float64")
    assert np.array_equal(scaled[:, [0, 1, 3, 4]], expected)


def test_kept_features_do_not_count_in_one_scale_for_all():
    declared = Standardize(method="zscore", per="all")
    features = np.column_stack([FEATURES[:, :2], np.full(9_000, 1e9)])
    scaler = fit_scaler(features, ROWS, declared, keep=(2,))
    (center,), (scale,) = (getattr(fit_scaler(FEATURES[:, :2], ROWS, declared), name) for name in ("center", "scale"))
    assert scaler.center == (center, center, 0.0)
    assert scaler.scale == (scale, scale, 1.0)


def test_features_that_are_all_kept_are_not_scaled():
    scaler = fit_scaler(FEATURES, ROWS, Standardize(method="zscore"), keep=range(4))
    assert np.array_equal(scaler.transform(FEATURES, "float64"), FEATURES)


@pytest.mark.parametrize("per", ["feature", "all"])
def test_images_of_bytes_are_scaled_without_overflow(per):
    images = np.random.default_rng(2).integers(0, 256, (5_000, 3, 2), dtype=np.uint8)
    scaler = fit_scaler(images, np.arange(5_000), Standardize(method="zscore", per=per))
    scaled = scaler.transform(images)
    assert scaled.shape == images.shape
    assert scaled.dtype == np.float32
    axis = 0 if per == "feature" else None
    assert scaled.mean(axis=axis) == pytest.approx(np.zeros((3, 2)) if per == "feature" else 0, abs=1e-5)
    assert scaled.std(axis=axis) == pytest.approx(np.ones((3, 2)) if per == "feature" else 1, abs=1e-5)


def test_numbers_are_rounded_once_to_the_networks_type():
    scaler = fit_scaler(FEATURES, ROWS, Standardize(method="zscore"))
    assert np.array_equal(scaler.transform(FEATURES), scaler.transform(FEATURES, "float64").astype(np.float32))


def test_a_scaler_survives_its_file_bit_for_bit(tmp_path):
    scaler = fit_scaler(FEATURES, ROWS, Standardize(method="zscore"))
    write_record(scaler, tmp_path / "scaler.json")
    assert read_record(Scaler, tmp_path / "scaler.json") == scaler


def test_the_summary_has_the_ranges_of_the_training_rows_before_and_after():
    scaler = fit_scaler(FEATURES, ROWS, Standardize(method="zscore"))
    summary = summarize_scaling(FEATURES, ROWS, scaler, ("a", "b", "c", "d"))
    assert (summary.method, summary.per, summary.fitted_rows) == ("zscore", "feature", 6_000)
    assert [entry.feature for entry in summary.ranges] == ["a", "b", "c", "d"]
    for column, entry in zip(FEATURES[ROWS].T, summary.ranges, strict=True):
        assert entry.before == pytest.approx((column.min(), column.mean(), column.max(), column.std()))
        scaled = (column - column.mean()) / column.std()
        assert entry.after == pytest.approx((scaled.min(), 0, scaled.max(), 1), abs=1e-6)


def test_the_summary_of_images_has_one_range_for_all_pixels():
    images = np.random.default_rng(2).integers(0, 256, (50, 3, 2), dtype=np.uint8)
    scaler = fit_scaler(images, np.arange(40), Standardize(method="minmax", per="all"))
    (entry,) = summarize_scaling(images, np.arange(40), scaler, ()).ranges
    assert entry.feature == "all features"
    assert entry.before == pytest.approx((images[:40].min(), images[:40].mean(), images[:40].max(), images[:40].std()))
    assert (entry.after[0], entry.after[2]) == (0, 1)
