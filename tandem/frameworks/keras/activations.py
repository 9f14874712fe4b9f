"""Activation functions by name, as Keras layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tandem")
class Maxout(keras.layers.Layer):
    """The largest of each ``pieces`` neighbours along the last axis (Goodfellow et al., 2013)."""

    def __init__(self, pieces: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.pieces = pieces

    def call(self, values: Any) -> Any:
        """Map (..., pieces · n) to (..., n)."""
        shape = (-1, *values.shape[1:-1], values.shape[-1] // self.pieces, self.pieces)
        return ops.max(ops.reshape(values, shape), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the settings."""
        return {**super().get_config(), "pieces": self.pieces}


def _plain(name: str) -> Callable[..., keras.layers.Layer]:
    return lambda **common: keras.layers.Activation(name, **common)


ACTIVATIONS: Mapping[str, Callable[..., keras.layers.Layer]] = {
    **{name: _plain(name) for name in ("linear", "relu", "elu", "selu", "gelu", "sigmoid", "tanh", "softmax")},
    "leaky_relu": lambda slope, **common: keras.layers.LeakyReLU(slope, **common),
    "maxout": Maxout,
}


def make_activation(settings: Mapping[str, Any], **common: Any) -> keras.layers.Layer:
    """Return the layer for a function's settings."""
    rest = {key: value for key, value in settings.items() if key != "function"}
    return ACTIVATIONS[settings["function"]](**rest, **common)
