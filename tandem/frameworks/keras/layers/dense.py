"""Fully connected layers."""

from __future__ import annotations

from typing import Any

import keras

from tandem.layers import Layer
from tandem.models import Constants


def build(layer: Layer, constants: Constants, **common: Any) -> keras.layers.Layer:
    """Return the sums alone."""
    del constants
    return keras.layers.Dense(layer.output_shape[-1], use_bias=layer.settings["bias"], **common)
