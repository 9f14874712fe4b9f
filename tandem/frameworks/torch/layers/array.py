"""How PyTorch's tensors map to arrays in Keras's layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Array:
    """A tensor of PyTorch's, as Keras lays it out.

    Attributes:
        tensor: PyTorch's.
        axes: order of its axes that gives Keras's layout.
        blocks: order in which Keras keeps equal parts of the last axis (gates), as positions among PyTorch's; empty:
            the same.
    """

    tensor: Tensor
    axes: Sequence[int]
    blocks: Sequence[int] = ()

    def read(self, tensor: Tensor | None = None) -> np.ndarray:
        """Return a copy in Keras's layout, of the tensor or of another of its shape (its gradient)."""
        held = (self.tensor if tensor is None else tensor).detach().cpu().numpy()
        return np.array(_reordered(held.transpose(self.axes), self.blocks))

    def write(self, array: np.ndarray) -> None:
        """Copy an array in Keras's layout into the tensor."""
        back = np.argsort(self.blocks) if self.blocks else ()
        laid_out = _reordered(np.asarray(array), back).transpose(np.argsort(self.axes))
        with torch.no_grad():
            self.tensor.copy_(torch.from_numpy(np.array(laid_out, order="C")))


def _reordered(array: np.ndarray, blocks: Sequence[int] | np.ndarray) -> np.ndarray:
    if len(blocks) == 0:
        return array
    parts = np.split(array, len(blocks), axis=-1)
    return np.concatenate([parts[number] for number in blocks], axis=-1)
