"""The section on how the frameworks differ over replicates and test rows: records first, then its figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from tandem.correction import ALPHA, holm
from tandem.records import (
    ComparisonRecord,
    EquivalenceTest,
    Interval,
    McNemarTest,
    MetricDifference,
    Number,
    Significance,
)
from tandem.report.drawing import GRID, INK, SOFT, add_axes, drawing, look_of, text_width, write_svg
from tandem.report.formats import format_number, framework_title, metric_title
from tandem.report.records import FEW_REPLICATES
from tandem.rounding import is_rounding
from tandem.titles import listing, margin_words


@dataclass(frozen=True)
class DifferenceRow:
    """One metric's paired difference between two frameworks over the replicates that finished in both."""

    pair: str  # "PyTorch − Keras"
    metric: str
    replicates: int
    rows: int  # test rows
    mean: Interval  # over seeds
    deviation: Number
    test: Significance  # of the mean, Student's paired t
    both: Interval | None  # over test rows and seeds; None with few replicates
    both_test: Significance | None
    margin: str  # "5 % of the error"
    equivalence: EquivalenceTest
    conclusion: str


@dataclass(frozen=True)
class EquivalenceBar:
    """The mean difference of one pair, with what decides on equivalence."""

    pair: str
    framework: str  # the later one, whose colour it has
    replicates: int
    each: tuple[float, ...]  # one a replicate
    mean: float
    low: float  # 90 % interval over seeds
    high: float
    reach: float  # the margin


@dataclass(frozen=True)
class EquivalencePlot:
    """The main metric's differences of all pairs against their margins."""

    metric: str
    bars: tuple[EquivalenceBar, ...]


@dataclass(frozen=True)
class LabelRow:
    """How the labels of two frameworks differ on the shared test rows."""

    first: str
    second: str
    test: McNemarTest

    @property
    def first_only(self) -> int:
        """Labels right in the first framework alone, summed over replicates."""
        return sum(replicate.first_only for replicate in self.test.replicates)

    @property
    def second_only(self) -> int:
        """Labels right in the second framework alone, summed over replicates."""
        return sum(replicate.second_only for replicate in self.test.replicates)


@dataclass(frozen=True)
class DifferenceSection:
    """All that the section shows."""

    cautions: tuple[str, ...]
    findings: tuple[str, ...]
    rows: tuple[DifferenceRow, ...]
    plot: EquivalencePlot | None
    labels: tuple[LabelRow, ...]

    @property
    def enough(self) -> bool:
        """Whether every comparison rests on enough replicates for a conclusion over seeds."""
        return all(row.replicates >= FEW_REPLICATES for row in self.rows)

    @property
    def comparisons(self) -> int:
        """How many p-values of a kind the table's are corrected for."""
        return max((row.test.comparisons for row in self.rows), default=0)


def difference_section(comparison: ComparisonRecord) -> DifferenceSection | None:
    """Return how the frameworks of a comparison differ, or None where nothing is compared."""
    if not comparison.differences:
        return None
    return DifferenceSection(
        cautions=comparison.cautions,
        findings=comparison.findings,
        rows=tuple(row for found in comparison.differences if (row := _row(found)) is not None),
        plot=_plot(comparison),
        labels=tuple(
            LabelRow(framework_title(test.first), framework_title(test.second), test) for test in comparison.mcnemar
        ),
    )


def suite_correction(comparisons: Sequence[ComparisonRecord]) -> str:
    """Say which findings on the main metrics remain when all of a suite are corrected together; "" if fewer than two.

    Pairs with too few replicates, and those that agree to rounding, are none of them.
    """
    tested = [
        (comparison, found, found.seeds_test, found.equivalence)
        for comparison in comparisons
        for found in comparison.differences
        if found.metric == comparison.main_metric
        and len(found.each) >= FEW_REPLICATES
        and found.seeds_test is not None
        and found.equivalence is not None
        and not is_rounding(found.samples, found.rounding)
    ]
    if len(tested) < 2:
        return ""
    names = [
        comparison.experiment
        if len(comparison.frameworks) == 2
        else f"{comparison.experiment} ({pair_title(found.first, found.second)})"
        for comparison, found, _, _ in tested
    ]
    differ = holm([test.p for _, _, test, _ in tested])
    equivalent = holm([test.test.p for _, _, _, test in tested])
    return (
        f"Corrected together (Holm), of the {len(tested)} comparisons of main metrics with enough replicates "
        f"{_significant(differ, names)} a difference over seeds, and {_significant(equivalent, names)} equivalence."
    )


