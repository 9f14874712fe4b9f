"""Average pooling over frames, height and width."""

from __future__ import annotations

from torch import Tensor, nn

from tandem.frameworks.torch.layers.films import film_windows
from tandem.frameworks.torch.layers.windows import axis_padding, flat, shares_inside
from tandem.layers import Layer
from tandem.models import Constants


class AveragePooling3d(nn.Module):
    """The mean of each window; as in Keras, positions beyond the edge do not count."""

    shares: Tensor

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self._width, self._strides = layer.settings["pool_size"], layer.settings["strides"]
        padding = axis_padding(layer, self._width)
        self._padding = flat(padding)
        self.register_buffer("shares", shares_inside(layer, self._width, padding), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Map (n, frames, height, width, channels) to fewer positions."""
        means = film_windows(values, self._width, self._strides, self._padding, 0.0).mean(dim=-1)
        return means * self.shares if self._padding else means


def build(layer: Layer, constants: Constants) -> nn.Module:
    """Return the layer."""
    del constants
    return AveragePooling3d(layer)
