"""Powers of the features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from tandem.declared import Declared
from tandem.layers.layer import Draft, Example, Place, Shape, need_rank


class Declaration(Declared):
    """Each feature raised to each exponent, the first exponent's powers of all features first."""

    exponents: tuple[Annotated[int, Field(ge=0, le=20)], ...] = Field(min_length=1, description="Whole, from 0.")


def resolve(declared: Declaration, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield the layer; it takes rows."""
    need_rank("powers", shape, 1, place)
    yield Draft("powers", (shape[0] * len(declared.exponents),), {"exponents": declared.exponents})


EXAMPLES = (Example({"exponents": (2, 1)}, (1,)), Example({"exponents": (0, 3, 1)}, (2,)))
