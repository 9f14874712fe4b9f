"""Cores and memory, with the limits that containers set (Linux control groups, versions 1 and 2)."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from tandem.doctor.facts import Machine

_NO_LIMIT = 2**60  # version 1 writes a number near 2**63 for "no limit"
_NVIDIA = "0x10de"
_DISPLAY_CONTROLLER = "0x03"


def gather_machine(root: Path = Path("/")) -> Machine:
    """Return what the machine has; ``root`` is where /proc and /sys are looked for."""
    usable = getattr(os, "sched_getaffinity", None)  # not on macOS
    cores = os.cpu_count() or 1
    memory = read_memory(root)
    return Machine(
        platform=f"{platform.platform(aliased=True, terse=False)} ({platform.machine()})",
        cores=cores,
        usable_cores=len(usable(0)) if usable else cores,
        core_quota=core_quota(root),
        memory=memory.get("MemTotal") or _physical_memory(),
        available_memory=memory.get("MemAvailable"),
        memory_limit=memory_limit(root),
        nvidia_devices=count_nvidia_devices(root),
    )


def read_memory(root: Path) -> dict[str, int]:
    """Return the entries of /proc/meminfo in bytes; empty where there is none."""
    lines = (line.split() for line in _read(root / "proc/meminfo").splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) == 3 and words[1].isdigit()}


def memory_limit(root: Path) -> int | None:
    """Return the lowest memory limit of the control groups that this process is in, in bytes."""
    files = [*_group_files(root, "memory", "memory.max"), *_group_files(root, "memory", "memory.limit_in_bytes")]
    limits = [int(text) for text in map(_read, files) if text.strip().isdigit()]
    return min((limit for limit in limits if limit < _NO_LIMIT), default=None)


def core_quota(root: Path) -> float | None:
    """Return the lowest share of processor time of the control groups, in cores."""
    quotas = []
    for file in _group_files(root, "cpu", "cpu.max"):
        words = _read(file).split()
        if len(words) == 2 and words[0].isdigit() and words[1].isdigit():
            quotas.append(int(words[0]) / int(words[1]))
    for file in _group_files(root, "cpu", "cpu.cfs_quota_us"):
        quota, period = _read(file).strip(), _read(file.with_name("cpu.cfs_period_us")).strip()
        if quota.isdigit() and period.isdigit():
            quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def count_nvidia_devices(root: Path) -> int:
    """Return the number of NVIDIA's display controllers on the PCI bus."""
    devices = (root / "sys/bus/pci/devices").glob("*")
    return sum(
        _read(device / "vendor").strip() == _NVIDIA and _read(device / "class").startswith(_DISPLAY_CONTROLLER)
        for device in devices
    )


def _group_files(root: Path, controller: str, name: str) -> Iterator[Path]:
    """Return the file of that name of each control group from this process's up to the topmost.

    A container often sees its own group as the topmost one, while /proc names the path outside; hence the topmost
    is always among them. https://docs.kernel.org/admin-guide/cgroup-v2.html
    """
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / controllers if controllers else root / "sys/fs/cgroup"
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            if (folder / name).is_file():
                yield folder / name
            if folder == top:
                break


def _physical_memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
