"""Losses by name, with their gradients, and metrics, on raw outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tandem.losses import LOSSES, OutputFunction, probabilities_of, sample_losses
from tandem.models import Architecture

Gradient = Callable[[np.ndarray, np.ndarray, OutputFunction], np.ndarray]


def _squared_error(raw: np.ndarray, targets: np.ndarray, output: OutputFunction) -> np.ndarray:
    if output == "linear":
        return 2 * (raw - targets[:, None]) / raw.shape[1]
    probabilities = probabilities_of(raw, output)
    if output == "sigmoid":
        p = probabilities[:, 1:]
        return 2 * (p - targets[:, None]) * p * (1 - p)
    errors = 2 * (probabilities - np.eye(raw.shape[1])[targets]) / raw.shape[1]
    return probabilities * (errors - (errors * probabilities).sum(axis=1, keepdims=True))


def _absolute_error(raw: np.ndarray, targets: np.ndarray, _output: OutputFunction) -> np.ndarray:
    return np.sign(raw - targets[:, None]) / raw.shape[1]


def _cross_entropy(raw: np.ndarray, targets: np.ndarray, output: OutputFunction) -> np.ndarray:
    return probabilities_of(raw, output) - np.eye(raw.shape[1])[targets]


def _binary_cross_entropy(raw: np.ndarray, targets: np.ndarray, _output: OutputFunction) -> np.ndarray:
    return probabilities_of(raw, "sigmoid")[:, 1:] - targets[:, None]


# Name → the gradient of each sample's loss with respect to its raw outputs, (n, units).
GRADIENTS: Mapping[str, Gradient] = {
    "mse": _squared_error,
    "squared_error_sum": _squared_error,
    "mae": _absolute_error,
    "cross_entropy": _cross_entropy,
    "categorical_cross_entropy": _cross_entropy,
    "binary_cross_entropy": _binary_cross_entropy,
}


def batch_loss(architecture: Architecture, outputs: Sequence[np.ndarray], targets: np.ndarray) -> float:
    """Return the loss of all heads' raw outputs (n, units), weighted and summed, its mean over the samples."""
    return float(
        sum(
            head.weight * sample_losses(architecture.loss, raw, targets, architecture.output).mean()
            for head, raw in zip(architecture.heads, outputs, strict=True)
        )
    )


def output_gradients(
    architecture: Architecture, outputs: Sequence[np.ndarray], targets: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Return, for each head, the gradient that a step follows with respect to its raw outputs (n, units)."""
    factor = 1.0 if LOSSES[architecture.loss].reduction == "sum" else 1 / len(targets)
    return tuple(
        (head.weight * factor * GRADIENTS[architecture.loss](raw, targets, architecture.output)).astype(raw.dtype)
        for head, raw in zip(architecture.heads, outputs, strict=True)
    )


def sample_metrics(architecture: Architecture, raw: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return, for each sample, whether it is right (1 or 0), or the absolute error of a regression."""
    if architecture.task == "regression":
        return np.abs(raw[:, 0] - targets)
    labels = raw[:, 0] > 0 if architecture.output == "sigmoid" else raw.argmax(axis=1)
    return (labels == targets).astype(np.float64)
