"""Powers of the features."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tandem.layers import Layer

Arrays = Mapping[str, np.ndarray]


def forward(layer: Layer, arrays: Arrays, values: np.ndarray) -> np.ndarray:
    """Return each feature raised to each exponent."""
    del arrays
    return np.concatenate([_power(values, exponent) for exponent in layer.settings["exponents"]], axis=-1)


def _power(values: np.ndarray, exponent: int) -> np.ndarray:
    """Multiply out, which rounds alike everywhere."""
    product = np.ones_like(values)
    for _ in range(exponent):
        product = product * values
    return product


def backward(
    layer: Layer, arrays: Arrays, values: np.ndarray, outputs: np.ndarray, gradient: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return Σ g e x^(e-1) over the exponents e."""
    del arrays, outputs
    exponents = layer.settings["exponents"]
    parts = np.split(gradient, len(exponents), axis=-1)
    return sum(
        (
            part * exponent * _power(values, exponent - 1)
            for part, exponent in zip(parts, exponents, strict=True)
            if exponent
        ),
        start=np.zeros_like(values),
    ), {}
