"""One framework climbs an experiment's parity ladder: ``python -m stages.parity EXPERIMENT FRAMEWORK``."""

from __future__ import annotations

import sys

from stages import paths
from stages.command import limit_threads, run_stage_command, take_arguments


def main(arguments: list[str]) -> None:
    """Compute every rung and write its arrays."""
    name, framework_name = take_arguments(arguments, "parity", "EXPERIMENT", "FRAMEWORK")
    from tandem.config import read_experiment

    experiment = read_experiment(paths.PARAMS, name)
    limit_threads(experiment.training.threads)

    from tandem.frameworks import load_framework
    from tandem.parity.climb import climb, lay_course, parity_record
    from tandem.parity.records import save_side
    from tandem.records import DataDescription, read_record, write_record
    from tandem.storage import new_directory

    framework = load_framework(framework_name, alone=True)
    framework.set_up(experiment.training.threads)
    fit, scaler = paths.fit(experiment.dataset), paths.scaler(experiment.dataset)
    description = read_record(DataDescription, fit / "description.json")
    course = lay_course(experiment.architecture(description), experiment, description.rows["train"])
    climbed = climb(framework, course, fit, scaler)
    with new_directory(paths.parity(name, framework.NAME)) as directory:
        write_record(parity_record(name, framework, course, climbed), directory / "parity.json")
        save_side(directory / "arrays.npz", climbed.arrays)


if __name__ == "__main__":
    sys.exit(run_stage_command(main))
