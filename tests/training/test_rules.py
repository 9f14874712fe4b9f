"""The training rules that all frameworks share, on real trainings."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tandem.training import epoch_order, epoch_seed

FOLDER = Path(__file__).parent
FRAMEWORKS = ("keras", "torch")
ENVIRONMENT = {"PYTHONPATH": str(FOLDER.parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="module")
def results() -> dict[str, dict]:
    found = {}
    for framework in FRAMEWORKS:
        command = [sys.executable, str(FOLDER / "worker.py"), framework]
        done = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        found[framework] = json.loads(done.stdout.splitlines()[-1])
    return found


def keras_stops_after(values: list[float], patience: int, min_delta: float) -> int:
    """What keras.callbacks.EarlyStopping does, asked of Keras itself."""
    code = f"""
import json, keras
stopping = keras.callbacks.EarlyStopping(monitor="valid_loss", patience={patience}, min_delta={min_delta}, mode="min")
class Model: stop_training = False
stopping.set_model(Model()); stopping.on_train_begin()
for epoch, value in enumerate({values}):
    stopping.on_epoch_end(epoch, {{"valid_loss": value}})
    if stopping.model.stop_training:
        break
print(epoch + 1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_early_stopping_stops_where_the_value_last_fell_patience_epochs_ago(results, framework):
    stopped = results[framework]["stopped"]
    losses = stopped["columns"]["valid_loss"]
    assert stopped["record"]["outcome"] == "stopped early"
    assert len(losses) == stopped["record"]["epochs"] < 30
    best, reference = math.inf, 0
    for epoch, loss in enumerate(losses):
        if loss < best - 0.01:
            best, reference = loss, epoch
    assert len(losses) - 1 - reference == 3
    assert stopped["record"]["explanation"] == (
        f"valid_loss had not fallen by more than 0.01 since epoch {len(losses) - 3}, 3 epochs before"
    )


def test_early_stopping_counts_as_keras_own_callback(results):
    losses = results["keras"]["last"]["columns"]["valid_loss"]
    assert keras_stops_after(losses, 3, 0.01) == results["keras"]["stopped"]["record"]["epochs"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_best_checkpoint_keeps_the_epoch_of_lowest_validation_loss(results, framework):
    best, last = results[framework]["best"], results[framework]["last"]
    losses = best["columns"]["valid_loss"]
    assert best["record"]["kept_epoch"] == int(np.argmin(losses)) + 1
    assert last["record"]["kept_epoch"] == 30
    assert best["weights"] != last["weights"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(results, framework):
    assert results[framework]["again"] == results[framework]["last"]
    assert results[framework]["second seed"]["weights"] != results[framework]["last"]["weights"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_loss_that_is_no_longer_finite_ends_the_run_as_diverged(results, framework):
    record = results[framework]["diverged"]["record"]
    assert record["outcome"] == "diverged"
    assert record["epochs"] < 30
    assert record["explanation"] == f"the loss was no longer finite in epoch {record['epochs']}"
    losses = results[framework]["diverged"]["columns"]["valid_loss"][:-1]
    assert record["kept_epoch"] == (int(np.argmin(losses)) + 1 if losses else 0)
    assert math.isfinite(float(results[framework]["diverged"]["weights"])), "the kept weights are numbers"


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_native_constants_train_too(results, framework, optimizer):
    native = results[framework][f"{optimizer}/native"]
    losses = native["columns"]["train_loss"]
    assert native["record"]["outcome"] == "finished"
    assert losses[-1] < 0.9 * losses[0]
    assert native["weights"] != results[framework][f"{optimizer}/aligned"]["weights"] or framework == "keras"


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_with_dropout_both_frameworks_learn_alike(results, optimizer):
    losses = [results[framework][f"{optimizer}/aligned"]["columns"]["valid_loss"][-1] for framework in FRAMEWORKS]
    assert losses[0] == pytest.approx(losses[1], rel=0.15)


def test_the_order_shows_every_row_as_often_as_declared():
    order = epoch_order(rows=10, repeat=3, seed=0, epoch=0)
    assert order.dtype == np.int32
    assert np.bincount(order).tolist() == [3] * 10


def test_order_and_dropout_change_with_epoch_and_seed():
    seeds = {epoch_seed(seed, epoch, stream) for seed in range(3) for epoch in range(3) for stream in (1, 2)}
    assert len(seeds) == 18
    assert not np.array_equal(epoch_order(50, 1, 0, 0), epoch_order(50, 1, 0, 1))
    np.testing.assert_array_equal(epoch_order(50, 1, 0, 1), epoch_order(50, 1, 0, 1))
