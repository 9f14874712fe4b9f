"""What goes wrong is one clear line and a failed stage; nothing half-written is left and the next run succeeds."""

from __future__ import annotations

import json
import sys

import pytest
from workspace import Workspace, make_workspace

EXPERIMENT = "five-rule"
# A device that is full: every array, text and model file is refused, as write(2) refuses it.
NO_SPACE = """
import errno, os, pathlib
def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
pathlib.Path.write_text = full
pathlib.Path.write_bytes = full
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = make_workspace(tmp_path_factory.mktemp("failures"), suite=(EXPERIMENT,))
    workspace.prepare(EXPERIMENT)
    for name in ("train", "evaluate"):
        assert workspace.stage(name, EXPERIMENT, "torch").returncode == 0
    return workspace


def error_of(done) -> str:
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_missing_model_file(trained):
    model = trained.root / "models/five-rule/torch/replicate-1/model.pt"
    data = model.read_bytes()
    model.unlink()
    try:
        error = error_of(trained.stage("evaluate", EXPERIMENT, "torch"))
    finally:
        model.write_bytes(data)
    place = "models/five-rule/torch/replicate-1/model.pt"
    assert error == f"error: {place}: missing; run `dvc repro` to train the model"


def test_a_damaged_model_file(trained):
    model = trained.root / "models/five-rule/torch/replicate-0/model.pt"
    data = model.read_bytes()
    model.write_bytes(data[: len(data) // 2])
    try:
        error = error_of(trained.stage("evaluate", EXPERIMENT, "torch"))
    finally:
        model.write_bytes(data)
    assert error.startswith("error: models/five-rule/torch/replicate-0/model.pt: damaged (")
    assert error.endswith("); delete it and run `dvc repro`")


def test_a_damaged_keras_archive(trained):
    for name in ("train", "evaluate"):
        assert trained.stage(name, EXPERIMENT, "keras").returncode == 0
    model = trained.root / "models/five-rule/keras/replicate-0/model.keras"
    data = model.read_bytes()
    model.write_bytes(data[: len(data) // 2])
    try:
        error = error_of(trained.stage("evaluate", EXPERIMENT, "keras"))
    finally:
        model.write_bytes(data)
    assert error.startswith("error: models/five-rule/keras/replicate-0/model.keras: damaged (")


def test_a_model_of_another_architecture(trained):
    path = trained.root / "models" / EXPERIMENT / "torch" / "run.json"
    before = path.read_text(encoding="utf-8")
    record = json.loads(before)
    record["declaration"]["model"]["sequential"] = [{"dense": {"units": 3}}]
    path.write_text(json.dumps(record), encoding="utf-8")
    try:
        error = error_of(trained.stage("evaluate", EXPERIMENT, "torch"))
    finally:
        path.write_text(before, encoding="utf-8")
    assert error == (
        "error: models/five-rule/torch/replicate-0/model.pt: its layers are not those of params.yaml; "
        "run `dvc repro` to train it again"
    )


def test_a_run_record_whose_declaration_cannot_be_read(trained):
    path = trained.root / "models" / EXPERIMENT / "torch" / "run.json"
    before = path.read_text(encoding="utf-8")
    path.write_text(json.dumps(json.loads(before) | {"declaration": {"dataset": "five-rule"}}), encoding="utf-8")
    try:
        error = error_of(trained.stage("evaluate", EXPERIMENT, "torch"))
    finally:
        path.write_text(before, encoding="utf-8")
    assert error == (
        "error: run.json of 'five-rule' in torch: what was declared cannot be read; delete its folder below models and "
        "run `dvc repro`"
    )


def test_a_data_file_cut_short(trained):
    features = trained.root / "data/split/five-rule/fit/features.npy"
    data = features.read_bytes()
    features.write_bytes(data[:-1000])
    try:
        error = error_of(trained.stage("train", EXPERIMENT, "torch"))
    finally:
        features.write_bytes(data)
    assert error.startswith("error: data/split/five-rule/fit/features.npy: damaged (")
    assert error.endswith("); delete it and run `dvc repro`")


@pytest.mark.parametrize(
    ("stage", "arguments", "out"),
    [
        ("standardize", [EXPERIMENT], "data/scale/five-rule"),
        ("train", [EXPERIMENT, "torch"], "models/five-rule/torch"),
        ("evaluate", [EXPERIMENT, "torch"], "evaluation/five-rule/torch"),
    ],
)
def test_no_space_while_writing_leaves_what_was_there_and_the_next_run_succeeds(
    trained, tmp_path, stage, arguments, out
):
    before = {path: path.read_bytes() for path in (trained.root / out).rglob("*") if path.is_file()}
    assert before
    (tmp_path / "sitecustomize.py").write_text(NO_SPACE, encoding="utf-8")
    error = error_of(trained.stage(stage, *arguments, PYTHONPATH=f"{trained.root}:{tmp_path}"))
    assert error == (
        f"error: {out}: no space left on the device; nothing was kept of it; free some space "
        "(`tandem clean` removes old runs) and run again"
    )
    assert {path: path.read_bytes() for path in (trained.root / out).rglob("*") if path.is_file()} == before
    assert not list(trained.root.rglob("*.partial-*"))
    assert trained.stage(stage, *arguments).returncode == 0


@pytest.mark.parametrize(
    ("stage", "arguments", "out"),
    [
        ("fetch", ["digits"], "data/raw/digits"),
        ("split", ["digits"], "data/split/digits/fit"),
        ("train", ["digits-mlp", "torch"], "models/digits-mlp/torch"),
        ("train", ["digits-mlp", "keras"], "models/digits-mlp/keras"),
    ],
)
def test_a_file_that_the_system_refuses_to_let_grow_is_told_in_one_line(trained, stage, arguments, out):
    """A real limit on the size of files (RLIMIT_FSIZE) stops the write itself, inside whichever library writes."""
    if stage == "train":
        trained.prepare("digits")
    elif stage == "split":
        assert trained.stage("fetch", "digits").returncode == 0
    command = f"ulimit -f 20; exec {sys.executable} -m stages.{stage} {' '.join(arguments)}"
    error = error_of(trained.call("bash", "-c", command))
    place, _, rest = error.removeprefix("error: ").partition(": ")
    assert rest == "cannot be written (File too large); nothing was kept of it; make the folder writable and run again"
    checkpoints = f".checkpoints/{arguments[0]}/"  # of a training, they are the first that is written
    assert place == out or (stage == "train" and place.startswith(checkpoints))
    assert not list(trained.root.rglob("*.partial-*"))


def test_a_name_that_is_not_declared(trained):
    error = error_of(trained.stage("train", "five-rul", "torch"))
    assert error.startswith("error: params.yaml: 'five-rul' is not declared under experiments; allowed: ")
    assert error.endswith("did you mean 'five-rule'?")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x1,x2,x3,x4\n1,2,3,4\n", "column 'x5' is missing; it has x1, x2, x3, x4; did you mean 'x4'?"),
        ("x1,x2,x3,x4,x5\n1,2,three,4,5\n", "row 1, column 'x3': 'three' is not a number; correct the file"),
        ("x1,x2,x3,x4,x5\n", "has no rows; give at least one row to predict on"),
    ],
)
def test_predict_refuses_a_bad_table(trained, tmp_path, text, message):
    path = tmp_path / "rows.csv"
    path.write_text(text, encoding="utf-8")
    error = error_of(trained.tandem("predict", EXPERIMENT, "--framework", "torch", str(path)))
    assert error == f"error: {path}: {message}"


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_predict_gives_labels_and_probabilities(trained, tmp_path, framework):
    if framework == "keras" and not (trained.root / "models/five-rule/keras").exists():
        assert trained.stage("train", EXPERIMENT, "keras").returncode == 0
    path = tmp_path / "rows.csv"
    path.write_text("x5,x1,x2,x3,x4\n0,1,0.5,0.5,0.5\n1,0,0.5,0.5,0.5\n", encoding="utf-8")
    done = trained.tandem("predict", EXPERIMENT, "--framework", framework, str(path))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    head, *rows = done.stdout.splitlines()
    assert head == "label,class,probability of x1 ≤ x5,probability of x1 > x5"
    probabilities = [[float(value) for value in row.split(",")[2:]] for row in rows]
    assert [sum(row) for row in probabilities] == pytest.approx([1, 1], rel=1e-5)
    assert [int(row.split(",")[0]) for row in rows] == [row.index(max(row)) for row in probabilities]
    assert probabilities[0] != probabilities[1]
