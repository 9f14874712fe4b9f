"""``tandem export``: a trained network in a folder of its own, and one line for what cannot be."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from workspace import Workspace, make_workspace

EXPERIMENT = "five-rule"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = make_workspace(tmp_path_factory.mktemp("export"), suite=(EXPERIMENT,))
    workspace.prepare(EXPERIMENT)
    workspace.run(sys.executable, "-m", "stages.train", EXPERIMENT, "numpy")
    return workspace


def test_a_network_and_what_it_needs_are_written(trained):
    done = trained.tandem("export", EXPERIMENT, "numpy", "--to", "out/one", "--format", "npz", "--replicate", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "out/one: model.npz, with export.json and scaler.json\n"
    folder = trained.root / "out/one"
    record = json.loads((folder / "export.json").read_text())
    assert (record["experiment"], record["replicate"], record["probabilities"]) == (EXPERIMENT, 1, "sigmoid")
    model = trained.root / f"models/{EXPERIMENT}/numpy/replicate-1/model.npz"
    with np.load(folder / "model.npz", allow_pickle=False) as one, np.load(model, allow_pickle=False) as other:
        assert {name: one[name].tolist() for name in one.files} == {name: other[name].tolist() for name in other.files}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((EXPERIMENT, "numpy", "--to", "out/two", "--format", "h5"),
         "error: --format: 'h5' is no format of numpy; allowed: json, npz\n"),
        ((EXPERIMENT, "numpy", "--to", "out/two", "--format", "pickle"),
         "error: --format: 'pickle' is no format; allowed: h5, json, keras, npz, saved-model, state-dict\n"),
        ((EXPERIMENT, "numpy", "--to", "params.yaml", "--format", "npz"),
         "error: params.yaml: is there already; name a folder that is not\n"),
        ((EXPERIMENT, "nunpy", "--to", "out/two", "--format", "npz"),
         "error: 'nunpy' is no framework; allowed: keras, numpy, torch; did you mean 'numpy'?\n"),
        ((EXPERIMENT, "keras", "--to", "out/two", "--format", "keras"),
         f"error: models/{EXPERIMENT}/keras/run.json: missing; run `dvc repro` to make it\n"),
        ((EXPERIMENT, "numpy", "--to", "out/two", "--format", "npz", "--replicate", "7"),
         f"error: replicate 7 of '{EXPERIMENT}' is not there; allowed: 0 to 1\n"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_told_and_nothing_is_written(trained, arguments, message):
    done = trained.tandem("export", *arguments)
    assert (done.returncode, done.stderr) == (1, message)
    assert not (trained.root / "out/two").exists()
