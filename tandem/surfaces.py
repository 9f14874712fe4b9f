"""A grid over the inputs of a data set with one or two features, for drawing a network's outputs between the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MARGIN = 0.06  # of the range, on either side
STEPS = {1: 301, 2: 101}  # points along each axis, by number of features


@dataclass(frozen=True)
class Grid:
    """Inputs at equal steps.

    Attributes:
        axes: one per feature, (steps,) ascending, raw units.
    """

    axes: tuple[np.ndarray, ...]

    @property
    def points(self) -> np.ndarray:
        """All inputs, (steps ** features, features); the last feature varies fastest."""
        return np.stack([axis.ravel() for axis in np.meshgrid(*self.axes, indexing="ij")], axis=1)


def has_grid(feature_shape: Sequence[int], categorical: Sequence[int] = ()) -> bool:
    """Say whether a sample is one or two numbers, so that a network's outputs can be drawn over all of its inputs.

    Args:
        feature_shape: shape of one sample.
        categorical: positions of columns that hold codes; between two codes there is nothing to draw.
    """
    return len(feature_shape) == 1 and feature_shape[0] in STEPS and not categorical


def lay_grid(features: np.ndarray) -> Grid:
    """Return the grid over the range of some rows and a margin; the same rows give the same grid.

    Args:
        features: (n, 1) or (n, 2) training rows in raw units; rows with a missing value (NaN) count for nothing. A
            feature that does not vary gets a range of 1.

    Raises:
        ValueError: another shape, or no row without a missing value.
    """
    rows = np.asarray(features, dtype=np.float64)
    if rows.ndim == 2:
        rows = rows[np.isfinite(rows).all(axis=1)]
    if rows.ndim != 2 or not has_grid(rows.shape[1:]) or not len(rows):
        raise ValueError(f"a grid needs rows (n, 1) or (n, 2) without missing values, not {features.shape}")
    low, high = rows.min(axis=0), rows.max(axis=0)
    spread = np.where(high > low, high - low, 1.0)
    steps = STEPS[rows.shape[1]]
    return Grid(
        tuple(
            np.linspace(start, end, steps)
            for start, end in zip(low - MARGIN * spread, high + MARGIN * spread, strict=True)
        )
    )
