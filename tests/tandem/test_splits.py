"""Dividing rows: no row in two parts, nothing lost, as scikit-learn does it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from tandem.config import FirstRows, Holdout
from tandem.datasets import Rows
from tandem.errors import DataError
from tandem.splits import divide


def numbered(count: int, classes: int = 0) -> Rows:
    """Rows whose first feature is their own number."""
    targets = np.arange(count) % classes if classes else np.arange(count) / 7
    return Rows(np.column_stack([np.arange(count), np.arange(count) ** 2]), targets)


def holdout(**more) -> Holdout:
    return Holdout(method="holdout", **{"test": 0.25, "valid": 0.25, "seeds": (7, 11), **more})


def numbers(parts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the row numbers of the training, validation and test parts."""
    (fold,) = parts.folds
    fit = parts.fit.features[:, 0].astype(int)
    return fit[fold.train], fit[fold.valid], parts.test.features[:, 0].astype(int)


def test_the_first_5000_images_validate_and_the_other_55000_train():
    own = numbered(10_000)
    parts = divide(numbered(60_000), own, FirstRows(method="first-n", valid=5_000))
    train, valid, _ = numbers(parts)
    assert np.array_equal(valid, np.arange(5_000))
    assert np.array_equal(train, np.arange(5_000, 60_000))
    assert parts.test is own


def test_first_rows_validate_then_test_then_train():
    train, valid, test = numbers(divide(numbered(10), None, FirstRows(method="first-n", valid=2, test=3)))
    assert valid.tolist() == [0, 1]
    assert test.tolist() == [2, 3, 4]
    assert train.tolist() == [5, 6, 7, 8, 9]


def test_houses_are_held_out_twice_as_scikit_learn_does():
    train, valid, test = numbers(divide(numbered(20_640), None, holdout()))
    assert (len(train), len(valid), len(test)) == (11_610, 3_870, 5_160)
    full, expected_test = train_test_split(np.arange(20_640), random_state=7)
    expected_train, expected_valid = train_test_split(full, random_state=11)
    assert np.array_equal(test, expected_test)
    assert np.array_equal(train, expected_train)
    assert np.array_equal(valid, expected_valid)


@pytest.mark.parametrize(
    ("count", "split", "own"),
    [
        (101, holdout(), False),
        (101, holdout(stratify=True), False),
        (101, holdout(test=None), True),
        (101, FirstRows(method="first-n", valid=20, test=30), False),
        (101, FirstRows(method="first-n", valid=0), True),
    ],
)
def test_every_row_stands_in_exactly_one_part_with_its_own_target(count, split, own):
    rows = numbered(count, classes=3)
    parts = divide(rows, numbered(5, classes=3) if own else None, split)
    train, valid, test = numbers(parts)
    used = [*train, *valid, *([] if own else test)]
    assert sorted(used) == list(range(count))
    assert np.array_equal(parts.fit.targets, rows.targets[parts.fit.features[:, 0]])
    if not own:
        assert np.array_equal(parts.test.targets, rows.targets[test])


def test_stratified_parts_keep_the_classes_shares():
    targets = np.repeat([0, 1, 2], [800, 150, 50])
    rows = Rows(np.arange(1000)[:, None], np.random.default_rng(0).permutation(targets))
    parts = divide(rows, None, holdout(stratify=True))
    for part in numbers(parts):
        shares = np.bincount(rows.targets[part]) / len(part)
        assert shares == pytest.approx([0.8, 0.15, 0.05], abs=0.004)


def test_other_seeds_divide_otherwise_and_the_same_seeds_the_same():
    rows = numbered(200)
    first = numbers(divide(rows, None, holdout()))
    again = numbers(divide(rows, None, holdout()))
    other = numbers(divide(rows, None, holdout(seeds=(8, 11))))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[2], other[2])


@pytest.mark.parametrize(
    ("rows", "own", "split", "message"),
    [
        (numbered(5), numbered(2), FirstRows(method="first-n", valid=5),
         "split 'first-n': valid 5 and test 0 leave no row to train on; the source has 5 rows"),
        (numbered(5), None, FirstRows(method="first-n", valid=2, test=3),
         "split 'first-n': valid 2 and test 3 leave no row to train on; the source has 5 rows"),
        (numbered(5), None, FirstRows(method="first-n", valid=2),
         "split 'first-n' leaves no row to test on; raise test (5 rows)"),
        (numbered(5), None, holdout(test=None),
         "split 'holdout' leaves no row to test on; raise test (5 rows)"),
        (numbered(1), None, holdout(), "split 'holdout' with share 0.25 of 1 rows: "),
        (numbered(2), None, holdout(), "split 'holdout' with share 0.25 of 1 rows: "),
        (numbered(0), None, holdout(), "split 'holdout' with share 0.25 of 0 rows: "),
        (Rows(np.zeros((9, 1)), np.array([0] * 8 + [1])), None, holdout(stratify=True),
         "split 'holdout' with share 0.25 of 9 rows: The least populated class"),
    ],
)  # fmt: skip
def test_a_part_without_rows_is_told(rows, own, split, message):
    with pytest.raises(DataError) as caught:
        divide(rows, own, split)
    assert str(caught.value).startswith(message)
