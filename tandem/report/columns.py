"""What a report says of a table's columns: categories by name, and what missing values became."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tandem.records import Column, DataDescription, FeatureRange

_FILLS = {
    "median": "its median",
    "mean": "its mean",
    "most-frequent": "its most frequent category",
    "category": "a category of its own",
}


@dataclass(frozen=True)
class CategoryRow:
    """A categorical column and its categories, in the order of their codes."""

    name: str
    categories: tuple[str, ...]


def category_rows(data: DataDescription) -> tuple[CategoryRow, ...]:
    """Return the categorical columns."""
    return tuple(CategoryRow(data.columns[place].name, data.columns[place].categories) for place in data.categorical)


def numeric_ranges(data: DataDescription, ranges: tuple[FeatureRange, ...]) -> tuple[FeatureRange, ...]:
    """Leave the ranges of codes out: they say nothing."""
    if len(ranges) != len(data.columns):
        return ranges
    return tuple(found for place, found in enumerate(ranges) if place not in data.categorical)


def fill_sentence(data: DataDescription) -> str:
    """Say what missing values became; empty where none may be missing."""
    filled = [f"{column.name}, {_fill(column)}" for column in data.columns if column.missing is not None]
    if not filled:
        return ""
    return f"Missing values become, as the training rows alone have it: {'; '.join(filled)}."


def _fill(column: Column) -> str:
    if column.missing != "constant" or column.constant is None:
        return _FILLS[str(column.missing)]
    return f"always {named_value(column, column.constant)}"


def named_value(column: Column, value: float) -> float | str:
    """Return a category's name for its code; a number stays as it is."""
    if column.kind == "numeric" or np.isnan(value):
        return value
    return column.categories[int(value)]
