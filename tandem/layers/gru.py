"""Gated recurrent units."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.layers.layer import ZEROS, Draft, Example, Place, Shape
from tandem.layers.recurrent import Recurrent, recurrent


class Declaration(Recurrent):
    """Gated recurrent units over series (Cho et al., 2014), the reset gate applied after the product with the state."""


def resolve(declared: Declaration, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield the layer; its gates are update, reset, candidate, with one bias for the input and one for the state."""
    yield recurrent("gru", declared, shape, place, (2, 3 * declared.units), ZEROS)


EXAMPLES = (
    Example({"units": 4}, (5, 3)),
    Example({"units": 3, "return_sequences": True}, (4, 2)),
    Example({"units": 2}, (1, 3)),
)
