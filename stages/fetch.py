"""Fetches one data set's files as its source gives them: ``python -m stages.fetch DATASET``."""

from __future__ import annotations

import sys

from stages import paths
from stages.command import run_stage_command, take_arguments
from tandem import datasets
from tandem.config import read_dataset
from tandem.storage import new_directory


def main(arguments: list[str]) -> None:
    """Fetch the data set."""
    (name,) = take_arguments(arguments, "fetch", "DATASET")
    declared = read_dataset(paths.PARAMS, name)
    source = datasets.source(declared.source.name)
    options = datasets.read_options(declared.source.name, declared.source.options)
    with new_directory(paths.raw(name)) as directory:
        source.fetch(directory, options)


if __name__ == "__main__":
    sys.exit(run_stage_command(main))
