"""Records and figures set as HTML pages that need nothing but themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jinja2 import Environment
from markupsafe import Markup

from tandem.records import (
    ComparisonRecord,
    DataDescription,
    EvaluationRecord,
    History,
    RunRecord,
    ScalingSummary,
    TimingRecord,
)
from tandem.report import figures, formats, records
from tandem.report.templating import page_environment


@dataclass(frozen=True)
class Link:
    """A page beside this one."""

    title: str
    address: str  # relative


@dataclass(frozen=True)
class PageInputs:
    """All that one experiment's page rests on; dictionaries are by framework, in the order compared."""

    data: DataDescription
    scaling: ScalingSummary
    comparison: ComparisonRecord
    runs: Mapping[str, RunRecord]
    histories: Mapping[str, tuple[History, ...]]  # by replicate
    timings: Mapping[str, TimingRecord]
    evaluations: Mapping[str, EvaluationRecord]
    arrays: Mapping[str, records.EvaluationArrays]
    samples: records.FitSamples | None = None
    previous: Link | None = None
    following: Link | None = None
    diagnoses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # sentences on the curves


@dataclass(frozen=True)
class IndexInputs:
    """All that the index rests on."""

    entries: tuple[records.IndexEntry, ...]


def experiment_page(inputs: PageInputs) -> str:
    """Return one experiment's page as HTML."""
    comparison, data = inputs.comparison, inputs.data
    draw = _Drawer()
    return (
        _environment()
        .get_template("page.html")
        .render(
            comparison=comparison,
            data=data,
            scaling=inputs.scaling,
            constants=next(iter(inputs.runs.values())).constants,
            replicates=max(len(run.replicates) for run in inputs.runs.values()),
            frameworks=comparison.frameworks,
            metrics=records.metric_rows(comparison),
            intervals=draw(figures.draw_intervals, *_some(records.interval_plot(comparison))),
            parts=records.part_rows(inputs.evaluations),
            validation_gaps={f: records.validation_gap(e) for f, e in inputs.evaluations.items()},
            curves=draw(figures.draw_curves, *records.curve_panels(inputs.histories, inputs.runs)),
            diagnoses=inputs.diagnoses,
            endings=records.replicate_rows(inputs.runs),
            diverged=records.diverged_rows(inputs.runs),
            confusions=draw(figures.draw_confusion, *records.confusions(inputs.evaluations, data.class_names)),
            residuals=draw(figures.draw_residuals, *_residuals(inputs)),
            wrong=records.wrong_samples(data, inputs.evaluations, inputs.arrays),
            picture=draw.picture,
            costs=records.cost_rows(inputs.timings),
            speed=records.speed_sentence(records.cost_rows(inputs.timings)),
            balance=draw(figures.draw_class_balance, *_some(records.class_balance(data))),
            ranges=records.feature_ranges(inputs.scaling.ranges),
            samples=records.sample_pictures(data, inputs.samples),
            models=records.model_rows(inputs.runs),
            environment=records.environment_rows(inputs.runs),
            differences=records.native_differences(inputs.runs),
            commands=records.reproduce_commands(comparison),
            declaration=_declaration(inputs),
            repeat=records.repeat_of(inputs.runs),
            previous=inputs.previous,
            following=inputs.following,
        )
    )


def index_page(inputs: IndexInputs) -> str:
    """Return the suite's index as HTML: one row per experiment."""
    rows = records.index_rows(inputs.entries)
    return (
        _environment()
        .get_template("index.html")
        .render(
            rows=rows,
            frameworks=tuple(dict.fromkeys(name for row in rows for name in row.estimates)),
            suite=records.suite_sentence(inputs.entries),
            environment=records.environment_sentence(inputs.entries),
        )
    )


class _Drawer:
    """Draws records, each under a key of its own: "figure-1", "figure-2" in the order of drawing."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self, function: Callable[..., str], *shown: object) -> tuple[Markup, ...]:
        return tuple(self._markup(function, record) for record in shown)

    def picture(self, pixels: records.Array, words: str) -> Markup:
        return self._markup(figures.draw_picture, pixels, words)

    def _markup(self, function: Callable[..., str], *arguments: object) -> Markup:
        self.drawn += 1
        return Markup(function(*arguments, key=f"figure-{self.drawn}"))  # noqa: S704 (ElementTree escaped it)


def _some(record: object | None) -> tuple[object, ...]:
    return () if record is None else (record,)


def _residuals(inputs: PageInputs) -> tuple[records.Residuals, ...]:
    if inputs.data.task != "regression":
        return ()
    return records.residuals(inputs.arrays, inputs.data.target_name)


def _declaration(inputs: PageInputs) -> str:
    declared = next(iter(inputs.runs.values())).declaration
    return json.dumps(declared, indent=2, ensure_ascii=False)


def _environment() -> Environment:
    environment = page_environment(
        value=formats.format_value,
        share=formats.format_share,
        mebibytes=formats.format_bytes,
        shape=formats.format_shape,
    )
    environment.globals["PARTS"] = records.PARTS
    return environment
