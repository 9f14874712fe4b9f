"""The default suite as it is committed, by ``dvc repro`` and by the Prefect flow: the same bytes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from workspace import REPOSITORY, TIMED, Workspace, differing_outs, make_workspace, read_lock, untimed

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1200)]


def committed(folder: Path) -> Workspace:
    workspace = make_workspace(folder, repository=True)
    for name in ("params.yaml", "runs.yaml"):
        shutil.copy(REPOSITORY / name, workspace.root / name)
    done = workspace.tandem("suite", "default")
    assert done.returncode == 0, done.stderr
    return workspace


def test_dvc_repro_and_the_flow_give_the_same_bytes_but_for_the_named_exceptions(tmp_path):
    by_dvc, by_flow = committed(tmp_path / "dvc"), committed(tmp_path / "flow")
    by_dvc.dvc("repro")
    done = by_flow.tandem("run")
    assert done.returncode == 0, done.stdout + done.stderr
    for workspace in (by_dvc, by_flow):
        assert workspace.dvc("status").strip() == "Data and pipelines are up to date."
    one, two = read_lock(by_dvc), read_lock(by_flow)
    assert untimed(one) == untimed(two)
    assert all(TIMED.fullmatch(path) for path in differing_outs(one, two))
