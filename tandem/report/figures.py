"""Records drawn as inline SVG by matplotlib: the same bytes for the same record, in any process.

Every figure says in words what it shows. ``key`` names a figure on its page: it salts and prefixes the ids.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from tandem.report.drawing import (
    GRID,
    INK,
    PAPER,
    SERIES,
    SOFT,
    add_axes,
    drawing,
    look_of,
    shorten,
    text_width,
    write_svg,
)
from tandem.report.formats import (
    format_count,
    format_number,
    format_share,
    framework_title,
    metric_title,
)
from tandem.report.records import (
    PARTS,
    Array,
    ClassBalance,
    Confusion,
    Curve,
    CurvePanel,
    IntervalPlot,
    Residuals,
)

DASHES: dict[str, Any] = {"train": (0, (3.5, 2.2)), "valid": "solid"}
# Line widths and marker sizes of the first, second ... framework, by how many there are: the later ones lie over the
# earlier, so that all show where they coincide.
WIDTHS = {1: ((1.5, 4.2),), 2: ((3.6, 7.5), (1.5, 4.2)), 3: ((5.2, 10.5), (2.9, 7.0), (1.2, 3.6))}
CONFUSION_LABELS = 14  # classes above which cells carry no count


def draw_intervals(plot: IntervalPlot, key: str) -> str:
    """Return the main metric of all frameworks as dots with whiskers."""
    labels = [f"{framework_title(bar.framework)}, {bar.over}" for bar in plot.bars]
    left = 16 + max(text_width(label) for label in labels)
    height = 58 + 26 * len(labels)
    with drawing(left + 270, height, key) as figure:
        axes = add_axes(figure, left, 40, 250, height - 58)
        for place, bar in enumerate(plot.bars):
            colour, marker = look_of(bar.framework)
            axes.plot([bar.low, bar.high], [place, place], color=colour, linewidth=2.5, solid_capstyle="butt")
            axes.plot([bar.value], [place], marker=marker, color=colour, markersize=8)
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        better = "higher" if plot.higher_is_better else "lower"
        axes.set_xlabel(f"{metric_title(plot.metric)} on test rows, {better} is better")
        words = "; ".join(
            f"{label}: {format_number(bar.value)}, interval {format_number(bar.low)} to {format_number(bar.high)}"
            for label, bar in zip(labels, plot.bars, strict=True)
        )
        return write_svg(figure, key, f"{metric_title(plot.metric)} with intervals", words + ".")


def draw_curves(panel: CurvePanel, key: str) -> str:
    """Return the learning curves of one quantity: colour and marker say the framework, dashes training."""
    quantity = metric_title(panel.quantity)
    more = 18 * max(0, math.ceil(len(panel.curves) / 2) - 2)  # for the legend
    with drawing(412, 304 + more, key) as figure:
        axes = add_axes(figure, 54, 44, 346, 200)
        sizes = _sizes(list(dict.fromkeys(curve.framework for curve in panel.curves)))
        for curve in panel.curves:
            _draw_curve(axes, curve, sizes[curve.framework])
        if panel.logarithmic:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        if panel.limits is not None:
            low, high = panel.limits
            axes.set_ylim(low, high + 0.03 * (high - low))  # markers at the top stay whole
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("epoch")
        scale = " (logarithmic)" if panel.logarithmic else ""
        axes.text(0, 1.2 + more / 200, f"{quantity}{scale}", transform=axes.transAxes, fontweight="bold", va="bottom")
        columns = panel.curves if not more else sorted(panel.curves, key=lambda curve: list(DASHES).index(curve.part))
        handles = [_handle(curve, sizes[curve.framework]) for curve in columns]
        axes.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(-0.03, 0.99),
            ncols=2,
            borderaxespad=0.2,
            columnspacing=1.4,
            handlelength=3.4,
            labelspacing=0.25,
        )
        words = " ".join(_describe_curve(curve, quantity) for curve in panel.curves)
        return write_svg(figure, key, f"Learning curves: {quantity}", words)


def draw_confusion(confusion: Confusion, key: str) -> str:
    """Return one framework's confusion matrix: true classes down, predicted across, shaded by row share."""
    counts = np.asarray(confusion.counts)
    classes = len(counts)
    names = [shorten(name, 14) for name in confusion.class_names]
    longest = max(text_width(name) for name in names)
    cell = max(28, min(66, 300 // classes)) if classes <= CONFUSION_LABELS else max(4, 340 // classes)
    side, left, below = cell * classes, longest + 34, longest + 30
    upright = longest > cell - 4
    below = below if upright else 46
    with drawing(left + side + 12, side + below + 40, key) as figure:
        axes = add_axes(figure, left, below, side, side)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        colour, _ = look_of(confusion.framework)
        for (i, j), share in np.ndenumerate(shares):
            if counts[i, j]:
                alpha = 0.08 + 0.62 * float(share)
                axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=colour, alpha=alpha, linewidth=0))
            if classes <= CONFUSION_LABELS:
                weight = "bold" if i == j else "normal"
                text = f"{counts[i, j]:,}" if counts[i, j] else "·"
                tone = INK if counts[i, j] else SOFT
                size = 12 if cell >= 40 and counts.max() < 10_000 else 10
                axes.text(j, i, text, ha="center", va="center", weight=weight, color=tone, fontsize=size)
        axes.set_xlim(-0.5, classes - 0.5)
        axes.set_ylim(classes - 0.5, -0.5)
        ticks = range(classes) if classes <= 40 else ()
        axes.set_xticks(ticks, names if ticks else (), rotation=90 if upright else 0)
        axes.set_yticks(ticks, names if ticks else ())
        axes.tick_params(length=0)
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(True)
            spine.set_color(GRID)
        figure.text(0, 1, framework_title(confusion.framework), fontweight="bold", va="top")
        figure.text((left + side / 2) / (left + side + 12), 0.005, "predicted", ha="center", va="bottom", color=SOFT)
        middle = 1 - (40 + side / 2 - 6) / (side + below + 40)
        figure.text(0.0, middle, "true", rotation=90, va="center", ha="left", color=SOFT)
        return write_svg(figure, key, *_describe_confusion(confusion))


