"""Fully connected layers."""

from __future__ import annotations

from torch import nn

from tandem.frameworks.torch.layers.array import Array
from tandem.layers import Layer
from tandem.models import Constants


def build(layer: Layer, constants: Constants) -> nn.Module:
    """Return the sums alone."""
    del constants
    return nn.Linear(layer.input_shape[-1], layer.output_shape[-1], bias=layer.settings["bias"])


def tensors(built: nn.Linear) -> dict[str, Array]:
    """Return kernel and bias; PyTorch's kernel is (units, inputs)."""
    found = {"kernel": Array(built.weight, (1, 0))}
    if built.bias is not None:
        found["bias"] = Array(built.bias, (0,))
    return found
