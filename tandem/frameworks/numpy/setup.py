"""Threads and versions of NumPy."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits


def set_up(threads: int, devices: int = 1, batches: int = 1) -> None:
    """Fix the number of threads of NumPy's matrix products; before anything else. NumPy has one device."""
    del devices, batches
    threadpool_limits(threads, user_api="blas")


def batches_at_once() -> int:
    """Return how many batches of networks are to be trained side by side."""
    return 1


def versions() -> dict[str, str]:
    """Return NumPy's version."""
    return {"numpy": np.__version__}


def device(devices: int = 1) -> str:
    """Return what computes, in words."""
    del devices
    return "CPU"


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that the device's memory did not suffice."""
    return isinstance(error, MemoryError)
