"""Max pooling over frames, height and width."""

from __future__ import annotations

from torch import Tensor, nn

from tandem.frameworks.torch.layers.films import film_windows
from tandem.frameworks.torch.layers.windows import axis_padding, flat
from tandem.layers import Layer
from tandem.models import Constants


class MaxPooling3d(nn.Module):
    """The largest number of each window."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self._width, self._strides = layer.settings["pool_size"], layer.settings["strides"]
        self._padding = flat(axis_padding(layer, self._width))

    def forward(self, values: Tensor) -> Tensor:
        """Map (n, frames, height, width, channels) to fewer positions."""
        return film_windows(values, self._width, self._strides, self._padding, -float("inf")).max(dim=-1).values


def build(layer: Layer, constants: Constants) -> nn.Module:
    """Return the layer."""
    del constants
    return MaxPooling3d(layer)
