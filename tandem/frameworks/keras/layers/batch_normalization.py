"""Batch normalisation."""

from __future__ import annotations

from typing import Any

import keras

from tandem.layers import Layer
from tandem.models import Constants


def build(layer: Layer, constants: Constants, **common: Any) -> keras.layers.Layer:
    """Return the layer over the last axis, with Keras's own constants."""
    del layer, constants
    return keras.layers.BatchNormalization(**common)
