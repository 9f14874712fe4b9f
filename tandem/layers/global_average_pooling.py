"""Global average pooling."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.declared import Declared
from tandem.layers.layer import ArchitectureError, Draft, Example, Place, Shape


class Declaration(Declared):
    """The mean of each feature or channel (the last axis) over all other axes of a sample."""


def resolve(declared: Declaration, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield the layer; it takes series, images and films."""
    del declared
    if len(shape) < 2:
        raise ArchitectureError(
            place, f"global_average_pooling takes samples of rank 2 to 4, here they have shape {shape}; leave it out"
        )
    yield Draft("global_average_pooling", shape[-1:])


EXAMPLES = (Example({}, (4, 3)), Example({}, (4, 5, 2)), Example({}, (2, 3, 4, 2)))
