"""What a network makes of every input, for data with one or two features: records first, then their figures.

Two features: the classes' regions with their borders, or levels of the predicted value. One feature: the prediction
as a line. Always over the training and test rows, in raw units, on the same axes for every framework.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from contourpy import FillType, LineType, contour_generator
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from tandem.records import DataDescription
from tandem.report.drawing import (
    CLASSES,
    GRID,
    INK,
    PAPER,
    SOFT,
    add_axes,
    drawing,
    look_of,
    shorten,
    write_svg,
)
from tandem.report.formats import MINUS, format_count, format_number, format_share, framework_title
from tandem.surfaces import Grid, lay_grid

Array = np.ndarray[Any, Any]

SHOWN_ROWS = 200  # of each part
SHOWN_WRONG = 120
SHOWN_REPLICATES = 10  # borders drawn one by one
SHOWN_CLASSES = 6  # panels of a classification by one feature
_LEAST = 1e-30  # keeps the logarithm of a probability finite
_FINE = 1 / 800  # of an axis: what a simplified outline may be off
_MARKERS = ("o", "s", "^", "D", "v", "P")
_TICKS = (1, 2, 2.5, 5, 10)
_PANEL = (58, 48, 322, 300)  # left, bottom, width, height in pixels


@dataclass(frozen=True)
class SurfaceArrays:
    """The rows and outputs that the figures rest on.

    Attributes:
        train_features, test_features: (n, features) and (m, features) in raw units, one or two features.
        train_targets, test_targets: (n,) and (m,) labels or values.
        outputs: framework → (replicates, points of the grid over the training rows, classes or 1); NaN where a
            replicate diverged.
        predictions: framework → (replicates, m, classes or 1) on the test rows; NaN likewise.
    """

    train_features: Array
    train_targets: Array
    test_features: Array
    test_targets: Array
    outputs: Mapping[str, Array]
    predictions: Mapping[str, Array]


@dataclass(frozen=True)
class Points:
    """Rows as points: positions (n, 2) and labels or values (n,)."""

    places: Array
    targets: Array


@dataclass(frozen=True)
class Region:
    """Outlines that enclose an area: closed rings (n, 2), holes among them."""

    rings: tuple[Array, ...]


@dataclass(frozen=True)
class BoundaryPlot:
    """Where one framework sees which class: of the mean probabilities over replicates that did not diverge."""

    framework: str
    feature_names: tuple[str, str]
    class_names: tuple[str, ...]
    limits: tuple[tuple[float, float], tuple[float, float]]  # of each axis
    regions: tuple[Region, ...]  # by label
    borders: tuple[Array, ...]  # lines (n, 2) where the likeliest class changes
    replicate_borders: tuple[tuple[Array, ...], ...]  # of each replicate; empty with a single one
    train: Points
    test: Points  # rightly predicted ones
    wrong: Points
    replicates: int
    tested: int  # test rows
    wrong_rows: int  # test rows wrong, before thinning
    shares: tuple[float, ...]  # of the drawn area, by label


@dataclass(frozen=True)
class LevelPlot:
    """The value that one framework predicts over two features, mean over replicates that did not diverge."""

    framework: str
    feature_names: tuple[str, str]
    target_name: str
    limits: tuple[tuple[float, float], tuple[float, float]]
    edges: tuple[float, ...]  # of the levels, ascending, shared by the frameworks
    regions: tuple[Region, ...]  # one fewer than edges
    train: Points
    test: Points
    replicates: int
    rmse: float | None  # on all test rows


@dataclass(frozen=True)
class FitLine:
    """One framework's prediction along one feature."""

    framework: str
    mean: Array  # (steps,), over the replicates that did not diverge
    low: Array  # least and largest of them
    high: Array
    replicates: int
    rmse: float | None  # of the mean, on the test rows; on the training rows where there are none


@dataclass(frozen=True)
class FitPlot:
    """Predictions of all frameworks as lines over the rows."""

    feature_name: str
    target_name: str
    inputs: Array  # (steps,)
    lines: tuple[FitLine, ...]
    train: Points
    test: Points


