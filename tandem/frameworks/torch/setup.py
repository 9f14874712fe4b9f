"""Threads, determinism, versions and devices of PyTorch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

_batch_threads: int | None = None  # None: as many as there are


def set_up(threads: int, devices: int = 1, batches: int = 1) -> None:
    """Fix the number of threads of this process and switch deterministic operations on; before anything else."""
    global _batch_threads
    del devices  # each has a process of its own
    _batch_threads = threads * batches
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("error")  # as use_deterministic_algorithms, without importing a compiler
    torch.manual_seed(0)


def batches_at_once() -> int:
    """Return how many batches of networks are to be trained side by side: one, as every operation needs the lock."""
    return 1


@contextlib.contextmanager
def batch_threads() -> Iterator[None]:
    """Let a batch of networks use all threads that there are for batches."""
    own = torch.get_num_threads()
    torch.set_num_threads(_batch_threads or own)
    try:
        yield
    finally:
        torch.set_num_threads(own)


def versions() -> dict[str, str]:
    """Return the version of PyTorch, without the name of its build."""
    return {"torch": torch.__version__.partition("+")[0]}


def best_device() -> torch.device:
    """Return the first GPU that is visible, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_of_rank(rank: int, devices: int) -> torch.device:
    """Return which of several devices a process computes on: GPUs if so many are visible, else the CPU."""
    return torch.device("cuda", rank) if torch.cuda.device_count() >= devices else torch.device("cpu")


def device(devices: int = 1) -> str:
    """Return what computes, in words."""
    if devices > 1:
        name = torch.cuda.get_device_name() if torch.cuda.device_count() >= devices else "CPU"
        return f"{devices} × {name} (DistributedDataParallel)"
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that the device's memory did not suffice."""
    return isinstance(error, torch.OutOfMemoryError)
