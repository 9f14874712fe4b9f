"""Layer normalisation."""

from __future__ import annotations

from torch import nn

from tandem.frameworks.torch.layers.array import Array
from tandem.layers import Layer
from tandem.models import Constants

_KERAS_EPSILON, _TORCH_EPSILON = 1e-3, 1e-5


def build(layer: Layer, constants: Constants) -> nn.Module:
    """Return the layer over the last axis, with the constants of either framework."""
    return nn.LayerNorm(layer.input_shape[-1], eps=_KERAS_EPSILON if constants == "aligned" else _TORCH_EPSILON)


def tensors(built: nn.LayerNorm) -> dict[str, Array]:
    """Return scale and shift."""
    return {"gamma": Array(built.weight, (0,)), "beta": Array(built.bias, (0,))}
