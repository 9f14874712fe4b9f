"""Fully connected layers: y = x W + b."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tandem.layers import Layer

Arrays = Mapping[str, np.ndarray]


def forward(layer: Layer, arrays: Arrays, values: np.ndarray) -> np.ndarray:
    """Return the sums (n, units) of rows (n, inputs)."""
    sums = values @ arrays["kernel"]
    return sums + arrays["bias"] if layer.settings["bias"] else sums


def backward(
    layer: Layer, arrays: Arrays, values: np.ndarray, outputs: np.ndarray, gradient: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return dL/dx = g Wᵀ, with dL/dW = xᵀ g and dL/db = Σ g."""
    del outputs
    found = {"kernel": values.T @ gradient}
    if layer.settings["bias"]:
        found["bias"] = gradient.sum(axis=0)
    return gradient @ arrays["kernel"].T, found
