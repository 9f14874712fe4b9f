"""Kinds of layers, one module each, found by scanning; :mod:`tandem.layers.layer` says what a module defines."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

from tandem.layers.layer import Draft, Layer, Place, Shape

__all__ = ["Draft", "Layer", "Place", "Shape", "layer_kind", "layer_kinds", "resolve_layer"]

_SHARED_MODULES = {"layer"}


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


def resolve_layer(kind: str, declared: object, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield the layers that a declaration of a kind stands for, on samples of a shape.

    Raises:
        ArchitectureError: it does not take samples of that shape.
    """
    yield from layer_kind(kind).resolve(declared, shape, place)
