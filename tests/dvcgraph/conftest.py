"""Real, hermetic git + DVC projects."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc_project import Project, make_template
from hermetic import hermetic_variables

from dvcgraph.events import Event, Summary
from dvcgraph.schedule import reproduce


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template") / "project")


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name, value in hermetic_variables(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    shutil.copytree(template, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


@pytest.fixture
def run(project: Project) -> Callable[..., Summary]:
    """Run the project's graph; keyword ``on_event`` listens."""

    def call(*targets: str, on_event: Callable[[Event], None] = lambda _: None, force: bool = False) -> Summary:
        return reproduce(project.path, targets, force=force, on_event=on_event)

    return call
