"""Unfinished trainings, kept outside DVC's outs so that a killed one goes on where it was.

A folder holds one training's checkpoints under a key made of everything that its result depends on; with
another key nothing is found and training starts anew. Arrays and facts lie in one ``.npz`` archive, written
beside its place and renamed; a damaged one counts as missing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tandem.storage import new_file

SAVE_SECONDS = 1.0  # at most one checkpoint in this time; a kill loses no more than that


@dataclass(frozen=True)
class Checkpoint:
    """State of a training after an epoch."""

    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]


class States(Protocol):
    """Where an unfinished training is kept: :class:`Checkpoints`, or a place in memory."""

    def load(self, replicate: int) -> Checkpoint | None:
        """Return the newest state of a replicate; None where there is none."""

    def save(self, replicate: int, facts: Mapping[str, Any], arrays: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """Keep a replicate's state, or leave it; facts and arrays change as the training goes on."""


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: of this experiment and framework; other keys in it are of outdated trainings.
        key: hexadecimal digest of what the result depends on.
        save_seconds: at least this long between two saves; 0 saves after every epoch.
    """

    def __init__(self, folder: Path, key: str, save_seconds: float = SAVE_SECONDS) -> None:
        self._folder = folder
        self._place = folder / key
        self._save_seconds = save_seconds
        self._saved = time.monotonic()

    def load(self, replicate: int) -> Checkpoint | None:
        """Return the newest checkpoint of a replicate; None where there is none that can be read."""
        return self._read(f"replicate-{replicate}")

    def save(self, replicate: int, facts: Mapping[str, Any], arrays: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """Keep a replicate's state; ``arrays`` is asked only if it is time to save."""
        if time.monotonic() - self._saved < self._save_seconds:
            return
        self._write(f"replicate-{replicate}", facts, arrays())
        self._saved = time.monotonic()

    def load_finished(self, replicate: int) -> Checkpoint | None:
        """Return the result of a replicate that was finished before the training was killed."""
        return self._read(f"finished-{replicate}")

    def save_finished(self, replicate: int, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Keep a finished replicate's result and drop its checkpoint."""
        self._write(f"finished-{replicate}", facts, arrays)
        self._path(f"replicate-{replicate}").unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove everything, outdated keys too; the training is finished."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self._place / f"{name}.npz"

    def _write(self, name: str, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        text = np.frombuffer(json.dumps(dict(facts)).encode(), dtype=np.uint8)
        with new_file(self._path(name)) as partial:
            np.savez(partial, allow_pickle=False, **{"facts.json": text, **arrays})

    def _read(self, name: str) -> Checkpoint | None:
        try:
            with np.load(self._path(name), allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
            return Checkpoint(json.loads(arrays.pop("facts.json").tobytes()), arrays)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            self._path(name).unlink(missing_ok=True)
            return None


def file_digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(facts: Mapping[str, Any], code: Iterable[Path]) -> str:
    """Return a key for facts (JSON) and the contents of source files, in the order of their names."""
    digest = hashlib.sha256(json.dumps(dict(facts), sort_keys=True).encode())
    for path in sorted(code, key=lambda path: path.as_posix()):
        digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:32]
