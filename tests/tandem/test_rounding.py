"""Telling a difference from what float32 leaves."""

from __future__ import annotations

import pytest

from tandem.records import Interval
from tandem.rounding import is_rounding


def interval(value, low, high):
    return Interval(value=value, low=low, high=high, over="test samples", n=100)


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (interval(9e-9, 8e-9, 1e-8), True),
        (interval(0.0, 0.0, 0.0), True),
        (interval(0.0, -0.007, 0.007), False),  # equal by chance: other samples would part them
        (interval(1e-3, 5e-4, 2e-3), False),
        (interval(None, None, None), False),
    ],
)
def test_only_an_interval_that_is_all_rounding_counts(difference, expected):
    assert is_rounding(difference, 0.36, 0.36) is expected


def test_without_values_nothing_is_rounding():
    assert not is_rounding(interval(0.0, 0.0, 0.0), None, 0.36)
