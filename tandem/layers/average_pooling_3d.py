"""Average pooling over frames, height and width."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.layers.layer import Draft, Example, Place, Shape
from tandem.layers.pooling import Pooling3, pooled


class Declaration(Pooling3):
    """The mean in each window of a film, channel by channel; positions beyond the edge do not count."""


def resolve(declared: Declaration, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield the layer."""
    yield pooled("average_pooling_3d", declared, shape, place, axes=3)


EXAMPLES = (
    Example({}, (3, 4, 5, 2)),
    Example({"pool_size": [2, 3, 2], "strides": [1, 2, 2], "padding": "same"}, (3, 4, 5, 2)),
)
