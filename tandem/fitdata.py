"""Loading what ``split`` and ``standardize`` wrote: scaled rows for a network."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tandem.datasets.source import Rows
from tandem.errors import DataError
from tandem.records import DataDescription, read_record
from tandem.scaling import Scaler
from tandem.storage import load_array
from tandem.streaming import StreamedFeatures, StreamedRows


@dataclass(frozen=True)
class FitData:
    """The training and validation rows of one fold, scaled.

    Attributes:
        train, valid: features in the network's number type, targets as int32 labels or float values;
            ``valid`` may be empty.
        description: of the data set.
    """

    train: Rows
    valid: Rows
    description: DataDescription


def load_fit(fit: Path, scaler: Path, fold: int = 0, dtype: str = "float32", *, streamed: bool = False) -> FitData:
    """Load the rows of a fold and scale them.

    Args:
        fit: the folder that ``split`` wrote.
        scaler: the folder that ``standardize`` wrote.
        fold: its number, from 0.
        dtype: number type of features and values.
        streamed: leave features on disk, to be read and scaled as they are asked for.

    Raises:
        DataError: a file is missing or damaged.
    """
    description = read_record(DataDescription, fit / "description.json")
    features, targets = load_array(fit / "features.npy"), load_array(fit / "targets.npy")
    scale = load_scaler(scaler, fold)

    def part(name: str) -> Rows:
        rows = load_array(fit / "folds" / str(fold) / f"{name}.npy")
        if streamed:
            lazy: Any = StreamedFeatures.open(fit / "features.npy", rows, scale, dtype)
            return StreamedRows(lazy, typed_targets(targets[rows], dtype))
        return Rows(scale.transform(features[rows], dtype), typed_targets(targets[rows], dtype))

    return FitData(part("train"), part("valid"), description)


def load_training_rows(fit: Path, scaler: Path, positions: np.ndarray, fold: int = 0, dtype: str = "float32") -> Rows:
    """Load some training rows of a fold, scaled, by their positions among them; the others are not read.

    Raises:
        DataError: a file is missing or damaged.
    """
    rows = load_array(fit / "folds" / str(fold) / "train.npy")[positions]
    features, targets = (np.asarray(load_array(fit / f"{name}.npy")[rows]) for name in ("features", "targets"))
    return Rows(load_scaler(scaler, fold).transform(features, dtype), typed_targets(targets, dtype))


def load_test(test: Path, scaler: Path, fold: int = 0, dtype: str = "float32") -> Rows:
    """Load the test rows, scaled. Only ``evaluate`` calls it."""
    features, targets = load_array(test / "features.npy"), load_array(test / "targets.npy")
    return Rows(load_scaler(scaler, fold).transform(features, dtype), typed_targets(targets, dtype))


def load_scaler(scaler: Path, fold: int = 0) -> Scaler:
    """Read the scaler of a fold.

    Raises:
        DataError: the file is missing or damaged.
    """
    return read_record(Scaler, scaler / f"fold-{fold}.json")


def fit_digest(fit: Path, scaler: Path) -> str:
    """Return the sha256 over every file of the fit rows and scalers, names included."""
    digest = hashlib.sha256()
    for folder in (fit, scaler):
        if not folder.is_dir():
            raise DataError(f"{folder}: missing; run `dvc repro` to make it")
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def typed_targets(targets: np.ndarray, dtype: str) -> np.ndarray:
    """Return targets as a network takes them: int32 labels, or values of the number type ``dtype``."""
    return targets.astype(np.int32 if np.issubdtype(targets.dtype, np.integer) else dtype)
