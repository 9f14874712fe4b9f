"""Batch normalisation."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tandem.layers import Layer
from tandem.models import Constants

# PyTorch's constants of batch normalisation, in Keras's terms.
_TORCH_MOMENTUM, _TORCH_EPSILON = 0.9, 1e-5


@keras.saving.register_keras_serializable(package="tandem")
class UnbiasedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation that keeps the unbiased variance of each batch, n / (n - 1) of Keras's, as PyTorch does."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise; while training correct the running variance."""
        outputs = super().call(inputs, training=training, mask=mask)
        if training:
            _, variance = self._moments(inputs, mask)
            rows = ops.cast(ops.size(inputs), variance.dtype) / inputs.shape[-1]
            excess = variance / ops.maximum(rows - 1, 1)
            self.moving_variance.assign_add(excess * (1 - self.momentum))
        return outputs


def build(layer: Layer, constants: Constants, **common: Any) -> keras.layers.Layer:
    """Return the layer over the last axis, with the constants of either framework."""
    del layer
    if constants == "aligned-torch":
        return UnbiasedBatchNormalization(momentum=_TORCH_MOMENTUM, epsilon=_TORCH_EPSILON, **common)
    return keras.layers.BatchNormalization(**common)
