"""Keras's layer for each kind, one module a kind.

A module defines ``build(layer, constants, **common)``, where ``common`` holds Keras's name and dtype, and, where the
layer's arrays are not attributes of the names that the kind gives them, ``variables(built)``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import keras

from tandem.layers import Layer
from tandem.models import Constants


def build_layer(layer: Layer, constants: Constants, dtype: str) -> keras.layers.Layer:
    """Return Keras's layer."""
    return importlib.import_module(f"{__name__}.{layer.kind}").build(layer, constants, name=layer.name, dtype=dtype)


def register_layers(layers: Iterable[Layer]) -> None:
    """Import the layers' modules, so that Keras knows the classes of ours that an archive names."""
    for layer in layers:
        importlib.import_module(f"{__name__}.{layer.kind}")


def layer_variables(layer: Layer, built: keras.layers.Layer) -> dict[str, Any]:
    """Return Keras's variables by parameter name."""
    module = importlib.import_module(f"{__name__}.{layer.kind}")
    if hasattr(module, "variables"):
        return module.variables(built)
    return {parameter.name: getattr(built, parameter.name) for parameter in layer.parameters}
