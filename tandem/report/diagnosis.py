"""The section that says what the learning curves mean, with the gradients' norms where they were recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from tandem.diagnosis import DiagnosisRecord, Finding, RunDiagnosis
from tandem.records import History
from tandem.report.drawing import add_axes, drawing, look_of, shorten, text_width, write_svg
from tandem.report.formats import format_number, framework_title, is_number

_LINE_HEIGHT = 15.0  # pixels between two labels


@dataclass(frozen=True)
class GradientPanel:
    """The norm of each layer's gradient in one training of one framework."""

    framework: str
    training: str  # "replicate 0"; empty where there is one alone
    epochs: tuple[int, ...]  # 0 is before training
    layers: tuple[str, ...]  # from input to output
    norms: tuple[tuple[float | None, ...], ...]  # [layer][epoch]; None where the norm is zero or not finite


@dataclass(frozen=True)
class Card:
    """What is said of one framework's run."""

    framework: str
    findings: tuple[Finding, ...]  # the main one, and those that hold in most trainings
    rest: tuple[Finding, ...]  # those of a few trainings
    several: bool  # trainings


@dataclass(frozen=True)
class DiagnosisSection:
    """The whole section."""

    agreement: str
    baseline: str
    cards: tuple[Card, ...]
    gradients: tuple[GradientPanel, ...]


def diagnosis_section(
    diagnosis: DiagnosisRecord | None, histories: Mapping[str, Sequence[History]]
) -> DiagnosisSection | None:
    """Return what the section shows; None without a diagnosis."""
    if diagnosis is None:
        return None
    panels = (_gradient_panel(run, histories[name]) for name, run in diagnosis.runs.items())
    return DiagnosisSection(
        agreement=diagnosis.agreement,
        baseline=diagnosis.baseline.words,
        cards=tuple(_card(name, run) for name, run in diagnosis.runs.items()),
        gradients=tuple(panel for panel in panels if panel is not None),
    )


def _card(framework: str, run: RunDiagnosis) -> Card:
    shown = tuple(found for found in run.findings if found is run.main or found.by_majority)
    rest = tuple(found for found in run.findings if found not in shown)
    return Card(framework, shown, rest, len(run.replicates) > 1)


def _gradient_panel(run: RunDiagnosis, histories: Sequence[History]) -> GradientPanel | None:
    """Return the gradients of the training whose numbers the main finding tells."""
    shown = next(place for place, found in enumerate(run.replicates) if found.words == run.main.trainings[0])
    history = histories[shown]
    if not history.gradient_norms:
        return None
    norms = tuple(
        tuple(norm if is_number(norm) and norm else None for norm in layer) for layer in history.gradient_norms.values()
    )
    if not any(norm for layer in norms for norm in layer):
        return None
    return GradientPanel(
        framework=run.framework,
        training=run.main.trainings[0] if len(run.replicates) > 1 else "",
        epochs=(0, *history.epochs),
        layers=tuple(history.gradient_norms),
        norms=norms,
    )


def draw_gradients(panel: GradientPanel, key: str) -> str:
    """Return the norms over the epochs on a logarithmic axis, a line a layer, fainter towards the input."""
    colour, marker = look_of(panel.framework)
    labels = (shorten(panel.layers[0], 14), shorten(panel.layers[-1], 14))
    right = 16 + max(text_width(label) for label in labels)
    with drawing(370 + right, 262, key) as figure:
        axes = add_axes(figure, 62, 44, 300, 186)
        count = len(panel.layers)
        for place, norms in enumerate(panel.norms):
            values = [float("nan") if norm is None else norm for norm in norms]
            ends = place in (0, count - 1)
            axes.plot(
                panel.epochs,
                values,
                color=colour,
                alpha=0.25 + 0.75 * (place + 1) / count,
                linewidth=2.2 if ends else 1.0,
                linestyle="solid" if place else (0, (3.5, 2.2)),
                marker=marker if ends and len(panel.epochs) <= 30 else None,
                markersize=4.2,
            )
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        if high < 100 * low:
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_number(value, 1)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("epoch (0: before training)")
        title = f"{framework_title(panel.framework)}{', ' + panel.training if panel.training else ''}"
        axes.text(0, 1.06, f"{title}: norm of the gradient", transform=axes.transAxes, fontweight="bold", va="bottom")
        _label_ends(axes, panel, labels)
        return write_svg(figure, key, f"Norm of the gradient in each layer, {title}", _describe(panel))


def _label_ends(axes: Axes, panel: GradientPanel, labels: tuple[str, str]) -> None:
    """Name the first and the last layer where their lines end: at the right, or where the norm became zero."""
    ends = [_last_point(panel.epochs, norms) for norms in (panel.norms[0], panel.norms[-1])]
    shifts = [0.0, 0.0]
    first, last = ends
    if first is not None and last is not None and first[0] == last[0]:
        up = axes.transData.transform(first)[1] - axes.transData.transform(last)[1]
        overlap = max(0.0, _LINE_HEIGHT - abs(up)) / 2
        shifts = [overlap, -overlap] if up >= 0 else [-overlap, overlap]
    for label, end, shift in list(zip(labels, ends, shifts, strict=True))[-len(panel.layers) :]:
        if end is not None:
            axes.annotate(
                label, xy=end, xytext=(9, shift), textcoords="offset points", va="center", annotation_clip=False
            )


def _last_point(epochs: Sequence[int], norms: Sequence[float | None]) -> tuple[float, float] | None:
    known = [(float(epoch), norm) for epoch, norm in zip(epochs, norms, strict=True) if norm is not None]
    return known[-1] if known else None


def _describe(panel: GradientPanel) -> str:
    """Say the first and the last layer's norms in words."""
    told = dict(zip(panel.layers, panel.norms, strict=True))
    ends = dict.fromkeys((panel.layers[0], panel.layers[-1]))
    words = "; ".join(
        f"{layer}: {_told(told[layer][0])} before training, {_told(told[layer][-1])} after epoch {panel.epochs[-1]}"
        for layer in ends
    )
    return f"{len(panel.layers)} layer{'s' * (len(panel.layers) != 1)}. {words}."


def _told(norm: float | None) -> str:
    return "zero or not finite" if norm is None else format_number(norm, 3)
