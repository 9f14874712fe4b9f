"""Training rows on their way to a PyTorch module: from the device's memory, or from disk by a ``DataLoader``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tandem.datasets.source import Rows
from tandem.frameworks.torch.augmentation import transform_images
from tandem.frameworks.torch.network import TandemNetwork, device_of, input_tensors
from tandem.streaming import StreamedRows, window_sizes

_ALIGNMENT = 16  # numbers; of 4 bytes they fill a cache line, and PyTorch's arrays begin with one


class Input(Protocol):
    """Training rows that are shown batch by batch."""

    def batches(self, order: np.ndarray, batch_size: int, transforms: np.ndarray | None) -> Iterator[list[Tensor]]:
        """Yield the targets and the network's inputs, on its device, for each step.

        Args:
            order: positions of the rows, as they are shown.
            batch_size: rows a step.
            transforms: of the images that are shown, or None; see :mod:`tandem.augmentation`.
        """


def make_input(network: TandemNetwork, rows: Rows) -> Input:
    """Return what shows these rows: the rows' own kind says how."""
    return StreamedInput(network, rows) if isinstance(rows, StreamedRows) else MemoryInput(network, rows)


class MemoryInput:
    """Rows that lie on the module's device as a whole.

    Attributes:
        inputs: the network's, one tensor a part.
        targets: (n,).
    """

    def __init__(self, network: TandemNetwork, rows: Rows) -> None:
        self.inputs = input_tensors(network, rows.features)
        self.targets = target_tensor(network, rows.targets)

    def batches(self, order: np.ndarray, batch_size: int, transforms: np.ndarray | None) -> Iterator[list[Tensor]]:
        """Gather all rows at once, and split them; see :class:`Input`."""
        chosen = torch.from_numpy(order).to(self.targets.device)
        inputs = [part[chosen] for part in self.inputs]
        return _split(self.targets[chosen], transformed(inputs, transforms), batch_size)


class StreamedInput:
    """Rows that stay on disk; a ``DataLoader`` brings a window of several batches at a time."""

    def __init__(self, network: TandemNetwork, rows: StreamedRows) -> None:
        self._rows, self._windows = rows, _Windows(network, rows)

    def batches(self, order: np.ndarray, batch_size: int, transforms: np.ndarray | None) -> Iterator[list[Tensor]]:
        """Read window by window; see :class:`Input`."""
        steps = -(-len(order) // batch_size)
        ends = accumulate((size * batch_size for size in window_sizes(self._rows, steps, batch_size)), initial=0)
        windows = [slice(*pair) for pair in pairwise(ends)]
        # The order is the sampler, and an item is a whole window: no batch_size of the loader's own. A loader draws a
        # seed for its workers, which from the global generator would change what dropout draws.
        loader: DataLoader[list[Tensor]] = DataLoader(
            self._windows,
            batch_size=None,
            sampler=[order[window] for window in windows],
            generator=torch.Generator(),
        )
        for window, (targets, *inputs) in zip(windows, loader, strict=True):
            matrices = None if transforms is None else transforms[window]
            inputs = [_aligned(part, window.start) for part in transformed(inputs, matrices)]
            yield from _split(targets, inputs, batch_size)


class _Windows(Dataset[list[Tensor]]):
    """Maps positions of rows to their targets and the network's inputs."""

    def __init__(self, network: TandemNetwork, rows: StreamedRows) -> None:
        self._network, self._rows = network, rows

    def __getitem__(self, positions: np.ndarray) -> list[Tensor]:
        inputs = input_tensors(self._network, self._rows.features[positions])
        return [target_tensor(self._network, self._rows.targets[positions]), *inputs]


def target_tensor(network: TandemNetwork, targets: np.ndarray) -> Tensor:
    """Return targets on the network's device: labels as int64, as PyTorch's losses take them, or values."""
    given = torch.from_numpy(np.asarray(targets)).to(device_of(network))
    return given if given.is_floating_point() else given.long()


def transformed(inputs: list[Tensor], transforms: np.ndarray | None) -> list[Tensor]:
    """Return images changed as their matrices (n, 2, 2) say."""
    if transforms is None:
        return inputs
    matrices = torch.from_numpy(transforms)
    return [transform_images(part, matrices.to(part.device, part.dtype)) for part in inputs]


def _aligned(part: Tensor, first: int) -> Tensor:
    """Copy rows to where they would lie, by cache lines, in an array whose row ``first`` is the first of them.

    A matrix product is rounded differently as its operands are aligned, and ``memory`` gathers more rows at once.
    """
    ahead = first * part[0].numel() % _ALIGNMENT
    place = torch.empty(ahead + part.numel(), dtype=part.dtype, device=part.device)[ahead:]
    return place.view(part.shape).copy_(part)


def _split(targets: Tensor, inputs: list[Tensor], batch_size: int) -> Iterator[list[Tensor]]:
    return map(list, zip(*(part.split(batch_size) for part in [targets, *inputs]), strict=True))
