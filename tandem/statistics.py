"""Intervals: over test samples by the bootstrap, over seeds by Student's t."""

from __future__ import annotations

from collections.abc import Sequence

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
    values = np.asarray(targets, dtype=np.float64) if task == "regression" else np.zeros(len(targets))
    values = values - values.mean()  # the variance is the same, and keeps its digits
    table = np.column_stack([table, values, np.square(values)])

    def finish(means: np.ndarray) -> dict[str, np.ndarray]:
        variance = means[..., -1] - np.square(means[..., -2])
        return metrics.combine(task, {name: means[..., i] for i, name in enumerate(names)}, variance)

    generator = np.random.default_rng(_SEED)
    count, means = len(targets), []
    step = max(1, _DRAWS_AT_ONCE // count)
    for start in range(0, RESAMPLES, step):
        draws = generator.integers(0, count, (min(step, RESAMPLES - start), count))
        weights = np.stack([np.bincount(draw, minlength=count) for draw in draws])
        means.append(weights @ table / count)
    point = {name: float(value) for name, value in finish(table.mean(axis=0)).items()}
    return point, finish(np.concatenate(means))


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
    low, high = np.nanquantile(resamples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if share and value in (0.0, 1.0):
        reach = 1 - ((1 - LEVEL) / 2) ** (1 / count)
        low, high = (1 - reach, 1.0) if value else (0.0, reach)
    return Interval(value=value, low=float(low), high=float(high), over="test samples", level=LEVEL, n=count)


def seed_interval(values: Sequence[float], bounds: tuple[float, float] = (-np.inf, np.inf)) -> Interval | None:
    """Return Student's t interval of the mean over replicates, cut at ``bounds``; None for fewer than two."""
    if len(values) < 2:
        return None
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / np.sqrt(len(values))
    reach = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2)) * error
    low, high = max(mean - reach, bounds[0]), min(mean + reach, bounds[1])
    return Interval(value=mean, low=low, high=high, over="seeds", level=LEVEL, n=len(values))
