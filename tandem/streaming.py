"""``training.input: streamed``: rows that stay on disk and are read and scaled as they are asked for.

What is asked for is equal, bit for bit, to the same rows of the whole that ``memory`` scales at once: scaling takes
row by row. Each framework's ``input`` module brings such rows to the network, a window of several batches at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tandem.datasets.source import Rows
from tandem.scaling import Scaler
from tandem.storage import load_array

_WINDOW_ROWS = 4096  # fewer, larger reads: as many rows as are scaled at once
_WINDOW_BYTES = 2**24  # of features; large rows come in windows of fewer


@dataclass(frozen=True)
class StreamedFeatures:
    """Features of some rows of a file, scaled when they are asked for by position; stands in for an array.

    Attributes:
        path: of the ``.npy`` file with all rows, in raw units.
        rows: places in the file, (n,).
        scaler: of the fold.
        dtype: number type of what is given.
        shape: (n, *feature_shape).
    """

    path: Path
    rows: np.ndarray
    scaler: Scaler
    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def open(cls, path: Path, rows: np.ndarray, scaler: Scaler, dtype: str) -> StreamedFeatures:
        """Look at a file; nothing but its header is read.

        Raises:
            DataError: the file is missing or damaged.
        """
        return cls(path, rows, scaler, dtype, (len(rows), *load_array(path).shape[1:]))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, positions: slice | np.ndarray) -> np.ndarray:
        """Read and scale rows by their positions among these.

        Raises:
            DataError: the file has gone or was cut short.
        """
        # Opened anew each time: the pages that were read leave the process with the mapping.
        return self.scaler.transform(np.asarray(load_array(self.path)[self.rows[positions]]), self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read all rows; NumPy calls it where an array is needed as a whole."""
        return np.asarray(self[:], dtype=dtype)

    @property
    def row_bytes(self) -> int:
        """Bytes of a scaled row."""
        return math.prod(self.shape[1:]) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class StreamedRows(Rows):
    """Scaled rows whose features are :class:`StreamedFeatures`; targets, one number a row, are in memory."""

    @property
    def streamed(self) -> StreamedFeatures:
        """The features, by their own type."""
        features: Any = self.features
        assert isinstance(features, StreamedFeatures)  # noqa: S101  (narrows the type)
        return features


def window_sizes(rows: StreamedRows, steps: int, batch_size: int) -> Iterator[int]:
    """Yield how many of an epoch's steps are read at once, in turn: windows as equal as they can be."""
    fitting = min(_WINDOW_ROWS, _WINDOW_BYTES // max(1, rows.streamed.row_bytes)) // batch_size
    windows = math.ceil(steps / max(1, fitting))
    largest = math.ceil(steps / windows)
    for first in range(0, steps, largest):
        yield min(largest, steps - first)
