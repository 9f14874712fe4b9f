"""Average pooling over height and width."""

from __future__ import annotations

from typing import Any

import keras

from tandem.layers import Layer
from tandem.models import Constants


def build(layer: Layer, constants: Constants, **common: Any) -> keras.layers.Layer:
    """Return the layer."""
    del constants
    settings = layer.settings
    return keras.layers.AveragePooling2D(settings["pool_size"], settings["strides"], settings["padding"], **common)
