"""Windows that slide over positions, which convolutions and pooling share: sizes, padding and shapes."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from tandem.layers.layer import ArchitectureError, Place, Shape

Padding = Literal["valid", "same"]


Size = Annotated[int, Field(gt=0, le=1_000)]


def _sizes(axes: int) -> tuple[BeforeValidator, WithJsonSchema]:
    """Return what makes one size for each axis of a single size that is declared for all."""

    def spread(given: object) -> object:
        if type(given) is int and 0 < given <= 1_000:
            return (given,) * axes
        if isinstance(given, list | tuple) and len(given) == axes:
            return tuple(given)
        message = "must be a whole number from 1 to 1000, or a list of {axes}, one for each axis"
        raise PydanticCustomError("window", message, {"axes": axes})

    one: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": 1_000}
    each = {"type": "array", "items": one, "minItems": axes, "maxItems": axes}
    return BeforeValidator(spread), WithJsonSchema({"anyOf": [one, each]})


Sizes2 = Annotated[tuple[Size, Size], *_sizes(2)]
Sizes3 = Annotated[tuple[Size, Size, Size], *_sizes(3)]


def slid(kind: str, positions: Shape, window: Shape, strides: Shape, padding: Padding, place: Place) -> Shape:
    """Return at how many positions along each axis a window stops.

    Raises:
        ArchitectureError: without padding the window is larger than what it slides over.
    """
    if padding == "same":
        return tuple(math.ceil(size / stride) for size, stride in zip(positions, strides, strict=True))
    if any(size < width for size, width in zip(positions, window, strict=True)):
        raise ArchitectureError(
            place, f"{kind} has a window of {window}, larger than the {positions} that it slides over; "
            "make it smaller, or set padding: same"
        )  # fmt: skip
    return tuple((size - width) // stride + 1 for size, width, stride in zip(positions, window, strides, strict=True))


def same_padding(size: int, width: int, stride: int) -> tuple[int, int]:
    """Return what padding "same" adds before and after an axis; the odd one goes after, as in TensorFlow."""
    total = max((math.ceil(size / stride) - 1) * stride + width - size, 0)
    return total // 2, total - total // 2
