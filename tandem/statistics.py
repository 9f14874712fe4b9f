"""Intervals: over test samples by the bootstrap, over seeds by Student's t, and over both by the bootstrap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.special import stdtrit

from tandem import metrics
from tandem.records import Interval, Task

RESAMPLES = 2000
LEVEL = 0.95
_SEED = 20_240_229
_DRAWS_AT_ONCE = 4_000_000


def resampled_metrics(
    task: Task, targets: np.ndarray, outputs: Sequence[np.ndarray]
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Return each metric on all samples and on bootstrap resamples of them.

    Per-sample quantities are averaged over the replicates first. The resamples are the same for every call
    with as many samples, so that two frameworks' differences are paired (Efron and Tibshirani, 1993).

    Args:
        task: classification or regression.
        targets: (n,) labels or values.
        outputs: one array a replicate: (n, classes) probabilities, or (n,) values.

    Returns:
        Metric → value, and metric → (RESAMPLES,) values.
    """
    replicates = [metrics.per_sample(task, targets, output) for output in outputs]
    names = list(replicates[0])
    table = np.stack([np.mean([replicate[name] for replicate in replicates], axis=0) for name in names], axis=1)
    table = np.column_stack([table, _moments(task, targets)])
    means = [weights @ table / len(targets) for weights in _row_weights(len(targets))]
    point = {name: float(value) for name, value in _finish(task, names, table.mean(axis=0)).items()}
    return point, _finish(task, names, np.concatenate(means))


def resampled_differences(
    task: Task, targets: np.ndarray, first: Sequence[np.ndarray], second: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """Return each metric's difference, second minus first, on resamples of the test rows and of the replicates.

    Rows and replicates are crossed: every replicate is tested on every row. Both are drawn with replacement,
    independently, the same for the two frameworks (the pigeonhole bootstrap of Owen, 2007).

    Args:
        task, targets: as for :func:`resampled_metrics`.
        first, second: outputs of the same replicates in two frameworks.

    Returns:
        Metric → (RESAMPLES,) values.
    """
    moments, count = _moments(task, targets), len(first)
    tables = []
    for outputs in (first, second):
        replicates = [metrics.per_sample(task, targets, output) for output in outputs]
        tables += [np.column_stack(list(replicate.values())) for replicate in replicates]
    names, width = list(replicates[0]), tables[0].shape[1]
    table = np.column_stack([*tables, moments])
    drawn = np.random.default_rng([_SEED, count]).integers(0, count, (RESAMPLES, count))
    shares = np.stack([np.bincount(draw, minlength=count) for draw in drawn]) / count
    means = np.concatenate([weights @ table / len(targets) for weights in _row_weights(len(targets))])
    by_replicate = means[:, : -moments.shape[1]].reshape(RESAMPLES, 2, count, width)
    averaged = np.einsum("sfrm,sr->fsm", by_replicate, shares)
    one, other = (_finish(task, names, np.column_stack([part, means[:, -moments.shape[1] :]])) for part in averaged)
    return {name: other[name] - one[name] for name in one}


def _moments(task: Task, targets: np.ndarray) -> np.ndarray:
    """Return (n, 2): targets and their squares, for the variance of each resample."""
    values = np.asarray(targets, dtype=np.float64) if task == "regression" else np.zeros(len(targets))
    values = values - values.mean()  # the variance is the same, and keeps its digits
    return np.column_stack([values, np.square(values)])


def _finish(task: Task, names: Sequence[str], means: np.ndarray) -> dict[str, np.ndarray]:
    """Turn means over rows, the last two those of the moments, into metrics."""
    variance = means[..., -1] - np.square(means[..., -2])
    return metrics.combine(task, {name: means[..., i] for i, name in enumerate(names)}, variance)


def _row_weights(count: int) -> Iterator[np.ndarray]:
    """Yield how often each row is drawn, (part of RESAMPLES, count); the same for every call."""
    generator = np.random.default_rng(_SEED)
    step = max(1, _DRAWS_AT_ONCE // count)
    for start in range(0, RESAMPLES, step):
        drawn = min(step, RESAMPLES - start)
        draws = generator.integers(0, count, (drawn, count)) + count * np.arange(drawn)[:, None]
        yield np.bincount(draws.ravel(), minlength=drawn * count).reshape(drawn, count)


def sample_interval(value: float, resamples: np.ndarray, count: int, *, share: bool = False) -> Interval:
    """Return the percentile bootstrap interval over ``count`` test samples.

    A share of samples that is 0 or 1 does not vary between resamples, although other samples could change it:
    it gets the exact interval of Clopper and Pearson (1934).

    Args:
        value: on all samples.
        resamples: on bootstrap resamples of them.
        count: of samples.
        share: the value is a share of the samples, as accuracy is.
    """
    low, high = _central(resamples)
    if share and value in (0.0, 1.0):
        reach = 1 - ((1 - LEVEL) / 2) ** (1 / count)
        low, high = (1 - reach, 1.0) if value else (0.0, reach)
    return Interval(value=value, low=float(low), high=float(high), over="test samples", level=LEVEL, n=count)


def crossed_interval(value: float, resamples: np.ndarray, count: int) -> Interval:
    """Return the percentile interval of :func:`resampled_differences`, over ``count`` test samples and all seeds."""
    low, high = _central(resamples)
    return Interval(value=value, low=float(low), high=float(high), over="test samples and seeds", level=LEVEL, n=count)


def _central(resamples: np.ndarray) -> tuple[float, float]:
    """Return the bounds of the central share of the values; NaN where there are none, as for R² of a single row."""
    known = resamples[~np.isnan(resamples)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def variance_factor(count: int, overlap: float = 0.0) -> float:
    """Return what the variance of replicates' values is multiplied with to give that of their mean.

    Args:
        count: of replicates.
        overlap: n_test / n_train where they are folds, whose training rows overlap and whose results are
            therefore not independent (Nadeau and Bengio, 2003); 0 for replicates that differ in their seed.
    """
    return 1 / count + overlap


def seed_interval(
    values: Sequence[float],
    bounds: tuple[float, float] = (-np.inf, np.inf),
    *,
    level: float = LEVEL,
    overlap: float = 0.0,
) -> Interval | None:
    """Return Student's t interval of the mean over replicates, cut at ``bounds``; None for fewer than two.

    Args:
        values: one a replicate.
        bounds: of what the mean can be.
        level: of the interval.
        overlap: see :func:`variance_factor`.
    """
    if len(values) < 2:
        return None
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) * np.sqrt(variance_factor(len(values), overlap))
    reach = float(stdtrit(len(values) - 1, (1 + level) / 2)) * error
    low, high = max(mean - reach, bounds[0]), min(mean + reach, bounds[1])
    return Interval(value=mean, low=low, high=high, over="seeds", level=level, n=len(values))
