"""Kinds of layers, one module each, found by scanning; :mod:`tandem.layers.layer` says what a module defines."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np

from tandem.layers.layer import ArchitectureError, Draft, Layer, Place, Shape

__all__ = [
    "Draft", "Layer", "Place", "Shape", "adapt_layer", "adapts", "kinds_of", "layer_kind", "layer_kinds", "refused_row",
    "resolve_layer", "takes_any_row",
]  # fmt: skip

_SHARED_MODULES = {"layer", "windows", "convolution", "pooling", "recurrent"}


@functools.cache
def layer_kinds() -> tuple[str, ...]:
    """Return the names of all kinds: the module names in this folder."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in names if name not in _SHARED_MODULES))


def layer_kind(name: str) -> ModuleType:
    """Return the module of a kind.

    Raises:
        KeyError: there is no such module.
    """
    if name not in layer_kinds():
        raise KeyError(name)
    return importlib.import_module(f"{__name__}.{name}")


@functools.cache
def kinds_of(framework: str) -> tuple[str, ...]:
    """Return the kinds of layers that a framework builds, without importing it."""
    folder = Path(__file__).parents[1] / "frameworks" / framework / "layers"
    return tuple(sorted(module.name for module in pkgutil.iter_modules([str(folder)]) if module.name in layer_kinds()))


def resolve_layer(kind: str, declared: object, shape: Shape, place: Place, *, first: bool = True) -> Iterator[Draft]:
    """Yield the layers that a declaration of a kind stands for, on samples of a shape.

    Raises:
        ArchitectureError: it does not take samples of that shape, or is to be the network's first layer and is not.
    """
    module = layer_kind(kind)
    if not first and (why := getattr(module, "FIRST_ONLY", "")):
        raise ArchitectureError(place, f"{kind} is not the first layer, but must be: {why}; move it to the front")
    yield from module.resolve(declared, shape, place)


def adapts(layer: Layer) -> bool:
    """Return whether a layer, as a network's first one, looks at the training rows."""
    return hasattr(layer_kind(layer.kind), "adapt")


def adapt_layer(layer: Layer, features: np.ndarray) -> Mapping[str, np.ndarray]:
    """Return the arrays of a network's first layer that come from the training rows (n, *shape), by name.

    Raises:
        DataError: the layer does not take these rows.
    """
    adapt = getattr(layer_kind(layer.kind), "adapt", None)
    return {} if adapt is None else adapt(layer, features)


def takes_any_row(layer: Layer) -> bool:
    """Return whether a network's first layer takes rows of any values."""
    return not hasattr(layer_kind(layer.kind), "refusal")


def refused_row(layer: Layer, features: np.ndarray) -> tuple[int, str] | None:
    """Return the first row (n, *shape) that a network's first layer does not take, and why; None: it takes all."""
    refusal = getattr(layer_kind(layer.kind), "refusal", None)
    return None if refusal is None else refusal(layer, features)
