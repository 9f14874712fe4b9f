"""``input: streamed`` trains to the same bytes as ``memory`` without holding the training rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hermetic import REPOSITORY
from workspace import Workspace, make_workspace

from tandem.batch_size import choose_batch_size
from tandem.config import parse_params
from tandem.errors import ParameterError
from tandem.fitdata import load_fit
from tandem.frameworks import load_framework
from tandem.records import write_record
from tandem.scaling import Scaler
from tandem.streaming import StreamedFeatures, StreamedRows, window_sizes

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))
from streaming_worker import PEAK_COLUMNS, PEAK_ROWS, description, experiment, write_data  # noqa: E402  (its folder comes first)

MEBIBYTE = 2**20
SLOW_KERAS = ["numpy", "torch", pytest.param("keras", marks=pytest.mark.slow)]
EXPERIMENT = "breast-cancer-mlp"  # dropout, batch normalisation, Adam, best checkpoint, early stopping


def work(*arguments: object) -> dict:
    environment = os.environ | {"PYTHONPATH": str(FOLDER.parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, str(FOLDER / "streaming_worker.py"), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("framework", SLOW_KERAS)
def test_streamed_rows_train_to_the_same_bytes_as_rows_in_memory(tmp_path, framework):
    """Several windows an epoch, a last batch that is not full, and batches that are not aligned to cache lines."""
    found = work("equal", framework, tmp_path)
    expected = {
        "kinds": ["Rows", "StreamedRows"], "learned": True, "different weights": [], "same history": True,
    }  # fmt: skip
    assert found
    assert found == dict.fromkeys(found, expected)


@pytest.mark.parametrize("framework", ["keras", "torch", "numpy"])
def test_a_file_that_goes_in_the_middle_is_told_in_a_line(tmp_path, framework):
    found = work("gone", framework, tmp_path)
    assert found == {"error": "FIT/features.npy: missing; run `dvc repro` to make it"}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 200 MB."""
    folder = tmp_path_factory.mktemp("large")
    fit, scaler = folder / "fit", folder / "scaler"
    (fit / "folds/0").mkdir(parents=True)
    scaler.mkdir()
    np.save(fit / "features.npy", np.ones((PEAK_ROWS, PEAK_COLUMNS), dtype=np.float32))
    np.save(fit / "targets.npy", np.ones(PEAK_ROWS))
    np.save(fit / "folds/0/train.npy", np.arange(PEAK_ROWS))
    np.save(fit / "folds/0/valid.npy", np.arange(0))
    write_record(Scaler(method="none", per="all", center=(0.0,), scale=(1.0,)), scaler / "fold-0.json")
    write_record(description((PEAK_COLUMNS,), 0, 0), fit / "description.json")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_a_large_data_set_is_never_held_as_a_whole(large, framework):
    peaks = {given: work("peak", framework, large, given)["peak"] for given in ("memory", "streamed")}
    assert peaks["streamed"] < peaks["memory"] - 150 * MEBIBYTE, peaks  # memory: the file's pages, and them scaled


@pytest.mark.slow
def test_a_streamed_training_that_was_killed_ends_as_an_unkilled_one_in_memory(tmp_path):
    workspace = make_workspace(tmp_path, suite=(EXPERIMENT,))
    path = workspace.root / "params.yaml"
    head, entry = path.read_text().split(f"\n  {EXPERIMENT}:\n")
    entry = entry.replace("epochs: 2", "epochs: 30", 1).replace("patience: 2", "patience: 30", 1)
    entry = entry.replace("replicates: 2", "replicates: 1", 1)  # several in memory are trained together
    path.write_text(f"{head}\n  {EXPERIMENT}:\n{entry}")
    workspace.prepare("breast-cancer")
    for stage in ("train", "evaluate"):
        workspace.run(sys.executable, "-m", f"stages.{stage}", EXPERIMENT, "torch")
    in_memory = results(workspace)
    streaming = entry.replace("training:\n", "training:\n      input: streamed\n", 1)
    path.write_text(f"{head}\n  {EXPERIMENT}:\n{streaming}")
    kill_in_the_middle(workspace)
    done = workspace.stage("train", EXPERIMENT, "torch")
    assert done.returncode == 0, done.stderr
    assert "goes on from its checkpoint" in done.stdout
    workspace.run(sys.executable, "-m", "stages.evaluate", EXPERIMENT, "torch")
    streamed = results(workspace)
    run = "models/breast-cancer-mlp/torch/run.json"
    declared = [json.loads(given.pop(run))["declaration"]["training"]["input"] for given in (in_memory, streamed)]
    assert declared == ["memory", "streamed"]
    assert streamed == in_memory


