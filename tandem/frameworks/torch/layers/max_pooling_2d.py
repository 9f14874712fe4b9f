"""Max pooling over height and width."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from tandem.frameworks.torch.layers.windows import axis_padding, channels_first, flat
from tandem.layers import Layer
from tandem.models import Constants


class MaxPooling2d(nn.Module):
    """The largest number of each window."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        width, strides = layer.settings["pool_size"], layer.settings["strides"]
        self._pool = partial(functional.max_pool2d, kernel_size=width, stride=strides)
        self._padding = flat(axis_padding(layer, width))

    def forward(self, values: Tensor) -> Tensor:
        """Map (n, height, width, channels) to fewer positions."""
        return channels_first(self._pool, values, self._padding, -float("inf"))


def build(layer: Layer, constants: Constants) -> nn.Module:
    """Return the layer."""
    del constants
    return MaxPooling2d(layer)
