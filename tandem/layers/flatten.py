"""Flattening."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tandem.declared import Declared
from tandem.layers.layer import Draft, Example, Place, Shape


class Declaration(Declared):
    """Turns each sample into one row of numbers, last axis fastest."""


def resolve(declared: Declaration, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield the layer; it takes samples of any rank."""
    del declared, place
    yield Draft("flatten", (math.prod(shape),))


EXAMPLES = (Example({}, (4, 5)), Example({}, (2, 3, 4)))
