"""What pooling over two and three axes shares."""

from __future__ import annotations

from pydantic import Field

from tandem.declared import Declared
from tandem.layers.layer import Draft, Place, Shape, need_rank
from tandem.layers.windows import Padding, Sizes2, Sizes3, slid


class Pooling2(Declared):
    """Settings of pooling over height and width."""

    pool_size: Sizes2 = Field(default=(2, 2), description="Size of the window: one number, or one for each axis.")
    strides: Sizes2 | None = Field(default=None, description="Steps of the window; none: its size.")
    padding: Padding = Field(default="valid", description="same: a window may reach over the edge; valid: it may not.")


class Pooling3(Declared):
    """Settings of pooling over frames, height and width."""

    pool_size: Sizes3 = Field(default=(2, 2, 2), description="Size of the window: one number, or one for each axis.")
    strides: Sizes3 | None = Field(default=None, description="Steps of the window; none: its size.")
    padding: Padding = Field(default="valid", description="same: a window may reach over the edge; valid: it may not.")


def pooled(kind: str, declared: Pooling2 | Pooling3, shape: Shape, place: Place, axes: int) -> Draft:
    """Return pooling over the first ``axes`` axes, each channel for itself."""
    need_rank(kind, shape, axes + 1, place)
    width: Shape = declared.pool_size
    strides: Shape = width if declared.strides is None else declared.strides
    positions = slid(kind, shape[:axes], width, strides, declared.padding, place)
    settings = {"pool_size": width, "strides": strides, "padding": declared.padding}
    return Draft(kind, (*positions, shape[-1]), settings)
