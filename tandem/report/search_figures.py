"""The figures of the section on a search. A cloud of marks is a single path, so that many settings stay small."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from tandem.report.drawing import (
    GRID,
    INK,
    PAPER,
    SOFT,
    add_axes,
    drawing,
    look_of,
    shorten,
    text_width,
    write_svg,
)
from tandem.report.formats import format_count, format_number, format_share, framework_title, metric_title
from tandem.report.search import ContourPlot, HistoryLine, HistoryPlot, ImportancePlot, ParallelPlot, SlicePlot
from tandem.report.search_axes import ParameterAxis, write_value

_DECIMALS = 1  # of a pixel
# Shares of the settings, best first, that parallel coordinates draw alike: (up to, name, opacity, line width).
_GROUPS = ((0.05, "best 5 %", 1.0, 1.7), (0.25, "best 25 %", 0.6, 1.0), (0.5, "better half", 0.32, 0.8))
_CROWD = 150  # settings above which lines become thinner
_SPREAD = 0.5  # of the way to the next level over which the lines through a level are spread
_DODGE = 0.16  # of the way to the next level between two frameworks' marks
_CAPS: dict[str, Any] = {"o": "round", "s": "projecting"}


def draw_history(plot: HistoryPlot, key: str) -> str:
    """Return every finished setting as a dot, and the best so far as a line."""
    title = metric_title(plot.metric)
    with drawing(412, 278, key) as figure:
        axes = add_axes(figure, 62, 44, 338, 186)
        for line in plot.lines:
            known = [(x, y) for x, y in zip(line.places, line.values, strict=True) if y is not None]
            _cloud(axes, np.array(known), look_of(line.framework), 3.2, 0.3, plot.limits)
        for number, line in enumerate(plot.lines):
            best = [float("nan") if value is None else value for value in line.best]
            colour, _ = look_of(line.framework)
            width = 2.0 + 1.8 * (len(plot.lines) - 1 - number)  # lines that coincide all show
            axes.plot(line.places, best, color=colour, linewidth=width, drawstyle="steps-post")
        _metric_axis(axes, plot.limits, plot.log)
        last = max(line.places[-1] for line in plot.lines)
        axes.set_xlim(0, 1.02 * last)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(lambda value, _: format_count(round(value)))
        axes.set_xlabel(plot.along)
        _legend(axes, [line.framework for line in plot.lines])
        better = "higher" if plot.higher_is_better else "lower"
        scale = " (logarithmic)" if plot.log else ""
        axes.text(
            0, 1.13, f"{title}{scale}, {better} is better", transform=axes.transAxes, fontweight="bold", va="bottom"
        )
        words = " ".join(_describe_history(line, plot) for line in plot.lines)
        return write_svg(figure, key, f"Best {title} so far, by {plot.along}", words, _DECIMALS)


def _describe_history(line: HistoryLine, plot: HistoryPlot) -> str:
    best = line.best[-1]
    found = line.best.index(best)
    return (
        f"{framework_title(line.framework)} reaches its best, {format_number(best)}, at "
        f"{format_count(round(line.places[found]))} of {format_count(round(line.places[-1]))} {plot.along}."
    )


def draw_parallel(plot: ParallelPlot, key: str) -> str:
    """Return each finished setting as a line through its values, the better the stronger; the winner in ink."""
    step = max(118.0, min(230.0, 700 / len(plot.axes)))
    right = 84.0
    width, height = 84 + step * len(plot.axes) + right, 330.0
    with drawing(width, height, key) as figure:
        axes = add_axes(figure, 84, 34, step * len(plot.axes), 230)
        axes.set_xlim(0, len(plot.axes))
        axes.set_ylim(0, 1)
        axes.set_axis_off()
        for group, opacity, linewidth, colour in _line_groups(plot):
            _lines(axes, group, colour, opacity, linewidth)
        for place, axis in enumerate(plot.axes):
            _vertical(axes, place, shorten(axis.label, 18), axis.ticks(), lacking=axis.conditional)
        marks = [(float(_height(value, plot)), text) for value, text in _metric_ticks(plot.limits, plot.log)]
        _vertical(axes, len(plot.axes), metric_title(plot.metric) + (" (log)" if plot.log else ""), marks, right=True)
        figure.text(0, 1, framework_title(plot.framework), fontweight="bold", va="top")
        _parallel_legend(figure, plot)
        words = (
            f"{framework_title(plot.framework)}: {format_count(len(plot.values))} settings as lines through "
            f"{', '.join(axis.label for axis in plot.axes)} to {metric_title(plot.metric)}. "
            f"The winner: {plot.winner}, {format_number(float(plot.values[0]))}."
        )
        return write_svg(figure, key, f"Parallel coordinates of {framework_title(plot.framework)}", words, _DECIMALS)


def _height(values: Any, plot: ParallelPlot) -> Any:
    """Return where values of the metric lie on its axis, from 0 to 1."""
    low, high = plot.limits
    if plot.log:
        return np.log(np.asarray(values) / low) / np.log(high / low)
    return (np.asarray(values) - low) / (high - low)


def _metric_axis(axes: Axes, limits: tuple[float, float], log: bool) -> None:
    if log:
        axes.set_yscale("log")
    axes.set_ylim(limits)
    ticks = _metric_ticks(limits, log)
    axes.set_yticks([value for value, _ in ticks], [text for _, text in ticks])
    axes.yaxis.set_minor_locator(NullLocator())


def _metric_ticks(limits: tuple[float, float], log: bool) -> list[tuple[float, str]]:
    """Return round values between the limits, and how they are written."""
    low, high = limits
    found = LogLocator(subs=(1, 2, 5)).tick_values(low, high) if log else MaxNLocator(5).tick_values(low, high)
    inside = [float(value) for value in found if low <= value <= high]
    if log and len(inside) > 6:
        inside = [value for value in inside if f"{value:e}"[0] == "1"]
    return [(value, write_value(round(value, 12))) for value in inside]


def _line_groups(plot: ParallelPlot) -> list[tuple[np.ndarray, float, float, str]]:
    """Return points (settings, axes) with opacity, width and colour of each group, the worst first."""
    heights = np.column_stack([_spread(plot), _height(plot.values, plot)])
    count, colour = len(heights), look_of(plot.framework)[0]
    thin = min(1.0, max(0.4, math.sqrt(_CROWD / count)))  # where lines are many they would cover one another
    groups: list[tuple[np.ndarray, float, float, str]] = []
    start = 1
    for share, _, opacity, width in _GROUPS:
        end = max(start, math.ceil(share * count))
        groups.append((heights[start:end], opacity * (thin if opacity < 1 else 1.0), width * thin, colour))
        start = end
    groups.append((heights[start:], 0.3 * thin, 0.7 * thin, SOFT))
    return [*reversed(groups), (heights[:1], 1.0, 3.0, INK)]


def _spread(plot: ParallelPlot) -> np.ndarray:
    """Return the places with the lines of a level side by side, the best on top, and -0.09 where there is none."""
    places = plot.places.copy()
    for column, axis in enumerate(plot.axes):
        if not axis.levels:
            continue
        for place in np.unique(places[np.isfinite(places[:, column]), column]):
            here = np.flatnonzero(places[:, column] == place)
            offsets = np.linspace(0.5, -0.5, len(here)) if len(here) > 1 else np.zeros(1)
            places[here, column] += _SPREAD / len(axis.levels) * offsets
    return np.where(np.isfinite(places), places, -0.09)


def _lines(axes: Axes, points: np.ndarray, colour: str, opacity: float, width: float) -> None:
    if not len(points):
        return
    count, stations = points.shape
    vertices = np.stack([np.broadcast_to(np.arange(stations), points.shape), points], axis=2).reshape(-1, 2)
    codes = np.tile([Path.MOVETO, *[Path.LINETO] * (stations - 1)], count)
    path = Path(vertices, codes)
    path.should_simplify = False
    axes.add_patch(PathPatch(path, facecolor="none", edgecolor=colour, alpha=opacity, linewidth=width, clip_on=False))


def _vertical(
    axes: Axes,
    place: float,
    label: str,
    ticks: Sequence[tuple[float, str]],
    *,
    right: bool = False,
    lacking: bool = False,
) -> None:
    """Draw an upright axis at a place, with its texts at its left or right, and its name above."""
    axes.plot([place, place], [0, 1], color=SOFT, linewidth=1.2, clip_on=False)
    align, shift = ("left", 7) if right else ("right", -7)
    shown = [*ticks, (-0.09, "none")] if lacking else ticks
    for height, text in shown:
        axes.annotate(
            shorten(text, 12),
            xy=(place, height),
            xytext=(shift, 0),
            textcoords="offset points",
            ha=align,
            va="center",
            fontsize=11,
            bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 0.6},
            annotation_clip=False,
        )
        axes.plot([place - 0.025, place + 0.025], [height, height], color=SOFT, linewidth=1.2, clip_on=False)
    axes.annotate(
        label, xy=(place, 1), xytext=(0, 11), textcoords="offset points", ha="center", fontweight="bold",
        annotation_clip=False,
    )  # fmt: skip


def _parallel_legend(figure: Any, plot: ParallelPlot) -> None:
    colour = look_of(plot.framework)[0]
    handles = [Line2D([], [], color=INK, linewidth=3, label="winner")]
    handles += [Line2D([], [], color=colour, alpha=alpha, linewidth=2.4, label=name) for _, name, alpha, _ in _GROUPS]
    handles.append(Line2D([], [], color=SOFT, alpha=0.4, linewidth=2.4, label="the rest"))
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.0, 0.955), ncols=5, borderaxespad=0,
        handlelength=1.4, columnspacing=1.2, handletextpad=0.5, fontsize=11,
    )  # fmt: skip


def draw_importance(plot: ImportancePlot, key: str) -> str:
    """Return each parameter's share of the variance as bars, a bar a framework."""
    labels = [shorten(label, 30) for label in plot.labels]
    left = 16 + max(text_width(label) for label in labels)
    count = len(plot.shares)
    band = 20.0 + 13 * count
    height = 62 + band * len(labels)
    with drawing(left + 300, height, key) as figure:
        axes = add_axes(figure, left, 40, 250, band * len(labels))
        thick = 0.68 / count
        for which, (framework, shares) in enumerate(plot.shares.items()):
            colour, _ = look_of(framework)
            for place, share in enumerate(shares):
                if share is None:
                    continue
                middle = place - 0.34 + thick * (which + 0.5)
                axes.barh([middle], [share], height=0.86 * thick, color=colour, linewidth=0)
                axes.text(share + 0.012, middle, _percent(share), va="center", fontsize=10.5, color=INK)
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"share of the variance of {metric_title(plot.metric)}")
        _legend(axes, list(plot.shares), anchor=(-0.03, 1.0))
        words = " ".join(
            f"{framework_title(framework)}: "
            + ", ".join(f"{label} {format_share(share)}" for label, share in zip(plot.labels, shares, strict=True))
            + "."
            for framework, shares in plot.shares.items()
        )
        return write_svg(figure, key, "Importance of each parameter", words)


