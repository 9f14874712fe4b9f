"""Networks in the frameworks' own formats: read back by the framework's means, they predict the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from export_worker import FOR_NUMPY, MODELS, export, resolved, trained

from tandem.errors import ModelError, StorageError
from tandem.export import EXPORT_FORMATS
from tandem.frameworks import load_framework
from tandem.layers import layer_kind, layer_kinds
from tandem.models import ModelDeclaration, read_architecture, resolve, write_architecture

FOLDER = Path(__file__).parent
FILES = {
    "keras": {"keras": "model.keras", "h5": "model.h5", "saved-model": "saved_model", "json": "architecture.json"},
    "torch": {"state-dict": "model.pt", "json": "architecture.json"},
    "numpy": {"npz": "model.npz", "json": "architecture.json"},
}
CASES = [
    (framework, kind, name)
    for framework, files in FILES.items()
    for kind in (FOR_NUMPY if framework == "numpy" else MODELS)
    for name in files
    if (kind, name) != ("subclassed", "h5")
]


@pytest.fixture(scope="module")
def exported() -> dict[str, dict]:
    environment = dict(os.environ) | {"PYTHONPATH": str(FOLDER.parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
    found = {}
    for framework in FILES:
        command = [sys.executable, str(FOLDER / "export_worker.py"), framework]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        found[framework] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("framework", "kind", "name"), CASES)
def test_a_network_read_back_predicts_the_same_on_new_vectors(exported, framework, kind, name):
    found = exported[framework][f"{kind}/{name}"]
    assert found["off"] <= 1e-6
    assert found["spread"] > 0.1
    assert found["files"] == sorted([FILES[framework][name], "export.json", "scaler.json"])
    assert found["record"]["files"] == [FILES[framework][name]]
    assert found["record"]["inputs"][0]["shape"] == list(resolved(kind).parts[0].shape)
    assert found["record"]["probabilities"] == "softmax"


@pytest.mark.slow
@pytest.mark.parametrize("framework", FILES)
def test_a_format_that_a_framework_does_not_write_is_told_and_leaves_nothing(exported, framework):
    allowed = ", ".join(sorted(FILES[framework]))
    others = set(EXPORT_FORMATS) - set(FILES[framework])
    assert others
    for name in others:
        found = exported[framework][f"dense/{name}"]
        assert found["error"].startswith(f"--format: '{name}' is no format of {framework}; allowed: {allowed}")
        assert found["left"] == []


@pytest.mark.slow
def test_hdf5_refuses_a_subclassed_model_and_leaves_nothing(exported):
    found = exported["keras"]["subclassed/h5"]
    assert found["error"] == (
        "h5 holds models in functional style alone, this one is subclassed; "
        "choose --format keras or saved-model, or declare style: functional"
    )
    assert found["left"] == []


def test_the_columns_of_each_input_are_named(tmp_path):
    framework = load_framework("numpy")
    record = export(framework, trained(framework, "dense"), "dense", "npz", tmp_path / "new")
    assert [(part.name, part.columns) for part in record.inputs] == [("features", ())]


def test_a_folder_that_is_there_is_kept(tmp_path):
    framework, target = load_framework("numpy"), tmp_path / "there"
    target.mkdir()
    (target / "kept").touch()
    with pytest.raises(StorageError) as caught:
        export(framework, trained(framework, "dense"), "dense", "npz", target)
    assert str(caught.value) == f"{target}: is there already; name a folder that is not"
    assert [path.name for path in target.iterdir()] == ["kept"]


@pytest.mark.parametrize("kind", MODELS)
def test_an_architecture_reads_back_as_it_was(kind):
    assert read_architecture(write_architecture(resolved(kind))) == resolved(kind)


@pytest.mark.parametrize("kind", layer_kinds())
def test_every_kind_of_layer_reads_back_as_it_was(kind):
    for example in layer_kind(kind).EXAMPLES:
        layers = [{kind: example.declared}, *([{"flatten": {}}] if kind != "flatten" else [])]
        declared = ModelDeclaration.model_validate_json(json.dumps({"sequential": layers}))
        architecture = resolve(declared, example.shape, "regression", "mse", 0)
        assert read_architecture(write_architecture(architecture)) == architecture


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "architecture.json: input_shape: Field required; export it again"),
        ("no", "architecture.json: the file: Invalid JSON: expected ident at line 1 column 2; export it again"),
    ],
)
def test_a_damaged_architecture_is_told(text, message):
    with pytest.raises(ModelError) as caught:
        read_architecture(text)
    assert str(caught.value) == message


def test_an_export_that_fails_leaves_nothing(tmp_path, monkeypatch):
    framework = load_framework("numpy")
    network = trained(framework, "dense")
    monkeypatch.setitem(framework.EXPORTS, "npz", lambda _network, folder: np.save(folder / "x" / "y.npy", [1]))
    with pytest.raises(FileNotFoundError):
        export(framework, network, "dense", "npz", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
