"""Coffee roasting: temperature and duration of a roast, good or not, by a known rule."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from tandem.datasets.source import ArraySource, KnownSource, Options, Rows, numeric_columns
from tandem.records import Description


class CoffeeOptions(Options):
    """How many roasts are drawn."""

    samples: int = Field(default=200, gt=0, description="Roasts to train on.")
    test_samples: int = Field(default=2_000, gt=0, description="Fresh held-out roasts.")
    seed: int = Field(default=2, ge=0, description="Seed of the training draw; the held-out one takes the next.")


def draw(samples: int, seed: int) -> Rows:
    """Draw roasts: features (n, 2) in degrees Celsius and minutes, labels (n,) 1 where the roast is good.

    Good is 175 < T < 260, 12 < d < 15 and d ≤ 21 - 3 T / 85.
    """
    uniform = np.random.default_rng(seed).random(2 * samples).reshape(-1, 2)
    temperature = uniform[:, 0] * 135 + 150
    duration = uniform[:, 1] * 4 + 11.5
    good = (
        (temperature > 175)
        & (temperature < 260)
        & (duration > 12)
        & (duration < 15)
        & (duration <= 21 - 3 * temperature / 85)
    )
    return Rows(np.column_stack([temperature, duration]), good.astype(np.int64))


class _Coffee(ArraySource, KnownSource):
    def make(self, options: Options) -> tuple[Rows, Rows]:
        assert isinstance(options, CoffeeOptions)  # noqa: S101  (narrows the type)
        return draw(options.samples, options.seed), draw(options.test_samples, options.seed + 1)


SOURCE = _Coffee(
    Description(
        title="Coffee roasting",
        reference="made by rule, after the roasting example of the Machine Learning Specialization (A. Ng, 2022)",
        task="classification",
        feature_shape=(2,),
        columns=numeric_columns("temperature (°C)", "duration (min)"),
        class_names=("bad roast", "good roast"),
        target_name="roast",
        own_test=True,
    ),
    options=CoffeeOptions,
)
