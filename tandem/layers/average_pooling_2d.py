"""Average pooling over height and width."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.layers.layer import Draft, Example, Place, Shape
from tandem.layers.pooling import Pooling2, pooled


class Declaration(Pooling2):
    """The mean in each window of an image, channel by channel; positions beyond the edge do not count."""


def resolve(declared: Declaration, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield the layer."""
    yield pooled("average_pooling_2d", declared, shape, place, axes=2)


EXAMPLES = (
    Example({}, (4, 5, 2)),
    Example({"pool_size": 3, "strides": 2, "padding": "same"}, (5, 6, 2)),
    Example({"pool_size": [2, 3], "strides": [1, 2]}, (4, 5, 1)),
)
