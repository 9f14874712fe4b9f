"""Activation functions as declared; each framework's ``activations`` module computes them."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from pydantic import Field

from tandem.declared import Declared

ActivationName = Literal[
    "linear", "relu", "leaky_relu", "elu", "selu", "gelu", "sigmoid", "tanh", "softmax", "maxout"
]  # fmt: skip
ACTIVATIONS: tuple[ActivationName, ...] = get_args(ActivationName)


class Activated(Declared):
    """An activation function with the settings that some functions have."""

    slope: float = Field(default=0.3, ge=0, description="Slope of leaky_relu below zero (0.3 is Keras's).")
    pieces: int = Field(default=2, gt=1, le=100, description="Of how many numbers maxout takes the largest.")


def activation_settings(function: ActivationName, declared: Activated) -> dict[str, Any]:
    """Return what a framework needs to build the function: its name and the settings that it has."""
    settings: dict[str, Any] = {"function": function}
    if function == "leaky_relu":
        settings["slope"] = float(np.float32(declared.slope))  # as TensorFlow rounds it, in float64 too
    if function == "maxout":
        settings["pieces"] = declared.pieces
    return settings
