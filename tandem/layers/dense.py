"""Fully connected layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from tandem.activations import Activated, ActivationName
from tandem.layers import activation, batch_normalization
from tandem.layers.layer import (
    ZEROS,
    Draft,
    Example,
    Parameter,
    Place,
    Regularization,
    Shape,
    glorot_uniform,
    need_rank,
    torch_uniform,
)


class Declaration(Activated):
    """Fully connected layers: ``repeat`` times units, activation and, if asked for, batch normalisation."""

    units: int = Field(gt=0, le=100_000, description="Width of the layer.")
    activation: ActivationName = Field(default="linear", description="Function applied to the sums.")
    batch_normalization: Literal["before", "after"] | None = Field(
        default=None, description="Batch normalisation before or after the activation."
    )
    bias: bool = Field(default=True, description="Whether a bias is added to the sums.")
    regularization: Regularization | None = Field(default=None, description="Penalty on the kernel.")
    repeat: int = Field(default=1, gt=0, le=1_000, description="How many such layers follow one another.")


def resolve(declared: Declaration, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield dense layers, each followed by what is declared with it."""
    for _ in range(declared.repeat):
        need_rank("dense", shape, 1, place)
        pieces = declared.pieces if declared.activation == "maxout" else 1
        yield draft(shape[0], declared.units * pieces, bias=declared.bias, regularization=declared.regularization)
        shape = (declared.units * pieces,)
        if declared.batch_normalization == "before":
            yield batch_normalization.draft(shape)
        if declared.activation != "linear":
            yield activation.draft(declared.activation, declared, shape, place)
        shape = (declared.units,)
        if declared.batch_normalization == "after":
            yield batch_normalization.draft(shape)


def draft(inputs: int, units: int, *, bias: bool = True, regularization: Regularization | None = None) -> Draft:
    """Return the sums alone: kernel (inputs, units) and, if asked for, bias (units,)."""
    kernel = Parameter(
        "kernel", (inputs, units), glorot_uniform(inputs, units), torch_uniform(inputs), regularized=True
    )
    biases = (Parameter("bias", (units,), ZEROS, torch_uniform(inputs)),) if bias else ()
    return Draft("dense", (units,), {"bias": bias}, (kernel, *biases), regularization)


EXAMPLES = (
    Example({"units": 5, "activation": "relu"}, (7,)),
    Example({"units": 4, "activation": "maxout", "pieces": 3}, (6,)),
    Example({"units": 4, "activation": "tanh", "bias": False}, (6,)),
    Example({"units": 6, "activation": "relu", "regularization": {"l1": 0.01, "l2": 0.02}, "repeat": 2}, (6,)),
    Example({"units": 6, "activation": "selu", "batch_normalization": "before"}, (5,)),
)
