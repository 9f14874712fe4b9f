"""Batch normalisation."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.declared import Declared
from tandem.layers.layer import ONES, ZEROS, Draft, Example, Parameter, Place, Shape


class Declaration(Declared):
    """Normalises each feature (the last axis) over the batch and the other axes (Ioffe and Szegedy, 2015)."""


def resolve(declared: Declaration, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield the layer; it takes samples of any rank, channels last."""
    del declared, place
    yield draft(shape)


def draft(shape: Shape) -> Draft:
    """Return the layer for samples of a shape."""
    features = shape[-1:]
    return Draft(
        "batch_normalization",
        shape,
        parameters=(
            Parameter("gamma", features, ONES),
            Parameter("beta", features, ZEROS),
            Parameter("moving_mean", features, ZEROS, trainable=False),
            Parameter("moving_variance", features, ONES, trainable=False),
        ),
    )


EXAMPLES = (Example({}, (6,)), Example({}, (3, 4)), Example({}, (2, 3, 4)))
