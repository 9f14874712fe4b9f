"""A search's folds come from the training rows alone; each has its own scaler, and what scores has chosen nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tandem.config import ScoredFolds, ScoredHoldout, Standardize
from tandem.datasets import Rows
from tandem.errors import DataError
from tandem.records import DataDescription, FoldRows, write_record
from tandem.scaling import fit_scaler
from tandem.searches.folds import load_folds
from tandem.storage import save_array

TRAIN, VALID = np.arange(5, 45), np.arange(5)
PROTOCOL, HOLDOUT = ScoredFolds(method="k-fold", folds=4, seed=3), ScoredHoldout(method="holdout")


def write_fit(
    folder: Path, rows: Rows, train: np.ndarray = TRAIN, valid: np.ndarray = VALID, **more: object
) -> tuple[Path, Path]:
    """Write what the stages split and standardize write; return the folders."""
    description = DataDescription.model_validate(
        {
            "dataset": "made", "source": "made", "title": "Made", "reference": "made", "task": "regression",
            "feature_shape": (2,), "feature_names": ("a", "b"), "target_name": "y", "rows": {}, "class_counts": {},
        }
        | more
    )  # fmt: skip
    fit, scaler = folder / "fit", folder / "scale"
    (fit / "folds" / "0").mkdir(parents=True)
    scaler.mkdir()
    save_array(fit / "features.npy", rows.features)
    save_array(fit / "targets.npy", rows.targets)
    save_array(fit / "folds/0/train.npy", train)
    save_array(fit / "folds/0/valid.npy", valid)
    write_record(description, fit / "description.json")
    write_record(fit_scaler(rows.features, train, Standardize(method="zscore")), scaler / "fold-0.json")
    return fit, scaler


@pytest.fixture
def rows() -> Rows:
    generator = np.random.default_rng(0)
    return Rows(generator.normal(50, 10, (45, 2)), np.arange(45.0))


def test_each_training_row_scores_once_and_is_never_trained_on_in_its_fold(tmp_path, rows):
    folds = load_folds(*write_fit(tmp_path, rows), PROTOCOL)
    scored = []
    for number in range(4):
        data = folds.load(number)
        assert not set(data.train.targets) & set(data.score.targets)
        assert set(data.train.targets) | set(data.score.targets) == set(TRAIN)
        assert set(data.watch.targets) == set(VALID), "the data set's own validation rows watch"
        scored += data.score.targets.tolist()
    assert sorted(scored) == TRAIN.tolist()
    assert folds.rows == (FoldRows(repeat=0, train=30, valid=10),) * 4


def test_a_fold_is_scaled_by_what_it_trains_on_alone(tmp_path, rows):
    folds = load_folds(*write_fit(tmp_path, rows), PROTOCOL)
    data = folds.load(2, "float64")
    np.testing.assert_allclose(data.train.features.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(data.train.features.std(axis=0), 1)
    raw = rows.features[data.train.targets.astype(int)]
    for part in (data.score, data.watch):
        expected = (rows.features[part.targets.astype(int)] - raw.mean(axis=0)) / raw.std(axis=0)
        np.testing.assert_allclose(part.features, expected)


def test_the_folds_are_drawn_by_their_seed(tmp_path, rows):
    paths = write_fit(tmp_path, rows)
    first, again, other = (load_folds(*paths, PROTOCOL.model_copy(update={"seed": seed})) for seed in (3, 3, 4))
    assert all((a.valid == b.valid).all() for a, b in zip(first.divided, again.divided, strict=True))
    assert any((a.valid != b.valid).any() for a, b in zip(first.divided, other.divided, strict=True))


def test_a_hold_out_search_takes_the_data_sets_own_parts_and_scaler(tmp_path, rows):
    folds = load_folds(*write_fit(tmp_path, rows), HOLDOUT)
    data = folds.load(0, "float64")
    assert folds.rows == (FoldRows(repeat=0, train=40, valid=5),)
    assert data.train.targets.tolist() == TRAIN.tolist()
    assert data.score.targets.tolist() == data.watch.targets.tolist() == VALID.tolist()
    np.testing.assert_allclose(data.train.features.mean(axis=0), 0, atol=1e-12)


def test_without_validation_rows_a_hold_out_search_has_nothing_to_score_on(tmp_path, rows):
    with pytest.raises(DataError, match="no validation rows to score settings on"):
        load_folds(*write_fit(tmp_path, rows, valid=np.arange(0)), HOLDOUT)


def test_missing_values_are_filled_from_the_rows_that_a_fold_trains_on(tmp_path, rows):
    features = rows.features.copy()
    features[::3, 0] = np.nan
    columns = [{"name": "a", "missing": "median"}, {"name": "b"}]
    folder = write_fit(tmp_path, Rows(rows.features, rows.targets), feature_names=None, columns=columns)
    save_array(folder[0] / "features.npy", features)
    data = load_folds(*folder, PROTOCOL).load(1, "float64")
    assert np.isfinite(data.train.features).all()
    missing = np.isnan(features[data.score.targets.astype(int), 0])
    assert missing.any()
    known = features[data.train.targets.astype(int), 0]
    filled = np.where(np.isnan(known), np.nanmedian(known), known)
    expected = (np.nanmedian(known) - filled.mean()) / filled.std()
    np.testing.assert_allclose(data.score.features[missing, 0], expected)


def test_equal_rows_stay_in_one_fold_where_the_data_set_keeps_them_together(tmp_path, rows):
    features = np.repeat(rows.features[:15], 3, axis=0)
    folder = write_fit(tmp_path, Rows(features, np.repeat(np.arange(15.0), 3)), duplicates="keep-together")
    folds = load_folds(*folder, PROTOCOL)
    for number in range(4):
        data = folds.load(number)
        assert not set(data.train.targets) & set(data.score.targets)
