"""Padding by hand, which convolutions and pooling share: PyTorch's own is symmetric, Keras's is not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tandem.layers import Layer
from tandem.layers.windows import same_padding


def axis_padding(layer: Layer, window: Sequence[int]) -> list[tuple[int, int]]:
    """Return what is added before and after each axis of a sample but the last."""
    strides = layer.settings["strides"]
    if layer.settings["padding"] == "valid":
        return [(0, 0)] * len(window)
    sizes = layer.input_shape[:-1]
    return [same_padding(size, width, stride) for size, width, stride in zip(sizes, window, strides, strict=True)]


def flat(padding: Sequence[tuple[int, int]]) -> list[int]:
    """Return padding as ``torch.nn.functional.pad`` takes it: the last axis first; empty where there is none."""
    flattened = [amount for pair in reversed(padding) for amount in pair]
    return flattened if any(flattened) else []


def channels_first(function: Callable[[Tensor], Tensor], values: Tensor, padding: list[int], fill: float) -> Tensor:
    """Apply a function of (n, channels, *positions) to padded values (n, *positions, channels).

    Only strides change: the values stay where they are, PyTorch's "channels last" memory format.
    """
    moved = values.movedim(-1, 1)
    if padding:
        moved = functional.pad(moved, padding, value=fill)
    return function(moved).movedim(1, -1)


def shares_inside(layer: Layer, window: Sequence[int], padding: Sequence[tuple[int, int]]) -> Tensor:
    """Return window size over numbers inside the sample for each window, float64 (1, *positions, 1)."""
    strides = layer.settings["strides"]
    factors = []
    for axis, (before, _) in enumerate(padding):
        starts = np.arange(layer.output_shape[axis]) * strides[axis] - before
        ends = np.minimum(starts + window[axis], layer.input_shape[axis])
        factors.append(ends - np.maximum(starts, 0))
    inside = reduce(np.multiply.outer, factors)
    return torch.from_numpy(math.prod(window) / inside[None, ..., None])
