"""Nothing of a validation or test row reaches what a network is trained on: planted values in them change nothing."""

from __future__ import annotations

import numpy as np
import pytest

from stages import paths, split, standardize
from tandem.config import Split, read_params
from tandem.datasets import Rows
from tandem.fitdata import load_fit, load_test
from tandem.records import DataDescription, read_record
from tandem.scaling import fit_scaler
from tandem.splits import divide
from tandem.storage import save_array

ROWS = 120
GENERATOR = np.random.default_rng(4)
# Ten columns, as many as the source has that these rows stand in for, and a target that they tell little of.
FEATURES = GENERATOR.normal(50, 10, (ROWS, 10))
TARGETS = FEATURES[:, 0] + GENERATOR.normal(0, 20, ROWS)
DECLARED = "split: {method: holdout, test: 0.25, valid: 0.25, seeds: [7, 11]}\n    standardize: {method: zscore}"
PROTOCOLS = {
    "holdout": "{method: holdout, test: 0.25, valid: 0.25, seeds: [7, 11]}",
    "first-n": "{method: first-n, valid: 20, test: 30}",
    "k-fold": "{method: k-fold, folds: 4, test: 0.25, seed: 7}",
    "blocks": "{method: k-fold, folds: 4, test: 0.25, shuffle: false}",
    "repeated": "{method: repeated-k-fold, folds: 3, repeats: 2, test: 0.25, seed: 7}",
}
ZSCORE = "{method: zscore}"
CASES = [
    *((protocol, ZSCORE) for protocol in PROTOCOLS),
    ("k-fold", "{method: minmax}"),
    ("k-fold", "{method: zscore, per: all}"),
]


def prepare(features: np.ndarray, targets: np.ndarray) -> None:
    """Run the two stages on raw rows in the current folder."""
    save_array(paths.raw("diabetes") / "rows_features.npy", features)
    save_array(paths.raw("diabetes") / "rows_targets.npy", targets)
    split.main(["diabetes"])
    standardize.main(["diabetes"])


def outside(declared: Split, number: int) -> np.ndarray:
    """Return the raw rows that a fold does not train on."""
    parts = divide(Rows(np.arange(ROWS)[:, None], TARGETS), None, declared)
    return np.setdiff1d(np.arange(ROWS), parts.fit.features[parts.folds[number].train, 0])


def planted(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the data with a leak: in the given rows each feature is the target, a thousandfold, and so is the target.

    A scaler that saw those rows would carry their size, and so their targets, into every training input.
    """
    features, targets = FEATURES.copy(), TARGETS.copy()
    features[rows] = 1e3 * TARGETS[rows, None]
    targets[rows] *= -1e3
    return features, targets


@pytest.mark.parametrize(("protocol", "scaling"), CASES)
def test_planted_values_outside_of_a_fold_change_no_byte_of_what_it_trains_on(
    write_params, tmp_path, monkeypatch, protocol, scaling
):
    declared = f"split: {PROTOCOLS[protocol]}\n    standardize: {scaling}"
    params = read_params(write_params((DECLARED, declared))).datasets["diabetes"]
    monkeypatch.chdir(tmp_path)
    paths.raw("diabetes").mkdir(parents=True)
    prepare(FEATURES, TARGETS)
    fit, scaler = paths.fit("diabetes"), paths.scaler("diabetes")
    folds = len(list((fit / "folds").iterdir()))
    assert folds == {"k-fold": 4, "blocks": 4, "repeated": 6}.get(protocol, 1)
    for number in range(folds):
        prepare(FEATURES, TARGETS)
        clean, before = load_fit(fit, scaler, number), (scaler / f"fold-{number}.json").read_bytes()
        features, targets = planted(outside(params.split, number))
        prepare(features, targets)
        assert (scaler / f"fold-{number}.json").read_bytes() == before
        leaked = load_fit(fit, scaler, number)
        assert leaked.train.features.tobytes() == clean.train.features.tobytes()
        assert leaked.train.targets.tobytes() == clean.train.targets.tobytes()
        assert not np.array_equal(leaked.valid.features, clean.valid.features)  # the leak is there to be seen
        everywhere = fit_scaler(features, np.arange(ROWS), params.standardize)
        inside = np.setdiff1d(np.arange(ROWS), outside(params.split, number))
        naive = everywhere.transform(features[inside])
        assert abs(naive.std() - clean.train.features.std()) > 0.1, "a scaler fitted on all rows carries the leak"


def test_each_fold_scales_the_test_rows_with_its_own_scaler(write_params, tmp_path, monkeypatch):
    declared = f"split: {PROTOCOLS['k-fold']}\n    standardize: {{method: zscore}}"
    write_params((DECLARED, declared))
    monkeypatch.chdir(tmp_path)
    paths.raw("diabetes").mkdir(parents=True)
    prepare(FEATURES, TARGETS)
    raw = np.load(paths.test("diabetes") / "features.npy")
    fit = np.load(paths.fit("diabetes") / "features.npy")
    for number in range(4):
        train = fit[np.load(paths.fit("diabetes") / f"folds/{number}/train.npy")]
        scaled = load_test(paths.test("diabetes"), paths.scaler("diabetes"), number).features
        np.testing.assert_allclose(scaled, (raw - train.mean(axis=0)) / train.std(axis=0), rtol=1e-5, atol=1e-6)


def test_the_stages_tell_how_many_rows_each_fold_has(write_params, tmp_path, monkeypatch):
    write_params((DECLARED, f"split: {PROTOCOLS['repeated']}\n    standardize: {{method: zscore}}"))
    monkeypatch.chdir(tmp_path)
    paths.raw("diabetes").mkdir(parents=True)
    prepare(FEATURES, TARGETS)
    found = read_record(DataDescription, paths.fit("diabetes") / "description.json")
    assert found.protocol == "3-fold cross-validation, repeated 2 times"
    assert [(fold.repeat, fold.train, fold.valid) for fold in found.folds] == [(0, 60, 30)] * 3 + [(1, 60, 30)] * 3
    assert found.rows == {"train": 60, "valid": 30, "test": 30}
