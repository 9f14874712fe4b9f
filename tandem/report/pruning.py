"""The section on pruning: what is left of the main metric as weights are set to zero. Records first, then a figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tandem.records import ComparisonRecord, EvaluationRecord, Number, PrunedScores
from tandem.report.drawing import add_axes, drawing, look_of, write_svg
from tandem.report.formats import format_number, format_share, framework_title, metric_title


@dataclass(frozen=True)
class Level:
    """The main metric of one framework's trainings with a share of the weights set to zero."""

    share: float
    mean: Number  # over the trainings that did not diverge
    low: Number  # the least and the largest of them
    high: Number
    change: Number  # of the mean, from the whole network


@dataclass(frozen=True)
class Pruning:
    """The whole section."""

    metric: str  # the main one
    higher_is_better: bool
    weights: int  # that can be pruned
    trainings: int
    shares: tuple[float, ...]  # 0 first
    levels: dict[str, tuple[Level, ...]]  # by framework


def pruning_section(comparison: ComparisonRecord, evaluations: Mapping[str, EvaluationRecord]) -> Pruning | None:
    """Return what the section shows; None where no pruning was asked for."""
    found = {name: evaluation.pruning for name, evaluation in evaluations.items() if evaluation.pruning is not None}
    if not found:
        return None
    metric, first = comparison.main_metric, next(iter(found.values()))
    better = next(entry.higher_is_better for entry in comparison.estimates[next(iter(found))] if entry.metric == metric)
    return Pruning(
        metric=metric,
        higher_is_better=better,
        weights=first.weights,
        trainings=len(first.levels[0].metrics[metric]),
        shares=tuple(level.share for level in first.levels),
        levels={
            name: tuple(_level(level, record.levels[0], metric) for level in record.levels)
            for name, record in found.items()
        },
    )


def _level(level: PrunedScores, whole: PrunedScores, metric: str) -> Level:
    values, before = _known(level, metric), _known(whole, metric)
    if not values or len(values) < len(before):
        return Level(level.share, None, None, None, None)
    mean = float(np.mean(values))
    return Level(level.share, mean, min(values), max(values), mean - float(np.mean(before)))


def _known(level: PrunedScores, metric: str) -> list[float]:
    return [value for value in level.metrics[metric] if value is not None]


def draw_pruning(section: Pruning, key: str) -> str:
    """Return the main metric over the share of weights that are zero; bands from the least to the largest training."""
    with drawing(412, 286, key) as figure:
        axes = add_axes(figure, 58, 44, 342, 196)
        for name, levels in section.levels.items():
            colour, marker = look_of(name)
            known = [level for level in levels if level.mean is not None]
            shares = [level.share for level in known]
            lows, highs = ([value or 0.0 for value in ends] for ends in _ends(known))
            axes.fill_between(shares, lows, highs, color=colour, alpha=0.18, linewidth=0)
            means = [level.mean or 0.0 for level in known]
            label = framework_title(name)
            axes.plot(shares, means, color=colour, marker=marker, markersize=5.5, linewidth=1.8, label=label)
        axes.set_xlim(-0.02, 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f} %"))
        axes.set_xlabel("weights set to zero")
        title = metric_title(section.metric)
        better = "higher" if section.higher_is_better else "lower"
        axes.text(0, 1.13, f"{title} on test rows, {better} is better", transform=axes.transAxes, fontweight="bold")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.03, 0.99), ncols=3, borderaxespad=0.2)
        words = " ".join(_describe(name, levels) for name, levels in section.levels.items())
        return write_svg(figure, key, f"{title} after pruning", words)


def _ends(levels: list[Level]) -> tuple[list[Number], list[Number]]:
    return [level.low for level in levels], [level.high for level in levels]


def _describe(framework: str, levels: tuple[Level, ...]) -> str:
    steps = ", ".join(f"{format_share(level.share)}: {format_number(level.mean)}" for level in levels)
    return f"{framework_title(framework)}, by the share of weights that are zero: {steps}."
