"""How a number is read from a result: one value a training, None where it diverged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tandem.metrics import BOUNDS
from tandem.records import Number, Part
from tandem.tutorials.results import Result, Results

Section = Literal["metrics", "curves", "model", "data"]  # of the report
EXPLODED = 100.0  # times the error of a constant prediction


@dataclass(frozen=True)
class Measure:
    """A number with its name.

    Attributes:
        name: for people.
        read: (result, all results) → a value a training.
        section: of the report that shows it.
        digits: decimals that it is written with; None: four significant digits.
        counts: the values are 1 or 0 and are counted.
        bounds: of what a mean can be.
        estimate: name of the metric on the test rows that it is, if it is one.
    """

    name: str
    read: Callable[[Result, Results], tuple[Number, ...]]
    section: Section = "metrics"
    digits: int | None = None
    counts: bool = False
    bounds: tuple[float, float] = (-np.inf, np.inf)
    estimate: str = ""


def scored(part: Part, metric: str, name: str, digits: int | None = None) -> Measure:
    """Return a metric of the kept weights on a part of the data."""
    bounds = BOUNDS.get(metric, (-np.inf, np.inf))
    return Measure(
        name,
        lambda result, _: result.evaluation.metrics[part][metric],
        digits=digits,
        bounds=bounds,
        estimate=metric if part == "test" else "",
    )


def after_epoch(column: str, epoch: int, name: str) -> Measure:
    """Return what training recorded for an epoch; -1: the last one."""

    def read(result: Result, _: Results) -> tuple[Number, ...]:
        columns = [history.columns.get(column, ()) for history in result.histories]
        place = epoch if epoch < 0 else epoch - 1
        return tuple(values[place] if -len(values) <= place < len(values) else None for values in columns)

    return Measure(name, read, "curves", bounds=BOUNDS.get(column.partition("_")[2], (-np.inf, np.inf)))


def gap() -> Measure:
    """Return the log loss on the validation rows less that on the training rows, both without dropout."""

    def read(result: Result, _: Results) -> tuple[Number, ...]:
        valid, train = (result.evaluation.metrics[part]["log_loss"] for part in ("valid", "train"))
        return tuple(None if v is None or t is None else v - t for v, t in zip(valid, train, strict=True))

    return Measure("gap between validation and training log loss", read, "curves")


def parameters() -> Measure:
    """Return the number of parameters, once."""
    return Measure("parameters", lambda result, _: (float(result.run.model.parameters),), "model", digits=0)


def rows(part: Part) -> Measure:
    """Return the number of rows of a part, once."""
    words = {"train": "training rows", "valid": "validation rows", "test": "test rows"}
    return Measure(words[part], lambda result, _: (float(result.data.rows[part]),), "data", digits=0)


def class_share(label: int, name: str) -> Measure:
    """Return a class's share of the training rows, once."""

    def read(result: Result, _: Results) -> tuple[Number, ...]:
        counts = result.data.class_counts["train"]
        return (counts[label] / sum(counts),)

    return Measure(name, read, "data", digits=3)


def epochs() -> Measure:
    """Return the epochs trained."""
    return Measure(
        "epochs", lambda result, _: tuple(float(entry.epochs) for entry in result.run.replicates), "curves", digits=0
    )


def diverged() -> Measure:
    """Return 1 for each training that diverged, else 0.

    Diverged is one whose loss became NaN or infinite, and one that was stopped before that with an error of more than
    a hundred times that of a constant prediction (for a regression: R² below -99).
    """

    def read(result: Result, _: Results) -> tuple[Number, ...]:
        lost = [entry.outcome == "diverged" for entry in result.run.replicates]
        scores = result.evaluation.metrics["test"].get("r2", (0.0,) * len(lost))
        large = [score is None or 1 - score > EXPLODED for score in scores]
        return tuple(float(gone or grown) for gone, grown in zip(lost, large, strict=True))

    return Measure("diverged", read, "curves", digits=0, counts=True)


def coefficient(power: int, name: str) -> Measure:
    """Return a coefficient of the parabola through the outputs on the test rows."""

    def read(result: Result, _: Results) -> tuple[Number, ...]:
        x = np.asarray(result.features, dtype=np.float64)[:, 0]
        fits = [np.polynomial.Polynomial.fit(x, values, 2).convert() for values in result.outputs.astype(np.float64)]
        return tuple(float(fit.coef[power]) for fit in fits)

    return Measure(name, read, digits=4)


def weight(column: int, name: str) -> Measure:
    """Return a weight of a linear network with a sigmoid, from its probabilities on the test rows."""

    def read(result: Result, _: Results) -> tuple[Number, ...]:
        x = np.asarray(result.features, dtype=np.float64)
        inputs = np.column_stack([x, np.ones(len(x))])
        odds = [np.log(values[:, 1] / values[:, 0]) for values in result.outputs.astype(np.float64)]
        return tuple(float(np.linalg.lstsq(inputs, values, rcond=None)[0][column]) for values in odds)

    return Measure(name, read, digits=2)


def output(name: str) -> Measure:
    """Return the size of the first output on the first test row."""
    return Measure(name, lambda result, _: tuple(float(abs(values.ravel()[0])) for values in result.outputs))


def departure(witness: str, name: str) -> Measure:
    """Return the largest difference of an output from that of another framework; 0 for that one itself."""

    def read(result: Result, results: Results) -> tuple[Number, ...]:
        other = results.get((result.run.experiment, witness))
        if other is None or other.outputs.shape != result.outputs.shape:
            return (None,) * len(result.outputs)
        return tuple(float(np.abs(a - b).max()) for a, b in zip(result.outputs, other.outputs, strict=True))

    return Measure(name, read)


def advantage(over: str, metric: str, name: str) -> Measure:
    """Return by how much a metric on the test rows exceeds that of another experiment, seed by seed."""

    def read(result: Result, results: Results) -> tuple[Number, ...]:
        other = results.get((over, result.run.framework))
        ours = result.evaluation.metrics["test"][metric]
        theirs = other.evaluation.metrics["test"][metric] if other else ()
        paired = zip(ours, theirs, strict=False)
        return tuple(None if a is None or b is None else a - b for a, b in paired) or (None,)

    return Measure(name, read)
