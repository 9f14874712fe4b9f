"""Average pooling over frames, height and width."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tandem.layers import Layer
from tandem.models import Constants


@keras.saving.register_keras_serializable(package="tandem")
class SeparateAveragePooling3D(keras.layers.AveragePooling3D):
    """Pools each frame, then each position over the frames: TensorFlow's kernel over three axes takes no float64."""

    def call(self, inputs: Any) -> Any:
        """Map (n, frames, height, width, channels) to fewer positions; what lies beyond the edge does not count."""
        frames, height, width, channels = inputs.shape[1:]
        images = ops.reshape(inputs, (-1, height, width, channels))
        images = ops.average_pool(images, self.pool_size[1:], self.strides[1:], self.padding)
        height, width = images.shape[1:3]
        positions = ops.reshape(images, (-1, frames, height * width, channels))
        pooled = ops.average_pool(positions, (self.pool_size[0], 1), (self.strides[0], 1), self.padding)
        return ops.reshape(pooled, (-1, pooled.shape[1], height, width, channels))


def build(layer: Layer, constants: Constants, **common: Any) -> keras.layers.Layer:
    """Return the layer."""
    del constants
    settings = layer.settings
    kind = SeparateAveragePooling3D if common["dtype"] == "float64" else keras.layers.AveragePooling3D
    return kind(settings["pool_size"], settings["strides"], settings["padding"], **common)
