"""Searches for the best settings in one framework, and trains them: ``python -m stages.search SEARCH FRAMEWORK``.

A killed search goes on from the trials that it had finished, and the training of the best from its last checkpoint.
"""

# ruff: noqa: E402  (the clock starts before the imports, which count as start-up)
from __future__ import annotations

import time

_STARTED = time.time()

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stages import paths
from stages.command import limit_threads, run_stage_command, take_arguments
from stages.training import result_key, tell_progress, train_experiment

if TYPE_CHECKING:
    from tandem.config import Experiment, Search
    from tandem.frameworks import Framework


def main(arguments: list[str]) -> None:
    """Try settings, write all trials, and train the best one as an experiment of its own."""
    name, framework_name = take_arguments(arguments, "search", "SEARCH", "FRAMEWORK")
    from tandem.config import read_experiment, read_search

    search = read_search(paths.PARAMS, name)
    experiment = read_experiment(paths.PARAMS, search.experiment)
    limit_threads(experiment.training.threads)

    from tandem.frameworks import load_framework

    framework = load_framework(framework_name, alone=True)
    framework.set_up(experiment.training.threads)
