"""Training rows on their way to a network in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tandem.datasets.source import Rows
from tandem.models import Architecture
from tandem.streaming import StreamedRows


def make_input(architecture: Architecture, rows: Rows) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Return what gives the network's inputs by the rows' positions: read from disk each time, or held."""
    if isinstance(rows, StreamedRows):
        return lambda batch: list(architecture.inputs(rows.features[batch]))
    held = architecture.inputs(np.asarray(rows.features))
    return lambda batch: [part[batch] for part in held]
