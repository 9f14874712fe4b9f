"""Powers of the features."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tandem.layers import Layer
from tandem.models import Constants


@keras.saving.register_keras_serializable(package="tandem")
class Powers(keras.layers.Layer):
    """Each feature raised to each exponent."""

    def __init__(self, exponents: list[int], **settings: Any) -> None:
        super().__init__(**settings)
        self.exponents = list(exponents)

    def call(self, rows: Any) -> Any:
        """Map (n, features) to (n, features · exponents)."""
        return ops.concatenate([_power(rows, exponent) for exponent in self.exponents], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the settings."""
        return {**super().get_config(), "exponents": self.exponents}


def _power(rows: Any, exponent: int) -> Any:
    """Multiply out, which rounds alike everywhere."""
    product = ops.ones_like(rows)
    for _ in range(exponent):
        product = product * rows
    return product


def build(layer: Layer, constants: Constants, **common: Any) -> keras.layers.Layer:
    """Return the layer."""
    del constants
    return Powers(list(layer.settings["exponents"]), **common)
