"""The devices of this machine: GPUs by NVML, a slot for each CPU core; and which of them meet a stage's needs."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dvcgraph.errors import GraphError
from dvcgraph.needs import Needs, read_size

PRETENDED = "TANDEM_DEVICES"  # environment variable that replaces the inventory
DEVICE = "TANDEM_DEVICE"  # environment variable that tells a command what it was given
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_ENTRY = re.compile(r"(gpu|cpu):([0-9]{1,4})(?:\s*=\s*(.+))?")
# TensorFlow and JAX take most of a GPU's memory when they start, unless told otherwise; PyTorch does not.
_MEMORY_GROWTH = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


@dataclass(frozen=True)
class Device:
    """A GPU, or one core of the CPU."""

    kind: Literal["gpu", "cpu"]
    index: int  # NVML's, or the number of the core
    model: str = ""
    memory: int | None = None  # bytes in all; None: not known, taken as enough
    uuid: str = ""  # NVML's, for CUDA_VISIBLE_DEVICES

    @property
    def name(self) -> str:
        """Return "gpu:0"."""
        return f"{self.kind}:{self.index}"

    @property
    def key(self) -> str:
        """Return what names the device on the whole machine, in letters, digits, "-" and "_"."""
        return re.sub(r"[^\w-]", "_", self.uuid, flags=re.ASCII) or f"{self.kind}-{self.index}"


@dataclass(frozen=True)
class Choice:
    """The devices of which a stage takes ``count``; those in front are preferred."""

    devices: tuple[Device, ...]
    count: int


@dataclass(frozen=True)
class Inventory:
    """The devices that stages of this process may use."""

    devices: tuple[Device, ...]
    gpu_note: str = ""  # where the GPUs come from, or why there is none: "NVML found no driver"

    @property
    def gpus(self) -> tuple[Device, ...]:
        """The GPUs."""
        return tuple(device for device in self.devices if device.kind == "gpu")

    @property
    def cpus(self) -> tuple[Device, ...]:
        """The CPU slots."""
        return tuple(device for device in self.devices if device.kind == "cpu")

    def choose(self, needs: Needs, stage: str) -> Choice:
        """Return the devices that can meet the needs of a stage, busy ones too.

        Of GPUs the smallest that suffice come first. Where too few suitable GPUs exist, a stage that need not
        have one gets CPU slots: one for each thread of each device, and no more than there are.

        Raises:
            GraphError: there can never be enough devices for this stage.
        """
        if needs.device is None:
            raise ValueError(f"stage '{stage}' asks for no device")
        if needs.device == "gpu":
            suitable = [gpu for gpu in self.gpus if _suffices(gpu, needs.memory)]
            if len(suitable) >= needs.count:
                return Choice(tuple(sorted(suitable, key=lambda gpu: (gpu.memory or 0, gpu.index))), needs.count)
            if needs.required:
                raise GraphError(self._too_few_gpus(needs, stage))
        elif needs.count > len(self.cpus):
            raise GraphError(
                f"stage '{stage}' needs {needs.count} CPU slots, but there are {len(self.cpus)}; "
                "lower count under its meta in dvc.yaml"
            )
        return Choice(self.cpus, min(needs.all_threads, len(self.cpus)))

    def _too_few_gpus(self, needs: Needs, stage: str) -> str:
        wanted = "a GPU" if needs.count == 1 else f"{needs.count} GPUs"
        if needs.memory is not None:
            wanted += f" of at least {size_text(needs.memory)}" + (" each" if needs.count > 1 else "")
        listed = ", ".join(f"{gpu.name}{f' of {size_text(gpu.memory)}' if gpu.memory else ''}" for gpu in self.gpus)
        there = f"there {'is' if len(self.gpus) == 1 else 'are'} {len(self.gpus)} ({listed})"
        if not self.gpus:
            there = f"there is none{f': {self.gpu_note}' if self.gpu_note else ''}"
        lower = "" if not self.gpus else ("lower memory, " if needs.count <= len(self.gpus) else "lower count, ")
        return (
            f"stage '{stage}' must have {wanted}, but {there}; {lower}{'or ' if lower else ''}remove "
            "`required: true` under its meta in dvc.yaml to let it run on the CPU"
        )


def find_devices(environment: Mapping[str, str]) -> Inventory:
    """Return the devices that this process may use.

    GPUs are those that NVML finds and CUDA_VISIBLE_DEVICES in ``environment`` does not hide; CPU slots are the
    cores that this process may use. TANDEM_DEVICES, such as "gpu:0,gpu:1=16GiB", replaces both, but for the
    CPU slots if it names none; a GPU that it names and NVML finds is the real one.

    Raises:
        GraphError: TANDEM_DEVICES is not such a list.
    """
    pretended = environment.get(PRETENDED, "").strip()
    gpus, note = _nvml_gpus()
    if pretended:
        named = _read_list(pretended, gpus)
        cpus = tuple(device for device in named if device.kind == "cpu") or _cores()
        listed = tuple(device for device in named if device.kind == "gpu")
        return Inventory((*listed, *cpus), f"{PRETENDED}={pretended}" + (" lists them" if listed else " lists none"))
    visible = environment.get(_VISIBLE)
    if visible is not None and gpus:
        gpus, hidden = _visible(gpus, visible)
        note = "; ".join(part for part in (note, hidden) if part)
    return Inventory((*gpus, *_cores()), note)


def child_environment(devices: Sequence[Device]) -> dict[str, str]:
    """Return the variables by which a command sees the devices it was given, and no GPU besides."""
    gpus = [device for device in devices if device.kind == "gpu"]
    variables = {
        DEVICE: ",".join(device.name for device in devices),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # as NVML counts; CUDA's own default is the fastest first
        _VISIBLE: ",".join(gpu.uuid or str(gpu.index) for gpu in gpus),
    }
    return variables | _MEMORY_GROWTH if gpus else variables


def size_text(size: int) -> str:
    """Return a number of bytes as "16 GiB" or "79.6 GiB"."""
    return f"{size / 2**30:.1f} GiB".replace(".0 ", " ")


def _suffices(gpu: Device, memory: int | None) -> bool:
    return memory is None or gpu.memory is None or gpu.memory >= memory


def _cores() -> tuple[Device, ...]:
    usable = getattr(os, "sched_getaffinity", None)  # not on macOS
    cores = sorted(usable(0)) if usable else range(os.cpu_count() or 1)
    model = _cpu_model()
    return tuple(Device("cpu", core, model) for core in cores)


def _cpu_model() -> str:
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _nvml_gpus() -> tuple[tuple[Device, ...], str]:
    """Return the GPUs that NVML finds, and why there is none."""
    try:
        import pynvml
    except ImportError:
        return (), "the package nvidia-ml-py is not installed"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        return (), "NVML, the library of NVIDIA's driver, is not installed"
    except pynvml.NVMLError as error:
        return (), f"NVML cannot be used: {error}"
    try:
        return _ask_nvml(pynvml)
    except pynvml.NVMLError as error:
        return (), f"NVML cannot count the GPUs: {error}"
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _ask_nvml(pynvml: Any) -> tuple[tuple[Device, ...], str]:
    found: list[Device] = []
    notes: list[str] = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            uuid = pynvml.nvmlDeviceGetUUID(handle)
            model = pynvml.nvmlDeviceGetName(handle)
        except pynvml.NVMLError as error:  # fallen off the bus, or not ours to use
            notes.append(f"gpu:{index} cannot be used: {error}")
            continue
        try:
            memory = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
        except pynvml.NVMLError:  # a GPU that shares the machine's memory has none of its own
            memory = None
        found.append(Device("gpu", index, model, memory, uuid))
    return tuple(found), "; ".join(notes) or ("" if found else "NVML finds none")


def _visible(gpus: Sequence[Device], visible: str) -> tuple[tuple[Device, ...], str]:
    """Return the GPUs that CUDA would show: those named before the first entry that names none.

    https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html
    """
    shown: list[Device] = []
    for entry in (part.strip() for part in visible.split(",")):
        if entry.isdecimal():
            matching = [gpu for gpu in gpus if gpu.index == int(entry)]
        else:
            matching = [gpu for gpu in gpus if entry.startswith("GPU-") and gpu.uuid.startswith(entry)]
        if len(matching) != 1 or matching[0] in shown:
            break
        shown.append(matching[0])
    hidden = len(gpus) - len(shown)
    note = f"{_VISIBLE}={visible!r} hides {hidden} of {len(gpus)}" if hidden else ""
    return tuple(sorted(shown, key=lambda gpu: gpu.index)), note


def _read_list(text: str, gpus: Sequence[Device]) -> tuple[Device, ...]:
    real = {gpu.name: gpu for gpu in gpus}
    devices: dict[str, Device] = {}
    for entry in (part.strip() for part in text.split(",")):
        match = _ENTRY.fullmatch(entry)
        size = read_size(match[3]) if match and match[3] else None
        if not match or (match[3] and (match[1] == "cpu" or size is None)):
            raise GraphError(
                f"{PRETENDED} is {text!r}: {entry!r} names no device; allowed: gpu:NUMBER, gpu:NUMBER=MEMORY "
                "(such as gpu:0=16GiB) and cpu:NUMBER, separated by commas"
            )
        device = Device("gpu" if match[1] == "gpu" else "cpu", int(match[2]), "pretended")
        if device.name in devices:
            raise GraphError(f"{PRETENDED} is {text!r}: {device.name} stands twice; name each device once")
        device = real.get(device.name, device)
        devices[device.name] = replace(device, memory=size) if size else device
    return tuple(sorted(devices.values(), key=lambda device: (device.kind != "gpu", device.index)))
