"""Flips and rotations of images in PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor


def transform_images(images: Tensor, transforms: Tensor) -> Tensor:
    """Return images resampled bilinearly, the edge carried on outwards; see :mod:`tandem.augmentation`.

    Args:
        images: (n, height, width) or (n, height, width, channels).
        transforms: (n, 2, 2) from places in the new image to places in the old one, seen from the centre, in the
            images' number type.
    """
    height, width = images.shape[1:3]
    down = torch.arange(height, dtype=images.dtype, device=images.device)[:, None] - (height - 1) / 2
    right = torch.arange(width, dtype=images.dtype, device=images.device)[None, :] - (width - 1) / 2

    def neighbours(row: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the pixels before and after each place on an axis, and the weight of the one after."""
        matrix = transforms[:, row, :, None, None]
        place = (matrix[:, 0] * down + matrix[:, 1] * right + (size - 1) / 2).clamp(0, size - 1)
        before = place.floor()
        weight = (place - before).reshape(*place.shape, *(1,) * (images.ndim - 3))
        first = before.long()
        return first, (first + 1).clamp(max=size - 1), weight

    top, bottom, lower = neighbours(0, height)
    left, right_of, further = neighbours(1, width)
    number = torch.arange(len(images), device=images.device)[:, None, None]
    above = images[number, top, left] * (1 - further) + images[number, top, right_of] * further
    below = images[number, bottom, left] * (1 - further) + images[number, bottom, right_of] * further
    return above * (1 - lower) + below * lower
