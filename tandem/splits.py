"""Dividing rows into training, validation and test parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tandem.config import FirstRows, Holdout, Split
from tandem.datasets.source import Rows
from tandem.errors import DataError


@dataclass(frozen=True)
class Fold:
    """Row indices (int64) of one fold among the fit rows."""

    train: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class Parts:
    """The fit rows (training and validation) with their folds, and the test rows."""

    fit: Rows
    folds: tuple[Fold, ...]
    test: Rows


def divide(rows: Rows, own_test: Rows | None, split: Split) -> Parts:
    """Divide rows as declared.

    Args:
        rows: all rows of the source; those that it brings for testing are apart.
        own_test: the source's own test rows, if it has any.
        split: the declaration.

    Raises:
        DataError: a part would be empty, or a class has too few rows to be stratified.
    """
    if isinstance(split, FirstRows):
        fit, test, fold = _first_rows(len(rows), split)
    else:
        fit, test, fold = _holdout(rows.targets, split)
    if len(fold.train) == 0:
        raise DataError(f"split '{split.method}' leaves no row to train on; lower valid or test ({len(rows)} rows)")
    if own_test is None and len(test) == 0:
        raise DataError(f"split '{split.method}' leaves no row to test on; raise test ({len(rows)} rows)")
    tested = own_test if own_test is not None else Rows(rows.features[test], rows.targets[test])
    return Parts(Rows(rows.features[fit], rows.targets[fit]), (fold,), tested)


def _first_rows(count: int, split: FirstRows) -> tuple[np.ndarray, np.ndarray, Fold]:
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
    return fit, test, Fold(train=positions[split.valid :], valid=positions[: split.valid])


def _holdout(targets: np.ndarray, split: Holdout) -> tuple[np.ndarray, np.ndarray, Fold]:
    fit, test = np.arange(len(targets)), np.arange(0)
    if split.test is not None:
        fit, test = _split(fit, targets, split.test, split.seeds[0], split.stratify)
    positions = np.arange(len(fit))
    train, valid = _split(positions, targets[fit], split.valid, split.seeds[1], split.stratify)
    return fit, test, Fold(train=train, valid=valid)


def _split(
    indices: np.ndarray, targets: np.ndarray, share: float, seed: int, stratify: bool
) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.model_selection import train_test_split

    try:
        kept, held = train_test_split(
            indices, test_size=share, random_state=seed, stratify=targets if stratify else None
        )
    except ValueError as error:
        raise DataError(
            f"split 'holdout' with share {share} of {len(indices)} rows: {error}; change the share or stratify"
        ) from None
    return kept.astype(np.int64), held.astype(np.int64)
