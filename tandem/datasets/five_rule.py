"""Five numbers in [0, 1); positive if and only if the first is larger than the fifth."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from tandem.datasets.source import ArraySource, KnownSource, Options, Rows, numeric_columns
from tandem.records import Description


class FiveRuleOptions(Options):
    """How many samples are drawn, and from which seed."""

    samples: int = Field(default=6_000, gt=0, description="Rows to split into training and validation.")
    test_samples: int = Field(default=20_000, gt=0, description="Fresh held-out rows.")
    seed: int = Field(default=0, ge=0, description="Seed of the draw.")


def draw(samples: int, generator: np.random.Generator) -> Rows:
    """Draw rows: features (n, 5) uniform in [0, 1), labels (n,) 1 where column 0 exceeds column 4."""
    features = generator.random((samples, 5))
    return Rows(features, (features[:, 0] > features[:, 4]).astype(np.int64))


class _FiveRule(ArraySource, KnownSource):
    def make(self, options: Options) -> tuple[Rows, Rows]:
        assert isinstance(options, FiveRuleOptions)  # noqa: S101  (narrows the type)
        generator = np.random.default_rng(options.seed)
        return draw(options.samples, generator), draw(options.test_samples, generator)


SOURCE = _FiveRule(
    Description(
        title="Five-number rule",
        reference="made by rule: positive if and only if x1 > x5",
        task="classification",
        feature_shape=(5,),
        columns=numeric_columns("x1", "x2", "x3", "x4", "x5"),
        class_names=("x1 ≤ x5", "x1 > x5"),
        target_name="class",
        own_test=True,
    ),
    options=FiveRuleOptions,
)
