"""What missing values become: fitted on training rows, applied with the scaler."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tandem.errors import DataError
from tandem.records import Column


def fit_fill(features: np.ndarray, rows: np.ndarray, columns: Sequence[Column]) -> tuple[float, ...]:
    """Return what a missing value of each column becomes; empty where no column declares anything.

    Args:
        features: (n, columns), raw units; NaN where missing.
        rows: indices of the training rows.
        columns: with what is declared for each.

    Raises:
        DataError: a column has no value among the training rows.
    """
    if not any(column.missing not in (None, "category") for column in columns):
        return ()
    return tuple(_fill(column, features[rows, place]) for place, column in enumerate(columns))


def _fill(column: Column, values: np.ndarray) -> float:
    if column.missing == "constant" and column.constant is not None:
        return column.constant
    if column.missing in (None, "category"):
        return 0.0  # never used: none is missing
    known = values[~np.isnan(values)]
    if len(known) == 0:
        raise DataError(
            f"column '{column.name}': every value among the training rows is missing, so that there is no "
            f"{column.missing} of it; declare a constant, or take the column out of params.yaml"
        )
    if column.missing == "most-frequent":
        return float(np.bincount(known.astype(np.int64)).argmax())
    return float(np.median(known) if column.missing == "median" else np.mean(known))


def fill_missing(features: np.ndarray, fill: Sequence[float]) -> np.ndarray:
    """Return features (n, columns) with each NaN replaced by what :func:`fit_fill` gave; unchanged for an empty one."""
    return np.where(np.isnan(features), np.array(fill), features) if fill else features
