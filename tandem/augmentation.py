"""Augmentation: training images are flipped and turned at random, the same ones alike in every framework.

What happens to each shown image is drawn here, once for all frameworks, as a 2 × 2 matrix. It takes a pixel's place
in the new image, (row, column) from the centre, to its place in the old one. Each framework's ``augmentation``
module reads the four pixels around that place and weighs them (bilinear interpolation); a place outside the image
counts as the nearest one inside. A constant would need the background's value, which rows that are scaled no longer
tell.
"""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tandem.declared import Declared

_FLIPS = {"none": (False, False), "horizontal": (False, True), "vertical": (True, False), "both": (True, True)}


class Augmentation(Declared):
    """Random changes of the training images; validation and test images stay as they are."""

    flip: Literal["horizontal", "vertical", "both", "none"] = Field(
        default="none", description="Mirror half of the images: left to right, top to bottom, or each by itself."
    )
    rotation: float = Field(default=0.0, ge=0, le=180, description="Turn by at most so many degrees, either way.")

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.flip == "none" and not self.rotation:
            raise PydanticCustomError("inconsistent", "changes no image: set flip or rotation, or remove the key")
        return self


def takes_augmentation(feature_shape: tuple[int, ...]) -> bool:
    """Return whether samples can be images: (height, width), or (height, width, channels)."""
    return len(feature_shape) in (2, 3)


def draw_transforms(augmentation: Augmentation, images: int, seed: int) -> np.ndarray:
    """Draw what happens to each image of an epoch: float64 (images, 2, 2), new place to old place.

    Angles are uniform over the declared range, mirrorings have chance one half.
    """
    generator = np.random.default_rng(seed)
    flipped = generator.random((images, 2)) < 0.5
    angles = np.deg2rad(generator.uniform(-augmentation.rotation, augmentation.rotation, images))
    signs = np.where(flipped & np.array(_FLIPS[augmentation.flip]), -1.0, 1.0)
    cosine, sine = np.cos(angles), np.sin(angles)
    turns = np.stack([np.stack([cosine, sine], axis=-1), np.stack([-sine, cosine], axis=-1)], axis=1)
    return turns * signs[:, None, :]
