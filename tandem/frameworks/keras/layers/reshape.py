"""Reshaping."""

from __future__ import annotations

from typing import Any

import keras

from tandem.layers import Layer
from tandem.models import Constants


def build(layer: Layer, constants: Constants, **common: Any) -> keras.layers.Layer:
    """Return the layer."""
    del constants
    return keras.layers.Reshape(layer.output_shape, **common)
