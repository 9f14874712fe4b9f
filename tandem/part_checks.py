"""Checks of a split: every class must be in every part that it has to be in."""

from __future__ import annotations

import math

import numpy as np

from tandem.config import FirstRows, Holdout, KFold, RepeatedKFold, Split
from tandem.datasets.source import Rows, group_rows
from tandem.errors import DataError
from tandem.records import Description
from tandem.splits import Parts


def check_class_rows(rows: Rows, split: Split, known: Description) -> None:
    """Check, before rows are divided, that each class has enough of them for a stratified split.

    Args:
        rows: all rows of the source, without test rows of its own.
        split: the declaration.
        known: of the data.

    Raises:
        DataError: a class has too few rows; says how many each such class has, and how many it takes.
    """
    if not known.class_names or isinstance(split, FirstRows) or not split.stratify:
        return
    targets = rows.targets
    if known.duplicates == "keep-together":
        targets = targets[group_rows(rows.features)[1]]
    held = split.folds if isinstance(split, KFold | RepeatedKFold) else 2
    needed = held + (not known.own_test)
    counts = np.bincount(targets, minlength=len(known.class_names))
    few = [f"'{name}' ({count})" for name, count in zip(known.class_names, counts, strict=True) if count < needed]
    if few:
        kind = "rows with different features" if known.duplicates == "keep-together" else "rows"
        raise DataError(
            f"target '{known.target_name}': too few {kind} of the class {', '.join(few)} for a stratified split: it "
            f"takes {needed}, so that each part has one; add rows, or take the class's rows out of the data"
        )
    if isinstance(split, Holdout):
        _check_held_rows(len(targets), split, known)


def _check_held_rows(count: int, split: Holdout, known: Description) -> None:
    """Check that each held-out part has as many rows as there are classes."""
    classes = len(known.class_names)
    for part, share in (("test", split.test), ("valid", split.valid)):
        held = math.ceil(count * share) if share is not None else classes
        if held < classes:
            raise DataError(
                f"split 'holdout': {part}: {share} of {count} rows is {held}, too few for each of {classes} classes to "
                f"have one; raise {part}, add rows, or take `stratify: false`"
            )
        count -= held if share is not None else 0


def check_training_classes(parts: Parts, known: Description) -> None:
    """Check that every class is among the training rows of each fold.

    Raises:
        DataError: one is not.
    """
    if not known.class_names:
        return
    for number, fold in enumerate(parts.folds):
        counts = np.bincount(parts.fit.targets[fold.train], minlength=len(known.class_names))
        lacking = [name for name, count in zip(known.class_names, counts, strict=True) if not count]
        if lacking:
            where = f" of fold {number + 1}" if len(parts.folds) > 1 else ""
            raise DataError(
                f"target '{known.target_name}': no row of the class '{lacking[0]}' is among the training rows{where}; "
                "declare `stratify: true` under split, or add rows of the class"
            )
