"""Writes the suite's index: ``python -m stages.index``."""

from __future__ import annotations

import sys

from stages import paths
from stages.command import run_stage_command, take_arguments
from tandem.diagnosis import DiagnosisRecord
from tandem.plan import NO_TRIALS, ReportEntry, read_plan
from tandem.records import ComparisonRecord, RunRecord, TimingRecord, read_record
from tandem.report.pages import IndexInputs, index_page
from tandem.report.records import IndexEntry
from tandem.searches.records import SearchRecord
from tandem.storage import write_text


def main(arguments: list[str]) -> None:
    """Read every experiment of the plan, and write the index.

    Raises:
        ParameterError: any argument, or runs.yaml is not a plan.
        DataError: a file is missing or damaged.
    """
    take_arguments(arguments, "index")
    entries = tuple(_read_entry(entry) for entry in read_plan(paths.RUNS).reports.values())
    write_text(paths.index(), index_page(IndexInputs(entries)))


def _read_entry(entry: ReportEntry) -> IndexEntry:
    experiment, frameworks = entry.experiment, entry.frameworks.split()
    return IndexEntry(
        comparison=read_record(ComparisonRecord, paths.comparison(experiment) / "comparison.json"),
        runs={f: read_record(RunRecord, paths.model(experiment, f) / "run.json") for f in frameworks},
        timings={f: read_record(TimingRecord, paths.timing(experiment, f)) for f in frameworks},
        address=paths.report(experiment).name,
        diagnosis=read_record(DiagnosisRecord, paths.comparison(experiment) / "diagnosis.json"),
        search="" if entry.trials == NO_TRIALS else _read_strategy(experiment, frameworks[0]),
    )


def _read_strategy(search: str, framework: str) -> str:
    return read_record(SearchRecord, paths.trials(search, framework) / "search.json").strategy


if __name__ == "__main__":
    sys.exit(run_stage_command(main))
