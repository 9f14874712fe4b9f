"""Arrays in one ``.npz`` archive, read without pickle."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from tandem.errors import ModelError
from tandem.frameworks.numpy.network import NumpyNetwork
from tandem.models import Architecture, Constants, parameter_names

FILE = "model.npz"


def save(network: NumpyNetwork, directory: Path) -> None:
    """Write ``model.npz``; the same bytes for the same weights."""
    buffer = io.BytesIO()  # NumPy's own writer does not say why a file cannot be written
    np.savez(buffer, allow_pickle=False, **{name.replace("/", "."): array for name, array in network.arrays.items()})
    (directory / FILE).write_bytes(buffer.getbuffer())


EXPORTS = {"npz": save}


def load(directory: Path, architecture: Architecture, constants: Constants) -> NumpyNetwork:
    """Read ``model.npz``, arrays alone.

    Raises:
        ModelError: missing, damaged, or not of this architecture.
    """
    del constants
    path = directory / FILE
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name.replace(".", "/"): archive[name] for name in archive.files}
    except FileNotFoundError:
        raise ModelError(f"{path}: missing; run `dvc repro` to train the model") from None
    except Exception as error:  # NumPy and zipfile raise whatever their readers do
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{path}: damaged ({first[:200]}); delete it and run `dvc repro`") from None
    expected = {name: parameter.shape for name, parameter in parameter_names(architecture)}
    if {name: array.shape for name, array in arrays.items()} != expected:
        raise ModelError(f"{path}: its layers are not those of params.yaml; run `dvc repro` to train it again")
    return NumpyNetwork(architecture, {name: arrays[name] for name in expected})
