"""Fifteen columns: a rule that one straight cut of the space gets four times in five, and its bends the other."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from tandem.datasets.source import ArraySource, KnownSource, Options, Rows, numeric_columns
from tandem.records import Description

COLUMNS = 15
_BEND = 0.5  # weight of what no straight cut can follow
_CENTRE = 0.32  # median of the bent part over many draws, so that the classes are of about equal size


class FifteenColumnsOptions(Options):
    """How many rows are drawn."""

    samples: int = Field(default=6_000, gt=0, description="Rows to train and validate on.")
    test_samples: int = Field(default=4_000, gt=0, description="Fresh held-out rows.")
    seed: int = Field(default=0, ge=0, description="Seed of the training draw; the held-out one takes the next.")


def draw(samples: int, seed: int) -> Rows:
    """Draw rows: features (n, 15) from the standard normal distribution; labels (n,).

    The first nine columns count by their sum. The other six count by absolute values of sums that hold absolute
    values themselves, so that each hidden layer lets a network follow the rule more closely.
    """
    x = np.random.default_rng(seed).standard_normal((samples, COLUMNS))
    inner = np.abs(x[:, 9] + x[:, 10]) - np.abs(x[:, 11] - x[:, 12])
    bent = np.abs(inner + x[:, 13]) - np.abs(x[:, 14])
    positive = x[:, :9].sum(axis=1) / 3 + _BEND * (bent - _CENTRE) > 0
    return Rows(x, positive.astype(np.int64))


class _FifteenColumns(ArraySource, KnownSource):
    def make(self, options: Options) -> tuple[Rows, Rows]:
        assert isinstance(options, FifteenColumnsOptions)  # noqa: S101  (narrows the type)
        return draw(options.samples, options.seed), draw(options.test_samples, options.seed + 1)


SOURCE = _FifteenColumns(
    Description(
        title="Fifteen columns",
        reference="made by rule: a sum of nine columns, and absolute values within absolute values of the other six",
        task="classification",
        feature_shape=(COLUMNS,),
        columns=numeric_columns(*(f"x{number}" for number in range(1, COLUMNS + 1))),
        class_names=("below", "above"),
        target_name="class",
        own_test=True,
    ),
    options=FifteenColumnsOptions,
)
