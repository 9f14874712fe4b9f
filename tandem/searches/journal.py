"""What a search keeps on disk while it runs, so that it goes on where it was killed.

``trials.jsonl`` has one line of JSON for each batch that was proposed, each result at a rung and each trial, in the
order in which they came about, each on disk before the next is begun. ``strategy.npz`` holds what the strategy has
learnt; without it, the strategy learns from the recorded trials again.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from tandem.errors import DataError
from tandem.records import Record
from tandem.searches.records import FoldScore, Trial, Way
from tandem.storage import append_line, new_file

TRIALS_FILE, STATE_FILE = "trials.jsonl", "strategy.npz"


class BatchEntry(Record):
    """Settings that were proposed at once."""

    entry: Literal["batch"] = "batch"
    batch: int
    settings: tuple[dict[str, Any], ...]


class RungEntry(Record):
    """What a trial had reached where the strategy was to decide on it."""

    entry: Literal["rung"] = "rung"
    number: int
    epochs: int  # that each fold was allowed
    folds: tuple[FoldScore, ...]
    way: Way
    seconds: float
    failure: str = ""


class TrialEntry(Record):
    """A trial that is over."""

    entry: Literal["trial"] = "trial"
    trial: Trial
    seconds: float


Entry = BatchEntry | RungEntry | TrialEntry
_ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)


class Journal:
    """The files of a search that runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.path = folder / TRIALS_FILE

    def append(self, entry: Entry) -> None:
        """Write an entry; on disk when this returns.

        Raises:
            StorageError: it could not be written.
        """
        append_line(self.path, entry.model_dump_json())

    def read(self) -> list[Entry]:
        """Return all entries; a last line that a kill left without its end is cut off.

        Raises:
            DataError: another line is damaged.
        """
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        return list(self._entries(whole))

    def _entries(self, content: bytes) -> Iterator[Entry]:
        for number, line in enumerate(content.splitlines(), start=1):
            try:
                yield _ENTRY.validate_json(line)
            except ValidationError:
                raise DataError(
                    f"{self.path}:{number}: damaged; delete {self._folder} to begin the search anew"
                ) from None

    def keep_state(self, batch: int, state: Mapping[str, np.ndarray]) -> None:
        """Write what a strategy knew when it proposed a batch; nothing if it has nothing to keep.

        Raises:
            StorageError: it could not be written.
        """
        if state:
            named: dict[str, Any] = {f"state/{name}": array for name, array in state.items()}
            with new_file(self._folder / STATE_FILE) as partial:
                np.savez(partial, batch=np.array(batch), **named)

    def read_state(self, batches: int) -> dict[str, np.ndarray]:
        """Return what was kept; nothing if there is none, if it is damaged, or of a later batch than is recorded."""
        try:
            with np.load(self._folder / STATE_FILE, allow_pickle=False) as file:
                if int(file["batch"]) > batches:
                    return {}
                return {name.removeprefix("state/"): file[name] for name in file.files if name != "batch"}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            return {}
