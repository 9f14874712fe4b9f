"""Reshaping."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from tandem.declared import Declared
from tandem.layers.layer import ArchitectureError, Draft, Example, Place, Shape


class Declaration(Declared):
    """Gives each sample another shape of as many numbers, last axis fastest: (28, 28) to (28, 28, 1), say."""

    shape: tuple[Annotated[int, Field(gt=0)], ...] = Field(
        min_length=1, max_length=4, description="Shape of a sample from here on."
    )


def resolve(declared: Declaration, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield the layer; it takes samples of any rank."""
    if math.prod(declared.shape) != math.prod(shape):
        raise ArchitectureError(
            (*place, "shape"),
            f"{declared.shape} has {math.prod(declared.shape)} numbers, the samples {shape} have {math.prod(shape)}; "
            "give a shape of as many",
        )
    yield Draft("reshape", declared.shape)


EXAMPLES = (Example({"shape": [4, 5, 1]}, (4, 5)), Example({"shape": [6]}, (1, 2, 3)), Example({"shape": [3, 2]}, (6,)))
