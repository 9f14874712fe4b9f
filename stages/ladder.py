"""Compares the frameworks on an experiment's parity ladder: ``python -m stages.ladder EXPERIMENT "keras torch"``.

NumPy climbs here as a witness, where it has the network's layers and the plan does not name it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from stages import paths
from stages.command import run_stage_command, take_arguments
from tandem.config import Experiment, read_experiment
from tandem.frameworks import load_framework
from tandem.layers import kinds_of
from tandem.parity.climb import climb, lay_course, parity_record
from tandem.parity.compare import Climbed, compare_climbs
from tandem.parity.records import ParityRecord, load_side
from tandem.records import DataDescription, read_record, write_record
from tandem.storage import new_file

WITNESS = "numpy"


def main(arguments: list[str]) -> None:
    """Compare the frameworks that the plan names, and the witness."""
    name, planned = take_arguments(arguments, "ladder", "EXPERIMENT", '"FRAMEWORK ..."')
    climbs = [_read(paths.parity(name, framework)) for framework in planned.split()]
    witness, unwitnessed = None, ""
    if WITNESS not in planned.split():
        witness, unwitnessed = _ask_witness(name, read_experiment(paths.PARAMS, name))
    asked = [] if witness is None else [witness]
    ladder = compare_climbs([*climbs, *asked], WITNESS if asked else "", unwitnessed)
    with new_file(paths.ladder(name)) as partial:
        write_record(ladder, partial)


def _read(folder: Path) -> Climbed:
    return Climbed(read_record(ParityRecord, folder / "parity.json"), load_side(folder / "arrays.npz"))


def _ask_witness(name: str, experiment: Experiment) -> tuple[Climbed | None, str]:
    """Let NumPy climb; return None and the reason where it does not have the network's layers."""
    fit, scaler = paths.fit(experiment.dataset), paths.scaler(experiment.dataset)
    description = read_record(DataDescription, fit / "description.json")
    architecture = experiment.architecture(description)
    lacking = sorted({layer.kind for layer in architecture.layers} - set(kinds_of(WITNESS)))
    if lacking:
        return None, f"it has no layer of the kind {', '.join(lacking)}"
    framework = load_framework(WITNESS)
    framework.set_up(experiment.training.threads)
    course = lay_course(architecture, experiment, description.rows["train"])
    climbed = climb(framework, course, fit, scaler)
    return Climbed(parity_record(name, framework, course, climbed), climbed.arrays), ""


if __name__ == "__main__":
    sys.exit(run_stage_command(main))
