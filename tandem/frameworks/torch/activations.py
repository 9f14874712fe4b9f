"""Activation functions by name, as PyTorch modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tandem.models import Constants

_TENSORFLOW_ROOT_HALF = float(np.float32(0.5**0.5))


class KerasGelu(nn.Module):
    """GELU as TensorFlow computes it: with √½ rounded to float32, in float64 too."""

    def forward(self, values: Tensor) -> Tensor:
        """Return x Φ(x)."""
        return 0.5 * values * (1.0 + torch.erf(values * _TENSORFLOW_ROOT_HALF))


class Maxout(nn.Module):
    """The largest of each ``pieces`` neighbours along the last axis (Goodfellow et al., 2013)."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, values: Tensor) -> Tensor:
        """Map (..., pieces · n) to (..., n)."""
        return values.unflatten(-1, (-1, self.pieces)).amax(dim=-1)


ACTIVATIONS: Mapping[str, Callable[..., nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu": lambda slope: nn.LeakyReLU(slope),
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softmax": lambda: nn.Softmax(dim=-1),
    "maxout": Maxout,
}


def make_activation(settings: Mapping[str, Any], constants: Constants) -> nn.Module:
    """Return the module for a function's settings."""
    rest = {key: value for key, value in settings.items() if key != "function"}
    if settings["function"] == "gelu" and constants != "native":
        return KerasGelu()
    return ACTIVATIONS[settings["function"]](**rest)
