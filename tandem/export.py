"""Trained networks in formats that other programs read, with what is needed to use them.

Beside the network lie ``export.json`` (what it is, takes and gives) and ``scaler.json``: inputs are scaled before
they reach the network, outputs are raw numbers. An architecture as JSON is Keras's own for Keras; for the other
frameworks it is Tandem's, which :func:`tandem.models.read_architecture` reads back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tandem.errors import ParameterError, StorageError, suggest
from tandem.frameworks import Framework
from tandem.models import ARCHITECTURE_FILE, Architecture, write_architecture
from tandem.records import DataDescription, Record, write_record
from tandem.scaling import Scaler
from tandem.storage import new_directory

EXPORT_FORMATS = ("keras", "h5", "saved-model", "json", "state-dict", "npz")


class InputRecord(Record):
    """One input of an exported network."""

    name: str
    shape: tuple[int, ...]  # of one sample
    columns: tuple[str, ...]  # the features that it is made of, in order; empty: all


class ExportRecord(Record):
    """``export.json``: what an exported network is, takes and gives."""

    experiment: str
    framework: str
    format: str
    replicate: int
    fold: int | None
    versions: dict[str, str]
    files: tuple[str, ...]
    number_type: str  # of inputs and outputs
    inputs: tuple[InputRecord, ...]  # scaled as ``scaler.json`` says
    outputs: tuple[str, ...]  # heads, the main one first; each gives raw numbers (n, units)
    probabilities: str  # what turns the main head's numbers into probabilities, or "linear": they are the values
    class_names: tuple[str, ...]  # by label; empty for regression


def check_target(target: Path) -> None:
    """Check that a folder is new.

    Raises:
        StorageError: something is there already.
    """
    if target.exists() or target.is_symlink():
        raise StorageError(f"{target}: is there already; name a folder that is not")


def export_network(
    framework: Framework,
    network: Any,
    architecture: Architecture,
    name: str,
    target: Path,
    *,
    description: DataDescription,
    scaler: Scaler,
    experiment: str,
    replicate: int = 0,
    fold: int | None = None,
) -> ExportRecord:
    """Write a network in a format into a new folder, all of it or nothing.

    Args:
        framework: whose network it is.
        network: the framework's own object.
        architecture: of the network.
        name: of the format.
        target: the folder, which must not exist.
        description: of the data set.
        scaler: of its features.
        experiment, replicate, fold: which training it is.

    Raises:
        ParameterError: the framework does not write the format.
        ModelError: the format does not hold this network.
        StorageError: the folder is there already, or cannot be written.
    """
    allowed = dict.fromkeys([*framework.EXPORTS, "json"])
    if name not in allowed:
        raise ParameterError(f"--format: '{name}' is no format of {framework.NAME}; {suggest(name, allowed)}")
    check_target(target)
    with new_directory(target) as directory:
        if name in framework.EXPORTS:
            framework.EXPORTS[name](network, directory)
        else:
            (directory / ARCHITECTURE_FILE).write_text(write_architecture(architecture), encoding="utf-8")
        record = ExportRecord(
            experiment=experiment,
            framework=framework.NAME,
            format=name,
            replicate=replicate,
            fold=fold,
            versions=framework.versions(),
            files=tuple(sorted(path.name for path in directory.iterdir())),
            number_type=str(next(iter(framework.weights(network).values())).dtype),
            inputs=_inputs(architecture, description),
            outputs=tuple(head.name for head in architecture.heads),
            probabilities=architecture.output,
            class_names=description.class_names,
        )
        write_record(record, directory / "export.json")
        write_record(scaler, directory / "scaler.json")
    return record


def _inputs(architecture: Architecture, description: DataDescription) -> tuple[InputRecord, ...]:
    return tuple(
        InputRecord(
            name=part.name,
            shape=part.shape,
            columns=tuple(
                " × ".join(_column(description, place) for place in encoding.columns)
                for encoding in part.encodings or ()
            ),
        )
        for part in architecture.parts
    )


def _column(description: DataDescription, place: int) -> str:
    return description.feature_names[place] if description.feature_names else f"column {place}"
