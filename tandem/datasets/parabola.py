"""The parabola y = 2x² + 3x + 4 at even steps, in order."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from tandem.datasets.source import ArraySource, KnownSource, Options, Rows, numeric_columns
from tandem.records import Description


class ParabolaOptions(Options):
    """How many points there are."""

    samples: int = Field(default=100, gt=1, le=1_000_000, description="Points from 0 up to, not including, 1.")


def points(samples: int, *, between: bool = False) -> Rows:
    """Return x (n, 1) at 0, 1/n, 2/n, … with y (n,); ``between``: at the middles of the steps."""
    x = (np.arange(samples) + (0.5 if between else 0.0)) / samples
    return Rows(x[:, None], 2 * x**2 + 3 * x + 4)


class _Parabola(ArraySource, KnownSource):
    def make(self, options: Options) -> tuple[Rows, Rows]:
        assert isinstance(options, ParabolaOptions)  # noqa: S101  (narrows the type)
        return points(options.samples), points(options.samples, between=True)


SOURCE = _Parabola(
    Description(
        title="Parabola",
        reference="made by rule: y = 2x² + 3x + 4; the points to test on lie between those to train on",
        task="regression",
        feature_shape=(1,),
        columns=numeric_columns("x"),
        target_name="y",
        own_test=True,
    ),
    options=ParabolaOptions,
)
