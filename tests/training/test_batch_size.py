"""``batch_size: auto``: computed from the memory of a CPU, tried on anything else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from tandem import batch_size
from tandem.batch_size import choose_batch_size, numbers_in_a_step, power_of_two, usable_memory
from tandem.config import Experiment, read_params
from tandem.datasets import Rows
from tandem.errors import ParameterError, TandemError
from tandem.frameworks import load_framework
from tandem.models import Architecture, resolve

MEBIBYTE = 2**20


def experiment(size: int | str = "auto", **training: object) -> Experiment:
    declared = {
        "description": "made", "dataset": "made", "loss": "mse",
        "model": {"sequential": [{"flatten": {}}, {"dense": {"units": 30, "activation": "relu"}}]},
        "optimizer": {"name": "sgd", "learning_rate": 0.1},
        "training": {"epochs": 1, "batch_size": size, **training},
    }  # fmt: skip
    return Experiment.model_validate_json(json.dumps(declared))


def architecture() -> Architecture:
    return resolve(experiment().model, (4, 5), "regression", "mse", 0)


def rows(count: int) -> Rows:
    return Rows(np.zeros((count, 4, 5), dtype=np.float32), np.zeros(count, dtype=np.float32))


def choose(declared: Experiment, count: int, framework: object = None) -> int:
    return choose_batch_size(framework or load_framework("numpy"), architecture(), declared, rows(count))


def test_a_declared_number_is_kept():
    assert choose(experiment(7), 100) == 7


@pytest.mark.parametrize(("number", "power"), [(1, 1), (2, 2), (3, 2), (64, 64), (100, 64), (65_537, 65_536)])
def test_the_largest_power_of_two_that_is_not_above(number, power):
    assert power_of_two(number) == power


def test_a_step_holds_inputs_and_each_layers_outputs_with_their_gradients():
    layers = [layer.output_shape for layer in architecture().layers]
    assert layers == [(20,), (30,), (30,), (1,)]
    assert numbers_in_a_step(architecture(), augmented=False) == 20 + 2 * (20 + 30 + 30 + 1)
    assert numbers_in_a_step(architecture(), augmented=True) > numbers_in_a_step(architecture(), augmented=False)


def test_never_more_than_the_training_rows_nor_the_largest():
    assert choose(experiment(), 100) == 64
    assert choose(experiment(), 2**17) == batch_size.LARGEST


@pytest.mark.parametrize(("mebibytes", "expected"), [(1, 128), (2, 256), (8, 1024)])
def test_the_share_of_the_memory_bounds_the_size(monkeypatch, mebibytes, expected):
    # A row takes 4 · 182 bytes, weights and their copies 4 · 4 · 661: of 1 MiB / 8 there is room for 165 rows.
    monkeypatch.setattr(batch_size, "usable_memory", lambda: mebibytes * MEBIBYTE)
    assert choose(experiment(), 100_000) == expected


def test_too_little_memory_for_one_row_is_told(monkeypatch):
    monkeypatch.setattr(batch_size, "usable_memory", lambda: 1000)
    with pytest.raises(TandemError) as caught:
        choose(experiment(), 100)
    assert str(caught.value) == (
        "batch_size: auto: a step on one row does not fit 0.125 of the memory of this machine; "
        "declare a smaller network, or a number"
    )


@pytest.mark.parametrize(
    ("line", "file", "text", "limit"),
    [
        ("0::/box/inner", "box/memory.max", "1048576\n", MEBIBYTE),
        ("0::/box/inner", "memory.max", "2097152\n", 2 * MEBIBYTE),
        ("0::/box/inner", "box/memory.max", "max\n", None),
        ("7:cpu,memory:/box", "cpu,memory/box/memory.limit_in_bytes", "1048576\n", MEBIBYTE),
        ("7:cpu,memory:/box", "cpu,memory/box/memory.limit_in_bytes", "9223372036854771712\n", None),
        ("7:cpu:/box", "cpu/box/memory.limit_in_bytes", "1048576\n", None),
    ],
)
def test_limits_of_control_groups_are_kept(tmp_path: Path, line, file, text, limit):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"{line}\n")
    path = tmp_path / "sys/fs/cgroup" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert usable_memory(tmp_path) == (limit or psutil.virtual_memory().total)


class SmallGpu:
    """NumPy's framework on a device that holds so many rows."""

    def __init__(self, holds: int, error: type[Exception] = MemoryError) -> None:
        self._framework, self._holds, self._error = load_framework("numpy"), holds, error
        self.tried: list[int] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._framework, name)

    def device(self) -> str:
        return "Small GPU"

    def trainer(self, *arguments: object, **settings: object) -> SimpleNamespace:
        trainer = self._framework.trainer(*arguments, **settings)

        def train_epoch(order: np.ndarray, batch_size: int, *rest: object) -> tuple[float, float]:
            self.tried.append(batch_size)
            if batch_size > self._holds:
                raise self._error("no memory is left")
            return trainer.train_epoch(order, batch_size, *rest)

        return SimpleNamespace(train_epoch=train_epoch)


def test_on_a_gpu_the_size_is_halved_until_a_step_fits():
    gpu = SmallGpu(holds=20)
    assert choose(experiment(augmentation={"flip": "horizontal"}), 100, gpu) == 16
    assert gpu.tried == [64, 32, 16]


def test_a_gpu_on_which_nothing_fits_is_told():
    with pytest.raises(TandemError) as caught:
        choose(experiment(), 4, SmallGpu(holds=0))
    assert str(caught.value) == (
        "batch_size: auto: a step on one row does not fit the memory of Small GPU; declare a smaller network"
    )


def test_another_error_of_a_step_is_not_taken_for_a_lack_of_memory():
    with pytest.raises(ZeroDivisionError):
        choose(experiment(), 4, SmallGpu(holds=0, error=ZeroDivisionError))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("framework", "code"),
    [
        ("keras", "import tensorflow as tf; error = tf.errors.ResourceExhaustedError(None, None, 'out of memory')"),
        ("torch", "import torch; error = torch.OutOfMemoryError('CUDA out of memory')"),
        ("numpy", "error = MemoryError()"),
    ],
)
def test_each_framework_knows_its_own_error(framework, code):
    script = (
        f"from tandem.frameworks import {framework} as framework; {code}; "
        "print(framework.is_out_of_memory(error), framework.is_out_of_memory(ValueError('x')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "False"], done.stderr[-2000:]


@pytest.mark.parametrize("wrong", ["many", "2.5", "true"])
def test_anything_but_a_number_or_auto_is_told(write_params, wrong):
    shown = {"many": "'many'"}.get(wrong, wrong)
    with pytest.raises(ParameterError) as caught:
        read_params(write_params(("batch_size: 8", f"batch_size: {wrong}")))
    assert str(caught.value).splitlines()[0].partition("params.yaml:")[2] == (
        f"43: experiments.coffee.training.batch_size: {shown}: must be a whole number, or auto"
    )


def test_auto_can_be_declared(write_params):
    params = read_params(write_params(("batch_size: 8", "batch_size: auto")))
    assert params.experiments["coffee"].training.batch_size == "auto"
