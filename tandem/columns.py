"""Columns of a table as a network takes them: numbers, one-hot, crossed or embedded categories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from tandem.declared import Declared
from tandem.layers.layer import ArchitectureError, Place
from tandem.records import Column

_HASH = 2_654_435_761  # Knuth's multiplicative hash: 2³² over the golden ratio, made odd
_HASH_RANGE = 2**32


def _column_name(given: Any) -> int | str:
    """Check a column's position or name, with one message whatever is wrong."""
    if isinstance(given, bool) or not isinstance(given, int | str) or given == "":
        raise PydanticCustomError("column", "must be a column's position or name")
    if isinstance(given, int) and given < 0:
        raise PydanticCustomError("column", "must be greater than or equal to 0")
    return given


ColumnName = Annotated[
    Any,
    BeforeValidator(_column_name),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "minLength": 1}]}),
]


def _bare_or_mapping(schema: dict[str, Any]) -> None:
    """Let editors accept a bare position or name where a mapping is meant."""
    mapping = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "integer", "minimum": 0}, {"type": "string"}, mapping]


class ColumnEntry(Declared):
    """A column of an input: by position or name alone, or how its categories are taken."""

    model_config = ConfigDict(json_schema_extra=_bare_or_mapping)

    column: ColumnName | None = Field(default=None, description="As it is; categories one-hot.")
    cross: tuple[ColumnName, ...] | None = Field(
        default=None, min_length=2, description="Categorical columns whose combinations are one-hot."
    )
    buckets: int | None = Field(
        default=None, gt=1, le=10_000_000, description="Combinations are hashed into so many; none: each is its own."
    )
    embed: ColumnName | None = Field(default=None, description="A categorical column that is embedded.")
    units: int | None = Field(default=None, gt=0, le=10_000, description="Length of the embedding's vectors.")

    @model_validator(mode="before")
    @classmethod
    def _from_bare(cls, declared: Any) -> Any:
        if not isinstance(declared, dict):
            return declared if isinstance(declared, ColumnEntry) else {"column": _column_name(declared)}
        crossed = declared.get("cross")  # JSON has no tuples, and what this gives is no JSON any more
        return {**declared, "cross": tuple(crossed)} if isinstance(crossed, list) else declared

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if sum(given is not None for given in (self.column, self.cross, self.embed)) != 1:
            raise PydanticCustomError("inconsistent", "a column takes exactly one of: column, cross, embed")
        if (self.embed is None) != (self.units is None):
            raise PydanticCustomError("inconsistent", "embed needs units, the length of its vectors, and nothing else")
        if self.buckets is not None and self.cross is None:
            raise PydanticCustomError("inconsistent", "buckets belongs to cross")
        return self

    @model_serializer
    def _to_bare(self) -> Any:
        if self.column is not None:
            return self.column
        return {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}

    @property
    def names(self) -> tuple[int | str, ...]:
        """The columns that it takes."""
        return self.cross or tuple(name for name in (self.column, self.embed) if name is not None)


@dataclass(frozen=True)
class Encoding:
    """How columns become numbers of an input.

    Attributes:
        kind: "number" (as it is), "one_hot" (of one column or of the combinations of several) or "code" (the
            category's position, for an embedding).
        columns: positions among the features.
        sizes: categories of each column; empty for numbers.
        width: numbers that come out.
    """

    kind: Literal["number", "one_hot", "code"]
    columns: tuple[int, ...]
    sizes: tuple[int, ...] = ()
    width: int = 1

    def encode(self, features: np.ndarray, encoded: np.ndarray) -> None:
        """Write the numbers (n, width) of features (n, columns).

        A category that is not known (a negative code) has no 1 among its numbers.
        """
        if self.kind != "one_hot":
            encoded[:, 0] = features[:, self.columns[0]]
            return
        codes = features[:, list(self.columns)].astype(np.int64)
        known = np.flatnonzero((codes >= 0).all(axis=1))
        combined = np.ravel_multi_index(tuple(codes[known].T), self.sizes)
        if self.width < math.prod(self.sizes):
            combined = (combined * _HASH % _HASH_RANGE) % self.width
        encoded[:] = 0
        encoded[known, combined] = 1