def draw_residuals(shown: Residuals, key: str) -> str:
    """Return predicted against target as a cloud around the diagonal."""
    colour, marker = look_of(shown.framework)
    low, high = shown.limits
    margin = 0.04 * ((high - low) or 1.0)
    limits = low - margin, high + margin
    with drawing(392, 380, key) as figure:
        axes = add_axes(figure, 58, 48, 322, 292)
        axes.plot(limits, limits, color=SOFT, linewidth=1, linestyle=(0, (5, 3)))
        few = len(shown.targets) <= 200
        axes.plot(
            shown.targets,
            shown.predictions,
            linestyle="none",
            marker=marker,
            markersize=5 if few else 3.4,
            markeredgewidth=0,
            color=colour,
            alpha=0.6 if few else 0.45,
        )
        axes.set_xlim(limits)
        axes.set_ylim(limits)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlabel(f"target: {shorten(shown.target_name, 40)}")
        figure.text(0, 1, framework_title(shown.framework), fontweight="bold", va="top")
        axes.text(0, 1.02, "predicted", transform=axes.transAxes, color=SOFT, va="bottom", ha="left")
        words = (
            f"{framework_title(shown.framework)}: {format_count(shown.rows)} test rows around the diagonal; "
            f"root mean squared error {format_number(shown.rmse)}, "
            f"mean of predicted minus target {format_number(shown.bias)}."
        )
        return write_svg(figure, key, f"Predicted against {shown.target_name}", words)