def _significant(tests: Sequence[Significance], names: Sequence[str]) -> str:
    """Return "none shows", "1 (coffee) shows", "2 (coffee and digits-mlp) show"."""
    found = [name for test, name in zip(tests, names, strict=True) if test.adjusted < ALPHA]
    if not found:
        return "none shows"
    return f"{len(found)} ({listing(found)}) show{'s' * (len(found) == 1)}"


def pair_title(first: str, second: str) -> str:
    """Return "PyTorch − Keras" for a difference of the second framework minus the first."""
    return f"{framework_title(second)} − {framework_title(first)}"


def _row(found: MetricDifference) -> DifferenceRow | None:
    if found.seeds is None or found.seeds_test is None or found.equivalence is None:
        return None
    return DifferenceRow(
        pair=pair_title(found.first, found.second),
        metric=found.metric,
        replicates=len(found.each),
        rows=found.samples.n,
        mean=found.seeds,
        deviation=found.deviation,
        test=found.seeds_test,
        both=found.both,
        both_test=found.both_test,
        margin=margin_words(found.equivalence.margin),
        equivalence=found.equivalence,
        conclusion=_conclusion(found, found.seeds_test, found.equivalence),
    )


def _conclusion(found: MetricDifference, test: Significance, equivalence: EquivalenceTest) -> str:
    if is_rounding(found.samples, found.rounding):
        return "equal to rounding"
    if len(found.each) < FEW_REPLICATES:
        return "too few replicates"
    differ = test.adjusted < ALPHA
    if equivalence.shown:
        return "differ, within the margin" if differ else "equivalent"
    return "differ" if differ else "undecided"


def _plot(comparison: ComparisonRecord) -> EquivalencePlot | None:
    bars = tuple(
        EquivalenceBar(
            pair=pair_title(found.first, found.second),
            framework=found.second,
            replicates=len(found.each),
            each=tuple(value for value in found.each.values() if value is not None),
            mean=interval.value,
            low=interval.low,
            high=interval.high,
            reach=found.equivalence.reach,
        )
        for found in comparison.differences
        if found.metric == comparison.main_metric
        and found.equivalence is not None
        and (interval := found.equivalence.interval).value is not None
        and interval.low is not None
        and interval.high is not None
    )
    return EquivalencePlot(comparison.main_metric, bars) if bars else None


def draw_equivalence(plot: EquivalencePlot, key: str) -> str:
    """Return each pair's replicates, mean and 90 % interval over the band within which differences do not matter."""
    labels = [f"{bar.pair}, {bar.replicates} replicates" for bar in plot.bars]
    left = 16 + max(text_width(label) for label in labels)
    height = 58 + 44 * len(labels)
    with drawing(left + 330, height, key) as figure:
        axes = add_axes(figure, left, 40, 310, height - 58)
        axes.axvline(0, color=SOFT, linewidth=1)
        for place, bar in enumerate(plot.bars):
            colour, marker = look_of(bar.framework)
            axes.add_patch(
                Rectangle((-bar.reach, place - 0.46), 2 * bar.reach, 0.92, facecolor=GRID, alpha=0.55, linewidth=0)
            )
            for end in (-bar.reach, bar.reach):
                axes.plot([end, end], [place - 0.46, place + 0.46], color=INK, linewidth=1, linestyle=(0, (4, 3)))
            axes.plot(
                bar.each, [place + 0.24] * len(bar.each), linestyle="none", marker="|", markersize=9, color=colour
            )
            axes.plot([bar.low, bar.high], [place - 0.14] * 2, color=colour, linewidth=2.5, solid_capstyle="butt")
            axes.plot([bar.mean], [place - 0.14], marker=marker, color=colour, markersize=8)
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.grid(visible=False)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        reach = max(abs(end) for bar in plot.bars for end in (bar.reach, bar.low, bar.high, *bar.each)) or 1.0
        axes.set_xlim(-1.08 * reach, 1.08 * reach)
        axes.set_xlabel(f"difference in {metric_title(plot.metric)}; shaded: within the margin")
        words = "; ".join(
            f"{label}: mean {format_number(bar.mean)}, 90 % interval {format_number(bar.low)} to "
            f"{format_number(bar.high)}, margin ±{format_number(bar.reach)}"
            for label, bar in zip(labels, plot.bars, strict=True)
        )
        return write_svg(figure, key, f"Differences in {metric_title(plot.metric)} against the margin", words + ".")
