"""Losses and metrics on raw outputs."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tandem.models import Architecture


def mean_loss(architecture: Architecture, raw: Any, targets: Any) -> Any:
    """Return the loss of one head's raw outputs (n, units), its mean over the samples."""
    return tf.reduce_mean(_sample_losses(architecture, raw, targets))


def _sample_losses(architecture: Architecture, raw: Any, targets: Any) -> Any:
    if architecture.task == "regression":
        errors = raw[:, 0] - targets
        return tf.square(errors) if architecture.loss == "mse" else tf.abs(errors)
    if architecture.loss == "mse" and architecture.output == "sigmoid":
        return tf.square(tf.sigmoid(raw[:, 0]) - tf.cast(targets, raw.dtype))
    if architecture.loss == "mse":
        return tf.reduce_mean(tf.square(tf.nn.softmax(raw) - tf.one_hot(targets, raw.shape[1], dtype=raw.dtype)), 1)
    if architecture.output == "sigmoid":
        return tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.cast(targets, raw.dtype), logits=raw[:, 0])
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=raw)


def sample_metrics(architecture: Architecture, raw: Any, targets: Any) -> Any:
    """Return, for each sample, whether it is right (1 or 0), or the absolute error of a regression."""
    if architecture.task == "regression":
        return tf.abs(raw[:, 0] - targets)
    if architecture.output == "sigmoid":
        labels = tf.cast(raw[:, 0] > 0, tf.int32)
    else:
        labels = tf.argmax(raw, axis=1, output_type=tf.int32)
    return tf.cast(tf.equal(labels, targets), raw.dtype)
