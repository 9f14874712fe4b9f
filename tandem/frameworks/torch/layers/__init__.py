"""PyTorch's module for each kind of layer, one module a kind.

A module defines ``build(layer, constants)`` and, for a kind with arrays, ``tensors(built)``: by parameter name
(Keras's) an :class:`tandem.frameworks.torch.layers.array.Array`, PyTorch's tensor and how its layout maps to Keras's.
Samples are channels last, as they are stored.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from torch import nn

from tandem.frameworks.torch.layers.array import Array
from tandem.layers import Layer
from tandem.models import Constants


def build_layer(layer: Layer, constants: Constants) -> nn.Module:
    """Return PyTorch's module."""
    return importlib.import_module(f"{__name__}.{layer.kind}").build(layer, constants)


def layer_arrays(layer: Layer, built: nn.Module) -> Mapping[str, Array]:
    """Return the layer's arrays by parameter name."""
    if not layer.parameters:
        return {}
    return importlib.import_module(f"{__name__}.{layer.kind}").tensors(built)
