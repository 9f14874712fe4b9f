"""Convolutions over frames, height and width."""

from __future__ import annotations

from typing import Any

import keras

from tandem.layers import Layer
from tandem.models import Constants


def build(layer: Layer, constants: Constants, **common: Any) -> keras.layers.Layer:
    """Return the sums alone."""
    del constants
    settings = layer.settings
    return keras.layers.Conv3D(
        layer.output_shape[-1],
        settings["kernel_size"],
        settings["strides"],
        settings["padding"],
        use_bias=settings["bias"],
        **common,
    )
