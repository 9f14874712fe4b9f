"""Validates params.yaml, and that runs.yaml is its plan. Its out is constant: what follows does not re-run."""

from __future__ import annotations

import sys

from stages import paths
from stages.command import run_stage_command, take_arguments
from tandem.config import read_params
from tandem.plan import check_plan
from tandem.storage import write_text


def main(arguments: list[str]) -> None:
    """Check both files."""
    take_arguments(arguments, "check")
    check_plan(read_params(paths.PARAMS), paths.RUNS)
    write_text(paths.checked(), "params.yaml and runs.yaml are checked before anything runs\n")


if __name__ == "__main__":
    sys.exit(run_stage_command(main))
