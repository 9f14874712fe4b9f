"""Gated recurrent units."""

from __future__ import annotations

from typing import Any

import keras

from tandem.layers import Layer
from tandem.models import Constants


def build(layer: Layer, constants: Constants, **common: Any) -> keras.layers.Layer:
    """Return the layer as plain operations, which XLA compiles; cuDNN's kernels it cannot take."""
    del constants
    return keras.layers.GRU(
        layer.parameters[1].shape[0],
        return_sequences=layer.settings["return_sequences"],
        use_cudnn=False,
        **common,
    )


def variables(built: keras.layers.GRU) -> dict[str, Any]:
    """Return the cell's variables."""
    return {name: getattr(built.cell, name) for name in ("kernel", "recurrent_kernel", "bias")}
