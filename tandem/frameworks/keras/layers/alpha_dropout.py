"""Alpha dropout."""

from __future__ import annotations

from typing import Any

import keras

from tandem.layers import Layer
from tandem.models import Constants


def build(layer: Layer, constants: Constants, **common: Any) -> keras.layers.Layer:
    """Return the layer; its seed is set before each epoch."""
    del constants
    return keras.layers.AlphaDropout(layer.settings["rate"], seed=0, **common)
