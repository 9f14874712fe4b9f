"""Initial weights from an .npz file: what it may hold, where it may lie, and what the plan says of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tandem.config import read_params
from tandem.errors import DataError, ParameterError
from tandem.models import ModelDeclaration, resolve
from tandem.plan import NO_WEIGHTS, make_plan
from tandem.weight_file import read_weights

LAYERS = [{"dense": {"units": 3, "activation": "relu"}}]
NETWORK = resolve(
    ModelDeclaration.model_validate_json(json.dumps({"sequential": LAYERS})), (2,), "regression", "mse", 0
)
KERNEL, BIAS = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1, 2, 3])


def write(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "first.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("between", ["/", "."])
def test_arrays_are_read_by_either_name(tmp_path, between):
    path = write(tmp_path, **{f"dense_1{between}kernel": KERNEL, f"dense_1{between}bias": BIAS})
    read = read_weights(path, NETWORK)
    assert {name: (array.dtype, array.tolist()) for name, array in read.items()} == {
        "dense_1/kernel": (np.float64, KERNEL.tolist()),
        "dense_1/bias": (np.float64, [1, 2, 3]),
    }


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"dense_1.kernle": KERNEL},
         "the network has no array 'dense_1.kernle'; allowed: dense_1/bias, dense_1/kernel, output/bias, "
         "output/kernel; did you mean 'dense_1/kernel'?"),
        ({"dense_1.bias": KERNEL}, "'dense_1.bias' has shape (2, 3), the network's array (3,); correct it"),
        ({"dense_1.bias": np.array([1, np.nan, 3])},
         "'dense_1.bias' holds a number that is not finite; correct it"),
        ({"dense_1.bias": np.array(["a", "b", "c"])}, "'dense_1.bias' holds <U1; give numbers"),
        ({"dense_1.bias": BIAS, "dense_1/bias": BIAS},
         "'dense_1/bias' stands twice, with '/' and with '.'; remove one of the two"),
        ({}, "holds no array; allowed: dense_1/kernel, dense_1/bias, output/kernel, output/bias"),
        ({"dense_1.bias": np.array([1, 2, None])},
         "cannot be read as .npz (Object arrays cannot be loaded when allow_pickle=False); write it with numpy.savez"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_told_in_a_line(tmp_path, arrays, message):
    path = write(tmp_path, **arrays)
    with pytest.raises(DataError) as caught:
        read_weights(path, NETWORK)
    assert str(caught.value) == f"{path}: {message}"


def test_a_file_that_is_missing_or_damaged_is_told_in_a_line(tmp_path):
    path = tmp_path / "first.npz"
    with pytest.raises(DataError, match="missing; put the file there, or correct initial_weights: file: in params"):
        read_weights(path, NETWORK)
    for content in (b"", b"no archive", b"PK\x03\x04 cut off"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"cannot be read as .npz \(.*\); write it with numpy.savez$") as caught:
            read_weights(path, NETWORK)
        assert "\n" not in str(caught.value)


COFFEE = "checkpoint: last}\n"


def declared(text: str) -> tuple[str, str]:
    return COFFEE, f"{COFFEE}    initial_weights: {text}\n"


def test_a_declared_file_is_in_the_plan_of_its_runs(write_params):
    params = read_params(write_params(declared("{file: weights/first.npz}")))
    plan = make_plan(params)
    weights = {name: entry.weights for name, entry in {**plan.trainings, **plan.ladders}.items()}
    assert {name: file for name, file in weights.items() if "coffee" in name} == dict.fromkeys(
        ("coffee-keras", "coffee-torch", "coffee"), "weights/first.npz"
    )
    assert {file for name, file in weights.items() if "coffee" not in name} == {NO_WEIGHTS}
    assert (Path(__file__).parents[2] / NO_WEIGHTS).is_file()


@pytest.mark.parametrize(
    "file", ["/etc/first.npz", "../first.npz", "weights/first.npy", "3", "./first.npz", "a//b.npz", "$x.npz"]
)
def test_a_file_that_is_not_the_projects_is_refused(write_params, file):
    with pytest.raises(ParameterError) as caught:
        read_params(write_params(declared(f"{{file: {file}}}")))
    shown = file if file == "3" else f"'{file}'"
    assert str(caught.value).splitlines()[0].partition("params.yaml:")[2] == (
        f"44: experiments.coffee.initial_weights.file: {shown}: must be an .npz file of the project, "
        "like weights/first.npz"
    )


def test_a_file_stands_alone(write_params):
    with pytest.raises(ParameterError) as caught:
        read_params(write_params(declared("{file: a.npz, output/bias: [0.0]}")))
    assert str(caught.value).splitlines()[0].partition("params.yaml:")[2] == (
        "44: experiments.coffee.initial_weights: file, output/bias: a file stands alone; "
        "take out the file or the arrays"
    )