def draw_slice(plot: SlicePlot, key: str) -> str:
    """Return the metric of every setting against one parameter, side by side where its values are few."""
    title = metric_title(plot.metric)
    ticks = [(place, shorten(text, 16)) for place, text in plot.axis.ticks()]
    room = 300 / max(1, len(ticks))
    upright = any(text_width(text) > room - 6 for _, text in ticks) and len(ticks) > 1
    below = 44 + (max(text_width(text) for _, text in ticks) - 8 if upright else 0)
    with drawing(392, 196 + below, key) as figure:
        axes = add_axes(figure, 62, below, 318, 164)
        low, high = plot.limits
        edge = low if plot.higher_is_better else high
        frameworks = list(plot.points)
        for number, (framework, points) in enumerate(plot.points.items()):
            look = look_of(framework)
            shift = _DODGE / len(plot.axis.levels) * (2 * number - len(frameworks) + 1) if plot.axis.levels else 0.0
            if len(points.pruned):
                _cloud(axes, points.pruned + np.array([shift, 0.0]), (SOFT, "o"), 2.6, 0.5, plot.limits)
            cloud = np.column_stack([points.places + shift, points.values]) if len(points.places) else np.empty((0, 2))
            _cloud(axes, cloud, look, 4.2, 0.42, plot.limits)
            if len(points.lost):
                crosses = np.unique(np.round(points.lost, 3)) + shift
                axes.plot(
                    crosses, [edge] * len(crosses), linestyle="none", marker="x", markersize=5.5, markeredgewidth=1.5,
                    color=look[0], clip_on=False, zorder=4,
                )  # fmt: skip
            for level, middle in enumerate(points.middles):
                if middle is not None:
                    centre, half = (level + 0.5) / len(plot.axis.levels) + shift, 0.13 / len(plot.axis.levels)
                    axes.plot([centre - half, centre + half], [middle, middle], color=look[0], linewidth=2.6)
        for number, points in enumerate(plot.points.values()):
            shift = _DODGE / len(plot.axis.levels) * (2 * number - len(frameworks) + 1) if plot.axis.levels else 0.0
            if points.winner is not None:
                axes.plot(
                    [points.winner[0] + shift], [points.winner[1]], marker="o", markersize=11,
                    markerfacecolor="none", markeredgecolor=INK, markeredgewidth=1.4, linestyle="none",
                )  # fmt: skip
        _metric_axis(axes, plot.limits, plot.log)
        axes.set_xlim(-0.03, 1.03)
        axes.set_xticks([place for place, _ in ticks], [text for _, text in ticks], rotation=90 if upright else 0)
        axes.grid(visible=not plot.axis.levels, axis="x")
        axes.set_xlabel(shorten(plot.axis.title, 44))
        axes.text(
            1,
            1.07,
            f"{title} (log)" if plot.log else title,
            transform=axes.transAxes,
            color=SOFT,
            ha="right",
            va="bottom",
        )
        _legend(axes, frameworks, anchor=(-0.03, 1.03))
        return write_svg(figure, key, f"{title} against {plot.axis.label}", _describe_slice(plot), _DECIMALS)


