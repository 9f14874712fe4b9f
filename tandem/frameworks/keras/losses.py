"""Losses by name, and metrics, on raw outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tandem.losses import LOSSES, OutputFunction
from tandem.models import Architecture


def _squared_errors(raw: Any, targets: Any, output: OutputFunction) -> Any:
    if output == "linear":
        return tf.reduce_mean(tf.square(raw - targets[:, None]), 1)
    if output == "sigmoid":
        return tf.square(tf.sigmoid(raw[:, 0]) - tf.cast(targets, raw.dtype))
    return tf.reduce_mean(tf.square(tf.nn.softmax(raw) - tf.one_hot(targets, raw.shape[1], dtype=raw.dtype)), 1)


def _absolute_errors(raw: Any, targets: Any, _output: OutputFunction) -> Any:
    return tf.reduce_mean(tf.abs(raw - targets[:, None]), 1)


def _cross_entropies(raw: Any, targets: Any, _output: OutputFunction) -> Any:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=raw)


def _one_hot_cross_entropies(raw: Any, targets: Any, _output: OutputFunction) -> Any:
    return tf.nn.softmax_cross_entropy_with_logits(tf.one_hot(targets, raw.shape[1], dtype=raw.dtype), raw)


def _binary_cross_entropies(raw: Any, targets: Any, _output: OutputFunction) -> Any:
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.cast(targets, raw.dtype), logits=raw[:, 0])


# Name → the loss of each sample (n,), from raw outputs (n, units), targets (n,) and the output function.
SAMPLE_LOSSES: Mapping[str, Callable[[Any, Any, OutputFunction], Any]] = {
    "mse": _squared_errors,
    "squared_error_sum": _squared_errors,
    "mae": _absolute_errors,
    "cross_entropy": _cross_entropies,
    "categorical_cross_entropy": _one_hot_cross_entropies,
    "binary_cross_entropy": _binary_cross_entropies,
}


def batch_losses(architecture: Architecture, outputs: list[Any], targets: Any) -> tuple[Any, Any]:
    """Return what a step follows the gradient of, and the sum of the losses over the batch.

    Args:
        architecture: names the loss and the heads' weights.
        outputs: raw, (n, units) a head.
        targets: (n,).
    """
    losses = SAMPLE_LOSSES[architecture.loss]
    total = sum(
        head.weight * tf.reduce_sum(losses(raw, targets, architecture.output))
        for head, raw in zip(architecture.heads, outputs, strict=True)
    )
    if LOSSES[architecture.loss].reduction == "sum":
        return total, total
    return total / tf.cast(tf.shape(targets)[0], total.dtype), total


def sample_metrics(architecture: Architecture, raw: Any, targets: Any) -> Any:
    """Return, for each sample, whether it is right (1 or 0), or the absolute error of a regression."""
    if architecture.task == "regression":
        return tf.abs(raw[:, 0] - targets)
    if architecture.output == "sigmoid":
        labels = tf.cast(raw[:, 0] > 0, tf.int32)
    else:
        labels = tf.argmax(raw, axis=1, output_type=tf.int32)
    return tf.cast(tf.equal(labels, targets), raw.dtype)
