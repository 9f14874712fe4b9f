"""Max pooling over height and width."""

from __future__ import annotations

from typing import Any

import keras

from tandem.frameworks.keras.layers.windows import sliding_max
from tandem.layers import Layer
from tandem.models import Constants


@keras.saving.register_keras_serializable(package="tandem")
class SlidingMaxPooling2D(keras.layers.MaxPooling2D):
    """Keras's layer, computed by :func:`sliding_max`."""

    def call(self, inputs: Any) -> Any:
        """Map (n, height, width, channels) to fewer positions."""
        return sliding_max(inputs, self.pool_size, self.strides, self.padding)


def build(layer: Layer, constants: Constants, **common: Any) -> keras.layers.Layer:
    """Return the layer."""
    del constants
    settings = layer.settings
    return SlidingMaxPooling2D(settings["pool_size"], settings["strides"], settings["padding"], **common)
