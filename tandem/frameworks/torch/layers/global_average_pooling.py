"""Global average pooling."""

from __future__ import annotations

from torch import Tensor, nn

from tandem.layers import Layer
from tandem.models import Constants


class GlobalAveragePooling(nn.Module):
    """The mean over all axes of a sample but the last."""

    def forward(self, values: Tensor) -> Tensor:
        """Map (n, ..., channels) to (n, channels)."""
        return values.flatten(1, -2).mean(dim=1)


def build(layer: Layer, constants: Constants) -> nn.Module:
    """Return the layer."""
    del layer, constants
    return GlobalAveragePooling()
