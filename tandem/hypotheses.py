"""Tests on paired results: of a difference, of equivalence, and of labels.

``overlap`` is for replicates that are folds: see :func:`tandem.statistics.variance_factor`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import bdtr, chdtri, erfc, ndtr, stdtr, stdtrit

from tandem.correction import ALPHA
from tandem.records import McNemarTest, ReplicateLabels, Significance
from tandem.statistics import variance_factor

POWER = 0.8  # with which a planned test is to succeed
MOST_REPLICATES = 10_000  # more are not worth naming
_LEAST_P = 1e-12  # below, the Fourier sum holds nothing but rounding
_LARGEST_SUM = 2**21  # of discordances whose distribution is computed exactly


def difference_p(values: Sequence[float], *, overlap: float = 0.0) -> float | None:
    """Return the two-sided p-value of Student's paired t test that the mean is 0; None for fewer than two values.

    None, too, if a value is not finite.

    Args:
        values: paired differences.
        overlap: see the module.
    """
    error = _standard_error(values, overlap)
    if error is None:
        return None
    mean = float(np.mean(values))
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(len(values) - 1, -abs(mean) / error))


def equivalence_p(values: Sequence[float], margin: float, *, overlap: float = 0.0) -> float | None:
    """Return the p-value of two one-sided paired t tests (Schuirmann, 1987); None as for :func:`difference_p`.

    Below 0.05 the mean is shown to lie between -margin and margin; just then the 90 % interval does, too.

    Args:
        values: paired differences.
        margin: positive, in the values' unit.
        overlap: see the module.
    """
    error = _standard_error(values, overlap)
    if error is None:
        return None
    distance = margin - abs(float(np.mean(values)))  # of the mean to the nearer end: its test is the larger p
    if error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(stdtr(len(values) - 1, -distance / error))


def _standard_error(values: Sequence[float], overlap: float) -> float | None:
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    return float(np.std(values, ddof=1) * np.sqrt(variance_factor(len(values), overlap)))


def equivalence_power(count: int, mean: float, deviation: float, margin: float, *, overlap: float = 0.0) -> float:
    """Return the chance that ``count`` replicates show equivalence (Phillips, 1990).

    Args:
        count: of replicates, at least two.
        mean: true difference.
        deviation: true standard deviation of the differences, positive.
        margin: as for :func:`equivalence_p`.
        overlap: see the module.
    """
    degrees = count - 1
    share = (np.arange(400) + 0.5) / 400  # the chance is averaged over the standard deviations that may be measured
    measured = np.sqrt(chdtri(degrees, 1 - share) / degrees)
    reach = stdtrit(degrees, 1 - ALPHA) * measured
    error = deviation * np.sqrt(variance_factor(count, overlap))
    inside = ndtr((margin - mean) / error - reach) - ndtr((-margin - mean) / error + reach)
    return float(np.maximum(inside, 0).mean())


def replicates_needed(mean: float, deviation: float, margin: float, *, overlap: float = 0.0) -> int | None:
    """Return how many replicates show equivalence with a chance of 80 %, were mean and deviation the true ones.

    None where no number of them up to 10,000 does, as for a mean outside the margin.
    """
    if abs(mean) >= margin or deviation <= 0:
        return None

    def enough(count: int) -> bool:
        return equivalence_power(count, mean, deviation, margin, overlap=overlap) >= POWER

    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
        if high > 2 * MOST_REPLICATES:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high if high <= MOST_REPLICATES else None


def mcnemar(
    first: str, second: str, replicates: Sequence[int], first_right: np.ndarray, second_right: np.ndarray
) -> McNemarTest:
    """Test whether two frameworks get the same share of the shared test rows right.

    Each replicate has McNemar's test by itself, exact by the binomial distribution. The replicates share the
    test rows, so their p-values are not independent and are not combined. Instead each row is one cluster
    (Durkalski et al., 2003): its replicates' discordances are summed, and under the null hypothesis the sum of
    a row is as likely to speak for one framework as for the other, whatever binds the replicates together. The
    distribution of the rows' total is computed exactly. With one replicate this is McNemar's test.

    Args:
        first, second: the frameworks.
        replicates: their numbers.
        first_right, second_right: (replicates, rows) whether the label is right.
    """
    each = tuple(
        ReplicateLabels(
            replicate=number,
            first_only=(b := int((one & ~other).sum())),
            second_only=(c := int((other & ~one).sum())),
            p=mcnemar_p(b, c),
        )
        for number, one, other in zip(replicates, first_right, second_right, strict=True)
    )
    net = second_right.sum(axis=0, dtype=np.int64) - first_right.sum(axis=0, dtype=np.int64)
    p = each[0].p if len(each) == 1 else sign_flip_p(net)
    return McNemarTest(
        first=first,
        second=second,
        replicates=each,
        rows=first_right.shape[1],
        discordant=int((first_right != second_right).any(axis=0).sum()),
        test=Significance(p=p, adjusted=p, comparisons=1),
    )


def mcnemar_p(first_only: int, second_only: int) -> float:
    """Return the exact two-sided p-value of McNemar's test from the two counts of discordant rows."""
    return float(min(1.0, 2 * bdtr(min(first_only, second_only), first_only + second_only, 0.5)))


def sign_flip_p(net: np.ndarray) -> float:
    """Return how often rows with these net discordances but random signs sum to as much as they do.

    Args:
        net: (rows,) whole numbers.
    """
    sizes, counts = np.unique(np.abs(net[net != 0]), return_counts=True)
    total = int((sizes * counts).sum())
    observed = abs(int(net.sum()))
    if observed == 0:
        return 1.0
    if total > _LARGEST_SUM:
        return max(_LEAST_P, float(erfc(observed / np.sqrt(2 * float((sizes**2 * counts).sum())))))
    length = 2 * total + 2
    angles = 2 * np.pi * np.arange(length // 2 + 1) / length
    transform = np.ones_like(angles)
    for size, count in zip(sizes, counts, strict=True):
        transform *= np.cos(size * angles) ** int(count)
    chances = np.fft.irfft(transform, length)  # of the sums 0, 1, ..., total; negative ones follow
    return float(np.clip(2 * chances[observed : total + 1].sum(), _LEAST_P, 1.0))


def resampled_p(differences: np.ndarray) -> float:
    """Return the two-sided p-value of a bootstrap: twice the share of resamples on the rarer side of 0."""
    known = differences[np.isfinite(differences)]
    rarer = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(known) + 1))
