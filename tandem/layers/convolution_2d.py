"""Convolutions over height and width."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from tandem.layers.convolution import Convolution, convolved
from tandem.layers.layer import Draft, Example, Place, Shape
from tandem.layers.windows import Sizes2


class Declaration(Convolution):
    """A convolution of images (height, width, channels) with activation and, if asked for, normalisation."""

    kernel_size: Sizes2 = Field(description="Size of the window: one number, or one for each axis.")
    strides: Sizes2 = Field(default=(1, 1), description="Steps of the window: one number, or one for each axis.")


def resolve(declared: Declaration, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield the convolution with what follows it."""
    yield from convolved("convolution_2d", declared, declared.kernel_size, declared.strides, shape, place)


EXAMPLES = (
    Example({"filters": 3, "kernel_size": 3, "activation": "relu"}, (6, 5, 2)),
    Example({"filters": 2, "kernel_size": [2, 3], "padding": "same", "bias": False}, (4, 5, 1)),
    Example({"filters": 2, "kernel_size": [4, 3], "strides": 2, "padding": "same", "activation": "tanh"}, (6, 7, 3)),
    Example({"filters": 2, "kernel_size": 2, "strides": [2, 1], "batch_normalization": "before"}, (5, 4, 2)),
    Example({"filters": 2, "kernel_size": 2, "batch_normalization": "after", "activation": "maxout"}, (3, 4, 2)),
    Example({"filters": 3, "kernel_size": 2, "regularization": {"l1": 0.01, "l2": 0.02}}, (3, 4, 2)),
)