def _describe_slice(plot: SlicePlot) -> str:
    words = []
    for framework, points in plot.points.items():
        name = framework_title(framework)
        told = [
            f"{text} {format_number(middle)}"
            for (_, text), middle in zip(plot.axis.ticks(), points.middles, strict=False)
            if middle is not None
        ]
        if told and plot.axis.levels:
            words.append(f"{name}, medians: {', '.join(told)}.")
        elif len(points.places) > 1:
            thirds = [points.values[(points.places >= a) & (points.places <= b)] for a, b in _THIRDS]
            parts = [
                f"{part} third {format_number(float(np.median(values)))}"
                for part, values in zip(("lowest", "middle", "highest"), thirds, strict=True)
                if len(values)
            ]
            words.append(f"{name}, medians over the axis: {', '.join(parts)}.")
        if len(points.lost):
            words.append(f"{name}: {len(points.lost)} diverged or cannot be built.")
    return " ".join(words) or "No setting with this parameter finished."


_THIRDS = ((0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 1))


def draw_contour(plot: ContourPlot, key: str) -> str:
    """Return the metric over two parameters as shades, with the settings as dots or the means as numbers."""
    across, up = plot.axes
    texts = [shorten(text, 12) for _, text in up.ticks()]
    left = 30 + max(text_width(text) for text in texts)
    with drawing(left + 300 + 66, 356, key) as figure:
        axes = add_axes(figure, left, 52, 300, 270)
        colour, _ = look_of(plot.framework)
        shades = np.linspace(0.05, 0.72, len(plot.edges) - 1)
        shades = shades if plot.higher_is_better else shades[::-1]
        if plot.counts is None:
            _shade(axes, plot, colour, shades)
        else:
            _draw_cells(axes, plot, colour, shades)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        marks = [(place, shorten(text, 10)) for place, text in across.ticks()]
        axes.set_xticks([place for place, _ in marks], [text for _, text in marks])
        axes.set_yticks([place for place, _ in up.ticks()], texts)
        axes.set_xlabel(shorten(across.title, 40))
        axes.set_ylabel(shorten(up.title, 36))
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(True)
            spine.set_color(GRID)
        _draw_scale(add_axes(figure, left + 314, 52, 12, 270), plot.edges, shades, colour)
        figure.text(0, 1, framework_title(plot.framework), fontweight="bold", va="top")
        figure.text(1, 1, metric_title(plot.metric), va="top", ha="right", color=SOFT)
        title = f"{metric_title(plot.metric)} over {across.label} and {up.label}, {framework_title(plot.framework)}"
        return write_svg(figure, key, title, _describe_contour(plot), _DECIMALS)


