"""Disposable git + DVC projects for the tests; shared with tests/flows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermetic import hermetic_variables
from ruamel.yaml import YAML


@dataclass(frozen=True)
class Project:
    """A DVC project in a folder of its own."""

    path: Path

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def read(self, name: str) -> str:
        return (self.path / name).read_text(encoding="utf-8")

    def dvc(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the genuine `dvc`."""
        return subprocess.run(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=self.path,
            capture_output=True,
            text=True,
            check=False,
        )

    def yaml(self, name: str) -> Any:
        return YAML(typ="safe").load(self.path / name)

    def cached(self) -> list[str]:
        """Return the names of all files in DVC's cache, the run cache included."""
        cache = self.path / ".dvc" / "cache"
        return sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file())

    def twin(self, name: str) -> Project:
        """Return a copy beside this project."""
        path = self.path.with_name(name)
        shutil.copytree(self.path, path, symlinks=True)
        return Project(path)


def make_template(path: Path) -> Path:
    """Make an empty git repository with an empty DVC project."""
    path.mkdir()
    environment = os.environ | hermetic_variables(path.with_name("home"))
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=path, env=environment, check=True, capture_output=True)
    return path