def draw_class_balance(balance: ClassBalance, key: str) -> str:
    """Return the rows per class as bars, one pair per class."""
    names = [shorten(name, 24) for name in balance.class_names]
    left = 14 + max(text_width(name) for name in names)
    parts = list(balance.counts)
    band = max(10, min(34, 560 // len(names)))
    height = 66 + band * len(names)
    with drawing(left + 340, height, key) as figure:
        axes = add_axes(figure, left, 38, 300, band * len(names))
        thick = 0.72 / len(parts)
        largest = max(max(counts) for counts in balance.counts.values())
        for which, part in enumerate(parts):
            colour, hatch = (SERIES[0], None) if part == "train" else (SERIES[2], "////")
            places = np.arange(len(names)) - 0.36 + thick * (which + 0.5)
            style: dict[str, Any] = {"color": colour}
            if hatch is not None:
                style = {"facecolor": "none", "edgecolor": colour, "hatch": hatch}
            axes.barh(places, balance.counts[part], height=thick, label=PARTS[part], linewidth=0.8, **style)
            for place, count in zip(places, balance.counts[part], strict=True):
                if band * thick >= 9:
                    axes.text(count + 0.012 * largest, place, f"{count:,}", va="center", fontsize=10, color=SOFT)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("rows")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, borderaxespad=0)
        words = "; ".join(
            f"{name}: " + ", ".join(f"{format_count(balance.counts[part][i])} {PARTS[part]}" for part in parts)
            for i, name in enumerate(balance.class_names)
        )
        return write_svg(figure, key, "Rows per class", words + ".")


def draw_picture(pixels: Array, words: str, key: str) -> str:
    """Return one sample as an image of its own pixels; ``pixels`` is (height, width[, 3]) in 0..1."""
    height, width = pixels.shape[:2]
    with drawing(96, max(12.0, min(288.0, 96 * height / width)), key) as figure:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="none", aspect="auto")
        return write_svg(figure, key, "Sample", words)


def _sizes(frameworks: list[str]) -> dict[str, tuple[float, float]]:
    """Return each framework's line width and marker size."""
    sizes = WIDTHS[min(len(frameworks), max(WIDTHS))]
    return {name: sizes[min(place, len(sizes) - 1)] for place, name in enumerate(frameworks)}


def _draw_curve(axes: Axes, curve: Curve, sizes: tuple[float, float]) -> None:
    colour, marker = look_of(curve.framework)
    if not curve.epochs:
        return
    if curve.averaged > 1:
        axes.fill_between(curve.epochs, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0)
    axes.plot(
        curve.epochs,
        curve.mean,
        color=colour,
        linestyle=DASHES[curve.part],
        linewidth=sizes[0],
        marker=marker,
        markersize=sizes[1],
        markevery=max(1, math.ceil(len(curve.epochs) / 12)),
        markerfacecolor=colour if curve.part == "valid" else PAPER,
    )
    if curve.diverged == curve.replicates:
        axes.plot(curve.epochs[-1:], curve.mean[-1:], marker="X", markersize=11, color=colour)
    if curve.kept_epoch is not None and curve.part == "valid":
        kept = curve.mean[curve.epochs.index(curve.kept_epoch)]
        axes.plot([curve.kept_epoch], [kept], marker="o", markersize=12, markerfacecolor="none", markeredgecolor=INK)


def _handle(curve: Curve, sizes: tuple[float, float]) -> Line2D:
    colour, marker = look_of(curve.framework)
    return Line2D(
        [],
        [],
        color=colour,
        linestyle=DASHES[curve.part],
        linewidth=sizes[0],
        marker=marker,
        markersize=sizes[1],
        markerfacecolor=colour if curve.part == "valid" else PAPER,
        label=f"{framework_title(curve.framework)}, {PARTS[curve.part]}",
    )


def _describe_curve(curve: Curve, quantity: str) -> str:
    name = f"{framework_title(curve.framework)}, {PARTS[curve.part]}: {quantity}"
    if not curve.epochs:
        return f"{name} diverged in the first epoch."
    text = (
        f"{name} goes from {format_number(curve.mean[0])} in epoch {curve.epochs[0]} "
        f"to {format_number(curve.mean[-1])} in epoch {curve.epochs[-1]}"
    )
    if curve.replicates > 1:
        text += f", mean of {curve.averaged} replicate{'s' * (curve.averaged != 1)}"
    if curve.kept_epoch is not None:
        kept = curve.mean[curve.epochs.index(curve.kept_epoch)]
        text += f"; epoch {curve.kept_epoch} with {format_number(kept)} was kept"
    if curve.diverged == curve.replicates:
        return text + ", and diverges."
    return text + (f"; {curve.diverged} of {curve.replicates} diverged and are left out." if curve.diverged else ".")


def _describe_confusion(confusion: Confusion) -> tuple[str, str]:
    title = framework_title(confusion.framework)
    words = (
        f"{title} gets {format_count(confusion.correct)} of {format_count(confusion.total)} right "
        f"({format_share(confusion.correct / confusion.total)})."
    )
    if confusion.worst is not None:
        true, predicted, count = confusion.worst
        words += f" Most often confused: {true} taken for {predicted}, {format_count(count)} times."
    return f"Confusion matrix of {title}", words
