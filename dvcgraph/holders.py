"""Who holds which device of the machine, and who waits: as runs write it down in the files of their locks."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from dvcgraph.filelocks import LockFolder, user_name

DEVICE_SUFFIX = ".device"
_CLOCK_SECONDS = 2.0  # by which the times of a process and of a file may differ
_LONGEST_FIELD = 500


@dataclass(frozen=True)
class Claim:
    """A stage that holds devices or waits for them; fields are empty where nothing is known."""

    stage: str = ""
    workspace: str = ""
    pid: int = 0  # of the run, not of the stage's command
    user: str = ""
    since: float = 0.0  # seconds since the epoch
    devices: str = ""  # "gpu:0", or what is waited for: "one of gpu:0, gpu:1"

    @classmethod
    def of_this_run(cls, stage: str, workspace: Path, devices: str, since: float | None = None) -> Claim:
        """Return the claim of a stage of this process, by default from now on."""
        began = time.time() if since is None else since
        return cls(stage, str(workspace.absolute()), os.getpid(), user_name(os.geteuid()), began, devices)

    def to_bytes(self) -> bytes:
        """Return the text of a file."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, text: bytes) -> Claim:
        """Read a file's text, which any user may have written; what is not as it should be is left out."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            return cls()
        if not isinstance(values, dict):
            return cls()
        return cls(
            _text(values, "stage"),
            _text(values, "workspace"),
            int(_number(values, "pid", below=2**31)),
            _text(values, "user"),
            float(_number(values, "since", below=2**40)),
            _text(values, "devices"),
        )

    @property
    def run_lives(self) -> bool:
        """Whether the process is there; one of the same number that started later is another one."""
        try:
            return self.pid > 0 and psutil.Process(self.pid).create_time() <= self.since + _CLOCK_SECONDS
        except (psutil.Error, OSError):
            return False


@dataclass(frozen=True)
class Holder:
    """A device that is held."""

    key: str  # of the device
    claim: Claim  # its `devices` is the name of this device
    left_over: tuple[int, ...] | None = None  # the run is gone: processes that hold the device, as far as seen


@dataclass(frozen=True)
class Waiter:
    """A stage that waits."""

    claim: Claim
    asking: bool  # False: it is paused, or its run stopped; younger ones may pass


def read_holders(folder: LockFolder) -> tuple[Holder, ...]:
    """Return who holds a device, sorted by the devices' keys."""
    locked = [name for name in folder.names(DEVICE_SUFFIX) if folder.is_locked(name)]
    return tuple(_holder(folder, name) for name in locked)


def _holder(folder: LockFolder, name: str) -> Holder:
    claim = Claim.from_bytes(folder.read(name))
    key = name.removesuffix(DEVICE_SUFFIX)
    if claim.run_lives or not claim.pid:
        return Holder(key, claim)
    found = _processes_with(folder.path / name)
    return Holder(key, claim, None if claim.pid in found else found)


def _processes_with(path: Path) -> tuple[int, ...]:
    """Return the processes that have a file open, of those that we may look into."""
    wanted = str(path.resolve())
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if any(file.path == wanted for file in process.open_files()):
                found.append(process.pid)
    return tuple(found)


def _text(values: Mapping[str, Any], key: str) -> str:
    """Return a text without what would steer a terminal."""
    value = values.get(key)
    if not isinstance(value, str):
        return ""
    return "".join(character for character in value if character.isprintable())[:_LONGEST_FIELD]


def _number(values: Mapping[str, Any], key: str, below: int) -> float:
    value = values.get(key)
    return value if isinstance(value, (int, float)) and 0 <= value < below else 0
