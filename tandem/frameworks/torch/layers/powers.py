"""Powers of the features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tandem.layers import Layer
from tandem.models import Constants


class Powers(nn.Module):
    """Each feature raised to each exponent."""

    def __init__(self, exponents: tuple[int, ...]) -> None:
        super().__init__()
        self.exponents = exponents

    def forward(self, rows: Tensor) -> Tensor:
        """Map (n, features) to (n, features · exponents)."""
        return torch.cat([_power(rows, exponent) for exponent in self.exponents], dim=-1)


def _power(rows: Tensor, exponent: int) -> Tensor:
    """Multiply out, which rounds alike everywhere."""
    product = torch.ones_like(rows)
    for _ in range(exponent):
        product = product * rows
    return product


def build(layer: Layer, constants: Constants) -> nn.Module:
    """Return the layer."""
    del constants
    return Powers(tuple(layer.settings["exponents"]))
