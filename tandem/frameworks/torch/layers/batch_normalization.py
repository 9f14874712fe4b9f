"""Batch normalisation."""

from __future__ import annotations

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
    batch_var: Tensor

    def __init__(self, features: int, *, momentum: float, epsilon: float, unbiased: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        self.register_buffer("batch_var", torch.zeros(features), persistent=False)  # of the batch at hand
        self.momentum, self.epsilon, self.unbiased = momentum, epsilon, unbiased

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
            self.running_mean.mul_(1 - self.momentum).add_(rows.detach()[0], alpha=self.momentum)
            self.running_var.mul_(1 - self.momentum)
            return torch.batch_norm(rows, self.weight, self.bias, None, None, True, 0.0, self.epsilon, False)
        # PyTorch's kernel keeps the mean, which is the same for both, and the unbiased variance.
        variance = self.running_var if self.unbiased else self.batch_var.zero_()
        statistics = self.running_mean, variance
        normalised = torch.batch_norm(
            rows, self.weight, self.bias, *statistics, True, self.momentum, self.epsilon, False
        )
        if not self.unbiased:
            self.running_var.mul_(1 - self.momentum).add_(variance, alpha=(count - 1) / count)
        return normalised


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
