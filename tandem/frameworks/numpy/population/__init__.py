"""NumPy trains networks one at a time alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from tandem.datasets.source import Rows
from tandem.population.stack import Stack

STACK_COSTS = None


def populate(stack: Stack, rows: Sequence[Rows], dtype: str = "float32") -> NoReturn:
    """Refuse: see ``STACK_COSTS``.

    Raises:
        NotImplementedError: always.
    """
    del rows, dtype
    raise NotImplementedError(f"NumPy trains networks one at a time, not {len(stack)}")
