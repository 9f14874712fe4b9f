"""Validates params.yaml, and that runs.yaml is its plan.

Its first out is constant, so that what follows does not re-run. The second holds the section ``equivalence``, for
comparisons alone: DVC refuses to depend on a key that params.yaml may leave out.
"""

from __future__ import annotations

import json
import sys

from stages import paths
from stages.command import run_stage_command, take_arguments
from tandem.config import read_params
from tandem.plan import check_plan
from tandem.storage import write_text


def main(arguments: list[str]) -> None:
    """Check both files."""
    take_arguments(arguments, "check")
    params = read_params(paths.PARAMS)
    check_plan(params, paths.RUNS)
    margins = [entry.model_dump(mode="json") for entry in params.equivalence]
    write_text(paths.equivalence(), json.dumps(margins, indent=2) + "\n")
    write_text(paths.checked(), "params.yaml and runs.yaml are checked before anything runs\n")


if __name__ == "__main__":
    sys.exit(run_stage_command(main))
