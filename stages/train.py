"""Trains one experiment in one framework: ``python -m stages.train EXPERIMENT FRAMEWORK``.

A killed training goes on from its last checkpoint when the same command runs again.
"""

# ruff: noqa: E402  (the clock starts before the imports, which count as start-up)
from __future__ import annotations

import time

_STARTED = time.time()

import sys

from stages import paths
from stages.command import limit_threads, run_stage_command, take_arguments
from stages.training import train_experiment


def main(arguments: list[str]) -> None:
    """Train every replicate on every fold and write the models, records, logs and timings."""
    name, framework_name = take_arguments(arguments, "train", "EXPERIMENT", "FRAMEWORK")
    from tandem.config import read_experiment

    experiment = read_experiment(paths.PARAMS, name)
    limit_threads(experiment.training.threads)

    from tandem.frameworks import load_framework

    framework = load_framework(framework_name, alone=True)
    framework.set_up(experiment.training.threads, experiment.training.devices)
    train_experiment(name, experiment, framework, _STARTED)


if __name__ == "__main__":
    sys.exit(run_stage_command(main))
