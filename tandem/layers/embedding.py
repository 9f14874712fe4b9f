"""Embedding of whole numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from tandem.declared import Declared
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


def refusal(layer: Layer, features: np.ndarray) -> tuple[int, str] | None:
    """Return the first row of features (n, *shape) that the layer does not take, and why; None: it takes all."""
    size = layer.settings["size"]
    wrong = np.argwhere((features < 0) | (features >= size) | (features != np.floor(features)))
    if not len(wrong):
        return None
    return int(wrong[0, 0]), f"{features[tuple(wrong[0])]:g}, {layer.name} takes whole numbers from 0 to {size - 1}"


EXAMPLES = (
    Example({"size": 7, "units": 3}, (5,), integers=7),
    Example({"size": 4, "units": 2}, (2, 3), integers=4),
)
