"""Long short-term memory."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.layers.layer import Draft, Example, Initial, Place, Shape
from tandem.layers.recurrent import Recurrent, recurrent

_FORGET_GATE_OPEN = Initial("blocks", blocks=(0.0, 1.0, 0.0, 0.0))


class Declaration(Recurrent):
    """Long short-term memory over series (Hochreiter and Schmidhuber, 1997; Gers et al., 2000)."""


def resolve(declared: Declaration, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield the layer; its gates are input, forget, cell, output, with one bias each."""
    yield recurrent("lstm", declared, shape, place, (4 * declared.units,), _FORGET_GATE_OPEN)


EXAMPLES = (
    Example({"units": 4}, (5, 3)),
    Example({"units": 3, "return_sequences": True}, (4, 2)),
    Example({"units": 2}, (1, 3)),
)
