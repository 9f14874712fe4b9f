"""Shoppers: whether one buys depends on two categories that occur together."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from tandem.datasets.source import ArraySource, KnownSource, Options, Rows
from tandem.records import Column, Description

_RULE_SEED = 5  # which pairs of product and region are bought; the same for every draw


class CoOccurrenceOptions(Options):
    """How many shoppers are drawn."""

    samples: int = Field(default=4_000, gt=0, description="Shoppers to train and validate on.")
    test_samples: int = Field(default=4_000, gt=0, description="Fresh held-out shoppers.")
    seed: int = Field(default=0, ge=0, description="Seed of the training draw; the held-out one takes the next.")


PRODUCTS, REGIONS, NOISE = 30, 20, 0.05


def bought_pairs() -> np.ndarray:
    """Return which pairs of product and region are bought, bool (products, regions): a coin toss each."""
    return np.random.default_rng(_RULE_SEED).random((PRODUCTS, REGIONS)) < 0.5


def draw(samples: int, seed: int) -> Rows:
    """Draw shoppers: features (n, 3) product, region and age; labels (n,), 1 where one buys.

    A shopper buys if the pair of product and region is one that is bought; a share of ``NOISE`` does the
    opposite. Neither category tells anything alone, and age tells nothing at all.
    """
    generator = np.random.default_rng(seed)
    product, region = generator.integers(0, PRODUCTS, samples), generator.integers(0, REGIONS, samples)
    age = generator.integers(18, 80, samples)
    buys = bought_pairs()[product, region] ^ (generator.random(samples) < NOISE)
    return Rows(np.column_stack([product, region, age]).astype(np.float64), buys.astype(np.int64))


class _CoOccurrence(ArraySource, KnownSource):
    def make(self, options: Options) -> tuple[Rows, Rows]:
        assert isinstance(options, CoOccurrenceOptions)  # noqa: S101  (narrows the type)
        return draw(options.samples, options.seed), draw(options.test_samples, options.seed + 1)


SOURCE = _CoOccurrence(
    Description(
        title="Shoppers",
        reference=f"made by rule: a pair of product and region is bought or not; {NOISE:.0%} do the opposite",
        task="classification",
        feature_shape=(3,),
        columns=(
            Column(name="product", kind="categorical", categories=tuple(f"product {n}" for n in range(PRODUCTS))),
            Column(name="region", kind="categorical", categories=tuple(f"region {n}" for n in range(REGIONS))),
            Column(name="age"),
        ),
        class_names=("passes by", "buys"),
        target_name="buys",
        own_test=True,
    ),
    options=CoOccurrenceOptions,
)
