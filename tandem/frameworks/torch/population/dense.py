"""A training step of many plain dense networks, written out: no autograd, buffers that are kept between steps.

With plain SGD the rate is multiplied into the gradient of the loss, so that each kernel's step is one product of
matrices that subtracts from it; no gradient array is ever made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from tandem.frameworks.torch.losses import step_factor
from tandem.frameworks.torch.population.functions import sigmoid
from tandem.layers import Layer
from tandem.models import Architecture
from tandem.population.stack import Stack

_aten = torch.ops.aten
_FUNCTIONS = ("relu", "sigmoid", "tanh")


def is_plain(stack: Stack) -> bool:
    """Return whether the networks have dense layers and simple activations alone.

    The answer is that of the family: a member goes the same way whatever members are beside it.
    """
    architecture = stack.padded
    return (
        not architecture.embeddings
        and all(head.takes != "input" for head in architecture.heads)
        and all(
            layer.kind in ("dense", "flatten")
            or (layer.kind == "activation" and layer.settings["function"] in _FUNCTIONS)
            for layer in architecture.body
        )
    )


class Sink(Protocol):
    """Takes a dense layer's gradient (members, n, units), and what the layer was given (members, n, inputs)."""

    def __call__(self, layer: str, given: Tensor, gradient: Tensor) -> None:
        """Step against it, or keep it."""


class DenseStep:
    """Forward and backward pass of plain dense networks.

    Args:
        stack: the members.
        arrays: by "layer/parameter", (members, *shape) each.
        rows: of the batches.
    """

    def __init__(self, stack: Stack, arrays: Mapping[str, Tensor], rows: int) -> None:
        self._architecture = architecture = stack.padded
        self._arrays, self._rows = arrays, rows
        self._kernels = {name.partition("/")[0]: array for name, array in arrays.items() if name.endswith("/kernel")}
        self._biases = {
            name.partition("/")[0]: array[:, None] for name, array in arrays.items() if name.endswith("/bias")
        }
        self._body = [layer for layer in architecture.body if layer.kind != "flatten"]
        first = next(iter(arrays.values()))
        masks = {layer.name: stack.mask(layer.name) for layer in self._body}
        self._masks = {
            name: torch.from_numpy(mask)[:, None].to(first.device, first.dtype)
            for name, mask in masks.items()
            if mask is not None and not mask.all()
        }
        # As few buffers as there can be, which stay in the processor's cache: an activation overwrites what its dense
        # layer gave, and gradients go back and forth between two.
        self._values: list[Tensor] = []
        for position, layer in enumerate(self._body):
            in_place = position and layer.kind == "activation" and self._body[position - 1].kind == "dense"
            own = self._values[-1] if in_place else first.new_empty(len(stack), rows, layer.output_shape[-1])
            self._values.append(own)
        widest = max((values.numel() for values in self._values), default=0)
        both = [first.new_empty(widest), first.new_empty(widest)]
        dense = [position for position, layer in enumerate(self._body) if layer.kind == "dense"]
        self._arriving = {  # at what is before each dense layer
            position: both[turn % 2][: self._values[position - 1].numel()].view_as(self._values[position - 1])
            for turn, position in enumerate(dense)
            if position
        }

    def __call__(
        self,
        inputs: Sequence[Tensor],
        targets: Tensor,
        outputs: Sequence[Tensor],
        sink: Sink,
        factor: Tensor | None = None,
    ) -> None:
        """Run both passes.

        Args:
            inputs: (members, n, features), one a part.
            targets: (members, n).
            outputs: to be filled with each head's raw outputs, (members, n, units).
            sink: told each dense layer's gradient, after it has been carried on to the layer before.
            factor: (members, 1, 1), multiplied into every gradient.
        """
        value = inputs[-1].flatten(2)
        given = []
        for layer, buffer in zip(self._body, self._values, strict=True):
            given.append(value)
            value = self._forward(layer, value, buffer)
        arriving: Tensor | None = None
        for head, raw in zip(self._architecture.heads, outputs, strict=True):
            name = head.layer.name
            taken = torch.cat([inputs[0], value], dim=2) if head.takes == "wide and body" else value
            self._dense(name, taken, raw)
            gradient = loss_gradient(self._architecture, raw, targets, head.weight)
            if factor is not None:
                gradient.mul_(factor)
            if self._body:
                kernel = self._kernels[name][:, -value.shape[2] :]
                back = torch.bmm(gradient, kernel.transpose(1, 2))
                arriving = back if arriving is None else arriving.add_(back)
            sink(name, taken, gradient)
        for position in range(len(self._body) - 1, -1, -1):
            assert arriving is not None  # noqa: S101  (a body with layers has been given one)
            layer = self._body[position]
            if layer.kind == "activation":
                arriving = _derivative(layer, arriving, self._values[position])
                continue
            gradient = arriving
            if position:
                arriving = torch.bmm(gradient, self._kernels[layer.name].transpose(1, 2), out=self._arriving[position])
            sink(layer.name, given[position], gradient)

    def _forward(self, layer: Layer, value: Tensor, buffer: Tensor) -> Tensor:
        if layer.kind == "dense":
            return self._dense(layer.name, value, buffer)
        function = layer.settings["function"]
        if function == "relu":
            return torch.clamp_min(value, 0, out=buffer)
        if function == "tanh":
            return torch.tanh(value, out=buffer)
        sigmoid(value, out=buffer)
        mask = self._masks.get(layer.name)
        return buffer if mask is None else buffer.mul_(mask)

    def _dense(self, name: str, value: Tensor, out: Tensor) -> Tensor:
        bias = self._biases.get(name)
        if bias is None:
            return torch.bmm(value, self._kernels[name], out=out)
        return torch.baddbmm(bias, value, self._kernels[name], out=out)

    def descend(self, layer: str, given: Tensor, gradient: Tensor) -> None:
        """Subtract a gradient, which the rates are multiplied into."""
        self._kernels[layer].baddbmm_(given.transpose(1, 2), gradient, alpha=-1)
        bias = self._biases.get(layer)
        if bias is not None:
            bias.sub_(gradient.sum(1, keepdim=True))


