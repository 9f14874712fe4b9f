"""What a run has finished, one line each, on disk before anything else is done about it.

``dvc.lock`` is written in batches. If the run is killed before, the next one reads here which stages are
finished, whatever DVC's own run cache holds of them, and does not run them again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from dvcgraph.errors import GraphError
from dvcgraph.lockfile import replace_file

NAME = "journal.jsonl"


@dataclass(frozen=True)
class Entry:
    """A finished stage."""

    stage: str  # DVC's addressing
    record: Mapping[str, Any]  # its entry for dvc.lock
    before: str  # digest of the entry that it replaces


class Journal:
    """An append-only file of JSON lines; a line cut short by a crash, the last one, counts as not written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIOWrapper | None = None
        self._kept: list[Entry] = []

    def read(self) -> list[Entry]:
        """Return the finished stages, the last entry of each, in the order of the file."""
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        found: dict[str, Entry] = {}
        for line in lines:
            try:
                values = json.loads(line)
                entry = Entry(str(values["stage"]), dict(values["record"]), str(values["before"]))
            except (ValueError, TypeError, KeyError):
                continue
            found.pop(entry.stage, None)
            found[entry.stage] = entry
        return list(found.values())

    def append(self, stage: str, record: Mapping[str, Any], before: str) -> None:
        """Add a finished stage; it is on disk when this returns.

        Raises:
            GraphError: it could not be written.
        """
        line = _as_line(Entry(stage, record, before))
        try:
            if self._file is None:
                torn = self.path.exists() and not self.path.read_bytes().endswith(b"\n")
                self._file = self.path.open("a", encoding="utf-8")
                self._file.write("\n" if torn else "")
            self._file.write(line)
            self._file.flush()
            os.fdatasync(self._file.fileno())
        except OSError as error:
            raise GraphError(
                f"{self.path}: cannot be written ({error.strerror}); free some space, or make its folder writable"
            ) from error

    def keep(self, entries: Sequence[Entry]) -> None:
        """Name the entries that :meth:`clear` leaves: of stages that are no part of this run."""
        self._kept = list(entries)

    def clear(self) -> None:
        """Forget what is in ``dvc.lock`` now."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._kept:
            replace_file(self.path, "".join(_as_line(entry) for entry in self._kept))
        else:
            self.path.unlink(missing_ok=True)


def _as_line(entry: Entry) -> str:
    values = {"stage": entry.stage, "record": entry.record, "before": entry.before}
    return json.dumps(values, default=str) + "\n"
