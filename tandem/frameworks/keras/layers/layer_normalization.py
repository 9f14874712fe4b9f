"""Layer normalisation."""

from __future__ import annotations

from typing import Any

import keras

from tandem.layers import Layer
from tandem.models import Constants


def build(layer: Layer, constants: Constants, **common: Any) -> keras.layers.Layer:
    """Return the layer over the last axis, with the constants of either framework."""
    del layer
    epsilon = _TORCH_EPSILON if constants == "aligned-torch" else _KERAS_EPSILON
    return keras.layers.LayerNormalization(epsilon=epsilon, **common)


_KERAS_EPSILON, _TORCH_EPSILON = 1e-3, 1e-5
