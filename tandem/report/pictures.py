"""Draws samples for the galleries."""

from __future__ import annotations

from tandem.report.drawing import CLASSES, drawing, write_svg
from tandem.report.figures import draw_picture
from tandem.report.samples import Sample

_SHOWN_FEATURES = len(CLASSES)  # lines of a series


def draw_sample(sample: Sample, words: str, key: str) -> str:
    """Return an image or a video's frames as their own pixels, a series as a line per feature."""
    return _draw_series(sample, words, key) if sample.kind == "series" else draw_picture(sample.values, words, key)


def _draw_series(sample: Sample, words: str, key: str) -> str:
    low, high = sample.limits
    margin = 0.06 * ((high - low) or 1.0)
    with drawing(96, 64, key) as figure:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        for feature, colour in zip(sample.values.T, CLASSES[:_SHOWN_FEATURES], strict=False):
            axes.plot(range(len(feature)), feature, color=colour, linewidth=1.2)
        axes.set_xlim(-0.5, len(sample.values) - 0.5)
        axes.set_ylim(low - margin, high + margin)
        return write_svg(figure, key, "Sample", words)
