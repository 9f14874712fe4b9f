"""A genuine Prefect server for the session, and real, hermetic git + DVC projects."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc_project import Project, make_template
from hermetic import hermetic_variables

from flows import prefect_settings
from flows.server import running_server


@pytest.fixture(scope="session")
def flow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template") / "project")


@pytest.fixture
def project(flow_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name, value in hermetic_variables(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    shutil.copytree(flow_template, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = dict(os.environ)
    prefect_settings.apply(tmp_path_factory.mktemp("prefect"))
    try:
        with running_server() as server:
            import prefect  # noqa: F401 - while the server starts

            if server is not None:
                server.wait()
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)
