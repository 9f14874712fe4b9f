"""The process of one of several devices: ``python -m ...device_process RANK DEVICES THREADS FOLDER``.

:mod:`tandem.frameworks.torch.several_devices` starts it, and is told on the standard output when it is ready, and what
went wrong if something does.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from pydantic import TypeAdapter

from tandem.datasets.source import Rows
from tandem.frameworks.torch.network import TandemNetwork
from tandem.frameworks.torch.setup import device_of_rank, set_up
from tandem.frameworks.torch.several_devices import READY, ShareTrainer, join
from tandem.models import read_architecture
from tandem.optimizers import Optimizer

_LAST_SECONDS = 0.5  # in which _listen learns of it if the error is that rank 0 was killed
Commands = queue.SimpleQueue[dict[str, Any]]


def main(rank: int, devices: int, threads: int, folder: Path) -> None:
    """Follow the commands of rank 0 until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for rank 0, whose end ends this process
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    commands: Commands = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin, commands, folder), daemon=True).start()
    try:
        set_up(threads)
        answers.write(READY)
        join(folder, rank, devices)
        trainers: dict[int, ShareTrainer] = {}
        while True:
            _follow(commands.get(), trainers, device_of_rank(rank, devices), folder)
    except Exception as error:
        first = str(error).strip().splitlines()
        with contextlib.suppress(OSError):
            answers.write(f"{type(error).__name__}: {first[0] if first else 'no message'}\n".encode())
        time.sleep(_LAST_SECONDS)
        os._exit(1)  # without leaving the group in order: the others wait for this process


def _listen(pipe: TextIO, commands: Commands, folder: Path) -> None:
    """Pass commands on; end this process when rank 0 has ended, or wants it to."""
    for line in pipe:
        commands.put(json.loads(line))
    shutil.rmtree(folder, ignore_errors=True)  # rank 0 may have been killed
    os._exit(0)


def _follow(command: dict[str, Any], trainers: dict[int, ShareTrainer], device: torch.device, folder: Path) -> None:
    action, number = command["action"], command["trainer"]
    arrays: dict[str, np.ndarray] = {}
    if "arrays" in command:
        with np.load(folder / command["arrays"], allow_pickle=False) as file:
            arrays = dict(file)
    if action == "make":
        trainers[number] = _make(command, folder / f"trainer-{number}", device)
    elif action == "forget":
        del trainers[number]
    elif action == "restart":
        trainers[number].restart(arrays)
    elif action == "load_state":
        trainers[number].load_state(arrays)
    else:
        trainers[number].train_epoch(batch_size=command["batch_size"], seed=command["seed"], **arrays)


def _make(command: dict[str, Any], folder: Path, device: torch.device) -> ShareTrainer:
    """Build a module, whose weights rank 0 sends; the rows on a CPU are shared among the processes."""
    architecture = read_architecture(command["architecture"])
    network = TandemNetwork(architecture, command["constants"]).to(device, getattr(torch, command["dtype"]))
    # "c": PyTorch wants memory that can be written to; nothing is.
    features, targets = (np.load(folder / f"{name}.npy", mmap_mode="c") for name in ("features", "targets"))
    optimizer = TypeAdapter(Optimizer).validate_json(command["optimizer"])
    return ShareTrainer(network, Rows(features, targets), optimizer, command["constants"])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
