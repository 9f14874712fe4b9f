"""Flattening."""

from __future__ import annotations

from typing import Any

import keras

from tandem.layers import Layer
from tandem.models import Constants


def build(layer: Layer, constants: Constants, **common: Any) -> keras.layers.Layer:
    """Return the layer; data is channels last, as Keras keeps it."""
    del layer, constants
    return keras.layers.Flatten(**common)
