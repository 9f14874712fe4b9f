"""What float32 arithmetic leaves between two equal computations."""

from __future__ import annotations

ROUNDING = 1e-6  # relative; some ten roundings of float32


def is_rounding(difference: float | None, *values: float | None) -> bool:
    """Return whether a difference between values is no more than float32 arithmetic leaves."""
    known = [abs(value) for value in values if value is not None]
    return difference is not None and len(known) == len(values) > 0 and abs(difference) <= ROUNDING * max(known)
