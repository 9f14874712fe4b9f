"""Normalisation with the training rows' mean and variance, as a layer of the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from tandem.declared import Declared
from tandem.layers.layer import ONES, ZEROS, Draft, Example, Layer, Parameter, Place, Shape

EPSILON = 1e-7  # the smallest standard deviation that is divided by
FIRST_ONLY = "its mean and variance come from the training rows as they enter the network"
_CHUNK_ROWS = 4096


class Declaration(Declared):
    """z-scores inside the network: (x - mean) / √variance, both fixed and taken from the training rows alone."""

    per: Literal["feature", "all"] = Field(
        default="feature", description="One mean and variance for each feature (the last axis), or one for all."
    )


def resolve(declared: Declaration, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield the layer; it takes samples of any rank, and changes nothing until it is adapted."""
    del place
    of = shape[-1:] if declared.per == "feature" else ()
    parameters = (Parameter("mean", of, ZEROS, trainable=False), Parameter("variance", of, ONES, trainable=False))
    yield Draft("normalization", shape, parameters=parameters)


def adapt(layer: Layer, features: np.ndarray) -> Mapping[str, np.ndarray]:
    """Return mean and variance (of the population) of the training rows (n, *shape), in float64.

    What does not vary is only centred: its variance counts as 1.
    """
    per_feature = bool(layer.parameters[0].shape)
    rows = features.reshape(-1, features.shape[-1] if per_feature else 1)
    mean = rows.mean(axis=0, dtype=np.float64)
    squares = np.zeros_like(mean)
    for start in range(0, len(rows), _CHUNK_ROWS):
        squares += np.square(rows[start : start + _CHUNK_ROWS] - mean).sum(axis=0)
    varies = rows.max(axis=0) > rows.min(axis=0)
    variance = np.where(varies, squares / len(rows), 1.0)
    mean = np.where(varies, mean, rows[0])
    return {"mean": mean, "variance": variance} if per_feature else {"mean": mean[0], "variance": variance[0]}


EXAMPLES = (
    Example({}, (6,)),
    Example({}, (4, 3)),
    Example({"per": "all"}, (6,)),
    Example({"per": "all"}, (3, 4, 2)),
)
