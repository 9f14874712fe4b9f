"""Global average pooling."""

from __future__ import annotations

from typing import Any

import keras

from tandem.layers import Layer
from tandem.models import Constants


def build(layer: Layer, constants: Constants, **common: Any) -> keras.layers.Layer:
    """Return the layer for the samples' rank."""
    del constants
    return _BY_RANK[len(layer.input_shape)](**common)


_BY_RANK = {
    2: keras.layers.GlobalAveragePooling1D,
    3: keras.layers.GlobalAveragePooling2D,
    4: keras.layers.GlobalAveragePooling3D,
}
