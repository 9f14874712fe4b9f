"""Records and figures set as HTML pages that need nothing but themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jinja2 import Environment
from markupsafe import Markup

from tandem.diagnosis import DiagnosisRecord
from tandem.parity.records import LadderRecord
from tandem.records import (
    ComparisonRecord,
    DataDescription,
    EvaluationRecord,
    History,
    RunRecord,
    ScalingSummary,
    TimingRecord,
)
from tandem.report import calibration, columns, figures, formats, pictures, records, surfaces
from tandem.report.diagnosis import diagnosis_section, draw_gradients
from tandem.report.differences import difference_section, draw_equivalence, suite_correction
from tandem.report.folds import draw_folds, folds_section
from tandem.report.parity import parity_section
from tandem.report.pruning import draw_pruning, pruning_section
from tandem.report.samples import Sample
from tandem.report.search import STATES, SearchInputs, SearchSection, search_section
from tandem.report.search_figures import draw_contour, draw_history, draw_importance, draw_parallel, draw_slice
from tandem.report.search_words import search_words
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
    surface: surfaces.SurfaceArrays | None = None  # of data with one or two features
    previous: Link | None = None
    following: Link | None = None
    diagnosis: DiagnosisRecord | None = None  # of the learning curves
    ladder: LadderRecord | None = None  # of parity
    search: SearchInputs | None = None  # whose winners, refitted, are the page's runs


@dataclass(frozen=True)
class IndexInputs:
    """All that the index rests on."""

    entries: tuple[records.IndexEntry, ...]


def experiment_page(inputs: PageInputs) -> str:
    """Return one experiment's page as HTML."""
    comparison, data = inputs.comparison, inputs.data
    folds = folds_section(comparison, inputs.evaluations)
    calibrations = calibration.calibration_plots(data, inputs.evaluations)
    section = difference_section(comparison)
    diagnosed = diagnosis_section(inputs.diagnosis, inputs.histories)
    pruned = pruning_section(comparison, inputs.evaluations)
    draw = _Drawer()
    searched = search_section(inputs.search)
    return (
        _environment()
        .get_template("page.html")
        .render(
            search=searched,
            search_words=None if searched is None else search_words(searched),
            search_figures=None if searched is None else _search_figures(searched, draw),
            comparison=comparison,
            data=data,
            scaling=inputs.scaling,
            constants=next(iter(inputs.runs.values())).constants,
            replicates=max(len(run.replicates) for run in inputs.runs.values()),
            frameworks=comparison.frameworks,
            metrics=records.metric_rows(comparison),
            intervals=draw(figures.draw_intervals, *_some(records.interval_plot(comparison))),
            section=section,
            equivalence=draw(draw_equivalence, *_some(section.plot if section else None)),
            parts=records.part_rows(inputs.evaluations),
            validation_gaps={f: records.validation_gap(e) for f, e in inputs.evaluations.items()},
            curves=draw(figures.draw_curves, *records.curve_panels(inputs.histories, inputs.runs)),
            diagnosis=diagnosed,
            parity=parity_section(inputs.ladder, section),
            gradients=draw(draw_gradients, *(diagnosed.gradients if diagnosed else ())),
            surfaces=_surfaces(inputs, draw),
            endings=records.replicate_rows(inputs.runs),
            diverged=records.diverged_rows(inputs.runs),
            folds=folds,
            folds_figures=draw(draw_folds, *_some(folds)),
            confusions=draw(figures.draw_confusion, *records.confusions(inputs.evaluations, data.class_names)),
            residuals=draw(figures.draw_residuals, *_residuals(inputs)),
            calibrations=calibrations,
            pruning=pruned,
            pruning_figures=draw(draw_pruning, *_some(pruned)),
            reliabilities=draw(calibration.draw_reliability, *calibrations),
            wrong=records.wrong_samples(data, inputs.evaluations, inputs.arrays),
            picture=draw.picture,
            costs=records.cost_rows(inputs.timings),
            speed=records.speed_sentence(records.cost_rows(inputs.timings)),
            balance=draw(figures.draw_class_balance, *_some(records.class_balance(data))),
            ranges=records.feature_ranges(columns.numeric_ranges(data, inputs.scaling.ranges)),
            categories=columns.category_rows(data),
            fills=columns.fill_sentence(data),
            samples=records.sample_pictures(data, inputs.samples),
            models=records.model_rows(inputs.runs),
            environment=records.environment_rows(inputs.runs),
            automatic_batch_size=records.has_automatic_batch_size(inputs.runs),
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
            correction=suite_correction([entry.comparison for entry in inputs.entries]),
            environment=records.environment_sentence(inputs.entries),
        )
    )


class _Drawer:
    """Draws records, each under a key of its own: "figure-1", "figure-2" in the order of drawing."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self, function: Callable[..., str], *shown: object) -> tuple[Markup, ...]:
        return tuple(self._markup(function, record) for record in shown)

    def picture(self, sample: Sample, words: str) -> Markup:
        return self._markup(pictures.draw_sample, sample, words)

    def _markup(self, function: Callable[..., str], *arguments: object) -> Markup:
        self.drawn += 1
        return Markup(function(*arguments, key=f"figure-{self.drawn}"))  # noqa: S704 (ElementTree escaped it)


@dataclass(frozen=True)
class _SearchFigures:
    histories: tuple[Markup, ...]
    parallels: tuple[Markup, ...]
    importance: tuple[Markup, ...]
    slices: tuple[Markup, ...]
    contours: tuple[Markup, ...]


def _search_figures(section: SearchSection, draw: _Drawer) -> _SearchFigures:
    return _SearchFigures(
        histories=draw(draw_history, *section.histories),
        parallels=draw(draw_parallel, *section.parallels),
        importance=draw(draw_importance, *_some(section.importance)),
        slices=draw(draw_slice, *section.slices),
        contours=draw(draw_contour, *section.contours),
    )


def _surfaces(inputs: PageInputs, draw: _Drawer) -> tuple[Markup, ...]:
    if inputs.surface is None:
        return ()
    function, shown = surfaces.draw_surfaces(inputs.data, inputs.surface)
    return draw(function, *shown)


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
        p_value=formats.format_p_value,
    )
    environment.globals["PARTS"] = records.PARTS
    environment.globals["STATES"] = STATES
    environment.globals["surface_title"] = surfaces.title_of
    environment.globals["shown_rows"] = surfaces.SHOWN_ROWS
    return environment
