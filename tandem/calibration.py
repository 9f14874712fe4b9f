"""Whether probabilities keep what they promise: of the rows given 0.8, 80 % should come true.

Reliability bins of equal mass, the expected calibration error (Naeini, Cooper and Hauskrecht, 2015; with bins of equal
mass: Nixon et al., 2019) and the Brier score (Brier, 1950), with intervals over test rows and over replicates.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import ndtri

from tandem.records import Calibration, Interval, ReliabilityBin
from tandem.statistics import LEVEL, RESAMPLES, sample_interval, seed_interval

BINS = 15  # as in Guo et al., "On Calibration of Modern Neural Networks", 2017
ROWS_PER_BIN = 20  # fewer say nothing of a share; smaller test parts get fewer bins
_CHANCE_DRAWS = 1000
_SEED = 20_150_125
_AT_ONCE = 4_000_000


def calibrate(targets: np.ndarray, probabilities: np.ndarray, overlap: float = 0.0) -> Calibration:
    """Compare probabilities with what came true.

    With two classes the probability is the second class's and the Brier score is (p - y)²; with more it is the
    predicted class's ("top label") and the score is summed over classes.

    Args:
        targets: (n,) labels.
        probabilities: (replicates, n, classes), finite.
        overlap: how much the training rows of two replicates overlap where each is of another fold; see
            :func:`tandem.statistics.seed_interval`.

    Raises:
        ValueError: no row, no replicate, or shapes that do not fit.
    """
    if probabilities.ndim != 3 or probabilities.shape[1] != len(targets) or 0 in probabilities.shape:
        raise ValueError(f"probabilities {probabilities.shape} do not fit {len(targets)} targets")
    probabilities = np.asarray(probabilities, dtype=np.float64)
    predicted, observed = _events(targets, probabilities)
    places = np.stack([bin_rows(row) for row in predicted])
    each = calibration_errors(predicted, observed, places)
    scores = brier_scores(targets, probabilities)
    error, brier = float(each.mean()), float(scores.mean())
    errors, briers = _resampled(predicted - observed, places, scores.mean(axis=0))
    chance = _chance(predicted, places)
    return Calibration(
        bins=reliability_bins(predicted, observed),
        error=_error_interval(error, errors, chance, len(targets)),
        error_seeds=_over_replicates(each, 1.0, overlap),
        chance=chance,
        brier=sample_interval(brier, briers, len(targets)),
        brier_seeds=_over_replicates(scores.mean(axis=1), 2.0, overlap),
        confidence=float(probabilities.max(axis=2).mean()),
        accuracy=float((probabilities.argmax(axis=2) == targets).mean()),
        rows=len(targets),
        replicates=len(probabilities),
    )


def _over_replicates(values: np.ndarray, largest: float, overlap: float) -> Interval | None:
    interval = seed_interval(values.tolist(), (0.0, largest), overlap=overlap)
    return interval.model_copy(update={"over": "folds"}) if interval is not None and overlap else interval


def _events(targets: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the predicted probability of an event, and 1.0 where it came true, each (replicates, n)."""
    if probabilities.shape[2] == 2:
        return probabilities[..., 1], np.broadcast_to(targets == 1, probabilities.shape[:2]).astype(np.float64)
    return probabilities.max(axis=2), (probabilities.argmax(axis=2) == targets).astype(np.float64)


