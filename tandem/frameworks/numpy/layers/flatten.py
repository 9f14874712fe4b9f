"""Flattening."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tandem.layers import Layer

Arrays = Mapping[str, np.ndarray]


def forward(layer: Layer, arrays: Arrays, values: np.ndarray) -> np.ndarray:
    """Return one row a sample, last axis fastest."""
    del layer, arrays
    return values.reshape(len(values), -1)


def backward(
    layer: Layer, arrays: Arrays, values: np.ndarray, outputs: np.ndarray, gradient: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the gradient in the samples' shape."""
    del layer, arrays, outputs
    return gradient.reshape(values.shape), {}
