"""What stages may say they need, which devices there are, and which of them meet a need."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from dvcgraph.devices import Device, Inventory, child_environment, find_devices
from dvcgraph.errors import GraphError
from dvcgraph.needs import Needs, read_needs, read_size

GIB = 2**30


@pytest.fixture(autouse=True)
def _no_gpu_of_this_machine(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)


def needs_of(meta, parameters=None):
    return read_needs(meta, "train@a", (parameters or {}).get)


def error_of(call, *arguments):
    with pytest.raises(GraphError) as caught:
        call(*arguments)
    return str(caught.value)


def cores(count=2):
    return tuple(Device("cpu", number) for number in range(count))


def gpus(*memories):
    return tuple(Device("gpu", number, memory=memory) for number, memory in enumerate(memories))


# ----------------------------------------------------------------------------------------------------- dvc.yaml


@pytest.mark.parametrize("meta", [None, {}, "free text", ["a"], {"owner": "ann", "device-notes": 3, 7: "x"}])
def test_a_stage_that_says_nothing_needs_one_thread_and_no_device(meta):
    assert needs_of(meta) == Needs(threads=1, device=None)


def test_needs_are_read():
    meta = {"threads": 4, "device": "gpu", "count": 2, "memory": "8 GiB", "required": True, "owner": "ann"}
    assert needs_of(meta) == Needs(4, "gpu", 2, 8 * GIB, True)


def test_threads_may_name_a_parameter():
    meta = {"threads": "experiments.a.training.threads"}
    assert needs_of(meta, {"experiments.a.training.threads": 3}).threads == 3
    assert needs_of(meta).threads == 1
    assert error_of(needs_of, meta, {"experiments.a.training.threads": 0}) == (
        "stage 'train@a': meta in dvc.yaml: threads: the parameter experiments.a.training.threads is 0; "
        "allowed: a whole number of at least 1"
    )


def test_the_count_may_name_a_parameter_and_multiplies_the_threads():
    meta = {"device": "gpu", "count": "experiments.a.training.devices", "threads": "experiments.a.training.threads"}
    parameters = {"experiments.a.training.devices": 2, "experiments.a.training.threads": 3}
    assert needs_of(meta, parameters) == Needs(threads=3, device="gpu", count=2)
    assert needs_of(meta, parameters).all_threads == 6
    assert needs_of(meta) == Needs(threads=1, device="gpu", count=1)
    assert error_of(needs_of, meta, {"experiments.a.training.devices": "two"}) == (
        "stage 'train@a': meta in dvc.yaml: count: the parameter experiments.a.training.devices is 'two'; "
        "allowed: a whole number of at least 1"
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (8, 8 * GIB), (0.5, GIB // 2), ("8", 8 * GIB), ("8 GiB", 8 * GIB), ("1.5gib", 3 * GIB // 2),
        ("512 MiB", GIB // 2), ("1 TiB", 1024 * GIB), ("16GB", 16 * 10**9), ("500 MB", 5 * 10**8), ("2 TB", 2 * 10**12),
        ("8 G", None), ("GiB", None), ("-1 GiB", None), ("8 GiB GiB", None), (0, None), (-1, None), (True, None),
        (float("inf"), None), (float("nan"), None), (None, None), ([8], None), ("9" * 400, None),
    ],
)  # fmt: skip
def test_sizes(text, size):
    assert read_size(text) == size


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"device": "tpu"}, "device is 'tpu'; allowed: gpu, cpu"),
        ({"device": "GPU"}, "device is 'GPU'; allowed: gpu, cpu"),
        ({"device": 0}, "device is 0; allowed: gpu, cpu"),
        (
            {"device": "gpu", "count": 0},
            "count is 0; allowed: a whole number of at least 1, or the dotted name of a parameter",
        ),
        (
            {"device": "gpu", "count": True},
            "count is True; allowed: a whole number of at least 1, or the dotted name of a parameter",
        ),
        ({"threads": 1.5}, "threads is 1.5; allowed: a whole number of at least 1, or the dotted name of a parameter"),
        (
            {"device": "gpu", "memory": "lots"},
            "memory is 'lots'; allowed: a size such as 8 GiB "
            "(units: MiB, GiB, TiB, MB, GB, TB; without one GiB is meant)",
        ),
        ({"device": "gpu", "required": "yes"}, "required is 'yes'; allowed: true (must have a GPU), false"),
        (
            {"device": "cpu", "memory": "8 GiB"},
            "memory goes with device: gpu, but device is cpu; add the one or remove the other",
        ),
        ({"count": 2}, "count goes with device: gpu or cpu, but no device is named; add the one or remove the other"),
        ({"required": True}, "required goes with device: gpu, but no device is named; add the one or remove the other"),
        (
            {"devices": "gpu"},
            "'devices' is not known; did you mean 'device'? (a key of your own must differ more from ours)",
        ),
        (
            {"Thread": 2},
            "'Thread' is not known; did you mean 'threads'? (a key of your own must differ more from ours)",
        ),
    ],
)
def test_a_wrong_need_is_one_clear_line(meta, message):
    assert error_of(needs_of, meta) == f"stage 'train@a': meta in dvc.yaml: {message}"


# --------------------------------------------------------------------------------------------- TANDEM_DEVICES


def pretend(text):
    return find_devices({"TANDEM_DEVICES": text})


def test_pretended_gpus_come_with_the_cores_of_the_machine():
    found = pretend("gpu:1, gpu:0=16GiB")
    assert [(gpu.name, gpu.memory) for gpu in found.gpus] == [("gpu:0", 16 * GIB), ("gpu:1", None)]
    assert found.cpus == find_devices({}).cpus
    assert found.gpu_note == "TANDEM_DEVICES=gpu:1, gpu:0=16GiB lists them"


def test_pretended_cores_replace_the_gpus_and_the_cores():
    found = pretend("cpu:0,cpu:5")
    assert [device.name for device in found.devices] == ["cpu:0", "cpu:5"]
    assert found.gpu_note == "TANDEM_DEVICES=cpu:0,cpu:5 lists none"


@pytest.mark.parametrize(
    "text", ["gpu", "tpu:0", "gpu:0;gpu:1", "gpu:0,", "gpu:0=", "gpu:0=lots", "cpu:0=4GiB", "gpu:-1"]
)
def test_a_list_with_something_else_than_devices_is_refused(text):
    message = error_of(pretend, text)
    assert message.startswith(f"TANDEM_DEVICES is '{text}': '")
    assert message.endswith(
        "names no device; allowed: gpu:NUMBER, gpu:NUMBER=MEMORY (such as gpu:0=16GiB) and cpu:NUMBER, "
        "separated by commas"
    )


def test_a_device_named_twice_is_refused():
    assert error_of(pretend, "gpu:0,gpu:0=8") == (
        "TANDEM_DEVICES is 'gpu:0,gpu:0=8': gpu:0 stands twice; name each device once"
    )


# ------------------------------------------------------------------------------------------------------- NVML


class FakeNvml(ModuleType):
    """The part of pynvml that is asked, for a machine with some GPUs."""

    class NVMLError(Exception):
        pass

    class NVMLError_LibraryNotFound(NVMLError):  # noqa: N801, N818
        pass

    def __init__(self, *memories, fails=None):
        super().__init__("pynvml")
        self.memories, self.fails, self.open = memories, fails, False

    def nvmlInit(self):  # noqa: N802
        if self.fails:
            raise self.NVMLError(self.fails)
        self.open = True

    def nvmlShutdown(self):  # noqa: N802
        self.open = False

    def nvmlDeviceGetCount(self):  # noqa: N802
        return len(self.memories)

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        if self.memories[index] == "lost":
            raise self.NVMLError("GPU is lost")
        return index

    def nvmlDeviceGetUUID(self, handle):  # noqa: N802
        return f"GPU-{handle}a{handle}b"

    def nvmlDeviceGetName(self, handle):  # noqa: N802, ARG002
        return "Tesla T4"

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802
        if self.memories[handle] is None:
            raise self.NVMLError("Not Supported")
        return SimpleNamespace(total=self.memories[handle])


@pytest.fixture
def nvml(monkeypatch):
    def install(*memories, **options):
        fake = FakeNvml(*memories, **options)
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        return fake

    return install


def test_nvml_finds_gpus_and_is_closed(nvml):
    fake = nvml(16 * GIB, None)
    found = find_devices({})
    assert found.gpus == (
        Device("gpu", 0, "Tesla T4", 16 * GIB, "GPU-0a0b"),
        Device("gpu", 1, "Tesla T4", None, "GPU-1a1b"),
    )
    assert found.gpu_note == ""
    assert not fake.open


def test_a_gpu_that_is_lost_is_left_out_and_named(nvml):
    nvml(GIB, "lost", GIB)
    found = find_devices({})
    assert [gpu.index for gpu in found.gpus] == [0, 2]
    assert found.gpu_note == "gpu:1 cannot be used: GPU is lost"


def test_a_driver_that_fails_means_no_gpu_and_says_why(nvml):
    nvml(GIB, fails="Driver/library version mismatch")
    found = find_devices({})
    assert found.gpus == ()
    assert found.gpu_note == "NVML cannot be used: Driver/library version mismatch"


def test_without_the_package_there_is_no_gpu():
    assert find_devices({}).gpus == ()
    assert find_devices({}).gpu_note == "the package nvidia-ml-py is not installed"


def test_the_real_package_answers(monkeypatch):
    monkeypatch.delitem(sys.modules, "pynvml")
    import pynvml

    found = find_devices({})
    assert found.cpus
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        assert found.gpus == ()
        assert "NVML" in found.gpu_note
    else:
        assert len(found.gpus) == pynvml.nvmlDeviceGetCount() or found.gpu_note
        pynvml.nvmlShutdown()


@pytest.mark.parametrize(
    ("visible", "shown"),
    [
        ("0,1,2", [0, 1, 2]), ("2,0", [0, 2]), ("", []), ("-1", []), ("0,-1,1", [0]), ("1,7,0", [1]), ("no", []),
        ("GPU-2a2b", [2]), ("GPU-1", [1]), ("GPU-", []), ("GPU-0a0b, 2", [0, 2]), ("1,1", [1]),
    ],
)  # fmt: skip
def test_gpus_that_cuda_would_not_show_are_left_out(nvml, visible, shown):
    nvml(GIB, GIB, GIB)
    found = find_devices({"CUDA_VISIBLE_DEVICES": visible})
    assert [gpu.index for gpu in found.gpus] == shown
    hidden = 3 - len(shown)
    assert found.gpu_note == (f"CUDA_VISIBLE_DEVICES={visible!r} hides {hidden} of 3" if hidden else "")


def test_a_listed_gpu_that_is_there_is_the_real_one(nvml):
    nvml(16 * GIB)
    found = find_devices({"TANDEM_DEVICES": "gpu:0,gpu:1", "CUDA_VISIBLE_DEVICES": ""})
    assert [gpu.uuid for gpu in found.gpus] == ["GPU-0a0b", ""]
    assert find_devices({"TANDEM_DEVICES": "gpu:0=4GiB"}).gpus[0].memory == 4 * GIB


# ------------------------------------------------------------------------------------------- choice, environment


def chosen(inventory, needs):
    choice = inventory.choose(needs, "train")
    return [device.name for device in choice.devices], choice.count


def test_the_smallest_gpu_that_suffices_comes_first():
    inventory = Inventory((*gpus(80 * GIB, 16 * GIB, 24 * GIB), *cores()))
    assert chosen(inventory, Needs(device="gpu", memory=20 * GIB)) == (["gpu:2", "gpu:0"], 1)
    assert chosen(inventory, Needs(device="gpu", count=2)) == (["gpu:1", "gpu:2", "gpu:0"], 2)


@pytest.mark.parametrize(
    ("there", "needs", "slots"),
    [
        ((), Needs(device="gpu"), 1),
        ((), Needs(device="gpu", threads=2), 2),
        ((), Needs(device="gpu", threads=8), 2),
        (gpus(8 * GIB), Needs(device="gpu", memory=16 * GIB), 1),
        (gpus(8 * GIB), Needs(device="gpu", count=2), 2),
        (gpus(8 * GIB), Needs(device="gpu", count=4), 2),
        (gpus(8 * GIB), Needs(device="cpu", threads=2), 2),
    ],
)
def test_cpu_slots_stand_in_where_too_few_gpus_exist(there, needs, slots):
    assert chosen(Inventory((*there, *cores())), needs) == (["cpu:0", "cpu:1"], slots)


@pytest.mark.parametrize(
    ("there", "needs", "message"),
    [
        (
            gpus(None, None), Needs(device="gpu", count=4, required=True),
            "must have 4 GPUs, but there are 2 (gpu:0, gpu:1); lower count, or remove",
        ),
        (
            gpus(16 * GIB), Needs(device="gpu", memory=40 * GIB, required=True),
            "must have a GPU of at least 40 GiB, but there is 1 (gpu:0 of 16 GiB); lower memory, or remove",
        ),
        ((), Needs(device="gpu", required=True), "must have a GPU, but there is none: no driver; remove"),
    ],
)  # fmt: skip
def test_a_stage_that_must_have_gpus_that_are_not_there_is_refused(there, needs, message):
    inventory = Inventory((*there, *cores()), "" if there else "no driver")
    assert error_of(inventory.choose, needs, "train") == (
        f"stage 'train' {message} `required: true` under its meta in dvc.yaml to let it run on the CPU"
    )


def test_more_cpu_slots_than_there_are_are_refused():
    assert error_of(Inventory(cores()).choose, Needs(device="cpu", count=3), "train") == (
        "stage 'train' needs 3 CPU slots, but there are 2; lower count under its meta in dvc.yaml"
    )


def test_a_command_sees_its_gpus_and_frameworks_take_memory_as_they_need_it():
    given = (Device("gpu", 1, uuid="GPU-1a1b"), Device("gpu", 3))
    assert child_environment(given) == {
        "TANDEM_DEVICE": "gpu:1,gpu:3",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "GPU-1a1b,3",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }


def test_a_command_on_cpu_slots_sees_no_gpu():
    variables = child_environment(cores())
    assert variables["TANDEM_DEVICE"] == "cpu:0,cpu:1"
    assert variables["CUDA_VISIBLE_DEVICES"] == ""
    assert "TF_FORCE_GPU_ALLOW_GROWTH" not in variables


def test_the_key_of_a_device_is_a_safe_file_name():
    assert Device("gpu", 0, uuid="GPU-1a/../x").key == "GPU-1a____x"
    assert Device("cpu", 3).key == "cpu-3"