def boundary_plots(data: DataDescription, arrays: SurfaceArrays) -> tuple[BoundaryPlot, ...]:
    """Return each framework's regions of the classes; none where all replicates diverged."""
    grid = lay_grid(arrays.train_features)
    plots = []
    for framework, (outputs, predictions) in _sound(arrays).items():
        missed = predictions.mean(axis=0).argmax(axis=1) != arrays.test_targets
        borders = [_borders(replicate, grid) for replicate in outputs]
        mean = outputs.mean(axis=0)
        chosen = mean.argmax(axis=1)
        plots.append(
            BoundaryPlot(
                framework=framework,
                feature_names=_two_names(data),
                class_names=data.class_names,
                limits=_limits(grid),
                regions=tuple(_regions(margin, grid, [0.0, np.inf])[0] for margin in _margins(mean)),
                borders=_borders(mean, grid),
                replicate_borders=tuple(borders[:SHOWN_REPLICATES]) if len(outputs) > 1 else (),
                train=_thin(arrays.train_features, arrays.train_targets, SHOWN_ROWS),
                test=_thin(arrays.test_features[~missed], arrays.test_targets[~missed], SHOWN_ROWS),
                wrong=_thin(arrays.test_features[missed], arrays.test_targets[missed], SHOWN_WRONG),
                replicates=len(outputs),
                tested=len(missed),
                wrong_rows=int(missed.sum()),
                shares=tuple(float((chosen == label).mean()) for label in range(len(data.class_names))),
            )
        )
    return tuple(plots)


def level_plots(data: DataDescription, arrays: SurfaceArrays) -> tuple[LevelPlot, ...]:
    """Return each framework's predicted value over two features; none where all replicates diverged."""
    grid = lay_grid(arrays.train_features)
    sound = _sound(arrays)
    means = {framework: outputs.mean(axis=0)[:, 0] for framework, (outputs, _) in sound.items()}
    if not means:
        return ()
    shown = [*means.values(), arrays.train_targets]
    ends = float(min(map(np.min, shown))), float(max(map(np.max, shown)))
    ticks = MaxNLocator(8).tick_values(*ends)
    edges = tuple(float(tick) if abs(tick) > 1e-9 * np.ptp(ticks) else 0.0 for tick in ticks)
    return tuple(
        LevelPlot(
            framework=framework,
            feature_names=_two_names(data),
            target_name=data.target_name,
            limits=_limits(grid),
            edges=edges,
            regions=_regions(mean, grid, edges),
            train=_thin(arrays.train_features, arrays.train_targets, SHOWN_ROWS),
            test=_thin(arrays.test_features, arrays.test_targets, SHOWN_ROWS),
            replicates=len(sound[framework][0]),
            rmse=_rmse(sound[framework][1].mean(axis=0)[:, 0], arrays.test_targets),
        )
        for framework, mean in means.items()
    )


def fit_plots(data: DataDescription, arrays: SurfaceArrays) -> tuple[FitPlot, ...]:
    """Return the predictions along one feature: of the value, or of each class's probability.

    Two classes need one figure, of the second class.
    """
    sound = _sound(arrays)
    if not sound:
        return ()
    if data.task == "regression":
        shown: list[tuple[int, str]] = [(0, data.target_name)]
    else:
        labels = [1] if len(data.class_names) == 2 else range(min(len(data.class_names), SHOWN_CLASSES))
        shown = [(label, f"probability of {data.class_names[label]}") for label in labels]
    axis = lay_grid(arrays.train_features).axes[0]

    def values(targets: Array, output: int) -> Array:
        return targets.astype(float) if data.task == "regression" else (targets == output).astype(float)

    def points(features: Array, targets: Array) -> Points:
        return _thin(np.column_stack([features[:, 0], targets]), targets, SHOWN_ROWS)

    plots = []
    for output, name in shown:
        train, test = values(arrays.train_targets, output), values(arrays.test_targets, output)
        lines = []
        for framework, (outputs, predictions) in sound.items():
            drawn = outputs[..., output]
            rmse = _rmse(predictions.mean(axis=0)[:, output], test)
            if rmse is None:
                rmse = _rmse(np.interp(arrays.train_features[:, 0], axis, drawn.mean(axis=0)), train)
            lines.append(FitLine(framework, drawn.mean(axis=0), drawn.min(axis=0), drawn.max(axis=0), len(drawn), rmse))
        plots.append(
            FitPlot(
                feature_name=_names(data)[0],
                target_name=name,
                inputs=axis,
                lines=tuple(lines),
                train=points(arrays.train_features, train),
                test=points(arrays.test_features, test),
            )
        )
    return tuple(plots)


