"""Results over folds: the corrected variance, against its formula and against scores that really are folds'."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from tandem.folds import Folds, fold_differences, fold_interval, fold_overlap, score_folds
from tandem.records import FoldRows, FoldsRecord, read_record, write_record

FIVE = tuple(FoldRows(repeat=0, train=80, valid=20) for _ in range(5))


def folds(values, rows=FIVE, **more) -> FoldsRecord:
    scores = more.pop("scores", {"valid": {"mse": values}})
    trained_on = more.pop("trained_on", tuple(range(len(rows))))
    return score_folds("regression", Folds("5-fold cross-validation", rows, trained_on, watched=False), scores)


def test_the_interval_is_that_of_the_corrected_variance():
    values = [1.0, 1.2, 0.9, 1.4, 1.1]
    interval = fold_interval(values, FIVE)
    variance = np.var(values, ddof=1) * (1 / 5 + 20 / 80)
    low, high = student.interval(0.95, df=4, loc=np.mean(values), scale=np.sqrt(variance))
    assert (interval.value, interval.low, interval.high) == pytest.approx((np.mean(values), low, high))
    assert (interval.over, interval.n, interval.level) == ("folds", 5, 0.95)


def test_unequal_folds_count_with_their_mean_overlap():
    rows = (FoldRows(repeat=0, train=6, valid=4), FoldRows(repeat=0, train=7, valid=3))
    assert fold_overlap(rows) == pytest.approx((4 / 6 + 3 / 7) / 2)


def test_the_interval_keeps_within_what_the_metric_can_be():
    found = folds([0.01, 0.02, 0.9, 0.01, 0.02]).estimates[0].interval
    assert found.low == 0.0
    assert fold_interval([0.5], FIVE[:1]) is None


def test_each_fold_has_the_mean_of_its_replicates():
    record = folds(
        [1.0, 2.0, 3.0, 5.0],
        rows=FIVE[:2],
        trained_on=(0, 1, 0, 1),
        scores={"valid": {"mse": [1.0, 2.0, 3.0, 6.0]}, "test": {"mse": [4.0, 5.0, 6.0, 7.0]}},
    )
    valid, test = record.estimates
    assert (valid.part, valid.values, valid.mean) == ("valid", (2.0, 4.0), 3.0)
    assert valid.deviation == pytest.approx(np.std([2, 4], ddof=1))
    assert valid.interval is not None
    assert (test.part, test.values) == ("test", (5.0, 6.0))
    assert test.interval is not None


def test_a_diverged_training_leaves_its_fold_to_the_other_replicates():
    record = folds(None, rows=FIVE[:2], trained_on=(0, 1, 0, 1), scores={"valid": {"mse": [None, 2.0, 3.0, 6.0]}})
    assert record.estimates[0].values == (3.0, 4.0)
    assert record.estimates[0].interval is not None


def test_a_fold_that_diverged_in_all_replicates_takes_the_interval_away():
    (found,) = folds([1.0, None, 1.2, 0.9, 1.1]).estimates
    assert found.values[1] is None
    assert found.mean == pytest.approx(1.05)
    assert found.interval is None
    (nothing,) = folds([None] * 5).estimates
    assert (nothing.mean, nothing.deviation, nothing.interval) == (None, None, None)


def test_frameworks_differ_fold_by_fold():
    records = {"keras": folds([1.0, 2.0, 3.0, 4.0, 5.0]), "torch": folds([1.1, 2.2, 3.1, 4.2, 5.1])}
    (difference,) = fold_differences(records)
    assert difference.values == pytest.approx([0.1, 0.2, 0.1, 0.2, 0.1])
    assert difference.interval.low > 0
    records["torch"] = folds([1.1, None, 3.1, 4.2, 5.1])
    (difference,) = fold_differences(records)
    assert difference.values[1] is None
    assert difference.interval is None


def test_without_folds_there_are_no_differences():
    assert fold_differences({"keras": None, "torch": None}) == ()
    assert fold_differences({"keras": folds([1.0, 2.0, 3.0, 4.0, 5.0])}) == ()
    three = {name: folds([1.0, 2.0, 3.0, 4.0, 5.0]) for name in ("keras", "torch", "numpy")}
    pairs = [(found.first, found.second) for found in fold_differences(three)]
    assert pairs == [("keras", "torch"), ("keras", "numpy"), ("torch", "numpy")]


def test_a_record_survives_its_file(tmp_path):
    record = folds([1.0, None, 1.2, 0.9, 1.1])
    write_record(record, tmp_path / "folds.json")
    assert read_record(FoldsRecord, tmp_path / "folds.json") == record


def error_of(column: np.ndarray, targets: np.ndarray, train: np.ndarray, valid: np.ndarray) -> float:
    """Fit a line through the origin on the training rows; return its mean squared error on the others."""
    slope = column[train] @ targets[train] / (column[train] @ column[train])
    return np.square(slope * column[valid] - targets[valid]).mean()


def test_the_corrected_interval_holds_the_truth_where_the_plain_one_is_too_narrow():
    """Two columns tell as much of the target, so that the true difference of their errors is 0."""
    generator = np.random.default_rng(5)
    rows = tuple(FoldRows(repeat=number // 5, train=80, valid=20) for number in range(50))
    held, plain, draws = 0, 0, 300
    for _ in range(draws):
        columns = generator.normal(size=(2, 100))
        targets = columns.sum(axis=0) + generator.normal(size=100)
        differences = []
        for _ in range(10):
            order = generator.permutation(100)
            for valid in np.split(order, 5):
                train = np.setdiff1d(order, valid, assume_unique=True)
                first, second = (error_of(column, targets, train, valid) for column in columns)
                differences.append(second - first)
        interval = fold_interval(differences, rows)
        held += interval.low <= 0 <= interval.high
        reach = student.ppf(0.975, 49) * np.std(differences, ddof=1) / np.sqrt(50)
        plain += abs(np.mean(differences)) <= reach
    assert 0.92 <= held / draws <= 0.99
    assert plain / draws < 0.5
