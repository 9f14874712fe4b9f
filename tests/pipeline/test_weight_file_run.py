"""Initial weights from a file, by real DVC: the network begins with them, and another file trains it again."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from workspace import Workspace, make_workspace

pytestmark = pytest.mark.slow

EXPERIMENT, FILE = "five-rule", "weights/first.npz"
STAGE = f"train@{EXPERIMENT}-numpy"


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose experiment begins with the file's weights, and trains no epoch."""
    workspace = make_workspace(tmp_path_factory.mktemp("weights"), suite=(EXPERIMENT,), repository=True)
    path = workspace.root / "params.yaml"
    before, _, after = path.read_text(encoding="utf-8").partition(f"\n  {EXPERIMENT}:\n    description")
    after = re.sub(r"epochs: \d+", "epochs: 0", after, count=1)
    added = f"\n  {EXPERIMENT}:\n    initial_weights: {{file: {FILE}}}\n    frameworks: [numpy]\n    description"
    path.write_text(before + added + after, encoding="utf-8")
    assert workspace.tandem("plan").returncode == 0
    return workspace


def write(workspace: Workspace, value: float) -> None:
    (workspace.root / FILE).parent.mkdir(exist_ok=True)
    np.savez(workspace.root / FILE, **{"output.kernel": np.full((5, 1), value), "output.bias": np.array([2 * value])})


def test_the_file_is_a_dependency_that_the_network_begins_with(planned):
    planned.prepare(EXPERIMENT)
    done = planned.stage("train", EXPERIMENT, "numpy")
    assert (done.returncode, done.stderr) == (
        1,
        f"error: {FILE}: missing; put the file there, or correct initial_weights: file: in params.yaml\n",
    )
    assert not (planned.root / "models" / EXPERIMENT).exists()
    for value in (0.25, 0.5):
        write(planned, value)
        planned.dvc("repro", STAGE)
        model = planned.root / "models" / EXPERIMENT / "numpy/replicate-0/model.npz"
        with np.load(model, allow_pickle=False) as arrays:
            assert {name: arrays[name].tolist() for name in arrays.files} == {
                "output.kernel": [[value]] * 5,
                "output.bias": [2 * value],
            }
        assert "up to date" in planned.dvc("status", STAGE)
    planned.dvc("repro", f"ladder@{EXPERIMENT}")
    write(planned, 0.75)
    for stage in (STAGE, f"parity@{EXPERIMENT}-numpy", f"ladder@{EXPERIMENT}"):
        assert FILE in planned.dvc("status", stage), stage


def test_a_model_that_tandem_exported_can_begin_another(planned):
    write(planned, 0.25)
    planned.run(sys.executable, "-m", "stages.train", EXPERIMENT, "numpy")
    exported = planned.tandem("export", EXPERIMENT, "numpy", "--to", "weights/again", "--format", "npz")
    assert exported.returncode == 0, exported.stderr
    (planned.root / "weights/again/model.npz").replace(planned.root / FILE)
    planned.run(sys.executable, "-m", "stages.train", EXPERIMENT, "numpy")
