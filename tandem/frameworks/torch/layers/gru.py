"""Gated recurrent units."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tandem.frameworks.torch.layers.array import Array
from tandem.layers import Layer
from tandem.models import Constants

# Keras keeps the gates as update, reset, candidate; PyTorch as reset, update, candidate.
_KERAS_ORDER = (1, 0, 2)


class Gru(nn.Module):
    """PyTorch's gated recurrent units; both biases are rows of one array, as in Keras."""

    def __init__(self, inputs: int, units: int, return_sequences: bool) -> None:
        super().__init__()
        own = nn.GRU(inputs, units)
        self.weight_ih, self.weight_hh, first, second = (nn.Parameter(array.detach()) for array in own.parameters())
        self.bias = nn.Parameter(torch.stack([first, second]).detach())
        self._return_sequences = return_sequences

    def forward(self, values: Tensor) -> Tensor:
        """Map (n, timesteps, inputs) to the state after each timestep, or after the last."""
        start = values.new_zeros(1, len(values), self.weight_hh.shape[1])
        arrays = [self.weight_ih, self.weight_hh, self.bias[0], self.bias[1]]
        states, last = torch.gru(values, start, arrays, True, 1, 0.0, self.training, False, True)
        return states if self._return_sequences else last[0]


def build(layer: Layer, constants: Constants) -> nn.Module:
    """Return the layer."""
    del constants
    return Gru(layer.input_shape[-1], layer.output_shape[-1], layer.settings["return_sequences"])


def tensors(built: Gru) -> dict[str, Array]:
    """Return kernels and biases."""
    return {
        "kernel": Array(built.weight_ih, (1, 0), _KERAS_ORDER),
        "recurrent_kernel": Array(built.weight_hh, (1, 0), _KERAS_ORDER),
        "bias": Array(built.bias, (0, 1), _KERAS_ORDER),
    }
