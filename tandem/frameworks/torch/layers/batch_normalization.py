"""Batch normalisation."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from tandem.frameworks.torch.layers.array import Array
from tandem.layers import Layer
from tandem.models import Constants

# Keras's constants of batch normalisation, in PyTorch's terms.
_KERAS_MOMENTUM, _KERAS_EPSILON = 0.01, 1e-3
_TORCH_MOMENTUM, _TORCH_EPSILON = 0.1, 1e-5


class BatchNormalization(nn.Module):
    """Batch normalisation over the last axis, with the constants of either framework.

    ``nn.BatchNorm1d`` keeps the unbiased variance of each batch and refuses a batch of one row; Keras keeps
    the biased one and takes any batch.
    """

    running_mean: Tensor
    running_var: Tensor
    batch_mean: Tensor
    batch_var: Tensor

    def __init__(self, features: int, *, momentum: float, epsilon: float, unbiased: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        for name in ("batch_mean", "batch_var"):  # of the batch at hand
            self.register_buffer(name, torch.zeros(features), persistent=False)
        self.momentum, self.epsilon, self.unbiased = momentum, epsilon, unbiased

    def train(self, mode: bool = True) -> Self:
        """Set the mode, and forget the last batch: what a diverged training left there would never go away."""
        self.batch_mean.zero_()
        self.batch_var.zero_()
        return super().train(mode)

    def forward(self, values: Tensor) -> Tensor:
        """Normalise values (n, ..., features) over all axes but the last."""
        rows = values if values.dim() == 2 else values.reshape(-1, values.shape[-1])
        normalised = self._normalise(rows)
        return normalised if values.dim() == 2 else normalised.view(values.shape)

    def _normalise(self, rows: Tensor) -> Tensor:
        if not self.training:
            statistics = self.running_mean, self.running_var
            return torch.batch_norm(rows, self.weight, self.bias, *statistics, False, 0.0, self.epsilon, False)
        count = len(rows)
        if count == 1:  # has no unbiased variance
            self._keep(rows.detach()[0], torch.zeros_like(self.running_var))
            return torch.batch_norm(rows, self.weight, self.bias, None, None, True, 0.0, self.epsilon, False)
        # With momentum 1 PyTorch hands over the mean and the unbiased variance that it works out anyway.
        statistics = self.batch_mean, self.batch_var
        normalised = torch.batch_norm(rows, self.weight, self.bias, *statistics, True, 1.0, self.epsilon, False)
        self._keep(self.batch_mean, self.batch_var if self.unbiased else self.batch_var * ((count - 1) / count))
        return normalised

    def _keep(self, mean: Tensor, variance: Tensor) -> None:
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def build(layer: Layer, constants: Constants) -> nn.Module:
    """Return the layer with the constants of either framework."""
    aligned = constants == "aligned"
    return BatchNormalization(
        layer.input_shape[-1],
        momentum=_KERAS_MOMENTUM if aligned else _TORCH_MOMENTUM,
        epsilon=_KERAS_EPSILON if aligned else _TORCH_EPSILON,
        unbiased=not aligned,
    )


def tensors(built: BatchNormalization) -> dict[str, Array]:
    """Return scale, shift and running statistics."""
    return {
        "gamma": Array(built.weight, (0,)),
        "beta": Array(built.bias, (0,)),
        "moving_mean": Array(built.running_mean, (0,)),
        "moving_variance": Array(built.running_var, (0,)),
    }
