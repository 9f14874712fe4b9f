"""Flips and rotations of images in TensorFlow, in operations that XLA compiles."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def transform_images(images: Any, transforms: Any) -> Any:
    """Return images resampled bilinearly, the edge carried on outwards; see :mod:`tandem.augmentation`.

    Args:
        images: (n, height, width) or (n, height, width, channels).
        transforms: (n, 2, 2) from places in the new image to places in the old one, seen from the centre, in the
            images' number type.
    """
    height, width = images.shape[1:3]
    count = tf.shape(images)[0]
    down = tf.range(height, dtype=images.dtype)[:, None] - (height - 1) / 2
    right = tf.range(width, dtype=images.dtype)[None, :] - (width - 1) / 2

    def neighbours(row: int, size: int) -> tuple[Any, Any, Any]:
        """Return the pixels before and after each place on an axis, and the weight of the one after."""
        matrix = transforms[:, row, :, None, None]
        place = tf.clip_by_value(matrix[:, 0] * down + matrix[:, 1] * right + (size - 1) / 2, 0, size - 1)
        before = tf.floor(place)
        weight = tf.reshape(place - before, [count, height, width, *(1,) * (len(images.shape) - 3)])
        first = tf.cast(before, tf.int32)
        return first, tf.minimum(first + 1, size - 1), weight

    top, bottom, lower = neighbours(0, height)
    left, right_of, further = neighbours(1, width)
    number = tf.broadcast_to(tf.range(count)[:, None, None], [count, height, width])

    def pixels(rows: Any, columns: Any) -> Any:
        return tf.gather_nd(images, tf.stack([number, rows, columns], axis=-1))

    above = pixels(top, left) * (1 - further) + pixels(top, right_of) * further
    below = pixels(bottom, left) * (1 - further) + pixels(bottom, right_of) * further
    return above * (1 - lower) + below * lower
