"""Average pooling over height and width."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from tandem.frameworks.torch.layers.windows import axis_padding, channels_first, flat, shares_inside
from tandem.layers import Layer
from tandem.models import Constants


class AveragePooling2d(nn.Module):
    """The mean of each window; as in Keras, positions beyond the edge do not count."""

    shares: Tensor

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        width, strides = layer.settings["pool_size"], layer.settings["strides"]
        padding = axis_padding(layer, width)
        self._pool = partial(functional.avg_pool2d, kernel_size=width, stride=strides)
        self._padding = flat(padding)
        self.register_buffer("shares", shares_inside(layer, width, padding), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Map (n, height, width, channels) to fewer positions."""
        means = channels_first(self._pool, values, self._padding, 0.0)
        return means * self.shares if self._padding else means


def build(layer: Layer, constants: Constants) -> nn.Module:
    """Return the layer."""
    del constants
    return AveragePooling2d(layer)
