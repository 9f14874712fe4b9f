"""Two kinds of made patterns, as vectors, series, images or video: one data set for each rank of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from tandem.datasets.source import ArraySource, Options, Rows, channels_last, numeric_columns
from tandem.records import Description

Rank = Literal["vectors", "series", "images", "video"]
_NOISE = 0.6  # standard deviation that is added to every number
_SIZE, _STEPS, _FRAMES = 8, 12, 5


class PatternOptions(Options):
    """What the samples are."""

    rank: Rank = Field(description="Axes of a sample: 1, 2, 3 or 4.")
    channel_order: Literal["last", "first"] = Field(
        default="last", description="Where images and video keep their channels; they are brought to the end."
    )
    samples: int = Field(default=600, gt=0, description="To train and validate on.")
    test_samples: int = Field(default=600, gt=0, description="Fresh, held out.")
    seed: int = Field(default=0, ge=0, description="Seed of the training draw; the held-out one takes the next.")


def _vectors(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return (n, 12): the first half is higher, or the second."""
    del generator
    halves = np.repeat([[0.5, -0.5]], _STEPS // 2, axis=1).reshape(1, -1)
    return np.where(labels[:, None] == 1, halves, -halves)


def _series(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return (n, 12, 2): the first feature rises or falls from a random level, the second says nothing."""
    ramp = np.linspace(-1, 1, _STEPS)
    level = generator.normal(size=(len(labels), 1))
    first = level + np.where(labels[:, None] == 1, ramp, -ramp)
    return np.stack([first, np.zeros_like(first)], axis=-1)


def _images(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return (n, 8, 8, 2): a bar, across or upright, at a random place in both channels."""
    places = generator.integers(0, _SIZE, len(labels))
    images = np.zeros((len(labels), _SIZE, _SIZE, 2))
    for number, (label, place) in enumerate(zip(labels, places, strict=True)):
        images[(number, place) if label else (number, slice(None), place)] = 1.5
    return images


def _video(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return (n, 5, 8, 8, 1): an upright bar that moves to the right or to the left."""
    starts = generator.integers(0, _SIZE, len(labels))
    frames = np.zeros((len(labels), _FRAMES, _SIZE, _SIZE, 1))
    for number, (label, start) in enumerate(zip(labels, starts, strict=True)):
        for frame in range(_FRAMES):
            frames[number, frame, :, (start + frame * (1 if label else -1)) % _SIZE] = 1.5
    return frames


PATTERNS: Mapping[Rank, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "vectors": _vectors, "series": _series, "images": _images, "video": _video,
}  # fmt: skip
SHAPES: Mapping[Rank, tuple[int, ...]] = {
    "vectors": (_STEPS,), "series": (_STEPS, 2), "images": (_SIZE, _SIZE, 2), "video": (_FRAMES, _SIZE, _SIZE, 1),
}  # fmt: skip


def draw(rank: Rank, samples: int, seed: int) -> Rows:
    """Draw noisy patterns (n, *SHAPES[rank]), channels last, with labels (n,) 0 or 1."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, samples)
    patterns = PATTERNS[rank](labels, generator)
    return Rows(patterns + generator.normal(0, _NOISE, patterns.shape), labels)


class _Patterns(ArraySource):
    def describe(self, options: Options) -> Description:
        assert isinstance(options, PatternOptions)  # noqa: S101  (narrows the type)
        shape = SHAPES[options.rank]
        return Description(
            title=f"Made patterns: {options.rank}",
            reference="made by rule, with noise",
            task="classification",
            feature_shape=shape,
            columns=numeric_columns(*(f"x{number}" for number in range(1, _STEPS + 1))) if len(shape) == 1 else (),
            class_names=("pattern A", "pattern B"),
            target_name="pattern",
            own_test=True,
            channels_first=options.channel_order == "first",
        )

    def make(self, options: Options) -> tuple[Rows, Rows]:
        assert isinstance(options, PatternOptions)  # noqa: S101  (narrows the type)
        train = draw(options.rank, options.samples, options.seed)
        test = draw(options.rank, options.test_samples, options.seed + 1)
        if options.channel_order == "last" or len(SHAPES[options.rank]) < 3:
            return train, test
        # As a camera that keeps channels first would give them; the arrays are stored with channels last.
        first, first_test = (np.moveaxis(rows.features, -1, -3) for rows in (train, test))
        return Rows(channels_last(first), train.targets), Rows(channels_last(first_test), test.targets)


SOURCE = _Patterns(options=PatternOptions)
