"""Dividing rows into training, validation and test parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.config import FirstRows, Holdout, KFold, RepeatedKFold, Split
from tandem.datasets.source import Rows
from tandem.errors import DataError


@dataclass(frozen=True)
class Fold:
    """Row indices (int64) of one fold among the fit rows."""

    train: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class Parts:
    """The fit rows (training and validation) with their folds, repeat after repeat, and the test rows."""

    fit: Rows
    folds: tuple[Fold, ...]
    test: Rows


def divide(rows: Rows, own_test: Rows | None, split: Split, *, keep_together: bool = False) -> Parts:
    """Divide rows as declared.

    Args:
        rows: all rows of the source; those that it brings for testing are apart.
        own_test: the source's own test rows, if it has any.
        split: the declaration.
        keep_together: rows with the same features come into the same part; the split then counts each such group
            as the first of its rows.

    Raises:
        DataError: a part would be empty, or a class has too few rows to be stratified.
    """
    if keep_together:
        groups = _same_features(rows.features)
        firsts = np.array([group[0] for group in groups], dtype=np.int64)
        fit, test, folds = _expand(groups, *_indices(rows.targets[firsts], split))
    else:
        fit, test, folds = _indices(rows.targets, split)
    if any(len(fold.train) == 0 for fold in folds):
        raise DataError(f"split '{split.method}' leaves no row to train on; lower valid or test ({len(rows)} rows)")
    if own_test is None and len(test) == 0:
        raise DataError(f"split '{split.method}' leaves no row to test on; raise test ({len(rows)} rows)")
    tested = own_test if own_test is not None else Rows(rows.features[test], rows.targets[test])
    return Parts(Rows(rows.features[fit], rows.targets[fit]), folds, tested)


def _indices(targets: np.ndarray, split: Split) -> tuple[np.ndarray, np.ndarray, tuple[Fold, ...]]:
    """Return the fit rows, the test rows, and the folds as positions among the fit rows."""
    if isinstance(split, FirstRows):
        return _first_rows(len(targets), split)
    if isinstance(split, Holdout):
        return _holdout(targets, split)
    return _k_fold(targets, split)


def _same_features(features: np.ndarray) -> list[np.ndarray]:
    """Return the row numbers of each distinct sample, in the order of their first rows."""
    _, first, group = np.unique(
        np.asarray(features).reshape(len(features), -1), axis=0, return_index=True, return_inverse=True
    )
    by_group = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    return [by_group[number] for number in np.argsort(first)]


def _expand(
    groups: list[np.ndarray], fit: np.ndarray, test: np.ndarray, folds: tuple[Fold, ...]
) -> tuple[np.ndarray, np.ndarray, tuple[Fold, ...]]:
    """Turn indices of groups into indices of all their rows."""

    def rows_of(chosen: np.ndarray) -> np.ndarray:
        return np.concatenate([groups[number] for number in chosen]) if len(chosen) else np.arange(0)

    ends = np.cumsum([len(groups[number]) for number in fit])
    places = [np.arange(end - len(groups[number]), end) for number, end in zip(fit, ends, strict=True)]

    def places_of(chosen: np.ndarray) -> np.ndarray:
        return np.concatenate([places[position] for position in chosen]) if len(chosen) else np.arange(0)

    expanded = tuple(Fold(train=places_of(fold.train), valid=places_of(fold.valid)) for fold in folds)
    return rows_of(fit), rows_of(test), expanded


def describe(split: Split) -> str:
    """Say in words how rows are divided."""
    if isinstance(split, FirstRows):
        return "first rows held out"
    if isinstance(split, Holdout):
        words = "hold-out"
    elif isinstance(split, RepeatedKFold):
        words = f"{split.folds}-fold cross-validation, repeated {split.repeats} times"
    else:
        words = f"{split.folds}-fold cross-validation" + ("" if split.shuffle else ", rows in their order")
    return words + (", stratified" if split.stratify else "")


def _first_rows(count: int, split: FirstRows) -> tuple[np.ndarray, np.ndarray, tuple[Fold, ...]]:
    tested = split.test or 0
    if split.valid + tested >= count:
        raise DataError(
            f"split 'first-n': valid {split.valid} and test {tested} leave no row to train on; "
            f"the source has {count} rows"
        )
    everything = np.arange(count)
    test = everything[split.valid : split.valid + tested]
    fit = np.concatenate([everything[: split.valid], everything[split.valid + tested :]])
    positions = np.arange(len(fit))
    return fit, test, (Fold(train=positions[split.valid :], valid=positions[: split.valid]),)


def _holdout(targets: np.ndarray, split: Holdout) -> tuple[np.ndarray, np.ndarray, tuple[Fold, ...]]:
    fit, test = np.arange(len(targets)), np.arange(0)
    if split.test is not None:
        fit, test = _split("holdout", fit, targets, split.test, split.seeds[0], split.stratify)
    positions = np.arange(len(fit))
    train, valid = _split("holdout", positions, targets[fit], split.valid, split.seeds[1], split.stratify)
    return fit, test, (Fold(train=train, valid=valid),)


def _k_fold(targets: np.ndarray, split: KFold | RepeatedKFold) -> tuple[np.ndarray, np.ndarray, tuple[Fold, ...]]:
    """Hold the test rows out first, so that no fold has any; the folds are of the rows left, in their new order."""
    fit, test = np.arange(len(targets)), np.arange(0)
    shuffled = isinstance(split, RepeatedKFold) or split.shuffle
    if split.test is not None:
        seed = split.seed if shuffled else None
        fit, test = _split(split.method, fit, targets, split.test, seed, split.stratify)
    _check_folds(targets[fit], split)
    parts = _splitter(split).split(np.zeros(len(fit)), targets[fit] if split.stratify else None)
    folds = tuple(Fold(train=train.astype(np.int64), valid=valid.astype(np.int64)) for train, valid in parts)
    if not shuffled and np.issubdtype(targets.dtype, np.integer):
        _check_blocks(targets[fit], folds)
    return fit, test, folds


def _splitter(split: KFold | RepeatedKFold) -> Any:
    """Return scikit-learn's own splitter."""
    from sklearn import model_selection

    if isinstance(split, RepeatedKFold):
        repeated = model_selection.RepeatedStratifiedKFold if split.stratify else model_selection.RepeatedKFold
        return repeated(n_splits=split.folds, n_repeats=split.repeats, random_state=split.seed)
    single = model_selection.StratifiedKFold if split.stratify else model_selection.KFold
    return single(n_splits=split.folds, shuffle=split.shuffle, random_state=split.seed if split.shuffle else None)


