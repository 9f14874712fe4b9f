"""Compares the frameworks' results of one experiment: ``python -m stages.compare EXPERIMENT "keras torch"``."""

from __future__ import annotations

import sys

import numpy as np

from stages import paths
from stages.command import run_stage_command, take_arguments
from tandem.comparison import Results, compare
from tandem.config import Experiment, read_experiment, read_margins
from tandem.diagnosis import DiagnosisRecord, constant_baseline, diagnose
from tandem.records import DataDescription, EvaluationRecord, History, RunRecord, read_record, write_record
from tandem.storage import load_array, new_directory


def main(arguments: list[str]) -> None:
    """Compare the frameworks that the plan names."""
    name, frameworks = take_arguments(arguments, "compare", "EXPERIMENT", '"FRAMEWORK ..."')
    experiment = read_experiment(paths.PARAMS, name)
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
        description=experiment.description,
        dataset=experiment.dataset,
        results=results,
        margins=read_margins(paths.PARAMS, name),
    )
    diagnosis = _diagnose(name, experiment, list(results))
    with new_directory(paths.comparison(name)) as directory:
        write_record(comparison, directory / "comparison.json")
        write_record(diagnosis, directory / "diagnosis.json")


def _diagnose(name: str, experiment: Experiment, frameworks: list[str]) -> DiagnosisRecord:
    """Read what training recorded, and say what the curves mean."""
    fit = paths.fit(experiment.dataset)
    architecture = experiment.architecture(read_record(DataDescription, fit / "description.json"))
    targets = np.asarray(load_array(fit / "targets.npy")[load_array(fit / "folds" / "0" / "train.npy")])
    baseline = constant_baseline(architecture.task, experiment.loss, targets, len(architecture.heads))
    models = {framework: paths.model(name, framework) for framework in frameworks}
    ended = {framework: read_record(RunRecord, model / "run.json").replicates for framework, model in models.items()}
    histories = {
        framework: [read_record(History, models[framework] / entry.name / "history.json") for entry in entries]
        for framework, entries in ended.items()
    }
    return diagnose(histories, ended, baseline)


if __name__ == "__main__":
    sys.exit(run_stage_command(main))
