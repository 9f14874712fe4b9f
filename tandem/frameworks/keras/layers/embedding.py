"""Embedding of whole numbers."""

from __future__ import annotations

from typing import Any

import keras

from tandem.layers import Layer
from tandem.models import Constants


def build(layer: Layer, constants: Constants, **common: Any) -> keras.layers.Layer:
    """Return the layer, which takes whole numbers stored as floats too."""
    del constants
    return keras.layers.Embedding(layer.settings["size"], layer.output_shape[-1], **common)
