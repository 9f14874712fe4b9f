"""What float32 arithmetic leaves between two equal computations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tandem.records import Interval, Number

ROUNDING = 1e-6  # relative; some ten roundings of float32
_UNIT = float(np.finfo(np.float32).eps)
_MOST = 0.01  # of an error that is larger than a few units in the last place of what is predicted
_FEW_UNITS = 10


def rounding_reach(metric: str, values: Sequence[float], targets: np.ndarray) -> Number:
    """Return the largest difference of a metric that float32 arithmetic explains.

    An error is measured against its own size, and against the size of what is predicted: predictions that are off by
    δ = ``ROUNDING`` · √mean(y²) change the root of a mean squared error, and a mean absolute error, by up to δ, and a
    mean squared error e by up to 2 δ √e + δ². Of an error that is more than ten units in the last place of the targets,
    no more than 1 % counts: far from 0, small errors are large units.

    Args:
        metric: a name of :data:`tandem.metrics.METRICS`.
        values: the metric in the frameworks that are compared.
        targets: (n,) of the test rows: labels, or values y.

    Returns:
        None if a value is not finite.
    """
    if not values or not all(map(math.isfinite, values)):
        return None
    own = ROUNDING * max(abs(value) for value in values)
    if metric not in ("mse", "rmse", "mae", "r2"):
        return own
    size = math.sqrt(float(np.square(targets, dtype=np.float64).mean()))
    if metric in ("rmse", "mae"):
        return max(own, _reach_of_root(max(values), size))
    if metric == "mse":
        return max(own, _reach_of_square(max(values), size))
    variance = float(np.var(targets, dtype=np.float64))  # R² = 1 - e / variance
    if variance == 0:
        return own
    return max(own, _reach_of_square(max(0.0, 1 - min(values)) * variance, size) / variance)


def _reach_of_root(root: float, size: float) -> float:
    reach = ROUNDING * size
    return reach if root <= _FEW_UNITS * _UNIT * size else min(reach, _MOST * root)


def _reach_of_square(error: float, size: float) -> float:
    root, reach = math.sqrt(error), ROUNDING * size
    whole = 2 * reach * root + reach**2
    return whole if root <= _FEW_UNITS * _UNIT * size else min(whole, _MOST * error)


def is_rounding(difference: Interval, reach: Number) -> bool:
    """Return whether a whole interval of a difference is no more than float32 arithmetic leaves.

    Args:
        difference: between two frameworks' values of a metric.
        reach: what :func:`rounding_reach` gives for them.
    """
    ends = [abs(end) for end in (difference.value, difference.low, difference.high) if end is not None]
    return reach is not None and len(ends) == 3 and max(ends) <= reach
