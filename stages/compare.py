"""Compares the frameworks' results of one experiment: ``python -m stages.compare EXPERIMENT "keras torch"``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stages import paths
from stages.command import run_stage_command, take_arguments
from tandem.comparison import Results, compare
from tandem.config import Experiment, declared_experiment, read_margins
from tandem.diagnosis import Baseline, DiagnosisRecord, constant_baseline, diagnose
from tandem.records import DataDescription, EvaluationRecord, History, RunRecord, read_record, write_record
from tandem.storage import load_array, new_directory


def main(arguments: list[str]) -> None:
    """Compare the frameworks that the plan names."""
    name, frameworks = take_arguments(arguments, "compare", "EXPERIMENT", '"FRAMEWORK ..."')
    runs = {f: read_record(RunRecord, paths.model(name, f) / "run.json") for f in frameworks.split()}
    declared = {framework: declared_experiment(run) for framework, run in runs.items()}
    first = next(iter(declared.values()))
    results = {}
    for framework in frameworks.split():
        folder = paths.evaluation(name, framework)
        record = read_record(EvaluationRecord, folder / "evaluation.json")
        outputs = "probabilities" if record.task == "classification" else "predictions"
        results[framework] = Results(
            record,
            np.asarray(load_array(folder / "targets.npy")),
            np.asarray(load_array(folder / f"{outputs}.npy")),
        )
    comparison = compare(
        experiment=name,
        description=first.description,
        dataset=first.dataset,
        results=results,
        margins=read_margins(paths.PARAMS, name),
    )
    diagnosis = _diagnose(declared, runs)
    with new_directory(paths.comparison(name)) as directory:
        write_record(comparison, directory / "comparison.json")
        write_record(diagnosis, directory / "diagnosis.json")


def _diagnose(declared: Mapping[str, Experiment], runs: Mapping[str, RunRecord]) -> DiagnosisRecord:
    """Read what training recorded, and say what the curves mean."""
    fit = paths.fit(next(iter(declared.values())).dataset)
    histories = {
        framework: [
            read_record(History, paths.model(run.experiment, framework) / entry.name / "history.json")
            for entry in run.replicates
        ]
        for framework, run in runs.items()
    }
    ended = {framework: run.replicates for framework, run in runs.items()}
    return diagnose(histories, ended, _baseline(declared, fit))


def _baseline(declared: Mapping[str, Experiment], fit: Path) -> Baseline:
    """Return what the best constant scores; its loss is unknown where a search found another loss in each framework."""
    description = read_record(DataDescription, fit / "description.json")
    targets = np.asarray(load_array(fit / "targets.npy")[load_array(fit / "folds" / "0" / "train.npy")])
    losses = {(each.loss, len(each.architecture(description).heads)) for each in declared.values()}
    baselines = [constant_baseline(description.task, loss, targets, heads) for loss, heads in sorted(losses)]
    return baselines[0] if len(baselines) == 1 else baselines[0].model_copy(update={"loss": None})


if __name__ == "__main__":
    sys.exit(run_stage_command(main))
