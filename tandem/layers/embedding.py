"""Embedding of whole numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from pydantic import Field

from tandem.declared import Declared
from tandem.errors import DataError
from tandem.layers.layer import Draft, Example, Initial, Layer, Parameter, Place, Shape

FIRST_ONLY = "it takes whole numbers, which no layer hands on"


class Declaration(Declared):
    """A row of learnt numbers for each whole number from 0 below ``size``; the data set is not to be scaled."""

    size: int = Field(gt=0, le=10_000_000, description="How many different numbers there are; they begin at 0.")
    units: int = Field(gt=0, le=100_000, description="Width of a row.")


def resolve(declared: Declaration, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield the layer; it takes samples of any rank, and adds an axis."""
    del place
    rows = Parameter("embeddings", (declared.size, declared.units), Initial("uniform", 0.05), Initial("normal", 1.0))
    yield Draft("embedding", (*shape, declared.units), {"size": declared.size}, (rows,))


def adapt(layer: Layer, features: np.ndarray) -> Mapping[str, np.ndarray]:
    """Check the training rows (n, *shape); they give the layer no arrays.

    Raises:
        DataError: a number is not whole, or out of range.
    """
    size = layer.settings["size"]
    wrong = features[(features < 0) | (features >= size) | (features != np.floor(features))]
    if wrong.size:
        raise DataError(
            f"{layer.name} takes whole numbers from 0 to {size - 1}, here a training row holds {wrong.flat[0]:g}; "
            "set the layer's size, or the data set's standardize: {method: none}"
        )
    return {}


EXAMPLES = (
    Example({"size": 7, "units": 3}, (5,), integers=7),
    Example({"size": 4, "units": 2}, (2, 3), integers=4),
)
