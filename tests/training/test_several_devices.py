"""Training on several devices: logical devices of the CPU in Keras, processes joined by gloo in PyTorch."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from hermetic import hermetic_environment
from workspace import Workspace, make_workspace

from tandem.config import read_params
from tandem.errors import ParameterError
from tandem.frameworks import device_seed, share_of
from tandem.records import RunRecord, read_record

WORKER = Path(__file__).with_name("devices_worker.py")
KINDS = ("dense", "convolution", "augmented", "sum", "recurrent", "native")
EXPERIMENT, DATASET = "digits-mlp", "digits"
WAYS = {"keras": "MirroredStrategy", "torch": "DistributedDataParallel"}
TOLERANCES = {"float32": 1e-5, "float64": 1e-12}
END_SECONDS = 60  # no more than a guard against waiting for ever


# ---------------------------------------------------------------------------------------------- shares


@pytest.mark.parametrize("devices", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("rows", [1, 2, 6, 7, 8, 100])
def test_shares_are_those_of_array_split(rows, devices):
    expected = np.array_split(np.arange(rows), devices)
    shares = [np.arange(rows)[slice(*share_of(rows, devices, rank))] for rank in range(devices)]
    assert [share.tolist() for share in shares] == [part.tolist() for part in expected]


def test_each_device_and_each_epoch_has_a_seed_of_its_own():
    assert len({device_seed(seed, rank) for seed in range(10) for rank in range(8)}) == 80


# ------------------------------------------------------------------------------------------ equal results


def train(framework: str, devices: int, folder: Path, *cases: str) -> dict[str, np.ndarray]:
    """Train the worker's cases in a process of its own; nothing may be left of it."""
    files = folder / "temporary"
    files.mkdir()
    command = [sys.executable, str(WORKER), framework, str(devices), str(folder / "found.npz"), *cases]
    environment = hermetic_environment(folder / "home") | {"TMPDIR": str(files)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.splitlines()[-1] == f"{devices} × CPU ({WAYS[framework]})"
    assert not list(files.glob("tandem-*"))
    with np.load(folder / "found.npz") as found:
        return dict(found)


def cases_of(*kinds: str) -> list[str]:
    return [f"{kind}/{dtype}" for kind in kinds for dtype in TOLERANCES]


def check_equal(found: dict[str, np.ndarray], case: str) -> None:
    """Compare weights, losses and metrics with those of one device."""
    names = [key.removeprefix(f"{case}/one/") for key in found if key.startswith(f"{case}/one/")]
    assert len(names) > 2
    for name in names:
        one, several = found[f"{case}/one/{name}"], found[f"{case}/several/{name}"]
        np.testing.assert_allclose(several, one, rtol=0, atol=TOLERANCES[case.split("/")[1]], err_msg=f"{case} {name}")


def check_resumed(found: dict[str, np.ndarray], case: str) -> None:
    """Compare the weights of a training that went on with those of one that was not interrupted, bit for bit."""
    names = [key.removeprefix(f"{case}/resumed/") for key in found if key.startswith(f"{case}/resumed/")]
    assert names
    for name in names:
        np.testing.assert_array_equal(found[f"{case}/resumed/{name}"], found[f"{case}/several/{name}"])


def check_masks(found: dict[str, np.ndarray]) -> None:
    """A column that one of two devices dropped lies between those that both dropped and both kept."""
    values, counts = np.unique(found["masks/float32/kernel"], return_counts=True)
    assert values.tolist() == [0, 4, 8]
    assert counts[1] > 60


def test_two_processes_of_pytorch_train_what_one_does(tmp_path):
    found = train("torch", 2, tmp_path, *cases_of(*KINDS), "dropout/float32", "masks/float32")
    for case in cases_of(*KINDS):
        check_equal(found, case)
        check_resumed(found, case)
    check_resumed(found, "dropout/float32")
    check_masks(found)


def test_two_devices_of_keras_train_what_one_does(tmp_path):
    found = train("keras", 2, tmp_path, "dense/float32")
    check_equal(found, "dense/float32")
    check_resumed(found, "dense/float32")


@pytest.mark.slow
def test_three_processes_of_pytorch_train_what_one_does(tmp_path):
    found = train("torch", 3, tmp_path, *cases_of("dense"))
    for case in cases_of("dense"):
        check_equal(found, case)
        check_resumed(found, case)


@pytest.mark.slow
def test_two_devices_of_keras_train_other_networks_as_one_does(tmp_path):
    equal = ("convolution/float32", "convolution/float64", "sum/float64")
    found = train("keras", 2, tmp_path, *equal, "dropout/float32", "masks/float32")
    for case in equal:
        check_equal(found, case)
        check_resumed(found, case)
    check_resumed(found, "dropout/float32")
    check_masks(found)


# ---------------------------------------------------------------------------------------------- stages


def declare(path: Path, training: str) -> None:
    """Give the experiment of a params.yaml another training."""
    pattern = rf"(?s)(\n  {EXPERIMENT}:\n.*?\n    training: )[^\n]*"
    text, changed = re.subn(pattern, rf"\g<1>{training}", path.read_text(encoding="utf-8"), count=1)
    assert changed
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = make_workspace(tmp_path_factory.mktemp("several-devices"), suite=(EXPERIMENT,))
    declare(made.root / "params.yaml", "{epochs: 12, batch_size: 50, replicates: 2, devices: 2}")
    made.prepare(DATASET)
    (made.root / "temporary").mkdir()
    return made


@pytest.fixture(autouse=True)
def _clean(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "workspace" in request.fixturenames:
        remove_results(request.getfixturevalue("workspace"))


def remove_results(workspace: Workspace) -> None:
    for name in ("models", "timings", "logs", "history", ".checkpoints"):
        shutil.rmtree(workspace.root / name, ignore_errors=True)


def start(workspace: Workspace, framework: str) -> subprocess.Popen[str]:
    progress = workspace.root / "progress"
    progress.write_text("")
    more = {
        "TANDEM_CHECKPOINT_SECONDS": "0", "DVCGRAPH_PROGRESS": str(progress),
        "TMPDIR": str(workspace.root / "temporary"),
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "stages.train", EXPERIMENT, framework],
        cwd=workspace.root, env=workspace.environment | more, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_for_epochs(workspace: Workspace, process: subprocess.Popen[str], epochs: int) -> list[psutil.Process]:
    """Wait until a training has told so many epochs; return its children."""
    while process.poll() is None and epochs_told(workspace) < epochs:
        time.sleep(0.001)
    assert process.poll() is None, "it was too quick to be killed"
    return psutil.Process(process.pid).children(recursive=True)


def epochs_told(workspace: Workspace) -> int:
    return (workspace.root / "progress").read_text().count("\n")


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=END_SECONDS)
    return process.returncode, errors


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def left_over(workspace: Workspace) -> list[Path]:
    return list((workspace.root / "temporary").glob("tandem-*"))


@pytest.fixture(scope="module")
def whole(workspace: Workspace) -> dict[str, bytes]:
    """The files of a training with PyTorch that nothing interrupted."""
    assert finish(start(workspace, "torch")) == (0, "")
    check_record(workspace, "torch")
    found = files(workspace.root / "models")
    assert len(found) > 4
    remove_results(workspace)
    return found


def check_record(workspace: Workspace, framework: str) -> None:
    record = read_record(RunRecord, workspace.root / f"models/{EXPERIMENT}/{framework}/run.json")
    assert record.device == f"2 × CPU ({WAYS[framework]})"
    assert record.declaration["training"]["devices"] == 2
    assert [replicate.outcome for replicate in record.replicates] == ["finished", "finished"]
    assert not left_over(workspace)


@pytest.mark.slow
def test_keras_trains_an_experiment_on_two_devices_and_one_evaluates_it(workspace):
    assert finish(start(workspace, "keras")) == (0, "")
    check_record(workspace, "keras")
    assert workspace.stage("evaluate", EXPERIMENT, "keras").returncode == 0


@pytest.mark.slow
def test_a_killed_training_leaves_no_process_and_goes_on_with_the_same_bytes(workspace, whole):
    process = start(workspace, "torch")
    children = wait_for_epochs(workspace, process, 15)  # in the second replicate
    process.kill()
    process.communicate()
    assert len(children) == 1
    _, alive = psutil.wait_procs(children, timeout=END_SECONDS)
    assert not alive
    assert not left_over(workspace)
    assert finish(start(workspace, "torch")) == (0, "")
    assert epochs_told(workspace) < 12
    assert files(workspace.root / "models") == whole


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_training_with_one_line(workspace):
    process = start(workspace, "torch")
    (child,) = wait_for_epochs(workspace, process, 2)
    child.kill()
    assert finish(process) == (
        1,
        "error: training.devices: 2: the process of device 1 ended (signal 9); "
        "run again to go on from the last checkpoint, or with fewer devices\n",
    )
    assert not (workspace.root / "models").exists()
    assert not left_over(workspace)


@pytest.mark.slow
def test_a_process_that_does_not_notice_a_dead_one_is_ended(python):
    code = (
        "import time, psutil\n"
        "from tandem.errors import TandemError\n"
        "from tandem.frameworks.torch import several_devices\n"
        "several_devices._GRACE_SECONDS = 0.1\n"
        "several_devices.team_of(2)\n"
        "try:\n"
        "    several_devices.team_of(3)\n"
        "except TandemError as error:\n"
        "    print(error, flush=True)\n"
        "(child,) = psutil.Process().children()\n"
        "child.kill()\n"
        f"time.sleep({END_SECONDS})\n"
    )
    done = python("-c", code)
    assert done.returncode == 1
    assert done.stdout == ("training.devices: 3: this process trains on 2 devices already; call it in a new process\n")
    assert done.stderr.splitlines()[-1].startswith(
        "error: training.devices: 2: the process of device 1 ended (signal 9); run again"
    )


# ------------------------------------------------------------------------------------------ declarations

PLACE = "experiments.digits-mlp"
REFUSALS = [
    ("{epochs: 2, batch_size: 32, devices: 0}", f"27: {PLACE}.training.devices: 0: must be greater than 0"),
    (
        "{epochs: 2, batch_size: 32, devices: 65}",
        f"27: {PLACE}.training.devices: 65: must be less than or equal to 64",
    ),
    ("{epochs: 2, batch_size: 32, devices: two}", f"27: {PLACE}.training.devices: 'two': must be a whole number"),
    (
        "{epochs: 2, batch_size: 3, devices: 4}",
        f"27: {PLACE}.training.batch_size: 3: fewer rows than the 4 devices that share them; allowed: 4 and more",
    ),
    (
        "{epochs: 2, batch_size: auto, devices: 4}",
        f"27: {PLACE}.training.batch_size: 'auto' is found for one device; name a number of at least 4, or devices: 1",
    ),
    (
        "{epochs: 2, batch_size: 32, devices: 2, input: streamed}",
        f"27: {PLACE}.training.input: 'streamed' feeds one device, training.devices is 2; write input: memory, or "
        "devices: 1",
    ),
]


def mistakes(path: Path) -> list[str]:
    with pytest.raises(ParameterError) as caught:
        read_params(path)
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()[:-1]]


