"""Whether a noisy curve falls, rises or neither at its end, by statistics that a single spike does not move."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from tandem.diagnosis.thresholds import LEAST_EPOCHS, LEVEL_EPOCHS, MATERIAL, WINDOW, WINDOW_SHARE
from tandem.records import Record

Direction = Literal["falls", "flat", "rises"]

_LARGEST_LOGARITHM = 700.0  # whose exponential is a number yet
_USED_POINTS = 200  # of a window; a longer one is thinned, since pairs grow with the square
_NORMAL_QUANTILE = 2.575829  # of (1 + CONFIDENCE) / 2


class Trend(Record):
    """The trend of a loss over the last epochs.

    ``slope`` is the change per epoch as a share (-0.03: 3 % less each epoch), by the Theil-Sen estimator on the
    logarithm, with its interval at CONFIDENCE.
    """

    first_epoch: int
    last_epoch: int
    first: float  # the loss in these epochs
    last: float
    slope: float
    low: float
    high: float
    direction: Direction
    under_floor: bool  # most losses in the window are so small that they count as equal

    @property
    def is_clear(self) -> bool:
        """Whether the curve is sure to have the direction given: a flat one's interval holds no change that counts."""
        if self.direction != "flat":
            return True
        steps = self.last_epoch - self.first_epoch
        return self.low >= _share(math.log1p(-MATERIAL) / steps) and self.high <= _share(math.log1p(MATERIAL) / steps)


def window_of(epochs: int) -> int:
    """Return over how many of the last epochs a trend is judged."""
    return min(epochs, max(WINDOW, math.ceil(WINDOW_SHARE * epochs)))


def loss_trend(epochs: Sequence[int], losses: Sequence[float], floor: float = 0.0) -> Trend | None:
    """Return the trend of finite losses at their end, or None where there are fewer than LEAST_EPOCHS.

    Args:
        epochs: their numbers.
        losses: one an epoch, not negative.
        floor: losses below it count as equal to it.
    """
    if len(losses) < LEAST_EPOCHS:
        return None
    size = window_of(len(losses))
    places = np.asarray(epochs[-size:], dtype=np.float64)
    logarithms = np.log(np.maximum(np.asarray(losses[-size:], dtype=np.float64), max(floor, np.finfo(float).tiny)))
    slope, low, high = theil_sen(places, logarithms)
    change = _share(slope * float(places[-1] - places[0]))
    direction: Direction = "flat"
    if high < 0 and change <= -MATERIAL:
        direction = "falls"
    elif low > 0 and change >= MATERIAL:
        direction = "rises"
    return Trend(
        first_epoch=epochs[-size],
        last_epoch=epochs[-1],
        first=losses[-size],
        last=losses[-1],
        slope=_share(slope),
        low=_share(low),
        high=_share(high),
        direction=direction,
        under_floor=float(np.median(losses[-size:])) <= floor,
    )


def _share(logarithm: float) -> float:
    """Return the change as a share that a change of the logarithm is, kept finite."""
    return math.expm1(min(logarithm, _LARGEST_LOGARITHM))


def theil_sen(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Return the median of the slopes of all pairs of points, and its interval at CONFIDENCE (Sen, 1968; without ties).

    Args:
        x: (n,) distinct, n > 1; above 200 points every k-th is used.
        y: (n,).
    """
    step = math.ceil(len(x) / _USED_POINTS)
    x, y = x[::-step], y[::-step]
    n = len(x)
    i, j = np.triu_indices(n, 1)
    slopes = np.sort((y[j] - y[i]) / (x[j] - x[i]))
    reach = _NORMAL_QUANTILE * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = max(0, round((len(slopes) - reach) / 2) - 1)
    high = min(len(slopes) - 1, round((len(slopes) + reach) / 2))
    return float(np.median(slopes)), float(slopes[low]), float(slopes[high])


def level(losses: Sequence[float]) -> float:
    """Return where a curve ends: the median of its last epochs, which one spike does not move."""
    return float(np.median(np.asarray(losses[-LEVEL_EPOCHS:], dtype=np.float64)))


def scatter(losses: Sequence[float]) -> float:
    """Return the typical noise from epoch to epoch as a share of the loss: robust, and blind to a smooth trend.

    It is the median absolute second difference of the logarithms, scaled to the standard deviation of normal noise.
    """
    if len(losses) < LEAST_EPOCHS:
        return 0.0
    logarithms = np.log(np.maximum(np.asarray(losses, dtype=np.float64), np.finfo(float).tiny))
    return float(np.median(np.abs(np.diff(logarithms, 2)))) * 1.4826 / math.sqrt(6)