def _shade(axes: Axes, plot: ContourPlot, colour: str, shades: np.ndarray) -> None:
    grid = np.linspace(0, 1, plot.cells.shape[0])
    cells = np.ma.masked_invalid(plot.cells)
    for low, high, shade in zip(plot.edges, plot.edges[1:], shades, strict=False):
        axes.contourf(grid, grid, cells, levels=[low, high], colors=[colour], alpha=float(shade), antialiased=False)
    _cloud(axes, plot.places, (INK, "o"), 3.0, 0.55, (0, 1))
    ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": INK, "markeredgewidth": 1.8}
    axes.plot(*[[value] for value in plot.winner], marker="o", markersize=13, linestyle="none", clip_on=False, **ring)


def _draw_cells(axes: Axes, plot: ContourPlot, colour: str, shades: np.ndarray) -> None:
    rows, columns = plot.cells.shape
    size = min(300 / columns, 270 / rows)
    for (row, column), value in np.ndenumerate(plot.cells):
        if not np.isfinite(value):
            continue
        shade = shades[min(len(shades) - 1, max(0, int(np.searchsorted(plot.edges, value, side="right")) - 1))]
        corner = column / columns, row / rows
        axes.add_patch(Rectangle(corner, 1 / columns, 1 / rows, facecolor=colour, alpha=float(shade), linewidth=0))
        if 300 / columns >= 40 and size >= 18:
            axes.text(
                corner[0] + 0.5 / columns, corner[1] + 0.5 / rows, format_number(float(value), 3),
                ha="center", va="center", fontsize=11,
            )  # fmt: skip
    corner = np.floor(plot.winner[0] * columns) / columns, np.floor(plot.winner[1] * rows) / rows
    axes.add_patch(
        Rectangle(corner, 1 / columns, 1 / rows, facecolor="none", edgecolor=INK, linewidth=2, clip_on=False, zorder=4)
    )