@pytest.mark.parametrize(("training", "expected"), REFUSALS)
def test_what_several_devices_cannot_share_is_refused(write_params, training, expected):
    path = write_params()
    declare(path, training)
    assert mistakes(path) == [expected]


def test_batch_normalisation_is_refused_on_several_devices(write_params):
    path = write_params(("activation: relu}", "activation: relu, batch_normalization: before}"))
    assert read_params(path)
    declare(path, "{epochs: 2, batch_size: 32, devices: 2}")
    assert mistakes(path) == [
        f"27: {PLACE}.training.devices: 2: batch normalisation would take its means over each device's share of a "
        "batch; allowed: 1, or a network without it"
    ]


def test_numpy_is_refused_on_several_devices(write_params):
    path = write_params(("frameworks: [keras, torch]", "frameworks: [torch, numpy]"))
    declare(path, "{epochs: 2, batch_size: 32, devices: 2}")
    assert mistakes(path) == [
        "3: suite.frameworks: 'numpy' trains on one device, but experiments.digits-mlp.training.devices is 2; "
        "name frameworks in experiments.digits-mlp, or take 'numpy' out"
    ]
    own = write_params(("    loss: cross_entropy\n", "    loss: cross_entropy\n    frameworks: [torch, numpy]\n"))
    declare(own, "{epochs: 2, batch_size: 32, devices: 2}")
    assert mistakes(own) == [
        f"26: {PLACE}.frameworks: 'numpy' trains on one device, but devices is 2; take 'numpy' out, or write devices: 1"
    ]


def test_one_device_is_the_default(write_params):
    experiments = read_params(write_params()).experiments
    assert {declared.training.devices for declared in experiments.values()} == {1}
