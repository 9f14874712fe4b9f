"""Embedding of whole numbers."""

from __future__ import annotations

from torch import Tensor, nn

from tandem.frameworks.torch.layers.array import Array
from tandem.layers import Layer
from tandem.models import Constants


class Embedding(nn.Embedding):
    """PyTorch's embedding of whole numbers that are stored as floats."""

    def forward(self, values: Tensor) -> Tensor:
        """Map (n, ...) to (n, ..., units)."""
        return super().forward(values.long())


def build(layer: Layer, constants: Constants) -> nn.Module:
    """Return the layer."""
    del constants
    return Embedding(layer.settings["size"], layer.output_shape[-1])


def tensors(built: Embedding) -> dict[str, Array]:
    """Return the rows."""
    return {"embeddings": Array(built.weight, (0, 1))}
