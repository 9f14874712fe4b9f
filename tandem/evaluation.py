"""Results of a trained run on each part of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tandem import metrics
from tandem.models import Architecture, output_values
from tandem.records import EvaluationRecord, Interval, MetricEstimate, Part, Task, WrongSample
from tandem.statistics import resampled_metrics, sample_interval, seed_interval

_WRONG_KEPT = 15  # samples a report shows


@dataclass(frozen=True)
class Outputs:
    """One replicate's outputs on one part.

    Attributes:
        values: probabilities (n, classes), or values (n,), of the main head.
        epoch_values: loss and metric as training records them.
    """

    values: np.ndarray
    epoch_values: Mapping[str, float]


def read_outputs(architecture: Architecture, raw: Sequence[np.ndarray], targets: np.ndarray) -> Outputs:
    """Turn raw outputs, (n, units) a head, into probabilities or values."""
    values = output_values(architecture, raw[0])
    return Outputs(
        values if architecture.task == "classification" else values[:, 0],
        metrics.epoch_values(architecture, raw, targets),
    )


def evaluate(
    *,
    experiment: str,
    framework: str,
    task: Task,
    classes: int,
    outputs: Mapping[Part, Sequence[Outputs | None]],
    targets: Mapping[Part, np.ndarray],
    recorded_valid: Sequence[float | None],
) -> EvaluationRecord:
    """Compute all that is said of a run's results.

    Args:
        experiment, framework: the run.
        task: classification or regression.
        classes: number of classes; 0 for regression.
        outputs: part → one entry a replicate; None for a replicate that diverged.
        targets: part → (n,) labels or values.
        recorded_valid: validation loss that training recorded for the kept epoch, by replicate.
    """
    tested = [output for output in outputs["test"] if output is not None]
    return EvaluationRecord(
        experiment=experiment,
        framework=framework,
        task=task,
        metrics={part: _by_replicate(task, outputs[part], targets[part]) for part in outputs if len(targets[part])},
        recorded_valid=tuple(recorded_valid),
        estimates=_estimates(task, targets["test"], [output.values for output in tested]),
        wrong=_most_wrong(task, targets["test"], tested[0] if tested else None),
        confusion=_confusion(targets["test"], tested, classes),
        diverged=tuple(number for number, output in enumerate(outputs["test"]) if output is None),
    )


def _by_replicate(
    task: Task, outputs: Sequence[Outputs | None], targets: np.ndarray
) -> dict[str, tuple[float | None, ...]]:
    rows = [
        None if output is None else {**metrics.compute(task, targets, output.values), **output.epoch_values}
        for output in outputs
    ]
    names = dict.fromkeys(name for row in rows if row for name in row) or dict.fromkeys(metrics.METRICS[task])
    return {name: tuple(_finite(row[name]) if row else None for row in rows) for name in names}


def _estimates(task: Task, targets: np.ndarray, values: Sequence[np.ndarray]) -> tuple[MetricEstimate, ...]:
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
            seeds=seed_interval([replicate[name] for replicate in each], metrics.BOUNDS[name]),
        )
        for name in metrics.METRICS[task]
    )


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
