"""What a data source is: one module under ``tandem/datasets`` that defines ``SOURCE``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict


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


@dataclass(frozen=True)
class Source(ABC):
    """A source of data: what is known before it is fetched, how to fetch it and how to read it.

    Attributes:
        title: for people.
        reference: where it comes from, in one line.
        task: classification or regression.
        feature_shape: shape of one sample.
        feature_names: one per column; empty for images.
        class_names: by label; empty for regression.
        target_name: what is predicted.
        options: settings that a data set may declare.
        own_test: the source brings test rows, so that a split holds none out.
    """

    title: str
    reference: str
    task: Literal["classification", "regression"]
    feature_shape: tuple[int, ...]
    target_name: str
    feature_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    options: type[Options] = field(default=Options)
    own_test: bool = False

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
