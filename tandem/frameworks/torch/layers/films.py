"""Windows over films, for pooling: PyTorch's own 3-D pooling has no deterministic gradient on GPUs."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def film_windows(
    values: Tensor, width: Sequence[int], strides: Sequence[int], padding: list[int], fill: float
) -> Tensor:
    """Return the numbers in each window of (n, frames, height, width, channels): (n, *positions, channels, numbers)."""
    if padding:
        values = functional.pad(values, [0, 0, *padding], value=fill)
    for axis, (size, stride) in enumerate(zip(width, strides, strict=True), start=1):
        values = values.unfold(axis, size, stride)
    return values.flatten(-3)