def _check_folds(targets: np.ndarray, split: KFold | RepeatedKFold) -> None:
    """Refuse folds that would lack rows, or rows of a class where the classes' shares are to be kept."""
    if split.folds > len(targets):
        raise DataError(
            f"split '{split.method}': {split.folds} folds need as many rows, "
            f"there are {len(targets)} besides the test rows; lower folds"
        )
    if not split.stratify:
        return
    labels, counts = np.unique(targets, return_counts=True)
    fewest = int(counts.argmin())
    if counts[fewest] < split.folds:
        has = f"has {counts[fewest]} row{'s' if counts[fewest] > 1 else ''} besides the test rows"
        lower = f"lower folds to {counts[fewest]} or set" if counts[fewest] > 1 else "set"
        raise DataError(
            f"split '{split.method}': class {labels[fewest]} (counted from 0) {has}, fewer than the {split.folds} "
            f"folds; {lower} stratify: false"
        )


def _check_blocks(labels: np.ndarray, folds: tuple[Fold, ...]) -> None:
    """Refuse blocks of sorted rows: a network cannot learn a class of which it sees no row."""
    for number, fold in enumerate(folds):
        unseen = np.setdiff1d(labels[fold.valid], labels[fold.train])
        if len(unseen):
            raise DataError(
                f"split 'k-fold': all rows of class {unseen[0]} (counted from 0) validate in fold {number}, and none "
                "is left to train on; set shuffle: true"
            )


def _split(
    method: str, indices: np.ndarray, targets: np.ndarray, share: float, seed: int | None, stratify: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Hold a share of the indices out; without a seed the last ones."""
    from sklearn.model_selection import train_test_split

    try:
        kept, held = train_test_split(
            indices,
            test_size=share,
            random_state=seed,
            shuffle=seed is not None,
            stratify=targets if stratify else None,
        )
    except ValueError as error:
        raise DataError(
            f"split '{method}' with share {share} of {len(indices)} rows: {error}; change the share or stratify"
        ) from None
    return kept.astype(np.int64), held.astype(np.int64)
