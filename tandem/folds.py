"""Results over the folds of a cross-validation.

Folds share most of their training rows, so their scores are not independent, and Student's t interval is too
narrow. With J scores of standard deviation s the variance of their mean is taken to be s² (1/J + n_valid/n_train)
(Nadeau and Bengio, 2003; for repeated folds Bouckaert and Frank, 2004).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tandem import metrics
from tandem.records import FoldDifference, FoldEstimate, FoldRows, FoldsRecord, Interval, Number, Part, Task
from tandem.statistics import seed_interval


def fold_overlap(rows: Sequence[FoldRows]) -> float:
    """Return n_valid / n_train, the mean over the folds."""
    return float(np.mean([fold.valid / fold.train for fold in rows]))


def fold_interval(
    values: Sequence[float], rows: Sequence[FoldRows], bounds: tuple[float, float] = (-np.inf, np.inf)
) -> Interval | None:
    """Return the corrected t interval of the mean over folds, cut at ``bounds``; None for fewer than two.

    Args:
        values: one score a fold.
        rows: of the folds.
        bounds: of what the mean can be.
    """
    interval = seed_interval(values, bounds, overlap=fold_overlap(rows))
    return None if interval is None else interval.model_copy(update={"over": "folds"})


@dataclass(frozen=True)
class Folds:
    """The folds on which replicates were trained.

    Attributes:
        protocol: how the rows were divided, in words.
        rows: of the folds.
        trained_on: fold of each training; several replicates train on the same fold.
        watched: the validation rows also chose the epoch.
    """

    protocol: str
    rows: tuple[FoldRows, ...]
    trained_on: tuple[int, ...]
    watched: bool


def score_folds(task: Task, folds: Folds, scores: Mapping[Part, Mapping[str, Sequence[Number]]]) -> FoldsRecord:
    """Sum up the results by fold.

    Args:
        task: classification or regression.
        folds: on which the replicates were trained.
        scores: part → metric → one value a training; None where it diverged.
    """
    parts: tuple[Part, ...] = ("valid", "test")
    return FoldsRecord(
        protocol=folds.protocol,
        rows=folds.rows,
        overlap=fold_overlap(folds.rows),
        watched=folds.watched,
        estimates=tuple(
            _estimate(part, metric, folds.rows, _by_fold(scores[part][metric], folds))
            for part in parts
            for metric in metrics.METRICS[task]
            if metric in scores.get(part, {})
        ),
    )


def _by_fold(values: Sequence[Number], folds: Folds) -> tuple[Number, ...]:
    found: list[list[float]] = [[] for _ in folds.rows]
    for value, fold in zip(values, folds.trained_on, strict=True):
        if value is not None:
            found[fold].append(value)
    return tuple(float(np.mean(each)) if each else None for each in found)


def _estimate(part: Part, metric: str, rows: Sequence[FoldRows], values: tuple[Number, ...]) -> FoldEstimate:
    known = [value for value in values if value is not None]
    return FoldEstimate(
        part=part,
        metric=metric,
        higher_is_better=metric in metrics.HIGHER_IS_BETTER,
        values=values,
        mean=float(np.mean(known)) if known else None,
        deviation=float(np.std(known, ddof=1)) if len(known) > 1 else None,
        interval=fold_interval(known, rows, metrics.BOUNDS[metric]) if len(known) == len(values) else None,
    )


def fold_differences(records: Mapping[str, FoldsRecord | None]) -> tuple[FoldDifference, ...]:
    """Return the differences of each framework and each later one, on the same rows of each fold.

    Args:
        records: by framework; None without folds.
    """
    known = {name: record for name, record in records.items() if record is not None}
    return tuple(difference for pair in combinations(known, 2) for difference in _differences(*pair, known))


def _differences(first: str, second: str, records: Mapping[str, FoldsRecord]) -> tuple[FoldDifference, ...]:
    others = {(found.part, found.metric): found for found in records[second].estimates}
    return tuple(
        _difference(found, others[found.part, found.metric], first, second, records[first].rows)
        for found in records[first].estimates
    )


def _difference(
    one: FoldEstimate, other: FoldEstimate, first: str, second: str, rows: Sequence[FoldRows]
) -> FoldDifference:
    values = tuple(None if a is None or b is None else b - a for a, b in zip(one.values, other.values, strict=True))
    known = [value for value in values if value is not None]
    return FoldDifference(
        part=one.part,
        metric=one.metric,
        first=first,
        second=second,
        values=values,
        interval=fold_interval(known, rows) if len(known) == len(values) else None,
    )
