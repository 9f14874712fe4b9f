"""Samples as something to look at: an image, the lines of a series, a strip of a video's frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tandem.records import DataDescription

Array = np.ndarray[Any, Any]
Kind = Literal["image", "series", "video"]

SHOWN_FRAMES = 5
_CHANNELS = (1, 3, 4)
_NARROW = 5  # fewer values across are the features of a series, no row of pixels
_GAP = 1  # pixels between two frames


@dataclass(frozen=True)
class Sample:
    """One sample as it is drawn.

    Attributes:
        kind: an image; a series, drawn as a line per feature; a video, whose frames stand side by side.
        values: pixels (height, width[, 3]) in 0..1; of a series, (timesteps, features) in raw units.
        limits: least and largest value of all the series that are shown together.
    """

    kind: Kind
    values: Array
    limits: tuple[float, float] = (0.0, 1.0)


def kind_of(data: DataDescription) -> Kind | None:
    """Return how a sample can be looked at; None for a row of features.

    Two axes are an image, unless they have named columns or are too narrow for one: then they are timesteps and
    features. Three are an image with channels, four a video.
    """
    axes = len(data.feature_shape)
    if axes == 2:
        return "series" if data.columns or min(data.feature_shape) < _NARROW else "image"
    kinds: dict[int, Kind] = {3: "image", 4: "video"}
    return kinds.get(axes)


def show_samples(data: DataDescription, features: Array) -> tuple[Sample, ...] | None:
    """Return samples on one scale.

    Args:
        data: says what a sample is.
        features: (n, *feature_shape), raw units.

    Returns:
        One for each; None where samples are rows of features.
    """
    kind = kind_of(data)
    if kind is None:
        return None
    values = np.nan_to_num(np.asarray(features, dtype=np.float64))
    if kind == "series":
        limits = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
        return tuple(Sample(kind, series, limits) for series in values)
    if kind == "image":
        return tuple(Sample(kind, pixels) for pixels in scale_pixels(values))
    return tuple(Sample(kind, strip) for strip in _strips(values))


def _strips(videos: Array) -> Sequence[Array]:
    """Return some frames of each video side by side, (n, height, width[, 3]) in 0..1."""
    if not len(videos):
        return ()
    if videos.shape[-1] not in _CHANNELS and videos.shape[1] in _CHANNELS and videos.shape[2] not in _CHANNELS:
        videos = np.moveaxis(videos, 1, 2)  # channels before frames
    chosen = np.unique(np.linspace(0, videos.shape[1] - 1, min(videos.shape[1], SHOWN_FRAMES)).astype(int))
    shown = videos[:, chosen]
    frames = scale_pixels(shown.reshape(-1, *shown.shape[2:]))
    frames = frames.reshape(len(videos), len(chosen), *frames.shape[1:])
    gap = np.ones((len(videos), frames.shape[2], _GAP, *frames.shape[4:]))
    pieces = [piece for place in range(len(chosen)) for piece in (gap, frames[:, place])]
    return tuple(np.concatenate(pieces[1:], axis=2))


def scale_pixels(samples: Array) -> Array:
    """Return samples as pixels in 0..1, scaled together.

    Args:
        samples: (n, height, width) or (n, height, width, channels) or (n, channels, height, width); with
            other than 1, 3 or 4 channels, their mean is shown.

    Returns:
        (n, height, width) or (n, height, width, 3) floats.
    """
    pixels = np.nan_to_num(np.asarray(samples, dtype=np.float64))
    if pixels.ndim == 4:
        if pixels.shape[-1] not in _CHANNELS and pixels.shape[1] in _CHANNELS:
            pixels = np.moveaxis(pixels, 1, -1)
        pixels = pixels[..., :3] if pixels.shape[-1] in (3, 4) else pixels.mean(axis=-1)
    low, high = (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 1.0)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and 128 <= high <= 255:
        low, high = 0.0, 255.0
    return (pixels - low) / ((high - low) or 1.0)
