"""Keras on TensorFlow: versions, devices, a small matrix product on each."""

from __future__ import annotations

import importlib
import os
from typing import Any

_SIZE = 8


def probe(_request: dict[str, str]) -> dict[str, Any]:
    """Import both, as a stage would, and compute."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # leaves the memory to the runs beside us
    tensorflow = importlib.import_module("tensorflow")
    keras = importlib.import_module("keras")
    found = [("CPU", "cpu", "/CPU:0")]
    for index, gpu in enumerate(tensorflow.config.list_physical_devices("GPU")):
        details = tensorflow.config.experimental.get_device_details(gpu)
        found.append((f"GPU {index} {details.get('device_name', '')}".strip(), "gpu", f"/GPU:{index}"))
    build = tensorflow.sysconfig.get_build_info()
    return {
        "versions": {"keras": keras.__version__, "tensorflow": tensorflow.__version__},
        "origin": str(tensorflow.__file__),
        "devices": [
            {"name": name, "kind": kind, "failure": _multiply(tensorflow, place)} for name, kind, place in found
        ],
        "cuda": build.get("cuda_version") if build.get("is_cuda_build") else None,
        "backend": keras.config.backend(),
    }


def _multiply(tensorflow: Any, place: str) -> str:
    """Return why the product of two small matrices is wrong on a device; empty: it is right."""
    rows = [[float(row * column % 7) for column in range(_SIZE)] for row in range(_SIZE)]
    expected = [[sum(a * b for a, b in zip(row, column)) for column in zip(*rows)] for row in rows]  # noqa: B905
    try:
        with tensorflow.device(place):
            product = tensorflow.linalg.matmul(rows, rows).numpy().tolist()
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return "" if product == expected else "the product of two small matrices is wrong"
