"""Normalisation with the training rows' mean and variance, as a layer of the network."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tandem.layers import Layer
from tandem.layers.normalization import EPSILON
from tandem.models import Constants


@keras.saving.register_keras_serializable(package="tandem")
class FixedNormalization(keras.layers.Layer):
    """(x - mean) / √variance over the last axis, or with one mean and variance for all numbers.

    Keras's own layer copies its arrays into constants when it is adapted; here they are weights like any other.
    """

    def __init__(self, per_feature: bool = True, **settings: Any) -> None:
        super().__init__(**settings)
        self.per_feature = per_feature

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the arrays."""
        shape = input_shape[-1:] if self.per_feature else ()
        self.mean = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="mean")
        self.variance = self.add_weight(shape=shape, initializer="ones", trainable=False, name="variance")

    def call(self, values: Any) -> Any:
        """Normalise values (n, ..., features)."""
        return (values - self.mean) / ops.maximum(ops.sqrt(self.variance), EPSILON)

    def get_config(self) -> dict[str, Any]:
        """Return the settings."""
        return {**super().get_config(), "per_feature": self.per_feature}


def build(layer: Layer, constants: Constants, **common: Any) -> keras.layers.Layer:
    """Return the layer."""
    del constants
    return FixedNormalization(bool(layer.parameters[0].shape), **common)
