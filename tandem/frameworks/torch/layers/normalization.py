"""Normalisation with the training rows' mean and variance, as a layer of the network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tandem.frameworks.torch.layers.array import Array
from tandem.layers import Layer
from tandem.layers.normalization import EPSILON
from tandem.models import Constants


class FixedNormalization(nn.Module):
    """(x - mean) / √variance over the last axis, or with one mean and variance for all numbers."""

    mean: Tensor
    variance: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))

    def forward(self, values: Tensor) -> Tensor:
        """Normalise values (n, ..., features)."""
        return (values - self.mean) / self.variance.sqrt().clamp(min=EPSILON)


def build(layer: Layer, constants: Constants) -> nn.Module:
    """Return the layer."""
    del constants
    return FixedNormalization(layer.parameters[0].shape)


def tensors(built: FixedNormalization) -> dict[str, Array]:
    """Return mean and variance."""
    axes = tuple(range(built.mean.dim()))
    return {"mean": Array(built.mean, axes), "variance": Array(built.variance, axes)}
