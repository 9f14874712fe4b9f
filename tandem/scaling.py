"""Scaling features; a scaler is fitted on training rows and applied by whoever loads rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from tandem.config import Standardize
from tandem.missing import fill_missing
from tandem.records import FeatureRange, Record, ScalingSummary

_CHUNK_ROWS = 4096


class Scaler(Record):
    """Maps features x to (x - center) / scale.

    ``center`` and ``scale`` hold one number for all features, or one for each in C order; ``fill`` what a missing
    value (NaN) of each becomes before, and is empty where none may be missing.
    """

    method: Literal["zscore", "minmax", "none"]
    per: Literal["feature", "all"]
    center: tuple[float, ...]
    scale: tuple[float, ...]
    fill: tuple[float, ...] = ()

    def transform(self, features: np.ndarray, dtype: str = "float32") -> np.ndarray:
        """Return scaled features (n, *shape), computed in float64 and rounded once to ``dtype``."""
        shape = features.shape[1:] if len(self.center) > 1 else (1,) * (features.ndim - 1)
        center, scale = (np.array(values).reshape(shape) for values in (self.center, self.scale))
        scaled = np.empty(features.shape, dtype=dtype)
        for part in _chunks(len(features)):
            raw = fill_missing(features[part].astype(np.float64), self.fill)
            scaled[part] = (raw - center) / scale
        return scaled


def fit_scaler(features: np.ndarray, rows: np.ndarray, declared: Standardize, keep: Sequence[int] = ()) -> Scaler:
    """Fit a scaler on some rows of the features.

    z-score: mean and standard deviation (of the population, as scikit-learn's StandardScaler takes it);
    min-max: minimum and range. A feature that does not vary is only centred.

    Args:
        features: (n, *shape), raw units.
        rows: indices of the training rows.
        declared: method, and one scale for each feature or for all together.
        keep: positions (C order) of features that are left as they are, codes of categories for instance; they
            do not count where one scale serves for all.
    """
    size = int(np.prod(features.shape[1:]))
    scaled = np.setdiff1d(np.arange(size), np.asarray(keep, dtype=np.int64))
    if declared.method == "none" or len(scaled) == 0:
        return Scaler(method=declared.method, per=declared.per, center=(0.0,), scale=(1.0,))
    if len(scaled) < size:
        numeric = features.reshape(len(features), -1)[:, scaled]
        return _spread(fit_scaler(numeric, rows, declared), scaled, size)
    low, mean, high, deviation = _statistics(features, rows, declared.per)
    center, scale = (mean, deviation) if declared.method == "zscore" else (low, high - low)
    varies = high > low  # the deviation of equal numbers is not always 0: their mean is rounded
    center, scale = np.where(varies, center, low), np.where(varies & (scale > 0), scale, 1.0)
    assert center.size in (1, size)  # noqa: S101  (one for all features, or one for each)
    return Scaler(method=declared.method, per=declared.per, center=tuple(center.tolist()), scale=tuple(scale.tolist()))


def _spread(scaler: Scaler, positions: np.ndarray, size: int) -> Scaler:
    """Return a scaler of ``size`` features that scales those at ``positions`` and leaves the others alone."""
    center, scale = np.zeros(size), np.ones(size)
    center[positions], scale[positions] = scaler.center, scaler.scale
    return Scaler(method=scaler.method, per=scaler.per, center=tuple(center.tolist()), scale=tuple(scale.tolist()))


def summarize_scaling(
    features: np.ndarray, rows: np.ndarray, scaler: Scaler, feature_names: tuple[str, ...]
) -> ScalingSummary:
    """Return the ranges of the training rows before and after scaling.

    Samples with named columns get a range for each; images one for all pixels.
    """
    per: Literal["feature", "all"] = "feature" if feature_names else "all"
    before = np.stack(_statistics(features, rows, per), axis=1)
    scaled = scaler.transform(features[rows], "float64")
    after = np.stack(_statistics(scaled, np.arange(len(rows)), per), axis=1)
    names = feature_names or ("all features",)
    return ScalingSummary(
        method=scaler.method,
        per=scaler.per,
        fitted_rows=len(rows),
        ranges=tuple(
            FeatureRange(feature=name, before=tuple(first.tolist()), after=tuple(second.tolist()))
            for name, first, second in zip(names, before, after, strict=True)
        ),
    )


def _statistics(
    features: np.ndarray, rows: np.ndarray, per: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return minimum, mean, maximum and standard deviation in float64, each (features,) or (1,)."""

    def parts() -> Iterator[np.ndarray]:
        for part in _chunks(len(rows)):
            chosen = features[rows[part]].astype(np.float64)
            yield chosen.reshape(len(chosen), -1) if per == "feature" else chosen.reshape(-1, 1)

    count, total = 0, np.zeros(1)
    low, high = np.array([np.inf]), np.array([-np.inf])
    for part in parts():
        count += len(part)
        total = total + part.sum(axis=0)
        low, high = np.minimum(low, part.min(axis=0)), np.maximum(high, part.max(axis=0))
    mean = total / count
    squares = np.zeros(1)
    for part in parts():
        squares = squares + np.square(part - mean).sum(axis=0)
    return low, mean, high, np.sqrt(squares / count)


def _chunks(count: int) -> Iterator[slice]:
    for start in range(0, count, _CHUNK_ROWS):
        yield slice(start, min(start + _CHUNK_ROWS, count))