def _derivative(layer: Layer, gradient: Tensor, output: Tensor) -> Tensor:
    function = layer.settings["function"]
    if function == "relu":
        return _aten.threshold_backward.grad_input(gradient, output, 0, grad_input=gradient)
    if function == "sigmoid":
        return _aten.sigmoid_backward.grad_input(gradient, output, grad_input=gradient)
    return _aten.tanh_backward.grad_input(gradient, output, grad_input=gradient)


def loss_gradient(architecture: Architecture, raw: Tensor, targets: Tensor, weight: float) -> Tensor:
    """Return the gradient that a step follows with respect to one head's raw outputs (members, n, units)."""
    rows = raw.shape[1]
    scale = weight * step_factor(architecture, rows) / rows
    loss, output = architecture.loss, architecture.output
    if loss == "mae":
        return torch.sign(raw - targets[..., None]).mul_(scale / raw.shape[2])
    if output == "linear":
        return (raw - targets[..., None]).mul_(2 * scale / raw.shape[2])
    if output == "sigmoid":
        probabilities = sigmoid(raw)
        errors = probabilities - targets[..., None]
        if loss == "binary_cross_entropy":
            return errors.mul_(scale)
        return errors.mul_(probabilities).mul_(1 - probabilities).mul_(2 * scale)
    probabilities = torch.softmax(raw, dim=2)
    errors = probabilities.scatter_add(2, targets[..., None], raw.new_tensor(-1.0).expand(*targets.shape, 1))
    if loss == "mse":
        common = (errors * probabilities).sum(2, keepdim=True)
        return errors.sub_(common).mul_(probabilities).mul_(2 * scale / raw.shape[2])
    return errors.mul_(scale)
