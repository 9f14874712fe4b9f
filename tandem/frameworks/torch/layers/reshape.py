"""Reshaping."""

from __future__ import annotations

from torch import Tensor, nn

from tandem.layers import Layer
from tandem.models import Constants


class Reshape(nn.Module):
    """Each sample in another shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self._shape = shape

    def forward(self, values: Tensor) -> Tensor:
        """Map (n, ...) to (n, *shape)."""
        return values.reshape(len(values), *self._shape)


def build(layer: Layer, constants: Constants) -> nn.Module:
    """Return the layer."""
    del constants
    return Reshape(layer.output_shape)