def _sound(arrays: SurfaceArrays) -> dict[str, tuple[Array, Array]]:
    """Return each framework's outputs and predictions of the replicates that did not diverge, if there are any."""
    found = {}
    for framework, outputs in arrays.outputs.items():
        predictions = arrays.predictions[framework]
        kept = np.isfinite(outputs).all(axis=(1, 2)) & np.isfinite(predictions).all(axis=(1, 2))
        if kept.any():
            found[framework] = outputs[kept].astype(np.float64), predictions[kept].astype(np.float64)
    return found


def _margins(probabilities: Array) -> list[Array]:
    """Return by how much each class leads the best of the others, as log odds: smooth where probabilities saturate."""
    logs = np.log(np.maximum(probabilities, _LEAST))
    margins = []
    for label in range(logs.shape[1]):
        margins.append(logs[:, label] - np.delete(logs, label, axis=1).max(axis=1))
    return margins


def _borders(probabilities: Array, grid: Grid) -> tuple[Array, ...]:
    margins = _margins(probabilities)
    lines: list[Array] = []
    for margin in margins[1:] if len(margins) == 2 else margins:
        lines.extend(_generator(margin, grid, LineType.Separate).lines(0.0))
    return tuple(_simplify(line, _spans(grid)) for line in lines)


def _regions(values: Array, grid: Grid, edges: Sequence[float]) -> tuple[Region, ...]:
    """Return where the values lie between each edge and the next."""
    generator = _generator(values, grid, LineType.Separate)
    regions = []
    for low, high in pairwise(edges):
        points, offsets = generator.filled(low, high)
        rings = [
            _simplify(polygon[start:end], _spans(grid))
            for polygon, starts in zip(points, offsets, strict=True)
            for start, end in pairwise(starts)
        ]
        regions.append(Region(tuple(ring for ring in rings if len(ring) > 3)))
    return tuple(regions)


def _generator(values: Array, grid: Grid, lines: LineType) -> Any:
    across, up = grid.axes
    table = values.reshape(len(across), len(up)).T
    return contour_generator(x=across, y=up, z=table, line_type=lines, fill_type=FillType.OuterOffset)


def _simplify(line: Array, spans: Array) -> Array:
    """Drop points that the rest of a line or ring passes by closely (Douglas and Peucker, 1973)."""
    scaled = line / spans
    kept = np.zeros(len(line), dtype=bool)
    kept[[0, -1]] = True
    parts = [(0, len(line) - 1)]
    while parts:
        first, last = parts.pop()
        if last - first < 2:
            continue
        way, inner = scaled[last] - scaled[first], scaled[first + 1 : last] - scaled[first]
        length = float(way @ way)
        along = np.clip(inner @ way / length, 0, 1) if length else np.zeros(len(inner))
        distances = np.hypot(*(inner - along[:, None] * way).T)
        farthest = int(distances.argmax())
        if distances[farthest] > _FINE:
            middle = first + 1 + farthest
            kept[middle] = True
            parts += [(first, middle), (middle, last)]
    return line[kept]


def _spans(grid: Grid) -> Array:
    return np.array([axis[-1] - axis[0] for axis in grid.axes])


def _limits(grid: Grid) -> tuple[tuple[float, float], tuple[float, float]]:
    across, up = grid.axes
    return (float(across[0]), float(across[-1])), (float(up[0]), float(up[-1]))


def _thin(places: Array, targets: Array, most: int) -> Points:
    """Return at most ``most`` of the rows without missing values, evenly along their order."""
    known = np.isfinite(places).all(axis=1)
    places, targets = places[known], targets[known]
    kept = np.unique(np.linspace(0, len(places) - 1, min(len(places), most)).astype(int))
    return Points(np.asarray(places[kept], dtype=np.float64), np.asarray(targets[kept]))


def _rmse(predicted: Array, targets: Array) -> float | None:
    return float(np.sqrt(np.mean(np.square(predicted - targets)))) if len(targets) else None


def _names(data: DataDescription) -> tuple[str, ...]:
    return data.feature_names or tuple(f"feature {place}" for place in range(data.feature_shape[0]))


def _two_names(data: DataDescription) -> tuple[str, str]:
    first, second = _names(data)
    return first, second


