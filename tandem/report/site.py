"""The site over all published runs: its index, and the page of each run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Literal

from jinja2 import Environment
from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints

from tandem import titles
from tandem.records import ComparisonRecord, Number, Record
from tandem.report.templating import page_environment

MARK = "data-tandem-site"  # in the HTML of every index that this module made
_SHORT_COMMIT = 10

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=100)]
UtcTime = Annotated[AwareDatetime, AfterValidator(lambda time: time.astimezone(UTC))]
ParameterValue = bool | int | float | str | None


class MainMetric(Record):
    """An experiment's main metric in one framework; None where it diverged."""

    experiment: Name
    framework: Name
    metric: str
    value: Number


class FailedStage(Record):
    """A stage that failed, and why in a line."""

    stage: str
    message: str


class PublishedRun(Record):
    """All that a site says of a run, its reports aside."""

    id: Name  # becomes a folder's name
    name: str  # for people
    started: UtcTime
    finished: UtcTime
    outcome: Literal["completed", "failed"]
    message: str = ""
    experiments: tuple[Name, ...]
    frameworks: tuple[Name, ...]
    targets: tuple[str, ...] = ()  # DVC stages asked for; none: all
    overrides: dict[str, ParameterValue] = Field(
        default_factory=dict
    )  # parameter changed for this run alone -> its value
    metrics: tuple[MainMetric, ...] = ()
    failed: tuple[FailedStage, ...] = ()
    commit: str | None = None  # of git, where the run started

    @property
    def seconds(self) -> float:
        """Return the run's duration."""
        return max(0.0, (self.finished - self.started).total_seconds())


class StoredRun(PublishedRun):
    """A run as ``run.json`` keeps it: with its report pages."""

    pages: dict[Name, str]  # experiment -> SHA-256 of its page


@dataclass(frozen=True)
class ResultLine:
    """An experiment of a run: its main metric in each framework side by side."""

    experiment: str
    address: str | None  # of its page, relative to the run's folder; None: there is none
    metric: str | None
    measured: dict[str, Number]  # by framework; without an entry where nothing was measured


def main_metrics(comparison: ComparisonRecord) -> tuple[MainMetric, ...]:
    """Return an experiment's main metric on the test rows in each framework."""
    return tuple(
        MainMetric(
            experiment=comparison.experiment,
            framework=framework,
            metric=comparison.main_metric,
            value=estimate.samples.value,
        )
        for framework, estimates in comparison.estimates.items()
        for estimate in estimates
        if estimate.metric == comparison.main_metric
    )


def result_lines(run: StoredRun) -> tuple[ResultLine, ...]:
    """Return a line per experiment in the run's order; what has only a page or a metric comes last."""
    names = dict.fromkeys([*run.experiments, *(row.experiment for row in run.metrics), *run.pages])
    lines = []
    for name in names:
        rows = [row for row in run.metrics if row.experiment == name]
        lines.append(
            ResultLine(
                experiment=name,
                address=f"{name}.html" if name in run.pages else None,
                metric=rows[0].metric if rows else None,
                measured={row.framework: row.value for row in rows if row.metric == rows[0].metric},
            )
        )
    return tuple(lines)


def newest_first(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """Return the runs by the time they started, the newest first."""
    return sorted(runs, key=lambda run: (run.started, run.id), reverse=True)


def site_page(runs: Sequence[StoredRun]) -> str:
    """Return the site's index as HTML: one row per run, newest first."""
    ordered = newest_first(runs)
    results = {run.id: result_lines(run) for run in ordered}
    return (
        _environment()
        .get_template("site.html")
        .render(
            runs=ordered,
            results=results,
            frameworks=_in_order({name for run in ordered for name in _frameworks(run)}),
            experiments=sorted({line.experiment for lines in results.values() for line in lines}),
            run_frameworks={run.id: _in_order(_frameworks(run)) for run in ordered},
            mark=MARK,
        )
    )


def run_page(run: StoredRun) -> str:
    """Return a run's own index as HTML: how it ended, its metrics with links to its reports, what failed."""
    lines = result_lines(run)
    return (
        _environment()
        .get_template("site_run.html")
        .render(run=run, lines=lines, frameworks=_in_order(_frameworks(run)), mark=MARK)
    )


def _frameworks(run: StoredRun) -> set[str]:
    return {*run.frameworks, *(row.framework for row in run.metrics)}


def _in_order(frameworks: set[str]) -> list[str]:
    """Return frameworks in the order in which reports name them; unknown ones last."""
    known = list(titles.FRAMEWORKS)
    return sorted(frameworks, key=lambda name: (known.index(name) if name in known else len(known), name))


def _format_time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _format_override(value: ParameterValue) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)


def _short_commit(commit: str) -> str:
    return commit[:_SHORT_COMMIT]


@cache
def _environment() -> Environment:
    return page_environment(time=_format_time, override=_format_override, short=_short_commit)
