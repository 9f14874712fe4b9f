"""What a data source is: one module under ``tandem/datasets`` that defines ``SOURCE``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from tandem.records import Column, Description


class Options(BaseModel):
    """Settings of a source that a data set may declare; a source without any uses this one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


@dataclass(frozen=True)
class Rows:
    """Samples in raw units.

    Attributes:
        features: (n, *feature_shape).
        targets: (n,) integer labels, or float64 values.
    """

    features: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)


def group_rows(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group rows that have the same features.

    Args:
        features: (n, ...).

    Returns:
        The group of each row (n,), numbered by first appearance, and the first row of each group.
    """
    known: dict[bytes, int] = {}
    groups = np.empty(len(features), dtype=np.int64)
    first: list[int] = []
    for row, sample in enumerate(features):
        key = (sample + 0.0).tobytes() if np.issubdtype(features.dtype, np.floating) else sample.tobytes()
        groups[row] = known.setdefault(key, len(known))  # + 0.0: -0.0 equals 0.0
        if groups[row] == len(first):
            first.append(row)
    return groups, np.array(first, dtype=np.int64)


def numeric_columns(*names: str) -> tuple[Column, ...]:
    """Return columns of numbers."""
    return tuple(Column(name=name) for name in names)


@dataclass(frozen=True)
class Source(ABC):
    """A source of data: what is known before it is fetched, how to fetch it and how to read it.

    Attributes:
        options: settings that a data set may declare.
    """

    options: type[Options] = field(default=Options, kw_only=True)

    @abstractmethod
    def describe(self, options: Options) -> Description:
        """Say what the data is, from the options alone: nothing is read."""

    def location(self, options: Options) -> str | None:
        """Return the user's file or folder that is read; None for a source that brings its data."""
        return None

    @abstractmethod
    def fetch(self, directory: Path, options: Options) -> None:
        """Write the raw files into an empty directory.

        Raises:
            DataError: a file cannot be had or has a wrong digest.
        """

    @abstractmethod
    def load(self, directory: Path) -> tuple[Rows, Rows | None]:
        """Read the raw files: all rows, and the source's own test rows where it has any.

        Raises:
            DataError: a file is missing or damaged.
        """


@dataclass(frozen=True)
class KnownSource(Source):
    """A source whose data is known beforehand, whatever its options.

    Attributes:
        description: of the data.
    """

    description: Description

    def describe(self, options: Options) -> Description:
        """Return the description."""
        return self.description


def channels_last(samples: np.ndarray) -> np.ndarray:
    """Bring channels to the end: those of series (n, c, steps), images (n, c, h, w) or video (n, frames, c, h, w)."""
    return np.ascontiguousarray(np.moveaxis(samples, max(1, samples.ndim - 3), -1))


class ArraySource(Source):
    """A source whose raw files are the arrays themselves; ``make`` gives them."""

    @abstractmethod
    def make(self, options: Options) -> tuple[Rows, Rows | None]:
        """Return all rows, and test rows of their own where there are any."""

    def fetch(self, directory: Path, options: Options) -> None:
        """Write the arrays as ``.npy``."""
        from tandem.storage import save_array

        rows, test = self.make(options)
        for name, part in (("rows", rows), ("test", test)):
            if part is not None:
                save_array(directory / f"{name}_features.npy", part.features)
                save_array(directory / f"{name}_targets.npy", part.targets)

    def load(self, directory: Path) -> tuple[Rows, Rows | None]:
        """Read the arrays, memory-mapped."""
        from tandem.storage import load_array

        def part(name: str) -> Rows:
            return Rows(load_array(directory / f"{name}_features.npy"), load_array(directory / f"{name}_targets.npy"))

        own_test = (directory / "test_features.npy").exists()
        return part("rows"), part("test") if own_test else None
