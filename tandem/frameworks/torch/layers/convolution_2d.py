"""Convolutions over height and width."""

from __future__ import annotations

from torch import Tensor, nn

from tandem.frameworks.torch.layers.array import Array
from tandem.frameworks.torch.layers.windows import axis_padding, channels_first, flat
from tandem.layers import Layer
from tandem.models import Constants


class Convolution2d(nn.Conv2d):
    """PyTorch's convolution of samples with channels last."""

    def __init__(self, layer: Layer) -> None:
        settings = layer.settings
        width, strides = settings["kernel_size"], settings["strides"]
        super().__init__(layer.input_shape[-1], layer.output_shape[-1], width, strides, bias=settings["bias"])
        self._padding = flat(axis_padding(layer, width))

    def forward(self, values: Tensor) -> Tensor:
        """Map (n, *positions, channels) to (n, *positions, filters)."""
        return channels_first(super().forward, values, self._padding, 0.0)


def build(layer: Layer, constants: Constants) -> nn.Module:
    """Return the sums alone."""
    del constants
    return Convolution2d(layer)


def tensors(built: Convolution2d) -> dict[str, Array]:
    """Return kernel and bias; PyTorch's kernel is (filters, channels, *window)."""
    found = {"kernel": Array(built.weight, (2, 3, 1, 0))}
    if built.bias is not None:
        found["bias"] = Array(built.bias, (0,))
    return found
