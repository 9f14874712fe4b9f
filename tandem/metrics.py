"""Losses and metrics computed in NumPy from a network's outputs, the same for every framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tandem.losses import sample_losses
from tandem.models import Architecture, output_values
from tandem.records import Task

_CLIP = 1e-15  # keeps the logarithm of a probability finite

MAIN_METRIC: Mapping[Task, str] = {"classification": "accuracy", "regression": "mse"}
METRICS: Mapping[Task, tuple[str, ...]] = {
    "classification": ("accuracy", "log_loss"),
    "regression": ("mse", "rmse", "mae", "r2"),
}
HIGHER_IS_BETTER = frozenset({"accuracy", "r2"})
BOUNDS: Mapping[str, tuple[float, float]] = {
    "accuracy": (0.0, 1.0),
    "log_loss": (0.0, np.inf),
    "mse": (0.0, np.inf),
    "rmse": (0.0, np.inf),
    "mae": (0.0, np.inf),
    "r2": (-np.inf, 1.0),
}
EPOCH_METRIC: Mapping[Task, str] = {"classification": "accuracy", "regression": "mae"}


def epoch_values(architecture: Architecture, outputs: Sequence[np.ndarray], targets: np.ndarray) -> dict[str, float]:
    """Return the mean loss, weighted and summed over heads, and the metric that training records, of the main head.

    With several heads each one's loss is given too, without its weight, as ``loss_<head>``.

    Args:
        architecture: of the network.
        outputs: raw, (n, units) a head.
        targets: (n,) labels or values.
    """
    heads = architecture.heads
    with np.errstate(all="ignore"):  # a diverged network gives infinities and NaN, which are results
        losses = [float(sample_losses(architecture.loss, raw, targets, architecture.output).mean()) for raw in outputs]
        values = {"loss": sum(head.weight * loss for head, loss in zip(heads, losses, strict=True))}
        if len(losses) > 1:
            values |= {f"loss_{head.name}": loss for head, loss in zip(heads, losses, strict=True)}
        main = output_values(architecture, outputs[0])
        if architecture.task == "classification":
            values["accuracy"] = float((main.argmax(axis=1) == targets).mean())
        else:
            values["mae"] = float(np.abs(main[:, 0] - targets).mean())
    return values


def main_values(architecture: Architecture, outputs: Sequence[np.ndarray]) -> np.ndarray:
    """Return the main head's probabilities (n, classes), or its values (n,), from each head's raw outputs."""
    main = output_values(architecture, outputs[0])
    return main if architecture.task == "classification" else main[:, 0]


def per_sample(task: Task, targets: np.ndarray, outputs: np.ndarray) -> dict[str, np.ndarray]:
    """Return what the metrics are averages of, each (n,).

    Args:
        task: classification or regression.
        targets: (n,) labels or values.
        outputs: (n, classes) probabilities, or (n,) values.
    """
    if task == "classification":
        chosen = outputs[np.arange(len(targets)), targets]
        return {
            "accuracy": (outputs.argmax(axis=1) == targets).astype(np.float64),
            "log_loss": -np.log(np.clip(chosen, _CLIP, None)),
        }
    errors = outputs - targets
    return {"squared_error": np.square(errors), "absolute_error": np.abs(errors)}


def combine(task: Task, means: Mapping[str, np.ndarray], variance: np.ndarray) -> dict[str, np.ndarray]:
    """Turn means of :func:`per_sample` into metrics; works on arrays of resamples too.

    Args:
        task: classification or regression.
        means: mean over samples of each per-sample quantity.
        variance: of the targets over the same samples (population); for R².
    """
    if task == "classification":
        return dict(means)
    squared = np.asarray(means["squared_error"])
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(variance > 0, 1 - squared / variance, np.nan)
    return {"mse": squared, "rmse": np.sqrt(squared), "mae": np.asarray(means["absolute_error"]), "r2": r2}


def compute(task: Task, targets: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
    """Return every metric of a task; see :func:`per_sample` for the arguments."""
    means = {name: values.mean() for name, values in per_sample(task, targets, outputs).items()}
    variance = np.asarray(targets.var() if task == "regression" else 0.0)
    return {name: float(value) for name, value in combine(task, means, variance).items()}
