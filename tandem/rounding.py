"""What float32 arithmetic leaves between two equal computations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tandem.records import Interval, Number

ROUNDING = 1e-6  # relative; some ten roundings of float32


def rounding_reach(metric: str, values: Sequence[float], targets: np.ndarray) -> Number:
    """Return the largest difference of a metric that float32 arithmetic explains.

    An error is measured against its own size, and against the size of what is predicted: predictions that are off by
    δ = ``ROUNDING`` · √mean(y²) change the root of a mean squared error, and a mean absolute error, by up to δ, and a
    mean squared error e by up to 2 δ √e + δ².

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
    size = ROUNDING * math.sqrt(float(np.square(targets, dtype=np.float64).mean()))
    if metric in ("rmse", "mae"):
        return max(own, size)
    if metric == "mse":
        return max(own, _reach_of_squares(max(values), size))
    variance = float(np.var(targets, dtype=np.float64))  # R² = 1 - e / variance
    if variance == 0:
        return own
    return max(own, _reach_of_squares(max(0.0, 1 - min(values)) * variance, size) / variance)


def _reach_of_squares(error: float, size: float) -> float:
    return 2 * size * math.sqrt(error) + size**2


def is_rounding(difference: Interval, reach: Number) -> bool:
    """Return whether a whole interval of a difference is no more than float32 arithmetic leaves.

    Args:
        difference: between two frameworks' values of a metric.
        reach: what :func:`rounding_reach` gives for them.
    """
    ends = [abs(end) for end in (difference.value, difference.low, difference.high) if end is not None]
    return reach is not None and len(ends) == 3 and max(ends) <= reach
