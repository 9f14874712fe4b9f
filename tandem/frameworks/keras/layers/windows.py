"""Max pooling with a gradient that XLA takes under deterministic operations: TensorFlow's own has none."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from keras import ops

from tandem.layers.windows import Padding, same_padding


def sliding_max(values: Any, width: Sequence[int], strides: Sequence[int], padding: Padding) -> Any:
    """Return the largest number of each window of (n, *positions, channels), channel by channel.

    The window's first position, all its second ones and so on are strided slices; their maximum hands the gradient
    to the first of equal numbers, as TensorFlow's and PyTorch's kernels do.
    """
    sizes = list(values.shape[1:-1])
    if padding == "same":
        amounts = [same_padding(size, w, stride) for size, w, stride in zip(sizes, width, strides, strict=True)]
        values = ops.pad(values, [(0, 0), *amounts, (0, 0)], constant_values=-float("inf"))
        sizes = [size + sum(amount) for size, amount in zip(sizes, amounts, strict=True)]
    largest = None
    for start in itertools.product(*(range(w) for w in width)):
        places = (
            slice(first, size - w + first + 1, stride)
            for first, size, w, stride in zip(start, sizes, width, strides, strict=True)
        )
        slid = values[(slice(None), *places)]
        largest = slid if largest is None else ops.maximum(largest, slid)
    return largest
