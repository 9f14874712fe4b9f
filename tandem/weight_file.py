"""Initial weights from a file: an ``.npz`` archive of arrays named "layer/parameter" or "layer.parameter".

NumPy's exports (``tandem export EXPERIMENT numpy --format npz``) are such files. Arrays have Keras's layout; those that
the file does not hold begin as without it. Nothing in it is unpickled.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from tandem.errors import DataError, suggest
from tandem.models import Architecture, parameter_names


def read_weights(path: Path, architecture: Architecture) -> dict[str, np.ndarray]:
    """Return the file's arrays, float64 by "layer/parameter".

    Raises:
        DataError: the file is missing or damaged, or an array is not the network's.
    """
    shapes = {name: parameter.shape for name, parameter in parameter_names(architecture)}
    arrays: dict[str, np.ndarray] = {}
    for key, array in _read(path).items():
        name = key.replace(".", "/")
        if name not in shapes:
            raise DataError(f"{path}: the network has no array '{key}'; {suggest(name, shapes)}")
        if name in arrays:
            raise DataError(f"{path}: '{name}' stands twice, with '/' and with '.'; remove one of the two")
        if array.shape != shapes[name]:
            raise DataError(f"{path}: '{key}' has shape {array.shape}, the network's array {shapes[name]}; correct it")
        if not np.issubdtype(array.dtype, np.floating) and not np.issubdtype(array.dtype, np.integer):
            raise DataError(f"{path}: '{key}' holds {array.dtype}; give numbers")
        if not np.isfinite(array).all():
            raise DataError(f"{path}: '{key}' holds a number that is not finite; correct it")
        arrays[name] = array.astype(np.float64)
    if not arrays:
        raise DataError(f"{path}: holds no array; allowed: {', '.join(shapes)}")
    return arrays


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DataError(f"{path}: missing; put the file there, or correct initial_weights: file: in params.yaml")
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("one array, no archive")
            return {key: archive[key] for key in archive.files}
    except (ValueError, OSError, EOFError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: cannot be read as .npz ({first[:200]}); write it with numpy.savez") from None
