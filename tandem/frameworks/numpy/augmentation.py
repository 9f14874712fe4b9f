"""Flips and rotations of images in NumPy."""

from __future__ import annotations

import numpy as np


def transform_images(images: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Return images resampled bilinearly, the edge carried on outwards; see :mod:`tandem.augmentation`.

    Args:
        images: (n, height, width) or (n, height, width, channels).
        transforms: (n, 2, 2) from places in the new image to places in the old one, seen from the centre.
    """
    height, width = images.shape[1:3]
    transforms = transforms.astype(images.dtype)
    down = np.arange(height, dtype=images.dtype)[:, None] - (height - 1) / 2
    right = np.arange(width, dtype=images.dtype)[None, :] - (width - 1) / 2

    def neighbours(row: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the pixels before and after each place on an axis, and the weight of the one after."""
        matrix = transforms[:, row, :, None, None]
        place = np.clip(matrix[:, 0] * down + matrix[:, 1] * right + (size - 1) / 2, 0, size - 1)
        before = np.floor(place)
        weight = (place - before).reshape(*place.shape, *(1,) * (images.ndim - 3))
        first = before.astype(np.int64)
        return first, np.minimum(first + 1, size - 1), weight

    top, bottom, lower = neighbours(0, height)
    left, right_of, further = neighbours(1, width)
    number = np.arange(len(images))[:, None, None]
    above = images[number, top, left] * (1 - further) + images[number, top, right_of] * further
    below = images[number, bottom, left] * (1 - further) + images[number, bottom, right_of] * further
    return above * (1 - lower) + below * lower
