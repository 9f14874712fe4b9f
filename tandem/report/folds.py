"""The section on folds: what each fold's networks reach, and what holds over them. Records first, then a figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from matplotlib.ticker import MaxNLocator

from tandem.records import ComparisonRecord, EvaluationRecord, FoldDifference, FoldEstimate, FoldRows, Number, Part
from tandem.report.drawing import PAPER, add_axes, drawing, look_of, text_width, write_svg
from tandem.report.formats import format_number, framework_title, metric_title

SHOWN_FOLDS = 50


@dataclass(frozen=True)
class OverFolds:
    """One metric over the folds."""

    part: Part
    metric: str
    higher_is_better: bool
    estimates: dict[str, FoldEstimate]  # by framework
    differences: dict[tuple[str, str], FoldDifference]  # by first and second framework; second minus first


@dataclass(frozen=True)
class FoldRow:
    """The main metric of one fold."""

    number: int  # from 0 over all repeats
    rows: FoldRows
    valid: dict[str, Number]  # by framework
    test: dict[str, Number]


@dataclass(frozen=True)
class Folds:
    """The whole section."""

    protocol: str
    frameworks: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    metric: str  # the main one
    watched: bool
    repeated: bool
    over: tuple[OverFolds, ...]  # validation before test rows, the main metric first
    each: tuple[FoldRow, ...]  # at most SHOWN_FOLDS
    left_out: int


def folds_section(comparison: ComparisonRecord, evaluations: Mapping[str, EvaluationRecord]) -> Folds | None:
    """Return what the section shows; None where the rows were not divided into folds."""
    records = {name: found.folds for name, found in evaluations.items() if found.folds is not None}
    if not records:
        return None
    first = next(iter(records.values()))
    pairs = tuple(combinations(records, 2))
    main_metric = comparison.main_metric
    differences = {(found.first, found.second, *_place(found)): found for found in comparison.fold_differences}
    estimates = {name: {_place(found): found for found in record.estimates} for name, record in records.items()}
    places = sorted(map(_place, first.estimates), key=lambda place: (place[0] == "test", place[1] != main_metric))
    return Folds(
        protocol=first.protocol,
        frameworks=tuple(records),
        pairs=pairs,
        metric=main_metric,
        watched=first.watched,
        repeated=any(fold.repeat for fold in first.rows),
        over=tuple(
            OverFolds(
                part=place[0],
                metric=place[1],
                higher_is_better=estimates[next(iter(records))][place].higher_is_better,
                estimates={name: found[place] for name, found in estimates.items()},
                differences={pair: differences[(*pair, *place)] for pair in pairs},
            )
            for place in places
        ),
        each=tuple(
            FoldRow(
                number=number,
                rows=rows,
                valid={name: found["valid", main_metric].values[number] for name, found in estimates.items()},
                test={name: found["test", main_metric].values[number] for name, found in estimates.items()},
            )
            for number, rows in enumerate(first.rows[:SHOWN_FOLDS])
        ),
        left_out=max(0, len(first.rows) - SHOWN_FOLDS),
    )


def _place(found: FoldEstimate | FoldDifference) -> tuple[Part, str]:
    return found.part, found.metric


def draw_folds(section: Folds, key: str) -> str:
    """Return the main metric of every fold on its validation rows as dots, over the mean with its interval."""
    estimates = section.over[0].estimates
    left = 16 + max(text_width(framework_title(name)) for name in estimates)
    height = 58 + 40 * len(estimates)
    with drawing(left + 350, height, key) as figure:
        axes = add_axes(figure, left, 40, 330, height - 58)
        words = []
        for place, (name, found) in enumerate(estimates.items()):
            colour, marker = look_of(name)
            if found.interval is not None:
                ends = [end for end in (found.interval.low, found.interval.high) if end is not None]
                axes.plot(ends, [place, place], color=colour, linewidth=8, alpha=0.3, solid_capstyle="butt")
            if found.mean is not None:
                axes.plot([found.mean] * 2, [place - 0.28, place + 0.28], color=colour, linewidth=2.5)
            known = [value for value in found.values if value is not None]
            look: dict[str, Any] = {"color": colour, "markeredgecolor": PAPER, "markeredgewidth": 0.8, "markersize": 7}
            axes.plot(known, [place] * len(known), marker=marker, linestyle="none", **look)
            words.append(_describe(name, found))
        axes.set_yticks(range(len(estimates)), [framework_title(name) for name in estimates])
        axes.set_ylim(len(estimates) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        better = "higher" if section.over[0].higher_is_better else "lower"
        title = metric_title(section.metric)
        axes.set_xlabel(f"{title} on each fold’s validation rows, {better} is better")
        return write_svg(figure, key, f"{title} by fold", " ".join(words))


def _describe(framework: str, found: FoldEstimate) -> str:
    values = ", ".join("diverged" if value is None else format_number(value) for value in found.values)
    mean = f"mean {format_number(found.mean)}"
    if found.interval is not None:
        mean += f", interval {format_number(found.interval.low)} to {format_number(found.interval.high)}"
    return f"{framework_title(framework)}: {values}; {mean}."
