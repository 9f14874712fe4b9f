"""Long short-term memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tandem.frameworks.torch.layers.array import Array
from tandem.layers import Layer
from tandem.models import Constants


class Lstm(nn.Module):
    """PyTorch's LSTM with one bias, as Keras has it.

    ``nn.LSTM`` adds two biases to each gate, which the optimiser would move twice as far; the second is zero here.
    """

    unused_bias: Tensor

    def __init__(self, inputs: int, units: int, return_sequences: bool) -> None:
        super().__init__()
        own = nn.LSTM(inputs, units)
        self.weight_ih, self.weight_hh, first, second = (nn.Parameter(array.detach()) for array in own.parameters())
        self.bias = nn.Parameter((first + second).detach())
        self.register_buffer("unused_bias", torch.zeros(4 * units), persistent=False)
        self._return_sequences = return_sequences

    def forward(self, values: Tensor) -> Tensor:
        """Map (n, timesteps, inputs) to the state after each timestep, or after the last."""
        start = values.new_zeros(1, len(values), self.weight_hh.shape[1])
        arrays = [self.weight_ih, self.weight_hh, self.bias, self.unused_bias]
        states, last, _ = torch.lstm(values, (start, start), arrays, True, 1, 0.0, self.training, False, True)
        return states if self._return_sequences else last[0]


def build(layer: Layer, constants: Constants) -> nn.Module:
    """Return the layer; with its own constants it starts with PyTorch's biases, added up."""
    del constants
    return Lstm(layer.input_shape[-1], layer.output_shape[-1], layer.settings["return_sequences"])


def tensors(built: Lstm) -> dict[str, Array]:
    """Return kernels and bias; both frameworks keep the gates in one order: input, forget, cell, output."""
    return {
        "kernel": Array(built.weight_ih, (1, 0)),
        "recurrent_kernel": Array(built.weight_hh, (1, 0)),
        "bias": Array(built.bias, (0,)),
    }