def results(workspace: Workspace) -> dict[str, bytes]:
    return {
        str(path.relative_to(workspace.root)): path.read_bytes()
        for folder in ("models", "evaluation") for path in (workspace.root / folder).rglob("*") if path.is_file()
    }  # fmt: skip


def kill_in_the_middle(workspace: Workspace) -> None:
    progress = workspace.root / "progress"
    progress.touch()
    more = {"TANDEM_CHECKPOINT_SECONDS": "0", "DVCGRAPH_PROGRESS": str(progress)}
    process = subprocess.Popen(
        [sys.executable, "-m", "stages.train", EXPERIMENT, "torch"],
        cwd=workspace.root, env=workspace.environment | more, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while process.poll() is None and progress.read_text().count("\n") < 5:
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    assert process.returncode != 0, "it ended before it was killed"


@pytest.mark.parametrize("shape", [(7,), (5, 4)])
def test_rows_that_are_asked_for_are_those_of_the_whole(tmp_path, shape):
    fit, scaler = write_data(tmp_path, shape, folds=2, missing=len(shape) == 1)
    whole, streamed = (load_fit(fit, scaler, 1, streamed=given) for given in (False, True))
    for part, lazy in ((whole.train, streamed.train), (whole.valid, streamed.valid)):
        assert isinstance(lazy.features, StreamedFeatures)
        assert (lazy.features.shape, len(lazy), len(lazy.features)) == (part.features.shape, len(part), len(part))
        assert lazy.targets.tobytes() == part.targets.tobytes()
        for asked in (slice(0), slice(3, 11), np.array([5, 2, 2, 39]), slice(None)):
            assert lazy.features[asked].dtype == part.features.dtype
            assert lazy.features[asked].tobytes() == part.features[asked].tobytes()
        assert np.asarray(lazy.features).tobytes() == part.features.tobytes()


def rows_of(columns: int, count: int, folder: Path = Path()) -> StreamedRows:
    scaler = Scaler(method="none", per="all", center=(0.0,), scale=(1.0,))
    features = StreamedFeatures(folder / "none.npy", np.arange(count), scaler, "float32", (count, columns))
    return StreamedRows(features, np.zeros(count))


@pytest.mark.parametrize(
    ("columns", "steps", "batch_size", "expected"),
    [
        (10, 7, 32, [7]),  # all fit
        (10, 129, 32, [65, 64]),  # at most 4096 rows, in windows as equal as they can be
        (2**16, 6, 32, [2, 2, 2]),  # at most 16 MiB: 64 rows of 256 KiB
        (2**22, 2, 3, [1, 1]),  # a batch at the least
        (10, 3, 5000, [1, 1, 1]),
    ],
)
def test_a_window_is_as_many_steps_as_fit(columns, steps, batch_size, expected):
    assert list(window_sizes(rows_of(columns, 1), steps, batch_size)) == expected


def test_an_automatic_batch_size_asks_for_no_rows(tmp_path, monkeypatch):
    declared = experiment("mse", {"sequential": []}, {"name": "sgd", "learning_rate": 0.1}, batch_size="auto")
    np.save(tmp_path / "none.npy", np.zeros((100, 4)))
    asked = []
    given = Scaler.transform
    monkeypatch.setattr(Scaler, "transform", lambda *taken: asked.append(len(taken[1])) or given(*taken))
    architecture = declared.architecture(description((4,), 0, 0))
    assert choose_batch_size(load_framework("numpy"), architecture, declared, rows_of(4, 100, tmp_path)) == 64
    assert asked == [0]


def test_another_input_is_refused_in_a_line():
    head, entry = (REPOSITORY / "params.yaml").read_text(encoding="utf-8").split(f"\n  {EXPERIMENT}:\n")
    declared = entry.replace("training:\n", "training:\n      input: streaming\n", 1)
    with pytest.raises(ParameterError) as caught:
        parse_params(f"{head}\n  {EXPERIMENT}:\n{declared}", Path("params.yaml"))
    first, last = str(caught.value).splitlines()
    assert first.partition(": ")[2] == (
        "experiments.breast-cancer-mlp.training.input: "
        "'streaming' is not known; allowed: memory, streamed; did you mean 'streamed'?"
    )
    assert last == "nothing was run; correct params.yaml and run again"
