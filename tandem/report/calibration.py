"""How far the frameworks' probabilities can be believed: a record for each, then its reliability diagram."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

from tandem.records import Calibration, DataDescription, EvaluationRecord
from tandem.report.drawing import SOFT, add_axes, drawing, look_of, shorten, write_svg
from tandem.report.formats import format_count, format_number, framework_title

_TOLD = 0.0005  # a difference of confidence and accuracy that three decimals show


@dataclass(frozen=True)
class CalibrationPlot:
    """One framework's calibration on the test rows."""

    framework: str
    event: str  # what the probability is of
    found: Calibration
    start: float  # of both axes, which end at 1; the same for all frameworks

    @property
    def sentence(self) -> str:
        """What the numbers say, in words."""
        found = self.found
        error = f"{framework_title(self.framework)}: expected calibration error {format_number(found.error.value, 3)}"
        chance = f"perfectly calibrated probabilities would give up to {format_number(found.chance, 3)} by chance"
        if found.error.value is None or found.error.value <= found.chance:
            return f"{error}; {chance}, so these rows show no miscalibration."
        gap = found.confidence - found.accuracy
        average = f"{found.confidence:.3f} sure on average and right on {found.accuracy:.3f} of the rows"
        if abs(gap) < _TOLD:
            return f"{error}; {chance}. Overconfident in places and underconfident in others: {average}."
        return f"{error}; {chance}. {'Overconfident' if gap > 0 else 'Underconfident'}: {average}."


def calibration_plots(
    data: DataDescription, evaluations: Mapping[str, EvaluationRecord]
) -> tuple[CalibrationPlot, ...]:
    """Return each framework's calibration; none for regression or where all replicates diverged."""
    known = {framework: found.calibration for framework, found in evaluations.items() if found.calibration is not None}
    lowest = min((min(b.low, b.predicted) for found in known.values() for b in found.bins), default=0.0)
    start = math.floor(5 * lowest) / 5
    return tuple(
        CalibrationPlot(framework, _event(data.class_names), found, start) for framework, found in known.items()
    )


def _event(class_names: Sequence[str]) -> str:
    return class_names[1] if len(class_names) == 2 else "the predicted class"


def draw_reliability(plot: CalibrationPlot, key: str) -> str:
    """Return the share that came true against the predicted probability, bin by bin, with Wilson's intervals."""
    colour, marker = look_of(plot.framework)
    with drawing(372, 366, key) as figure:
        axes = add_axes(figure, 58, 48, 300, 278)
        axes.plot((plot.start, 1), (plot.start, 1), color=SOFT, linewidth=1, linestyle=(0, (5, 3)))
        predicted = [found.predicted for found in plot.found.bins]
        for found in plot.found.bins:
            axes.plot([found.predicted] * 2, [found.low, found.high], color=colour, linewidth=1.6, alpha=0.75)
        observed = [found.observed for found in plot.found.bins]
        axes.plot(predicted, observed, color=colour, linewidth=1, alpha=0.5)
        axes.plot(predicted, observed, linestyle="none", marker=marker, markersize=6.5, color=colour)
        margin = 0.02 * (1 - plot.start)
        axes.set_xlim(plot.start - margin, 1 + margin)
        axes.set_ylim(plot.start - margin, 1 + margin)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
        axes.set_xlabel(f"predicted probability of {shorten(plot.event, 26)}")
        axes.text(0, 1.02, "share that came true", transform=axes.transAxes, color=SOFT, va="bottom")
        axes.text(0.08, 0.92, "too low", transform=axes.transAxes, color=SOFT, fontsize=10)
        axes.text(0.92, 0.06, "too high", transform=axes.transAxes, color=SOFT, fontsize=10, ha="right")
        figure.text(0, 1, framework_title(plot.framework), fontweight="bold", va="top")
        title = f"Reliability diagram of {framework_title(plot.framework)}"
        return write_svg(figure, key, title, _describe(plot))


def _describe(plot: CalibrationPlot) -> str:
    pairs = "; ".join(
        f"predicted {found.predicted:.2f}, came true {found.observed:.2f} ({found.low:.2f} to {found.high:.2f})"
        for found in plot.found.bins
    )
    rows = format_count(plot.found.rows)
    return f"{plot.sentence} Probability of {plot.event} in bins of equal mass over {rows} test rows: {pairs}."
