"""Writes the page of an experiment or a search: ``python -m stages.report EXPERIMENT "keras torch"``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from stages import paths
from stages.command import run_stage_command, take_arguments
from tandem.diagnosis import DiagnosisRecord
from tandem.errors import DataError
from tandem.parity.records import LadderRecord
from tandem.records import (
    ComparisonRecord,
    DataDescription,
    EvaluationRecord,
    History,
    RunRecord,
    ScalingSummary,
    TimingRecord,
    read_record,
)
from tandem.report.pages import PageInputs, experiment_page
from tandem.report.records import GALLERY, EvaluationArrays, FitSamples
from tandem.report.search import SearchInputs
from tandem.report.surfaces import SurfaceArrays
from tandem.searches.records import SearchRecord
from tandem.storage import load_array, write_text
from tandem.surfaces import has_grid


def main(arguments: list[str]) -> None:
    """Read what the experiment's stages wrote, and write its page.

    Raises:
        ParameterError: other than two arguments.
        DataError: a file is missing or damaged, or compares other frameworks.
    """
    experiment, frameworks = take_arguments(arguments, "report", "EXPERIMENT", '"FRAMEWORK ..."')
    write_text(paths.report(experiment), experiment_page(_read_inputs(experiment, frameworks.split())))


def _read_inputs(experiment: str, frameworks: list[str]) -> PageInputs:
    comparison = read_record(ComparisonRecord, paths.comparison(experiment) / "comparison.json")
    if list(comparison.frameworks) != frameworks:
        compared = " ".join(comparison.frameworks)
        raise DataError(
            f"{paths.comparison(experiment) / 'comparison.json'}: compares {compared}, "
            f"but the page is asked for {' '.join(frameworks)}; run `dvc repro compare@{experiment}`"
        )
    fit = paths.fit(comparison.dataset)
    evaluations = {
        framework: read_record(EvaluationRecord, paths.evaluation(experiment, framework) / "evaluation.json")
        for framework in frameworks
    }
    data = read_record(DataDescription, fit / "description.json")
    runs = {f: read_record(RunRecord, paths.model(experiment, f) / "run.json") for f in frameworks}
    arrays = {f: _read_arrays(paths.evaluation(experiment, f)) for f in frameworks}
    search = _read_search(experiment, frameworks)
    return PageInputs(
        data=data,
        scaling=read_record(ScalingSummary, paths.scaler(comparison.dataset) / "summary.json"),
        comparison=comparison,
        runs=runs,
        histories={f: _read_histories(paths.model(experiment, f), run) for f, run in runs.items()},
        timings={f: read_record(TimingRecord, paths.timing(experiment, f)) for f in frameworks},
        evaluations=evaluations,
        arrays=arrays,
        samples=_read_samples(fit),
        diagnosis=read_record(DiagnosisRecord, paths.comparison(experiment) / "diagnosis.json"),
        ladder=read_record(LadderRecord, paths.ladder(experiment)) if search is None else None,
        surface=_read_surface(data, fit, {f: paths.evaluation(experiment, f) for f in frameworks}, arrays),
        search=search,
    )


def _read_search(name: str, frameworks: list[str]) -> SearchInputs | None:
    """Read the trials of a search; None for an experiment, which has none: no search has an experiment's name."""
    if not paths.trials(name, frameworks[0]).exists():
        return None
    return SearchInputs(
        records={f: read_record(SearchRecord, paths.trials(name, f) / "search.json") for f in frameworks},
        seconds={f: _read_seconds(paths.trial_timing(name, f)) for f in frameworks},
    )


def _read_seconds(table: Path) -> dict[int, float]:
    """Read what each trial took, by its number."""
    try:
        rows = [line.split(",") for line in table.read_text(encoding="utf-8").splitlines()[1:]]
        return {int(number): float(seconds) for number, seconds in rows}
    except FileNotFoundError:
        raise DataError(f"{table}: missing; run `dvc repro` to make it") from None
    except ValueError as error:
        raise DataError(f"{table}: damaged ({error}); delete it and run `dvc repro`") from None


def _read_histories(model: Path, run: RunRecord) -> tuple[History, ...]:
    return tuple(read_record(History, model / entry.name / "history.json") for entry in run.replicates)


def _read_arrays(evaluation: Path) -> EvaluationArrays:
    probabilities = evaluation / "probabilities.npy"
    return EvaluationArrays(
        targets=load_array(evaluation / "targets.npy"),
        predictions=load_array(evaluation / "predictions.npy"),
        probabilities=load_array(probabilities) if probabilities.exists() else None,
        wrong_features=load_array(evaluation / "wrong_features.npy"),
    )


def _read_samples(fit: Path) -> FitSamples:
    rows = np.asarray(load_array(fit / "folds" / "0" / "train.npy")[:GALLERY])
    return FitSamples(load_array(fit / "features.npy")[rows], load_array(fit / "targets.npy")[rows])


def _read_surface(
    data: DataDescription, fit: Path, evaluations: dict[str, Path], arrays: dict[str, EvaluationArrays]
) -> SurfaceArrays | None:
    if not has_grid(data.feature_shape, data.categorical):
        return None
    rows = np.asarray(load_array(fit / "folds" / "0" / "train.npy"))
    features, targets = load_array(fit / "features.npy")[rows], load_array(fit / "targets.npy")[rows]
    first = next(iter(evaluations))
    outputs = {f: np.asarray(load_array(folder / "surface.npy")) for f, folder in evaluations.items()}
    predictions = {
        f: found.predictions[..., None] if found.probabilities is None else found.probabilities
        for f, found in arrays.items()
    }
    tested = np.asarray(load_array(evaluations[first] / "test_features.npy"))
    return SurfaceArrays(features, targets, tested, arrays[first].targets, outputs, predictions)


if __name__ == "__main__":
    sys.exit(run_stage_command(main))
