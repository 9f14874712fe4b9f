"""Results of a trained run on each part of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tandem import metrics
from tandem.calibration import calibrate
from tandem.folds import Folds, fold_overlap, score_folds
from tandem.models import Architecture
from tandem.records import (
    Calibration,
    EvaluationRecord,
    Interval,
    MetricEstimate,
    Part,
    PruningRecord,
    Task,
    WrongSample,
)
from tandem.statistics import resampled_metrics, sample_interval, seed_interval

_WRONG_KEPT = 15  # samples a report shows


@dataclass(frozen=True)
class Outputs:
    """One replicate's outputs on one part.

    Attributes:
        values: probabilities (n, classes), or values (n,), of the main head.
        targets: (n,) labels or values.
        epoch_values: loss and metric as training records them.
    """

    values: np.ndarray
    targets: np.ndarray
    epoch_values: Mapping[str, float]


def read_outputs(architecture: Architecture, raw: Sequence[np.ndarray], targets: np.ndarray) -> Outputs:
    """Turn raw outputs, (n, units) a head, into probabilities or values."""
    values = metrics.main_values(architecture, raw)
    return Outputs(values, targets, metrics.epoch_values(architecture, raw, targets))


def evaluate(
    *,
    experiment: str,
    framework: str,
    task: Task,
    classes: int,
    outputs: Mapping[Part, Sequence[Outputs | None]],
    targets: np.ndarray,
    recorded_valid: Sequence[float | None],
    folds: Folds | None = None,
    pruning: PruningRecord | None = None,
) -> EvaluationRecord:
    """Compute all that is said of a run's results.

    Args:
        experiment, framework: the run.
        task: classification or regression.
        classes: number of classes; 0 for regression.
        outputs: part that has rows → one entry a training; None for one that diverged. A training is a replicate,
            or a replicate on a fold.
        targets: (n,) labels or values of the test rows.
        recorded_valid: validation loss that training recorded for the kept epoch, by training.
        folds: on which the replicates were trained.
        pruning: how the pruned networks score.
    """
    scores = {part: _by_training(task, given) for part, given in outputs.items()}
    tested = [output for output in outputs["test"] if output is not None]
    overlap = fold_overlap(folds.rows) if folds else 0.0
    return EvaluationRecord(
        experiment=experiment,
        framework=framework,
        task=task,
        metrics=scores,
        recorded_valid=tuple(recorded_valid),
        estimates=_estimates(task, targets, [output.values for output in tested], overlap),
        wrong=_most_wrong(task, targets, tested[0] if tested else None),
        confusion=_confusion(targets, tested, classes),
        diverged=tuple(number for number, output in enumerate(outputs["test"]) if output is None),
        calibration=_calibration(targets, tested, overlap) if classes and tested else None,
        folds=None if folds is None else score_folds(task, folds, scores),
        pruning=pruning,
    )


def _by_training(task: Task, outputs: Sequence[Outputs | None]) -> dict[str, tuple[float | None, ...]]:
    rows = [
        None if output is None else {**metrics.compute(task, output.targets, output.values), **output.epoch_values}
        for output in outputs
    ]
    names = dict.fromkeys(name for row in rows if row for name in row) or dict.fromkeys(metrics.METRICS[task])
    return {name: tuple(_finite(row[name]) if row else None for row in rows) for name in names}


def _estimates(
    task: Task, targets: np.ndarray, values: Sequence[np.ndarray], overlap: float
) -> tuple[MetricEstimate, ...]:
    if not values:
        nothing = Interval(value=None, low=None, high=None, over="test samples", n=len(targets))
        return tuple(
            MetricEstimate(metric=name, higher_is_better=name in metrics.HIGHER_IS_BETTER, samples=nothing, seeds=None)
            for name in metrics.METRICS[task]
        )
    point, resamples = resampled_metrics(task, targets, values)
    each = [metrics.compute(task, targets, value) for value in values]
    return tuple(
        MetricEstimate(
            metric=name,
            higher_is_better=name in metrics.HIGHER_IS_BETTER,
            samples=sample_interval(point[name], resamples[name], len(targets), share=name == "accuracy"),
            seeds=_over_trainings([training[name] for training in each], metrics.BOUNDS[name], overlap),
        )
        for name in metrics.METRICS[task]
    )


def _over_trainings(values: Sequence[float], bounds: tuple[float, float], overlap: float) -> Interval | None:
    interval = seed_interval(values, bounds, overlap=overlap)
    return interval.model_copy(update={"over": "folds"}) if interval is not None and overlap else interval


def _calibration(targets: np.ndarray, tested: Sequence[Outputs], overlap: float) -> Calibration:
    return calibrate(targets, np.stack([output.values for output in tested]), overlap)


def _most_wrong(task: Task, targets: np.ndarray, output: Outputs | None) -> tuple[WrongSample, ...]:
    if output is None:
        return ()
    if task == "regression":
        errors = np.abs(output.values - targets)
        rows = np.argsort(-errors, kind="stable")[:_WRONG_KEPT]
        predicted, confidence = output.values, [None] * len(targets)
    else:
        labels = output.values.argmax(axis=1)
        errors = 1 - output.values[np.arange(len(targets)), targets]
        wrong = np.flatnonzero(labels != targets)
        rows = wrong[np.argsort(-errors[wrong], kind="stable")][:_WRONG_KEPT]
        predicted, confidence = labels, output.values.max(axis=1).tolist()
    return tuple(
        WrongSample(
            row=int(row),
            target=float(targets[row]),
            predicted=float(predicted[row]),
            confidence=confidence[row],
            error=float(errors[row]),
        )
        for row in rows
    )


def _confusion(targets: np.ndarray, tested: Sequence[Outputs], classes: int) -> tuple[tuple[int, ...], ...]:
    if not classes:
        return ()
    counts = np.zeros((classes, classes), dtype=np.int64)
    for output in tested:
        np.add.at(counts, (targets, output.values.argmax(axis=1)), 1)
    return tuple(tuple(row) for row in counts.tolist())


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