def _draw_scale(axes: Axes, edges: Sequence[float], shades: np.ndarray, colour: str) -> None:
    for place, shade in enumerate(shades):
        axes.add_patch(Rectangle((0, place), 1, 1, facecolor=colour, alpha=float(shade), linewidth=0))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, len(shades))
    axes.set_xticks([])
    axes.set_yticks(range(len(edges)), [write_value(edge) for edge in edges])
    axes.yaxis.tick_right()
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _describe_contour(plot: ContourPlot) -> str:
    cells = plot.cells if plot.higher_is_better else -plot.cells
    row, column = np.unravel_index(int(np.nanargmax(cells)), cells.shape)
    value = plot.cells[row, column]
    places = (column + 0.5) / cells.shape[1], (row + 0.5) / cells.shape[0]
    near = " and ".join(_near(axis, place) for axis, place in zip(plot.axes, places, strict=True))
    return (
        f"{framework_title(plot.framework)}: mean {metric_title(plot.metric)} of {len(plot.places)} settings, "
        f"from {format_number(float(np.nanmin(plot.cells)))} to {format_number(float(np.nanmax(plot.cells)))}; "
        f"best, {format_number(float(value))}, at {near}."
    )


def _near(axis: ParameterAxis, place: float) -> str:
    """Name the tick next to a place."""
    text = min(axis.ticks(), key=lambda tick: abs(tick[0] - place))[1]
    return f"{axis.label} {text}" if axis.levels else f"{axis.label} near {text}"


def _cloud(
    axes: Axes,
    points: np.ndarray,
    look: tuple[str, str],
    size: float,
    opacity: float,
    limits: tuple[float, float],
) -> None:
    """Draw marks as one path: strokes without length, whose caps are the marks."""
    if not len(points):
        return
    inside = np.column_stack([points[:, 0], np.clip(points[:, 1], *limits)])
    path = Path(np.repeat(inside, 2, axis=0), np.tile([Path.MOVETO, Path.LINETO], len(inside)))
    path.should_simplify = False
    colour, marker = look
    axes.add_patch(
        PathPatch(
            path, facecolor="none", edgecolor=colour, alpha=opacity, linewidth=size,
            capstyle=_CAPS.get(marker, "round"), clip_on=False, zorder=2.5,
        )
    )  # fmt: skip


def _legend(axes: Axes, frameworks: Sequence[str], anchor: tuple[float, float] = (-0.03, 0.99)) -> None:
    handles = [
        Line2D([], [], linestyle="none", marker=look_of(name)[1], color=look_of(name)[0], label=framework_title(name))
        for name in frameworks
    ]
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=anchor, ncols=3, borderaxespad=0.2, handletextpad=0.3,
        columnspacing=1.2,
    )  # fmt: skip


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
