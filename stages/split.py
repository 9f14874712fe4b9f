"""Divides one data set's rows into fit and test parts: ``python -m stages.split DATASET``.

``fit/`` holds the training and validation rows with the row indices of each fold; ``test/`` is read by
``evaluate`` alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from stages import paths
from stages.command import run_stage_command, take_arguments
from tandem import datasets
from tandem.config import RepeatedKFold, Split, read_dataset
from tandem.datasets import Rows
from tandem.part_checks import check_class_rows, check_training_classes
from tandem.records import DataDescription, FoldRows, write_record
from tandem.splits import Fold, Parts, describe, divide
from tandem.storage import new_directory, save_array


def main(arguments: list[str]) -> None:
    """Divide the data set."""
    (name,) = take_arguments(arguments, "split", "DATASET")
    declared = read_dataset(paths.PARAMS, name)
    source = datasets.source(declared.source.name)
    known = datasets.describe(declared.source.name, declared.source.options)
    rows, own_test = source.load(paths.raw(name))
    check_class_rows(rows, declared.split, known)
    parts = divide(rows, own_test, declared.split, keep_together=known.duplicates == "keep-together")
    check_training_classes(parts, known)
    fold = parts.folds[0]
    classes = len(known.class_names)
    description = DataDescription(
        dataset=name,
        source=declared.source.name,
        **dict(known),
        rows={"train": len(fold.train), "valid": len(fold.valid), "test": len(parts.test)},
        class_counts=_class_counts(parts.fit, fold, classes) if classes else {},
        protocol=describe(declared.split),
        folds=_fold_rows(parts, declared.split),
    )
    with new_directory(paths.fit(name)) as directory:
        _write_rows(parts.fit, directory)
        for number, indices in enumerate(parts.folds):
            folder = directory / "folds" / str(number)
            folder.mkdir(parents=True)
            save_array(folder / "train.npy", indices.train)
            save_array(folder / "valid.npy", indices.valid)
        write_record(description, directory / "description.json")
    with new_directory(paths.test(name)) as directory:
        _write_rows(parts.test, directory)


def _class_counts(fit: Rows, fold: Fold, classes: int) -> dict:
    return {
        part: tuple(np.bincount(fit.targets[rows], minlength=classes).tolist())
        for part, rows in (("train", fold.train), ("valid", fold.valid))
    }


def _fold_rows(parts: Parts, split: Split) -> tuple[FoldRows, ...]:
    if len(parts.folds) == 1:
        return ()
    folds = split.folds if isinstance(split, RepeatedKFold) else len(parts.folds)
    return tuple(
        FoldRows(repeat=number // folds, train=len(fold.train), valid=len(fold.valid))
        for number, fold in enumerate(parts.folds)
    )


def _write_rows(rows: Rows, directory: Path) -> None:
    save_array(directory / "features.npy", rows.features)
    save_array(directory / "targets.npy", rows.targets)


if __name__ == "__main__":
    sys.exit(run_stage_command(main))
