"""NumPy's passes through each kind of layer of dense networks, one module a kind.

A module defines ``forward(layer, arrays, values)``, which gives the outputs, and
``backward(layer, arrays, values, outputs, gradient)``, which gives the gradient with respect to the values and those of
the arrays by parameter name. Arrays are by parameter name, in Keras's layout.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from tandem.layers import Layer


def passes(layer: Layer) -> ModuleType:
    """Return the module of a layer's kind.

    Raises:
        KeyError: NumPy does not have the kind.
    """
    if layer.kind not in kinds():
        raise KeyError(layer.kind)
    return importlib.import_module(f"{__name__}.{layer.kind}")


def kinds() -> tuple[str, ...]:
    """Return the kinds of layers that NumPy has."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))