def draw_boundary(plot: BoundaryPlot, key: str) -> str:
    """Return one framework's classes as shaded regions with their borders over the rows."""
    rows = -(-len(plot.class_names) // 2)
    with drawing(392, 374 + 19 * rows, key) as figure:
        axes = add_axes(figure, *_PANEL)
        for label, region in enumerate(plot.regions):
            _fill(axes, region, CLASSES[label % len(CLASSES)], 0.2)
        for lines in plot.replicate_borders:
            for line in lines:
                axes.plot(*line.T, color=INK, linewidth=0.8, alpha=0.6)
        for line in plot.borders:
            axes.plot(*line.T, color=INK, linewidth=2.4)
        for label in range(len(plot.class_names)):
            look: dict[str, Any] = {"linestyle": "none", "marker": _marker(label), "color": _class_colour(label)}
            axes.plot(*_of(plot.test, label).T, markersize=3, markeredgewidth=0, alpha=0.75, **look)
            axes.plot(*_of(plot.train, label).T, markersize=6.5, markeredgecolor=PAPER, markeredgewidth=0.8, **look)
            axes.plot(*_of(plot.wrong, label).T, markersize=4.5, markeredgewidth=0, **look)
        axes.plot(*plot.wrong.places.T, linestyle="none", marker="x", markersize=6.5, markeredgewidth=1.3, color=INK)
        _frame(axes, plot.limits, plot.feature_names)
        axes.legend(
            handles=[_class_handle(label, name) for label, name in enumerate(plot.class_names)],
            loc="lower left",
            bbox_to_anchor=(-0.03, 1.0),
            ncols=2,
            borderaxespad=0.2,
            handletextpad=0.3,
            labelspacing=0.25,
        )
        figure.text(0, 1, framework_title(plot.framework), fontweight="bold", va="top")
        return write_svg(
            figure, key, f"Decision boundary of {framework_title(plot.framework)}", _describe_boundary(plot)
        )


def _describe_boundary(plot: BoundaryPlot) -> str:
    parts = ", ".join(
        f"{name} {format_share(share)}" for name, share in zip(plot.class_names, plot.shares, strict=True)
    )
    words = (
        f"{framework_title(plot.framework)} shares the area of {' and '.join(plot.feature_names)} out among: {parts}."
    )
    if plot.replicates > 1:
        words += f" The thick border is that of the mean of {plot.replicates} replicates, thin ones are their own."
    right = plot.tested - plot.wrong_rows
    return words + f" {format_count(right)} of {format_count(plot.tested)} test rows lie on the right side."


def draw_levels(plot: LevelPlot, key: str) -> str:
    """Return one framework's predicted value as shades over two features, with the rows in the shade of their value."""
    colour, _ = look_of(plot.framework)
    shades = np.linspace(0.06, 0.86, len(plot.regions))
    with drawing(452, 376, key) as figure:
        axes = add_axes(figure, *_PANEL)
        for region, shade in zip(plot.regions, shades, strict=True):
            _fill(axes, region, colour, float(shade))
        for points, size, edge in ((plot.test, 4.5, 0.6), (plot.train, 7.5, 1.2)):
            levels = np.clip(np.searchsorted(plot.edges, points.targets, side="right") - 1, 0, len(shades) - 1)
            for level in np.unique(levels):
                places = points.places[levels == level].T
                # On paper, so that a point has the shade of its region only where the prediction is right.
                axes.plot(*places, "o", markersize=size, color=PAPER, markeredgecolor=INK, markeredgewidth=edge)
                axes.plot(
                    *places, "o", markersize=size - 1, color=colour, markeredgewidth=0, alpha=float(shades[level])
                )
        _frame(axes, plot.limits, plot.feature_names)
        _draw_scale(add_axes(figure, 396, _PANEL[1], 14, _PANEL[3]), plot.edges, shades, colour)
        figure.text(0, 1, framework_title(plot.framework), fontweight="bold", va="top")
        figure.text(1, 1, shorten(plot.target_name, 34), va="top", ha="right", color=SOFT)
        title = f"{plot.target_name} predicted by {framework_title(plot.framework)}"
        return write_svg(figure, key, title, _describe_levels(plot))


def _draw_scale(axes: Axes, edges: Sequence[float], shades: Array, colour: str) -> None:
    for place, shade in enumerate(shades):
        axes.add_patch(Rectangle((0, place), 1, 1, facecolor=colour, alpha=float(shade), linewidth=0))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, len(shades))
    axes.set_xticks([])
    axes.set_yticks(range(len(edges)), [f"{edge:g}".replace("-", MINUS) for edge in edges])
    axes.yaxis.tick_right()
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _describe_levels(plot: LevelPlot) -> str:
    name = framework_title(plot.framework)
    words = (
        f"{name}: predicted {plot.target_name} over {' and '.join(plot.feature_names)} in {len(plot.regions)} levels "
    )
    words += f"from {plot.edges[0]:g} to {plot.edges[-1]:g}"
    words += f", mean of {plot.replicates} replicates" if plot.replicates > 1 else ""
    return words + (f"; root mean squared error {format_number(plot.rmse)} on the test rows." if plot.rmse else ".")


