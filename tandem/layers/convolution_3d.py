"""Convolutions over frames, height and width."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from tandem.layers.convolution import Convolution, convolved
from tandem.layers.layer import Draft, Example, Place, Shape
from tandem.layers.windows import Sizes3


class Declaration(Convolution):
    """A convolution of films (frames, height, width, channels) with activation and, if asked for, normalisation."""

    kernel_size: Sizes3 = Field(description="Size of the window: one number, or one for each axis.")
    strides: Sizes3 = Field(default=(1, 1, 1), description="Steps of the window: one number, or one for each axis.")


def resolve(declared: Declaration, shape: Shape, place: Place) -> Iterator[Draft]:
    """Yield the convolution with what follows it."""
    yield from convolved("convolution_3d", declared, declared.kernel_size, declared.strides, shape, place)


EXAMPLES = (
    Example({"filters": 3, "kernel_size": 2, "activation": "relu"}, (3, 4, 5, 2)),
    Example({"filters": 2, "kernel_size": [2, 3, 2], "strides": [1, 2, 2], "padding": "same"}, (3, 5, 4, 1)),
    Example({"filters": 2, "kernel_size": 2, "bias": False, "batch_normalization": "before"}, (3, 3, 3, 2)),
)
