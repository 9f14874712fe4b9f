"""Threads, determinism, versions and devices of PyTorch."""

from __future__ import annotations

import torch


def set_up(threads: int, devices: int = 1) -> None:
    """Fix the number of threads of this process and switch deterministic operations on; before anything else."""
    del devices  # each has a process of its own
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("error")  # as use_deterministic_algorithms, without importing a compiler
    torch.manual_seed(0)


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
