"""Activation functions as layers."""

from __future__ import annotations

from typing import Any

import keras

from tandem.frameworks.keras.activations import make_activation
from tandem.layers import Layer
from tandem.models import Constants


def build(layer: Layer, constants: Constants, **common: Any) -> keras.layers.Layer:
    """Return the function."""
    del constants
    return make_activation(layer.settings, **common)
