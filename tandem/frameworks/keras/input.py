"""Training rows on their way from disk to a Keras model, by ``tf.data``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tandem.models import Architecture
from tandem.streaming import StreamedRows, window_sizes


@dataclass(frozen=True)
class Window:
    """The rows of several steps.

    Attributes:
        first: number of its first step.
        steps: how many it has; what comes behind them fills the arrays up, so that all have one shape.
        inputs: the network's, each (steps, batch, *shape).
        targets: (steps, batch).
    """

    first: int
    steps: int
    inputs: tuple[Any, ...]
    targets: Any


class StreamedInput:
    """Rows that stay on disk; while the network takes one window of steps, ``tf.data`` prefetches the next."""

    def __init__(self, architecture: Architecture, rows: StreamedRows) -> None:
        self._architecture, self._rows = architecture, rows
        self._windows: list[np.ndarray] = []
        self._failure: Exception | None = None
        signature = (
            *(tf.TensorSpec((None, None, *part.shape), rows.streamed.dtype) for part in architecture.parts),
            tf.TensorSpec((None, None), rows.targets.dtype),
        )
        # Made once: each data set would leave its function behind in TensorFlow's registry.
        self._dataset = tf.data.Dataset.from_generator(self._read, output_signature=signature).prefetch(1)

    def windows(self, batches: np.ndarray) -> Iterator[Window]:
        """Yield the rows of each step in turn.

        Args:
            batches: positions of the rows, (steps, batch).

        Raises:
            DataError: the file has gone or was cut short.
        """
        steps, size = batches.shape
        sizes = list(window_sizes(self._rows, steps, size))
        places = np.minimum(np.arange(len(sizes) * sizes[0]), steps - 1)  # the last step again fills the last window
        self._windows, self._failure = list(batches[places].reshape(len(sizes), sizes[0], size)), None
        try:
            first = 0
            for count, (*inputs, targets) in zip(sizes, self._dataset, strict=True):
                yield Window(first, count, tuple(inputs), targets)
                first += count
        except tf.errors.OpError:
            if self._failure is not None:
                raise self._failure from None  # TensorFlow tells it as a trace in its own words
            raise

    def _read(self) -> Iterator[tuple[np.ndarray, ...]]:
        try:
            for window in self._windows:
                features = self._rows.features[window.reshape(-1)]
                inputs = self._architecture.inputs(features)
                yield *(part.reshape(*window.shape, *part.shape[1:]) for part in inputs), self._rows.targets[window]
        except Exception as error:
            self._failure = error
            raise
