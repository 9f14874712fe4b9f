"""Losses: which task each fits, what it asks of the output layer, and its value in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tandem.records import Task

LossName = Literal[
    "mse", "squared_error_sum", "mae", "cross_entropy", "categorical_cross_entropy", "binary_cross_entropy"
]
OutputFunction = Literal["linear", "sigmoid", "softmax"]
SampleLosses = Callable[[np.ndarray, np.ndarray, OutputFunction], np.ndarray]


@dataclass(frozen=True)
class Loss:
    """A loss.

    Attributes:
        tasks: those that it fits.
        samples: its value for each sample (n,), in float64, from raw outputs (n, units), targets (n,) and the
            output function.
        classes: the number of classes that it is for; None: any.
        reduction: whether a step follows the gradient of the mean over the batch, or of the sum.
    """

    tasks: frozenset[Task]
    samples: SampleLosses
    classes: int | None = None
    reduction: Literal["mean", "sum"] = "mean"


def probabilities_of(raw: np.ndarray, output: OutputFunction) -> np.ndarray:
    """Turn a head's raw numbers (n, units) into values, or into probabilities (n, classes), in float64."""
    raw = np.asarray(raw, dtype=np.float64)
    if output == "linear":
        return raw
    if output == "sigmoid":
        rarer = np.exp(-np.abs(raw))  # neither overflows, nor is a small probability rounded to 0
        likelier, rarer = 1 / (1 + rarer), rarer / (1 + rarer)
        positive = raw >= 0
        return np.concatenate([np.where(positive, rarer, likelier), np.where(positive, likelier, rarer)], axis=1)
    shifted = np.exp(raw - raw.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def _squared_errors(raw: np.ndarray, targets: np.ndarray, output: OutputFunction) -> np.ndarray:
    if output == "linear":
        return np.square(raw - targets.astype(np.float64)[:, None]).mean(axis=1)
    probabilities = probabilities_of(raw, output)
    if output == "sigmoid":
        return np.square(probabilities[:, 1] - targets)
    return np.square(probabilities - np.eye(probabilities.shape[1])[targets]).mean(axis=1)


def _absolute_errors(raw: np.ndarray, targets: np.ndarray, output: OutputFunction) -> np.ndarray:
    del output
    return np.abs(raw - targets.astype(np.float64)[:, None]).mean(axis=1)


def _cross_entropies(raw: np.ndarray, targets: np.ndarray, output: OutputFunction) -> np.ndarray:
    del output
    highest = raw.max(axis=1)
    log_sum = np.log(np.exp(raw - highest[:, None]).sum(axis=1)) + highest
    return log_sum - raw[np.arange(len(raw)), targets]


def _one_hot_cross_entropies(raw: np.ndarray, targets: np.ndarray, output: OutputFunction) -> np.ndarray:
    del output
    highest = raw.max(axis=1, keepdims=True)
    log_probabilities = raw - highest - np.log(np.exp(raw - highest).sum(axis=1, keepdims=True))
    return -(np.eye(raw.shape[1])[targets] * log_probabilities).sum(axis=1)


def _binary_cross_entropies(raw: np.ndarray, targets: np.ndarray, output: OutputFunction) -> np.ndarray:
    del output
    logits = raw[:, 0]
    return np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))


_REGRESSION: frozenset[Task] = frozenset({"regression"})
_CLASSIFICATION: frozenset[Task] = frozenset({"classification"})
LOSSES: Mapping[LossName, Loss] = {
    "cross_entropy": Loss(_CLASSIFICATION, _cross_entropies),
    "categorical_cross_entropy": Loss(_CLASSIFICATION, _one_hot_cross_entropies),
    "binary_cross_entropy": Loss(_CLASSIFICATION, _binary_cross_entropies, classes=2),
    "mse": Loss(_REGRESSION | _CLASSIFICATION, _squared_errors),
    "squared_error_sum": Loss(_REGRESSION, _squared_errors, reduction="sum"),
    "mae": Loss(_REGRESSION, _absolute_errors),
}


def allowed_losses(task: Task, classes: int) -> tuple[LossName, ...]:
    """Return the losses that fit a task with so many classes."""
    return tuple(name for name, loss in LOSSES.items() if task in loss.tasks and loss.classes in (None, classes))


def output_layer(task: Task, loss: LossName, classes: int) -> tuple[OutputFunction, int]:
    """Return the function and the number of units of the output layer.

    Two classes with binary cross-entropy or squared error take one sigmoid unit, other classes a softmax unit
    each; a regression takes one linear unit.
    """
    if task == "regression":
        return "linear", 1
    if classes == 2 and loss in ("binary_cross_entropy", "mse"):
        return "sigmoid", 1
    return "softmax", classes


def sample_losses(loss: LossName, raw: np.ndarray, targets: np.ndarray, output: OutputFunction) -> np.ndarray:
    """Return a head's loss for each sample, float64 (n,), from raw outputs (n, units) and targets (n,)."""
    return LOSSES[loss].samples(np.asarray(raw, dtype=np.float64), targets, output)
