"""Dividing rows: no row in two parts, nothing lost, as scikit-learn does it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import KFold as SklearnKFold
from sklearn.model_selection import RepeatedKFold as SklearnRepeatedKFold
from sklearn.model_selection import RepeatedStratifiedKFold, StratifiedKFold, train_test_split

from tandem.config import FirstRows, Holdout, KFold, RepeatedKFold, read_params
from tandem.datasets import Rows
from tandem.errors import DataError, ParameterError
from tandem.splits import describe, divide


def numbered(count: int, classes: int = 0) -> Rows:
    """Rows whose first feature is their own number."""
    targets = np.arange(count) % classes if classes else np.arange(count) / 7
    return Rows(np.column_stack([np.arange(count), np.arange(count) ** 2]), targets)


def holdout(**more) -> Holdout:
    return Holdout(method="holdout", **{"test": 0.25, "valid": 0.25, "seeds": (7, 11), **more})


def k_fold(**more) -> KFold:
    return KFold(method="k-fold", **{"folds": 5, "test": 0.25, "seed": 7, **more})


def repeated(**more) -> RepeatedKFold:
    return RepeatedKFold(method="repeated-k-fold", **{"folds": 5, "repeats": 3, "test": 0.25, "seed": 7, **more})


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


PEERS = [
    (k_fold(), SklearnKFold(5, shuffle=True, random_state=7), True),
    (k_fold(stratify=True), StratifiedKFold(5, shuffle=True, random_state=7), True),
    (k_fold(shuffle=False), SklearnKFold(5), False),
    (repeated(), SklearnRepeatedKFold(n_splits=5, n_repeats=3, random_state=7), True),
    (repeated(stratify=True), RepeatedStratifiedKFold(n_splits=5, n_repeats=3, random_state=7), True),
]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("split", "peer", "shuffled"), PEERS, ids=lambda value: getattr(value, "method", None))
def test_folds_are_those_of_scikit_learn_among_the_rows_beside_the_test_part(split, peer, shuffled, own):
    rows = numbered(103, classes=3)
    parts = divide(rows, numbered(5) if own else None, split.model_copy(update={"test": None}) if own else split)
    fit = np.arange(103)
    if not own:
        drawn = {"random_state": 7, "stratify": rows.targets if split.stratify else None} if shuffled else {}
        fit, test = train_test_split(fit, test_size=0.25, shuffle=shuffled, **drawn)
        assert np.array_equal(parts.test.features[:, 0], test)
    assert np.array_equal(parts.fit.features[:, 0], fit)
    expected = list(peer.split(fit, rows.targets[fit]))
    assert len(parts.folds) == len(expected)
    for fold, (train, valid) in zip(parts.folds, expected, strict=True):
        assert np.array_equal(fold.train, train)
        assert np.array_equal(fold.valid, valid)
        assert fold.train.dtype == fold.valid.dtype == np.int64


@pytest.mark.parametrize("split", [k_fold(), k_fold(shuffle=False), repeated(stratify=True)])
def test_each_row_validates_once_a_repeat_and_no_test_row_is_in_a_fold(split):
    rows = numbered(101, classes=3)
    parts = divide(rows, None, split)
    everything = np.arange(len(parts.fit))
    for start in range(0, len(parts.folds), 5):
        repeat = parts.folds[start : start + 5]
        assert np.array_equal(np.sort(np.concatenate([fold.valid for fold in repeat])), everything)
    for fold in parts.folds:
        assert np.array_equal(np.sort(np.concatenate([fold.train, fold.valid])), everything)
    used = [*parts.fit.features[:, 0], *parts.test.features[:, 0]]
    assert sorted(used) == list(range(101))


def test_rows_in_their_order_end_in_the_test_part_and_validate_in_blocks():
    parts = divide(numbered(12), None, k_fold(folds=3, shuffle=False))
    assert parts.test.features[:, 0].tolist() == [9, 10, 11]
    assert [fold.valid.tolist() for fold in parts.folds] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_stratified_folds_keep_the_classes_shares_and_repeats_differ():
    targets = np.repeat([0, 1, 2], [800, 150, 50])
    rows = Rows(np.arange(1000)[:, None], np.random.default_rng(0).permutation(targets))
    parts = divide(rows, None, repeated(stratify=True))
    for fold in parts.folds:
        shares = np.bincount(parts.fit.targets[fold.valid]) / len(fold.valid)
        assert shares == pytest.approx([0.8, 0.15, 0.05], abs=0.011)
    assert not np.array_equal(parts.folds[0].valid, parts.folds[5].valid)


def test_other_seeds_draw_other_folds():
    rows = numbered(200)
    first, again, other = (divide(rows, None, k_fold(seed=seed)) for seed in (7, 7, 8))
    assert all(np.array_equal(a.valid, b.valid) for a, b in zip(first.folds, again.folds, strict=True))
    assert not np.array_equal(first.test.features, other.test.features)
    same_rows = [divide(rows, numbered(3), k_fold(seed=seed, test=None)) for seed in (7, 8)]
    assert not np.array_equal(*(parts.folds[0].valid for parts in same_rows))


@pytest.mark.parametrize(
    ("split", "words"),
    [
        (FirstRows(method="first-n", valid=5), "first rows held out"),
        (holdout(stratify=True), "hold-out, stratified"),
        (k_fold(), "5-fold cross-validation"),
        (k_fold(shuffle=False), "5-fold cross-validation, rows in their order"),
        (repeated(stratify=True), "5-fold cross-validation, repeated 3 times, stratified"),
    ],
)
def test_a_protocol_in_words(split, words):
    assert describe(split) == words


@pytest.mark.parametrize(
    "split",
    [holdout(stratify=True), FirstRows(method="first-n", valid=9, test=9), k_fold(shuffle=False), repeated()],
    ids=lambda split: split.method,
)
def test_rows_with_the_same_features_can_be_kept_together(split):
    """Every third sample stands three times, far from its copies."""
    numbers = np.concatenate([np.arange(60), np.arange(0, 60, 3), np.arange(0, 60, 3)])
    rows = Rows(np.column_stack([numbers, numbers**2]), numbers % 2)
    apart, together = (divide(rows, None, split, keep_together=keep) for keep in (False, True))

    def crossing(parts) -> int:
        test = set(parts.test.features[:, 0])
        sides = [
            (set(parts.fit.features[fold.train, 0]), set(parts.fit.features[fold.valid, 0])) for fold in parts.folds
        ]
        return sum(len(train & valid) + len(train & test) + len(valid & test) for train, valid in sides)

    assert crossing(apart) > 0
    assert crossing(together) == 0
    used = np.concatenate([together.fit.features[:, 0], together.test.features[:, 0]])
    assert np.array_equal(np.sort(used), np.sort(numbers))
    assert np.array_equal(together.fit.targets, together.fit.features[:, 0] % 2)
    for fold in together.folds:
        everything = np.sort(np.concatenate([fold.train, fold.valid]))
        assert np.array_equal(everything, np.arange(len(together.fit)))


def test_keeping_together_changes_nothing_where_no_row_stands_twice():
    rows = numbered(103, classes=3)
    apart, together = (divide(rows, None, k_fold(), keep_together=keep) for keep in (False, True))
    assert np.array_equal(apart.test.features, together.test.features)
    for one, other in zip(apart.folds, together.folds, strict=True):
        assert np.array_equal(one.train, other.train)


def sorted_classes(*counts: int) -> Rows:
    return Rows(np.zeros((sum(counts), 1)), np.repeat(np.arange(len(counts)), counts))


@pytest.mark.parametrize(
    ("rows", "own", "split", "message"),
    [
        (numbered(8), None, k_fold(folds=7),
         "split 'k-fold': 7 folds need as many rows, there are 6 besides the test rows; lower folds"),
        (numbered(4), numbered(2), repeated(test=None),
         "split 'repeated-k-fold': 5 folds need as many rows, there are 4 besides the test rows; lower folds"),
        (sorted_classes(40, 40, 4), None, k_fold(stratify=True),
         "split 'k-fold': class 2 (counted from 0) has 3 rows besides the test rows, fewer than the 5 folds; lower "
         "folds to 3 or set stratify: false"),
        (sorted_classes(1, 40), numbered(2), repeated(stratify=True, test=None),
         "split 'repeated-k-fold': class 0 (counted from 0) has 1 row besides the test rows, fewer than the 5 folds; "
         "set stratify: false"),
        (sorted_classes(10, 10), numbered(2), k_fold(folds=2, shuffle=False, test=None),
         "split 'k-fold': all rows of class 0 (counted from 0) validate in fold 0, and none is left to train on; "
         "set shuffle: true"),
        (numbered(5), None, k_fold(test=None),
         "split 'k-fold' leaves no row to test on; raise test (5 rows)"),
        (sorted_classes(9, 1), None, k_fold(stratify=True),
         "split 'k-fold' with share 0.25 of 10 rows: The least populated class"),
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


HELD_OUT = "{method: holdout, test: 0.25, valid: 0.25, seeds: [7, 11]}"
ROASTS = "{method: first-n, valid: 0}"


def test_folds_are_declared_with_few_words(write_params):
    path = write_params(
        (HELD_OUT, "{method: k-fold, folds: 5, test: 0.25}"),
        (ROASTS, "{method: repeated-k-fold, folds: 4, repeats: 2, seed: 3, stratify: true}"),
    )
    declared = {name: dataset.split for name, dataset in read_params(path).datasets.items()}
    assert declared["diabetes"] == KFold(method="k-fold", folds=5, test=0.25, seed=0, shuffle=True, stratify=False)
    assert declared["coffee"] == RepeatedKFold(
        method="repeated-k-fold", folds=4, repeats=2, test=None, seed=3, stratify=True
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (HELD_OUT, "{method: k-fold, folds: 1, test: 0.25}",
         "11: datasets.diabetes.split.folds: 1: must be greater than or equal to 2"),
        (HELD_OUT, "{method: k-fold, test: 0.25}",
         "11: datasets.diabetes.split.folds: missing; required keys: method, folds"),
        (HELD_OUT, "{method: repeated-k-fold, folds: 5, repeats: 1, test: 0.25}",
         "11: datasets.diabetes.split.repeats: 1: must be greater than or equal to 2"),
        (HELD_OUT, "{method: repeated-k-fold, folds: 5, repeats: 2, test: 0.25, shuffle: false}",
         "11: datasets.diabetes.split.shuffle: unknown key 'shuffle'; "
         "allowed: folds, method, repeats, seed, stratify, test"),
        (HELD_OUT, "{method: k-fold, folds: 5}",
         "11: datasets.diabetes.split.test: missing; 'diabetes' has no test rows of its own, say how many to hold out"),
        (ROASTS, "{method: k-fold, folds: 5, test: 0.25}",
         "15: datasets.coffee.split.test: 0.25: 'coffee' has test rows of its own; remove the key"),
        (HELD_OUT, "{method: k-fold, folds: 5, test: 0.25, stratify: true}",
         "11: datasets.diabetes.split.stratify: true: 'diabetes' is a regression, only classes can be stratified"),
        (ROASTS, "{method: k-fold, folds: 5, shuffle: false, stratify: true}",
         "15: datasets.coffee.split.stratify: true: only shuffled rows can be stratified; "
         "allowed: false, or shuffle: true"),
        (ROASTS, "{method: k-fold, folds: 5, shuffle: false, seed: 7}",
         "15: datasets.coffee.split.seed: 7: rows that are not shuffled take no seed; remove the key"),
        (ROASTS, "{method: k-fold, folds: 201}",
         "15: datasets.coffee.split.folds: 201: each fold needs a row to validate on; allowed: 2 to 200"),
    ],
)  # fmt: skip
def test_folds_that_make_no_sense_are_refused_before_anything_runs(write_params, old, new, message):
    path = write_params((old, new))
    with pytest.raises(ParameterError) as caught:
        read_params(path)
    assert str(caught.value).splitlines()[:-1] == [f"{path}:{message}"]
