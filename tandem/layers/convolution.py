"""What convolutions over two and three axes share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from tandem.activations import Activated, ActivationName
from tandem.layers import activation, batch_normalization
from tandem.layers.layer import (
    ZEROS,
    Draft,
    Parameter,
    Place,
    Regularization,
    Shape,
    glorot_uniform,
    need_rank,
    torch_uniform,
)
from tandem.layers.windows import Padding, slid


class Convolution(Activated):
    """Settings of every convolution."""

    filters: int = Field(gt=0, le=100_000, description="Number of kernels, and so of channels that come out.")
    padding: Padding = Field(
        default="valid", description="same: zeros around, so that a stride of 1 keeps the size; valid: none."
    )
    activation: ActivationName = Field(default="linear", description="Function applied to the sums.")
    batch_normalization: Literal["before", "after"] | None = Field(
        default=None, description="Batch normalisation before or after the activation."
    )
    bias: bool = Field(default=True, description="Whether a bias is added to the sums.")
    regularization: Regularization | None = Field(default=None, description="Penalty on the kernels.")


def convolved(
    kind: str, declared: Convolution, width: Shape, strides: Shape, shape: Shape, place: Place
) -> Iterator[Draft]:
    """Yield a convolution by windows of a width, over as many axes as it has, with what is declared to follow it."""
    need_rank(kind, shape, len(width) + 1, place)
    positions = slid(kind, shape[:-1], width, strides, declared.padding, place)
    pieces = declared.pieces if declared.activation == "maxout" else 1
    draft = _sums(kind, declared, width, strides, shape[-1], (*positions, declared.filters * pieces))
    yield draft
    if declared.batch_normalization == "before":
        yield batch_normalization.draft(draft.output_shape)
    if declared.activation != "linear":
        yield activation.draft(declared.activation, declared, draft.output_shape, place)
    if declared.batch_normalization == "after":
        yield batch_normalization.draft((*positions, declared.filters))


def _sums(kind: str, declared: Convolution, width: Shape, strides: Shape, channels: int, shape: Shape) -> Draft:
    """Return the sums alone: kernel (*window, channels in, channels out) and, if asked for, bias."""
    covered, filters = math.prod(width), shape[-1]
    fan_in, fan_out = covered * channels, covered * filters
    kernel = Parameter(
        "kernel", (*width, channels, filters), glorot_uniform(fan_in, fan_out), torch_uniform(fan_in), regularized=True
    )
    biases = (Parameter("bias", (filters,), ZEROS, torch_uniform(fan_in)),) if declared.bias else ()
    settings = {"kernel_size": width, "strides": strides, "padding": declared.padding, "bias": declared.bias}
    return Draft(kind, shape, settings, (kernel, *biases), declared.regularization)
