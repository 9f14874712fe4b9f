"""Activation functions as layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tandem.frameworks.numpy.activations import ACTIVATIONS
from tandem.layers import Layer

Arrays = Mapping[str, np.ndarray]


def _settings(layer: Layer) -> dict[str, Any]:
    return {key: value for key, value in layer.settings.items() if key != "function"}


def forward(layer: Layer, arrays: Arrays, values: np.ndarray) -> np.ndarray:
    """Return the function of the values."""
    del arrays
    return ACTIVATIONS[layer.function].forward(values, **_settings(layer))


def backward(
    layer: Layer, arrays: Arrays, values: np.ndarray, outputs: np.ndarray, gradient: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the derivative times the gradient."""
    del arrays
    return ACTIVATIONS[layer.function].backward(gradient, values, outputs, **_settings(layer)), {}