def bin_rows(predicted: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return each probability's bin, (n,) from 0: bins of equal mass, equal probabilities in one bin."""
    wanted = max(1, min(bins, len(predicted) // ROWS_PER_BIN))
    ordered = np.sort(predicted)
    edges = np.unique(ordered[(np.arange(1, wanted) * len(ordered)) // wanted])
    places = np.searchsorted(edges, predicted, side="right")
    return np.unique(places, return_inverse=True)[1]


def reliability_bins(predicted: np.ndarray, observed: np.ndarray) -> tuple[ReliabilityBin, ...]:
    """Return the bins over all predictions.

    Args:
        predicted: (replicates, n) probabilities of the event.
        observed: (replicates, n), 1.0 where it came true.
    """
    replicates = len(predicted)
    chances, outcomes = predicted.ravel(), observed.ravel()
    places = bin_rows(np.sort(chances)[::replicates])  # as many bins as one replicate gets
    edges = np.sort(chances)[::replicates][np.flatnonzero(np.diff(places)) + 1]
    places = np.searchsorted(edges, chances, side="right")
    bins = []
    for place in range(len(edges) + 1):
        chosen = places == place
        share, count = float(outcomes[chosen].mean()), int(chosen.sum())
        low, high = wilson(share, count / replicates)
        predicted_mean = float(chances[chosen].mean())
        bins.append(ReliabilityBin(count=count, predicted=predicted_mean, observed=share, low=low, high=high))
    return tuple(bins)


def wilson(share: float, count: float) -> tuple[float, float]:
    """Return Wilson's score interval (1927) of a share of ``count`` rows."""
    z = float(ndtri((1 + LEVEL) / 2))
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    reach = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(0.0, float(middle - reach)), min(1.0, float(middle + reach))


def calibration_errors(predicted: np.ndarray, observed: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the expected calibration error of each replicate: bins' |predicted - observed|, weighted by their mass.

    Args:
        predicted, observed: (replicates, n), see :func:`reliability_bins`.
        places: (replicates, n) bins.
    """
    gaps = predicted - observed
    rows = gaps.shape[1]
    return np.array([np.abs(np.bincount(p, weights=g)).sum() / rows for p, g in zip(places, gaps, strict=True)])


def brier_scores(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the Brier score of every prediction, (replicates, n)."""
    if probabilities.shape[2] == 2:
        return np.square(probabilities[..., 1] - targets)
    return np.square(probabilities - np.eye(probabilities.shape[2])[targets]).sum(axis=2)


def _resampled(gaps: np.ndarray, places: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return error and score on bootstrap resamples of the rows, (RESAMPLES,) each; bins stay as they are."""
    rows = gaps.shape[1]
    tables = [np.eye(place.max() + 1)[place] * gap[:, None] for gap, place in zip(gaps, places, strict=True)]
    errors, briers = [], []
    for weights in _weights(rows):
        errors.append(np.mean([np.abs(weights @ table).sum(axis=1) / rows for table in tables], axis=0))
        briers.append(weights @ scores / rows)
    return np.concatenate(errors), np.concatenate(briers)


def _weights(count: int) -> Iterator[np.ndarray]:
    """Yield how often each row is drawn, (resamples, count) at a time."""
    generator = np.random.default_rng(_SEED)
    step = max(1, _AT_ONCE // count)
    for start in range(0, RESAMPLES, step):
        draws = generator.integers(0, count, (min(step, RESAMPLES - start), count))
        yield np.stack([np.bincount(draw, minlength=count) for draw in draws]).astype(np.float64)


def _error_interval(value: float, resamples: np.ndarray, chance: float, count: int) -> Interval:
    """Return the basic bootstrap interval (Davison and Hinkley, 1997), cut to 0..1.

    Noise adds to a sum of absolute gaps: resamples lie above the value as the value lies above the truth. The basic
    interval mirrors them, where percentiles would count the noise twice. Close to 0 the bootstrap fails, so the
    interval reaches 0 if the value is what perfect calibration gives by chance; else it ends above: the value is at
    most the truth and the noise together (triangle inequality).
    """
    low, high = np.quantile(resamples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    least = 0.0 if value <= chance else max(2 * value - float(high), value - chance)
    most = min(1.0, max(value, 2 * value - float(low)))
    return Interval(value=value, low=least, high=most, over="test samples", level=LEVEL, n=count)


def _chance(predicted: np.ndarray, places: np.ndarray) -> float:
    """Return the error that perfectly calibrated networks stay below in 95 % of draws of the outcomes."""
    generator = np.random.default_rng(_SEED)
    rows = predicted.shape[1]
    tables = [np.eye(place.max() + 1)[place] for place in places]
    errors: list[float] = []
    step = max(1, _AT_ONCE // rows)
    for start in range(0, _CHANCE_DRAWS, step):
        uniform = generator.random((min(step, _CHANCE_DRAWS - start), rows))  # the replicates share the outcomes
        gaps = [
            np.abs((chances - (uniform < chances)) @ table).sum(axis=1) / rows
            for chances, table in zip(predicted, tables, strict=True)
        ]
        errors.extend(np.mean(gaps, axis=0).tolist())
    return float(np.quantile(errors, LEVEL))
