"""Keras's native ``.keras`` archive, written without what differs between two runs."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tandem.errors import ModelError
from tandem.frameworks.keras import activations  # noqa: F401  (registers its layers for reading)
from tandem.frameworks.keras.layers import register_layers
from tandem.frameworks.keras.network import named_variables, number_type
from tandem.frameworks.keras.quiet import held_back_stderr
from tandem.models import Architecture, Constants, parameter_names

FILE = "model.keras"
_NO_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip archive can hold


def save(network: keras.Model, directory: Path) -> None:
    """Write ``model.keras``; the same bytes for the same weights."""
    raw = directory / "raw.keras"
    network.save(raw)
    _rewrite(raw, directory / FILE)
    raw.unlink()


def _rewrite(source: Path, target: Path) -> None:
    """Copy an archive without dates and memory addresses."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for name in sorted(old.namelist()):
            data = old.read(name)
            if name == "metadata.json":
                metadata = json.loads(data)
                metadata["date_saved"] = "1980-01-01@00:00:00"
                data = json.dumps(metadata).encode()
            elif name == "config.json":
                data = json.dumps(_numbered(json.loads(data), {})).encode()
            new.writestr(zipfile.ZipInfo(name, _NO_DATE), data)


def _numbered(node: Any, numbers: dict[int, int]) -> Any:
    """Replace shared object ids, which are memory addresses, by numbers in order of appearance."""
    if isinstance(node, dict):
        return {
            key: numbers.setdefault(value, len(numbers)) if key == "shared_object_id" else _numbered(value, numbers)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_numbered(value, numbers) for value in node]
    return node


def _export_h5(network: keras.Model, directory: Path) -> None:
    """Write ``model.h5``, Keras's older format.

    Raises:
        ModelError: the model is written in subclassed style, which the format does not hold.
    """
    if network.architecture.style == "subclassed":
        raise ModelError(
            "h5 holds models in functional style alone, this one is subclassed; "
            "choose --format keras or saved-model, or declare style: functional"
        )
    with held_back_stderr():  # Keras says that the format is old
        network.save(directory / "model.h5")


def _export_saved_model(network: keras.Model, directory: Path) -> None:
    """Write the folder ``saved_model``, whose function ``serve`` TensorFlow reads without Keras."""
    kind = number_type(network)
    parts = [tf.TensorSpec((None, *part.shape), kind, name=part.name) for part in network.architecture.parts]
    signature = [parts if len(parts) > 1 else parts[0]]  # of the one argument
    network.export(directory / "saved_model", format="tf_saved_model", verbose=False, input_signature=signature)


def _export_json(network: keras.Model, directory: Path) -> None:
    """Write ``architecture.json``, Keras's own description of the layers."""
    text = json.dumps(_numbered(json.loads(network.to_json()), {}), indent=2)
    (directory / "architecture.json").write_text(text + "\n", encoding="utf-8")


EXPORTS = {"keras": save, "h5": _export_h5, "saved-model": _export_saved_model, "json": _export_json}


def load(directory: Path, architecture: Architecture, constants: Constants) -> keras.Model:
    """Read ``model.keras``, in safe mode.

    Raises:
        ModelError: missing, damaged, or not of this architecture.
    """
    del constants  # the archive holds them
    path = directory / FILE
    if not path.exists():
        raise ModelError(f"{path}: missing; run `dvc repro` to train the model")
    register_layers(architecture.layers)
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever its readers do
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{path}: damaged ({first[:200]}); delete it and run `dvc repro`") from None
    model.architecture = architecture
    expected = {name: parameter.shape for name, parameter in parameter_names(architecture)}
    try:
        found = {name: tuple(variable.shape) for name, variable in named_variables(model).items()}
    except (ValueError, AttributeError):  # a layer is missing, or is of another kind
        found = {}
    held = [variable for variable in model.variables if "seed_generator" not in variable.path]
    if found != expected or len(held) != len(expected):
        raise ModelError(f"{path}: its layers are not those of params.yaml; run `dvc repro` to train it again")
    return model
