"""Activation functions as layers."""

from __future__ import annotations

from torch import nn

from tandem.frameworks.torch.activations import make_activation
from tandem.layers import Layer
from tandem.models import Constants


def build(layer: Layer, constants: Constants) -> nn.Module:
    """Return the function."""
    return make_activation(layer.settings, constants)