def draw_fit(plot: FitPlot, key: str) -> str:
    """Return the frameworks' predictions along one feature as lines over the rows, with a band over replicates."""
    with drawing(452, 336, key) as figure:
        axes = add_axes(figure, 58, 48, 382, 232)
        for points, size, face in ((plot.train, 6.5, SOFT), (plot.test, 5, "none")):
            axes.plot(
                *points.places.T,
                linestyle="none",
                marker="o",
                markersize=size,
                markerfacecolor=face,
                markeredgecolor=SOFT,
                markeredgewidth=0 if face == SOFT else 0.9,
                alpha=0.5,
            )
        for place, line in enumerate(plot.lines):
            colour, _ = look_of(line.framework)
            if line.replicates > 1:
                axes.fill_between(plot.inputs, line.low, line.high, color=colour, alpha=0.18, linewidth=0)
            width = 1.6 + 1.7 * (len(plot.lines) - 1 - place)  # lines that coincide all show
            axes.plot(plot.inputs, line.mean, color=colour, linewidth=width, label=framework_title(line.framework))
        axes.set_xlim(plot.inputs[0], plot.inputs[-1])
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=_TICKS))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=_TICKS))
        axes.set_xlabel(shorten(plot.feature_name, 50))
        axes.text(0, 1.15, shorten(plot.target_name, 50), transform=axes.transAxes, fontweight="bold", va="bottom")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.03, 0.99), ncols=3, borderaxespad=0.2, columnspacing=1.4)
        title = f"Fit over the data: {plot.target_name} against {plot.feature_name}"
        return write_svg(figure, key, title, " ".join(_describe_line(plot, line) for line in plot.lines))


def _describe_line(plot: FitPlot, line: FitLine) -> str:
    words = (
        f"{framework_title(line.framework)} predicts {format_number(line.mean[0])} at {format_number(plot.inputs[0])} "
        f"and {format_number(line.mean[-1])} at {format_number(plot.inputs[-1])}"
    )
    words += f", mean of {line.replicates} replicates" if line.replicates > 1 else ""
    part = "test" if len(plot.test.places) else "training"
    return words + f"; root mean squared error {format_number(line.rmse)} on the {part} rows."


def _fill(axes: Axes, region: Region, colour: str, alpha: float) -> None:
    if region.rings:
        path = Path.make_compound_path(*(Path(ring, closed=True) for ring in region.rings))
        axes.add_patch(PathPatch(path, facecolor=colour, alpha=alpha, linewidth=0))


def _frame(axes: Axes, limits: Sequence[tuple[float, float]], names: Sequence[str]) -> None:
    axes.set_xlim(limits[0])
    axes.set_ylim(limits[1])
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=_TICKS))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=_TICKS))
    axes.set_xlabel(shorten(names[0], 50))
    axes.set_ylabel(shorten(names[1], 44))
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(GRID)


def _of(points: Points, label: int) -> Array:
    return points.places[points.targets == label]


def _class_colour(label: int) -> str:
    return CLASSES[label % len(CLASSES)]


def _marker(label: int) -> str:
    return _MARKERS[(label + label // len(CLASSES)) % len(_MARKERS)]  # another one where a colour returns


def _class_handle(label: int, name: str) -> Line2D:
    colour = _class_colour(label)
    return Line2D([], [], linestyle="none", marker=_marker(label), markersize=7, color=colour, label=shorten(name, 22))


def draw_surfaces(data: DataDescription, arrays: SurfaceArrays) -> tuple[Callable[..., str], tuple[object, ...]]:
    """Return the function that draws this kind of data, and its records."""
    if data.feature_shape == (1,):
        return draw_fit, fit_plots(data, arrays)
    if data.task == "classification":
        return draw_boundary, boundary_plots(data, arrays)
    return draw_levels, level_plots(data, arrays)


def title_of(data: DataDescription) -> str:
    """Return what the figures of this kind of data are called."""
    if data.feature_shape == (1,):
        return "Fit over the data"
    return "Decision boundary" if data.task == "classification" else "Prediction over the data"
