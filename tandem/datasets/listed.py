"""A few rows that stand in params.yaml themselves; they are trained and tested on."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tandem.datasets.source import ArraySource, Options, Rows, numeric_columns
from tandem.records import Description


class ListedOptions(Options):
    """The rows."""

    features: tuple[tuple[float, ...], ...] = Field(min_length=1, description="Numbers of each row.")
    targets: tuple[float, ...] = Field(min_length=1, description="Value of each row, or its label from 0.")
    classes: tuple[str, ...] = Field(default=(), description="Names by label; none: a regression.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        widths = {len(row) for row in self.features}
        if len(widths) > 1 or 0 in widths:
            raise PydanticCustomError("inconsistent", "features takes rows of one length")
        if len(self.targets) != len(self.features):
            raise PydanticCustomError("inconsistent", "targets takes one number for each row of features")
        if len(self.classes) == 1:
            raise PydanticCustomError("inconsistent", "classes takes at least two names")
        if self.classes and not set(self.targets) <= set(range(len(self.classes))):
            raise PydanticCustomError("inconsistent", "targets takes labels from 0 below the number of classes")
        return self


class _Listed(ArraySource):
    def describe(self, options: Options) -> Description:
        assert isinstance(options, ListedOptions)  # noqa: S101  (narrows the type)
        width = len(options.features[0])
        return Description(
            title="Listed rows",
            reference="written out in params.yaml; the same rows are trained and tested on",
            task="classification" if options.classes else "regression",
            feature_shape=(width,),
            columns=numeric_columns(*(f"x{number}" for number in range(1, width + 1))),
            class_names=options.classes,
            target_name="label" if options.classes else "y",
            own_test=True,
        )

    def make(self, options: Options) -> tuple[Rows, Rows]:
        assert isinstance(options, ListedOptions)  # noqa: S101  (narrows the type)
        targets = np.array(options.targets, dtype=np.int64 if options.classes else np.float64)
        rows = Rows(np.array(options.features, dtype=np.float64), targets)
        return rows, rows


SOURCE = _Listed(options=ListedOptions)
