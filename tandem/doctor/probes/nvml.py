"""NVIDIA's driver through NVML, NVIDIA's library that nvidia-smi uses too."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

_MISMATCH = 18  # NVML_ERROR_LIB_RM_VERSION_MISMATCH


def probe(_request: dict[str, str]) -> dict[str, Any]:
    """Ask for the driver and its GPUs; why there is none is an answer too."""
    try:
        pynvml: Any = importlib.import_module("pynvml")
    except ModuleNotFoundError:
        return {"absent": "the package nvidia-ml-py is not installed", "kind": "package"}
    try:
        pynvml.nvmlInit()
        answer = {
            "driver": pynvml.nvmlSystemGetDriverVersion(),
            "cuda": _cuda(pynvml.nvmlSystemGetCudaDriverVersion_v2()),
            "gpus": [_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())],
        }
    except pynvml.NVMLError as error:
        kind = "other"
        if isinstance(error, pynvml.NVMLError_LibraryNotFound):
            kind = "library"
        elif error.value == _MISMATCH:
            kind = "mismatch"
        return {"absent": str(error), "kind": kind}
    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlShutdown()
    return answer


def _cuda(number: int) -> list[int]:
    """Return [12, 4] for 12040."""
    return [number // 1000, number % 1000 // 10]


def _gpu(pynvml: Any, index: int) -> dict[str, Any]:
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        name = pynvml.nvmlDeviceGetName(handle)
    except pynvml.NVMLError as error:  # fallen off the bus, or not ours to use
        return {"index": index, "name": "", "failure": str(error)}
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    except pynvml.NVMLError:  # it shares the machine's memory
        return {"index": index, "name": name}
    return {"index": index, "name": name, "memory": int(memory.total), "used": int(memory.used)}
