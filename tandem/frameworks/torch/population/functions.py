"""Functions whose value for a number does not depend on where in the array the number stands.

PyTorch computes some functions (sigmoid, elu, selu, log-sigmoid) eight or sixteen numbers at a time, and what is left
over at an array's end one by one, by a formula that rounds otherwise. In a population a member's numbers would then
depend on how many members are beside it. ``exp``, ``expm1`` and ``log1p`` round alike everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tandem.frameworks.torch.activations import make_activation
from tandem.frameworks.torch.losses import sample_losses as losses_of_samples
from tandem.layers import Layer
from tandem.models import Architecture, Constants

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def sigmoid(values: Tensor, out: Tensor | None = None) -> Tensor:
    """Return 1 / (1 + exp(-x)); no gradient goes through it."""
    return torch.neg(values, out=out).exp_().add_(1).reciprocal_()


class _Sigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        output = sigmoid(values)
        ctx.save_for_backward(output)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (output,) = ctx.saved_tensors
        return gradient * (1 - output) * output


class _Selu(torch.autograd.Function):
    """Scale · x above zero, scale · alpha · (exp(x) - 1) below."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, alpha: float, scale: float) -> Tensor:
        ctx.save_for_backward(values)
        ctx.constants = alpha, scale
        return torch.where(values > 0, values * scale, values.clamp(max=0).expm1_() * (alpha * scale))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (values,) = ctx.saved_tensors
        alpha, scale = ctx.constants
        slopes = torch.where(values > 0, scale, values.clamp(max=0).exp_() * (alpha * scale))
        return gradient * slopes, None, None


_OWN: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": lambda values: _Sigmoid.apply(values),
    "elu": lambda values: _Selu.apply(values, 1.0, 1.0),
    "selu": lambda values: _Selu.apply(values, _SELU_ALPHA, _SELU_SCALE),
}


def activation(layer: Layer, constants: Constants) -> Callable[[Tensor], Tensor]:
    """Return an activation layer's function."""
    return _OWN.get(layer.settings["function"]) or make_activation(layer.settings, constants)


def sample_losses(architecture: Architecture, raw: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each sample (n,), of one head's raw outputs (n, units)."""
    if architecture.output != "sigmoid":
        return losses_of_samples(architecture, raw, targets)
    logits, wanted = raw[:, 0], targets.to(raw.dtype)
    if architecture.loss == "binary_cross_entropy":
        return logits.clamp(min=0) - logits * wanted + logits.abs().neg_().exp_().log1p_()
    return (sigmoid(logits) - wanted).square()
