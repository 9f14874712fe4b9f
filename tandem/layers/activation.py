"""Activation functions as layers of their own."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.activations import ACTIVATIONS, Activated, ActivationName, activation_settings
from tandem.layers.layer import ArchitectureError, Draft, Example, Place, Shape


class Declaration(Activated):
    """An activation function on its own; maxout takes the largest of each ``pieces`` neighbours."""

    function: ActivationName


def resolve(declared: Declaration, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield the function, over the last axis where it takes several numbers."""
    yield draft(declared.function, declared, shape, place)


def draft(function: ActivationName, declared: Activated, shape: Shape, place: Place) -> Draft:
    """Return a function on samples of a shape.

    Raises:
        ArchitectureError: maxout cannot divide the last axis into pieces.
    """
    if function == "maxout":
        if shape[-1] % declared.pieces:
            raise ArchitectureError(
                place, f"maxout takes {declared.pieces} pieces of a multiple of {declared.pieces} numbers, here {shape}"
            )
        shape = (*shape[:-1], shape[-1] // declared.pieces)
    return Draft("activation", shape, activation_settings(function, declared))


EXAMPLES = (
    *(Example({"function": name}, (6,)) for name in ACTIVATIONS),
    Example({"function": "leaky_relu", "slope": 0.01}, (3, 4)),
    Example({"function": "softmax"}, (3, 4)),
    Example({"function": "maxout", "pieces": 4}, (3, 8)),
)
