"""A page names categories and says what missing values became."""

from __future__ import annotations

import math

from tandem.records import Column, DataDescription, FeatureRange
from tandem.report.columns import category_rows, fill_sentence, named_value, numeric_ranges

COLUMNS = (
    Column(name="age", missing="median"),
    Column(name="sex", kind="categorical", categories=("female", "male")),
    Column(name="port", kind="categorical", categories=("C", "(missing)"), missing="category"),
    Column(name="deck", kind="categorical", categories=("A", "B"), missing="constant", constant=1),
)
DATA = DataDescription(
    dataset="d", source="csv", title="", reference="", task="regression", feature_shape=(4,), columns=COLUMNS,
    target_name="y", rows={}, class_counts={},
)  # fmt: skip
PLAIN = DATA.model_copy(update={"columns": ()})


def test_categories_are_listed_by_column():
    assert category_rows(DATA)[0].categories == ("female", "male")
    assert [row.name for row in category_rows(DATA)] == ["sex", "port", "deck"]
    assert category_rows(PLAIN) == ()


def test_what_missing_values_become_is_said():
    assert fill_sentence(DATA) == (
        "Missing values become, as the training rows alone have it: age, its median; port, a category of its own; "
        "deck, always B."
    )
    assert fill_sentence(PLAIN) == ""


def test_ranges_of_codes_are_left_out():
    ranges = tuple(FeatureRange(feature=column.name, before=(0, 0, 0, 0), after=(0, 0, 0, 0)) for column in COLUMNS)
    assert [found.feature for found in numeric_ranges(DATA, ranges)] == ["age"]
    assert numeric_ranges(PLAIN, ranges[:1]) == ranges[:1]


def test_codes_are_shown_by_name():
    assert named_value(COLUMNS[1], 1.0) == "male"
    assert named_value(COLUMNS[0], 1.0) == 1.0
    assert math.isnan(named_value(COLUMNS[3], math.nan))