@dataclass(frozen=True)
class InputPart:
    """One input of a network.

    Attributes:
        name: of the input.
        encodings: how it is made of the features; None: the features as they are.
        shape: of one sample.
    """

    name: str
    encodings: tuple[Encoding, ...] | None
    shape: tuple[int, ...]

    def take(self, features: np.ndarray) -> np.ndarray:
        """Return the input (n, *shape) of features (n, *feature_shape), in their number type."""
        if self.encodings is None:
            return features
        if all(encoding.kind != "one_hot" for encoding in self.encodings):
            return np.ascontiguousarray(features[:, [encoding.columns[0] for encoding in self.encodings]])
        taken = np.empty((len(features), *self.shape), dtype=features.dtype)
        start = 0
        for encoding in self.encodings:
            encoding.encode(features, taken[:, start : start + encoding.width])
            start += encoding.width
        return taken


@dataclass(frozen=True)
class Embedded:
    """A categorical column for an embedding: its position, the number of its categories, the vectors' length."""

    column: int
    size: int
    units: int


def encode_part(
    name: str, entries: Sequence[ColumnEntry], columns: Sequence[Column], count: int, place: Place
) -> tuple[InputPart, tuple[Embedded, ...]]:
    """Resolve the columns of an input.

    Args:
        name: of the input.
        entries: as declared.
        columns: of the data; empty: numbers without names.
        count: of columns.
        place: below ``model``, for errors.

    Raises:
        ArchitectureError: a column that is not there or stands twice, or numbers that are crossed or embedded.
    """
    encodings: list[Encoding] = []
    embedded: list[Embedded] = []
    seen: set[tuple[Any, ...]] = set()
    for number, entry in enumerate(entries):
        here = (*place, number)
        positions = tuple(_position(column, columns, count, here) for column in entry.names)
        key = (entry.cross is not None, *positions)
        if key in seen:
            shown = " and ".join(str(column) for column in entry.names)
            raise ArchitectureError(place, f"{name} names column {shown} twice")
        seen.add(key)
        sizes = tuple(_categories(position, columns) for position in positions)
        if entry.embed is not None and entry.units is not None:
            _need_categories("embed", positions, sizes, columns, here)
            embedded.append(Embedded(positions[0], sizes[0], entry.units))
        elif entry.cross is not None:
            _need_categories("cross", positions, sizes, columns, here)
            combinations = math.prod(sizes)
            encodings.append(Encoding("one_hot", positions, sizes, min(combinations, entry.buckets or combinations)))
        else:
            encodings.append(encode_column(positions[0], columns))
    return InputPart(name, tuple(encodings), (sum(encoding.width for encoding in encodings),)), tuple(embedded)


def encode_column(position: int, columns: Sequence[Column]) -> Encoding:
    """Return a column as it is, or one-hot if it holds categories."""
    size = _categories(position, columns)
    return Encoding("one_hot", (position,), (size,), size) if size else Encoding("number", (position,))


def has_categories(columns: Sequence[Column]) -> bool:
    """Return whether any column holds categories."""
    return any(column.kind == "categorical" for column in columns)


def _position(name: int | str, columns: Sequence[Column], count: int, place: Place) -> int:
    if isinstance(name, int):
        if name >= count:
            raise ArchitectureError(place, f"column {name} is out of range; allowed: 0 to {count - 1}")
        return name
    names = [column.name for column in columns]
    if name not in names:
        allowed = ", ".join(names) if names else f"0 to {count - 1}, since the columns have no names"
        raise ArchitectureError(place, f"there is no column '{name}'; allowed: {allowed}")
    return names.index(name)


def _categories(position: int, columns: Sequence[Column]) -> int:
    return len(columns[position].categories) if columns and columns[position].kind == "categorical" else 0


def _need_categories(
    how: str, positions: Sequence[int], sizes: Sequence[int], columns: Sequence[Column], place: Place
) -> None:
    for position, size in zip(positions, sizes, strict=True):
        if not size:
            shown = f"'{columns[position].name}'" if columns else str(position)
            raise ArchitectureError(place, f"{how} takes categorical columns, column {shown} holds numbers")
