"""The rows on which a search trains and scores its settings: out of the fit part alone, scaled inside each fold.

With k folds three kinds of rows are apart: a network is trained on all but one fold of the data set's training rows,
early stopping and the best epoch watch the data set's own validation rows, and the fold held out scores, so that what
scores has chosen nothing. The scaler is fitted on each fold's training rows. A hold-out search has a single fold, the
data set's own: its validation rows watch and score.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tandem.config import KFold, Protocol, ScoredFolds, Standardize
from tandem.datasets.source import Rows
from tandem.errors import DataError
from tandem.fitdata import load_scaler, typed_targets
from tandem.missing import fill_missing, fit_fill
from tandem.records import DataDescription, FoldRows, read_record
from tandem.scaling import Scaler, fit_scaler
from tandem.splits import Fold, divide
from tandem.storage import load_array


@dataclass(frozen=True)
class FoldData:
    """One fold's rows, scaled, with targets as int32 labels or float values.

    Attributes:
        train: trained on.
        watch: for early stopping and the best epoch; may be empty. In a hold-out search the same as ``score``.
        score: held out; the metric is taken on them.
    """

    train: Rows
    watch: Rows
    score: Rows


@dataclass(frozen=True)
class SearchFolds:
    """All folds of a search; the rows of each are scaled when they are asked for.

    Attributes:
        description: of the data set.
        divided: positions, among the data set's training rows, of each fold's training rows and of those held out;
            empty for a hold-out search.
    """

    description: DataDescription
    divided: tuple[Fold, ...]
    _train: Rows  # of the data set's first fold, raw
    _valid: Rows
    _own_scaler: Scaler

    @property
    def rows(self) -> tuple[FoldRows, ...]:
        """How many rows each fold trains on and is scored on."""
        if not self.divided:
            return (FoldRows(repeat=0, train=len(self._train), valid=len(self._valid)),)
        return tuple(FoldRows(repeat=0, train=len(fold.train), valid=len(fold.valid)) for fold in self.divided)

    def load(self, number: int, dtype: str = "float32") -> FoldData:
        """Return a fold's rows, with features in the number type ``dtype``.

        Raises:
            DataError: a column has no known value among the fold's training rows.
        """
        if not self.divided:
            valid = _scaled(self._valid, self._own_scaler, dtype)
            return FoldData(_scaled(self._train, self._own_scaler, dtype), valid, valid)
        fold = self.divided[number]
        scaler = self._fit_scaler(fold.train)
        train, score = (_scaled(_rows(self._train, rows), scaler, dtype) for rows in (fold.train, fold.valid))
        return FoldData(train, _scaled(self._valid, scaler, dtype), score)

    def _fit_scaler(self, rows: np.ndarray) -> Scaler:
        """Fit the data set's kind of scaler on some of the training rows."""
        own = self._own_scaler
        fill = fit_fill(self._train.features, rows, self.description.columns)
        known = fill_missing(self._train.features, fill)
        fitted = fit_scaler(known, rows, Standardize(method=own.method, per=own.per), self.description.categorical)
        return fitted.model_copy(update={"fill": fill})


def load_folds(fit: Path, scaler: Path, protocol: Protocol) -> SearchFolds:
    """Load the rows of a data set's first fold and divide its training rows.

    Rows with the same features come into the same fold where the data set keeps such rows together.

    Args:
        fit: the folder that ``split`` wrote.
        scaler: the folder that ``standardize`` wrote.
        protocol: of the search.

    Raises:
        DataError: a file is missing or damaged, the rows cannot be divided so, or no row is left to score on.
    """
    description = read_record(DataDescription, fit / "description.json")
    features, targets = load_array(fit / "features.npy"), load_array(fit / "targets.npy")
    train, valid = (
        _rows(Rows(features, targets), load_array(fit / "folds" / "0" / f"{part}.npy")) for part in ("train", "valid")
    )
    divided: tuple[Fold, ...] = ()
    if isinstance(protocol, ScoredFolds):
        split = KFold.model_validate(protocol.model_dump())
        if protocol.folds > len(train):
            raise DataError(
                f"protocol.folds: {protocol.folds}: a search divides the {len(train)} training rows of {fit}; "
                f"allowed: 2 to {len(train)}"
            )
        parts = divide(train, _rows(train, slice(0)), split, keep_together=description.duplicates == "keep-together")
        train, divided = parts.fit, parts.folds
    elif not len(valid):
        raise DataError(f"{fit}: no validation rows to score settings on; declare protocol: {{method: k-fold}}")
    return SearchFolds(description, divided, train, valid, load_scaler(scaler))


def _rows(rows: Rows, chosen: np.ndarray | slice) -> Rows:
    return Rows(np.asarray(rows.features[chosen]), np.asarray(rows.targets[chosen]))


def _scaled(rows: Rows, scaler: Scaler, dtype: str) -> Rows:
    return Rows(scaler.transform(rows.features, dtype), typed_targets(rows.targets, dtype))
