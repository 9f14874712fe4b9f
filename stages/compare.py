"""Compares the frameworks' results of one experiment: ``python -m stages.compare EXPERIMENT "keras torch"``."""

from __future__ import annotations

import sys

import numpy as np

from stages import paths
from stages.command import run_stage_command, take_arguments
from tandem.comparison import Results, compare
from tandem.config import read_experiment
from tandem.records import EvaluationRecord, read_record, write_record
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
    )
    with new_directory(paths.comparison(name)) as directory:
        write_record(comparison, directory / "comparison.json")


if __name__ == "__main__":
    sys.exit(run_stage_command(main))
