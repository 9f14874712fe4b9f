"""Gradients of a batch's loss: by autograd, or written out for plain dense networks.

For layers of a few dozen units autograd's engine costs more than the arithmetic, so that networks of dense,
flatten and simple activation layers alone get their backward pass written out (the chain rule, layer by layer).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from tandem.frameworks.torch.losses import batch_loss, mean_loss, step_factor, weighted
from tandem.frameworks.torch.network import TandemNetwork
from tandem.layers import Layer

_aten = torch.ops.aten
# Activation → its derivative times the incoming gradient, from the layer's output.
_FROM_OUTPUT: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda gradient, output: _aten.threshold_backward(gradient, output, 0),
    "sigmoid": _aten.sigmoid_backward,
    "tanh": _aten.tanh_backward,
}


class Gradients(Protocol):
    """Computes the loss of a batch and the gradients of all parameters."""

    def __call__(self, inputs: Sequence[Tensor], targets: Tensor, gradients: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Fill ``gradients``, those that a step follows.

        Returns:
            The loss (mean over the batch, summed over heads) and the main head's outputs.
        """


def choose_gradients(network: TandemNetwork) -> Gradients:
    """Return the written-out backward pass where the network's layers have one, else autograd's."""
    plain = all(
        layer.kind in ("dense", "flatten") or (layer.kind == "activation" and layer.function in _FROM_OUTPUT)
        for layer in (*network.architecture.embeddings, *network.architecture.body)
    )
    plain = plain and all(head.takes != "input" for head in network.architecture.heads)
    return DenseGradients(network) if plain else AutogradGradients(network)


class AutogradGradients:
    """Gradients by PyTorch's autograd; takes any network."""

    def __init__(self, network: TandemNetwork) -> None:
        self._network = network
        self._parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]

    def __call__(self, inputs: Sequence[Tensor], targets: Tensor, gradients: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Fill ``gradients``; see :class:`Gradients`."""
        if self._parameters[0].grad is not gradients[0]:  # not asked for these before
            for parameter, gradient in zip(self._parameters, gradients, strict=True):
                parameter.grad = gradient
        torch._foreach_zero_(list(gradients))
        outputs = self._network(*inputs)
        architecture = self._network.architecture
        loss = batch_loss(architecture, outputs, targets)
        factor = step_factor(architecture, len(targets))
        # Adds to each parameter's ``grad``; asking autograd.grad for them takes longer.
        (loss if factor == 1 else loss * factor).backward()
        return loss.detach(), outputs[0].detach()


class DenseGradients:
    """Gradients of dense networks, written out; autograd differentiates the loss alone."""

    def __init__(self, network: TandemNetwork) -> None:
        architecture = self._architecture = network.architecture
        positions = {id(parameter): number for number, parameter in enumerate(network.parameters())}
        self._layers = [
            _Dense(network.module_of(layer), positions) if layer.kind == "dense" else layer
            for layer in architecture.body
        ]
        self._heads = [
            (head.takes == "wide and body", head.weight, _Dense(network.module_of(head.layer), positions))
            for head in architecture.heads
        ]

    def __call__(self, inputs: Sequence[Tensor], targets: Tensor, gradients: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Fill ``gradients``; see :class:`Gradients`."""
        with torch.no_grad():
            values = [inputs[-1]]  # what each layer of the body takes, then what the heads take
            for layer in self._layers:
                values.append(_forward(layer, values[-1]))
            total, main, backward = None, None, None
            for joint, weight, head in self._heads:
                taken = torch.cat([inputs[0], values[-1]], dim=1) if joint else values[-1]
                raw = head.forward(taken)
                loss, gradient = self._differentiate_loss(raw, targets, weight)
                head.store(gradient, taken, gradients)
                total = loss if total is None else total + loss
                main = raw if main is None else main
                if self._layers:
                    kernel = head.weight[:, -values[-1].shape[1] :] if joint else head.weight
                    arriving = gradient.mm(kernel)
                    backward = arriving if backward is None else backward + arriving
            self._go_back(backward, values, gradients)
        assert total is not None  # noqa: S101  (a network has a head)
        assert main is not None  # noqa: S101
        return total, main

    def _differentiate_loss(self, raw: Tensor, targets: Tensor, weight: float) -> tuple[Tensor, Tensor]:
        """Return a head's loss, and the gradient that a step follows with respect to the raw outputs."""
        with torch.enable_grad():
            leaf = raw.detach().requires_grad_()
            loss = weighted(mean_loss(self._architecture, leaf, targets), weight)
        gradient = torch.autograd.grad(loss, leaf)[0]
        factor = step_factor(self._architecture, len(targets))
        return loss.detach(), gradient if factor == 1 else gradient * factor

    def _go_back(self, gradient: Tensor | None, values: list[Tensor], gradients: Sequence[Tensor]) -> None:
        """Carry the gradient from the body's output to its first dense layer."""
        first = next((n for n, layer in enumerate(self._layers) if isinstance(layer, _Dense)), len(self._layers))
        for number in range(len(self._layers) - 1, first - 1, -1):
            layer = self._layers[number]
            assert gradient is not None  # noqa: S101  (a body with layers has been given one)
            if isinstance(layer, _Dense):
                layer.store(gradient, values[number], gradients)
                if number > first:
                    gradient = gradient.mm(layer.weight)
            elif layer.kind == "activation":
                gradient = _FROM_OUTPUT[layer.function](gradient, values[number + 1])
            else:
                gradient = gradient.view(values[number].shape)


class _Dense:
    """A linear layer's tensors, with the views that both passes use."""

    def __init__(self, module: nn.Module, positions: Mapping[int, int]) -> None:
        assert isinstance(module, nn.Linear)  # noqa: S101  (narrows the type)
        self._weight_position = positions[id(module.weight)]
        self._bias_position = None if module.bias is None else positions[id(module.bias)]
        self.weight = module.weight.data
        self._transposed, self._bias = self.weight.t(), None if module.bias is None else module.bias.data

    def forward(self, rows: Tensor) -> Tensor:
        return rows.mm(self._transposed) if self._bias is None else torch.addmm(self._bias, rows, self._transposed)

    def store(self, gradient: Tensor, rows: Tensor, gradients: Sequence[Tensor]) -> None:
        """Write the gradients of weight and bias."""
        torch.mm(gradient.t(), rows, out=gradients[self._weight_position])
        if self._bias_position is not None:
            torch.sum(gradient, dim=0, out=gradients[self._bias_position])


def _forward(layer: _Dense | Layer, rows: Tensor) -> Tensor:
    if isinstance(layer, _Dense):
        return layer.forward(rows)
    if layer.kind == "flatten":
        return rows.flatten(1)
    return getattr(torch, layer.function)(rows)
