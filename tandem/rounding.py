"""What float32 arithmetic leaves between two equal computations."""

from __future__ import annotations

from tandem.records import Interval

ROUNDING = 1e-6  # relative; some ten roundings of float32


def is_rounding(difference: Interval, *values: float | None) -> bool:
    """Return whether a whole interval of a difference is no more than float32 arithmetic leaves.

    Args:
        difference: between ``values``.
        values: what is compared; their size is the measure.
    """
    ends = [difference.value, difference.low, difference.high]
    reach = [abs(end) for end in ends if end is not None]
    known = [abs(value) for value in values if value is not None]
    return len(reach) == len(ends) and len(known) == len(values) > 0 and max(reach) <= ROUNDING * max(known)
