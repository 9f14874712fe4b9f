"""Max pooling over height and width."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.layers.layer import Draft, Example, Place, Shape
from tandem.layers.pooling import Pooling2, pooled


class Declaration(Pooling2):
    """The largest number in each window of an image, channel by channel."""


def resolve(declared: Declaration, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield the layer."""
    yield pooled("max_pooling_2d", declared, shape, place, axes=2)


EXAMPLES = (
    Example({}, (4, 5, 2)),
    Example({"pool_size": 3, "strides": 2, "padding": "same"}, (5, 6, 2)),
    Example({"pool_size": [2, 3], "strides": [1, 2]}, (4, 5, 1)),
)
