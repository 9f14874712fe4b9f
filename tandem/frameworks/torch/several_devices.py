"""Training a PyTorch module on several devices: a process each, joined by DistributedDataParallel.

The training process itself is rank 0. It starts the others (:mod:`tandem.frameworks.torch.device_process`), tells
them what to do by lines of JSON on their standard input, and hands them arrays in files of a temporary folder. They end
when that pipe closes, however this process ends.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from tandem.datasets.source import Rows
from tandem.errors import TandemError
from tandem.frameworks import device_seed, share_of
from tandem.frameworks.torch.fit import TorchTrainer
from tandem.frameworks.torch.input import MemoryInput, transformed
from tandem.frameworks.torch.losses import batch_loss, sample_metrics, step_factor
from tandem.frameworks.torch.network import TandemNetwork, load_weights, weights
from tandem.frameworks.torch.setup import device_of_rank
from tandem.models import Constants, write_architecture
from tandem.optimizers import AnyOptimizer
from tandem.storage import new_directory, new_file, save_array

_MODULE = "tandem.frameworks.torch.device_process"
_LOST = ("gloo", "NCCL", "Connection closed", "Connection reset")  # what a process says when another one has ended
_END_SECONDS, _GLANCE_SECONDS = 10.0, 2.0
_GRACE_SECONDS = 30.0  # for rank 0 to notice by itself that another process has ended
READY = b"ready\n"  # what a process says once it can join the others


class ShareTrainer(TorchTrainer):
    """One device's copy of a module, trained on its share of each batch in step with the other processes.

    DistributedDataParallel takes the mean of all devices' gradients, each of which is weighted here so that the mean
    is the gradient of the whole batch's loss; the optimiser is the one of a single device, and takes the same step in
    each process.
    """

    def __init__(self, network: TandemNetwork, rows: Rows, declared: AnyOptimizer, constants: Constants) -> None:
        super().__init__(network, rows, declared, constants)
        assert isinstance(self._rows, MemoryInput)  # noqa: S101  (several devices take no streamed rows)
        self._inputs, self._targets = self._rows.inputs, self._rows.targets
        self._rank, self._devices = dist.get_rank(), dist.get_world_size()
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        for parameter, gradient in zip(parameters, self._stepper.gradients, strict=True):
            parameter.grad = gradient  # where the mean over the devices arrives
        self._parallel = DistributedDataParallel(network, forward_sync_buffers=False)
        # The first gradients settle in which order they are added up: a training that goes on adds in the same one.
        self._differentiate_share(torch.zeros(1, dtype=torch.long, device=self._targets.device), None, 1, counts=False)

    def train_epoch(
        self,
        order: np.ndarray,
        batch_size: int,
        learning_rates: np.ndarray,
        seed: int,
        transforms: np.ndarray | None = None,
    ) -> tuple[float, float]:
        """Train one epoch on this device's shares; the result is that of all devices."""
        torch.manual_seed(device_seed(seed, self._rank))
        self._parallel.train()
        indices = torch.from_numpy(order).to(self._targets.device)
        totals = torch.zeros(2, dtype=torch.float64, device=self._targets.device)
        for batch, start, rate in zip(
            indices.split(batch_size), range(0, len(order), batch_size), learning_rates.tolist(), strict=True
        ):
            first, last = share_of(len(batch), self._devices, self._rank)
            # A device without rows takes one that counts for nothing: not every operation takes none.
            taken = slice(first, last) if last > first else slice(0, 1)
            matrices = None if transforms is None else transforms[start : start + batch_size][taken]
            totals += self._differentiate_share(batch[taken], matrices, len(batch), counts=last > first)
            self._move(self._stepper.gradients, rate)
        dist.all_reduce(totals)
        loss, metric = (totals / len(order)).tolist()
        return loss, metric

    def _differentiate_share(
        self, share: Tensor, transforms: np.ndarray | None, batch_size: int, *, counts: bool
    ) -> Tensor:
        """Fill the gradients of a whole batch; return the share's sums of losses and metrics, float64 (2,)."""
        architecture = self._network.architecture
        targets, inputs = self._targets[share], [part[share] for part in self._inputs]
        inputs = transformed(inputs, transforms)
        for gradient in self._stepper.gradients:
            gradient.zero_()
        outputs = self._parallel(*inputs)
        loss = batch_loss(architecture, outputs, targets)
        part = len(share) / batch_size if counts else 0.0
        (loss * (step_factor(architecture, batch_size) * part * self._devices)).backward()
        metric = sample_metrics(architecture, outputs[0].detach(), targets).sum()
        return torch.stack([loss.detach().double() * len(share), metric.double()]) * float(counts)


class DistributedTrainer:
    """A trainer over several processes; the module itself gets the weights after each epoch."""

    def __init__(
        self, network: TandemNetwork, rows: Rows, declared: AnyOptimizer, constants: Constants, devices: int
    ) -> None:
        self._given, self._team = network, team_of(devices)
        self._settings, self._device = (declared, constants), device_of_rank(0, devices)
        self._make(rows)

    def _make(self, rows: Rows) -> None:
        """Make a trainer with these rows in each process."""
        declared, constants = self._settings
        self._number = self._team.make_trainer(self._given, rows, declared, constants)
        self._forget = weakref.finalize(self, self._team.forget, self._number)
        self._forget.atexit = False
        dtype = next(self._given.parameters()).dtype
        self._copy = TandemNetwork(self._given.architecture, constants).to(self._device, dtype)
        load_weights(self._copy, weights(self._given))
        with self._team.explained():
            self._own = ShareTrainer(self._copy, rows, declared, constants)

    def take_rows(self, rows: Rows) -> None:
        """Train on other rows from now on: with new trainers in the same processes."""
        self._forget()
        self._make(rows)

    def restart(self, initial: Mapping[str, np.ndarray]) -> None:
        """Begin again with other weights and an optimiser without memory."""
        self._team.tell("restart", self._number, initial)
        self._own.restart(initial)
        load_weights(self._given, initial)

    def train_epoch(
        self,
        order: np.ndarray,
        batch_size: int,
        learning_rates: np.ndarray,
        seed: int,
        transforms: np.ndarray | None = None,
    ) -> tuple[float, float]:
        """Train one epoch; see :class:`tandem.frameworks.Trainer`."""
        arrays = {"order": order, "learning_rates": learning_rates}
        if transforms is not None:
            arrays["transforms"] = transforms
        with self._team.explained():
            self._team.tell("train", self._number, arrays, batch_size=batch_size, seed=seed)
            found = self._own.train_epoch(order, batch_size, learning_rates, seed, transforms)
        self._team.sweep()
        load_weights(self._given, weights(self._copy))
        return found

    def state(self) -> Mapping[str, np.ndarray]:
        """Return weights and optimiser state, the same in each process."""
        return self._own.state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back what :meth:`state` gave."""
        self._team.tell("load_state", self._number, state)
        self._own.load_state(state)
        load_weights(self._given, weights(self._copy))


@functools.cache
def team_of(devices: int) -> Team:
    """Return the processes of so many devices, started once: torch.distributed joins a process to one group only."""
    return Team(devices)


@dataclass(frozen=True)
class _Member:
    """A process of a team, with the pipes to it."""

    rank: int
    process: subprocess.Popen[bytes]
    commands: IO[bytes]
    answers: IO[bytes]

    def last_words(self) -> tuple[str, bool]:
        """Return how the process ended, and whether it did because another had."""
        said = self.answers.read().decode(errors="replace").strip()
        if not said:
            return _status(self.process.returncode), False
        error = said.splitlines()[-1]
        return error, any(word in error for word in _LOST)


class Team:
    """The processes of ranks 1 to n - 1, with this process as rank 0.

    Raises:
        TandemError: one of them did not start, or this process has others already.
    """

    def __init__(self, devices: int) -> None:
        if dist.is_initialized():
            raise TandemError(
                f"training.devices: {devices}: this process trains on {dist.get_world_size()} devices already; "
                "call it in a new process"
            )
        self._devices, self._trainers = devices, 0
        self._closing = threading.Event()
        self._folder = Path(tempfile.mkdtemp(prefix="tandem-devices-"))
        self._sent: list[Path] = []
        self._members = [self._start(rank) for rank in range(1, devices)]
        atexit.register(self._leave)
        with self.explained():
            for member in self._members:
                if member.answers.readline() != READY:
                    raise RuntimeError(f"the process of device {member.rank} did not start")
            join(self._folder, 0, devices)

    def _start(self, rank: int) -> _Member:
        command = [sys.executable, "-m", _MODULE, str(rank), str(self._devices), str(torch.get_num_threads())]
        process = subprocess.Popen([*command, str(self._folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        threading.Thread(target=self._watch, args=(rank, process), daemon=True).start()
        assert process.stdin is not None  # noqa: S101  (narrows the type)
        assert process.stdout is not None  # noqa: S101  (narrows the type)
        return _Member(rank, process, process.stdin, process.stdout)

    def make_trainer(self, network: TandemNetwork, rows: Rows, declared: AnyOptimizer, constants: Constants) -> int:
        """Have each process build the module with its training rows; return the trainer's number.

        Raises:
            TandemError: a process has ended.
        """
        self._require_open()
        self._trainers += 1
        with new_directory(self._folder / f"trainer-{self._trainers}") as folder:
            save_array(folder / "features.npy", np.asarray(rows.features))
            save_array(folder / "targets.npy", np.asarray(rows.targets))
        self.tell(
            "make",
            self._trainers,
            architecture=write_architecture(network.architecture),
            optimizer=declared.model_dump_json(),
            constants=constants,
            dtype=str(next(network.parameters()).dtype).removeprefix("torch."),
        )
        return self._trainers

    def forget(self, number: int) -> None:
        """Have each process drop a trainer."""
        if not self._closing.is_set():
            self.tell("forget", number)
            shutil.rmtree(self._folder / f"trainer-{number}", ignore_errors=True)

    def tell(self, action: str, trainer: int, arrays: Mapping[str, np.ndarray] | None = None, **facts: Any) -> None:
        """Send a command to each process, which follows it in its turn.

        Raises:
            TandemError: a process has ended.
        """
        self._require_open()
        command = {"action": action, "trainer": trainer, **facts}
        if arrays is not None:
            path = self._folder / f"{len(self._sent)}-{action}.npz"
            with new_file(path) as partial, partial.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            self._sent.append(path)
            command["arrays"] = path.name
        line = json.dumps(command).encode() + b"\n"
        with self.explained():
            for member in self._members:
                member.commands.write(line)
                member.commands.flush()

    def _require_open(self) -> None:
        if self._closing.is_set():
            raise TandemError(
                f"training.devices: {self._devices}: the devices' processes have ended; start a new process"
            )

    def sweep(self) -> None:
        """Remove the files of commands that each process has followed: all, after an epoch."""
        for path in self._sent:
            path.unlink(missing_ok=True)
        self._sent.clear()

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Say which process has ended where this one cannot go on.

        Raises:
            TandemError: one has.
        """
        try:
            yield
        except (RuntimeError, BrokenPipeError) as error:
            ended = self._ended(_END_SECONDS if _is_lost(error) else _GLANCE_SECONDS)
            self._end()
            if ended is None:
                raise
            raise TandemError(self._failure(*ended)) from None

    def _ended(self, seconds: float) -> tuple[int, str] | None:
        """Return the rank of the process that ended by itself, and how; others end because it did."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            for member in self._members:
                member.process.wait(seconds)
        ended = [(member.rank, *member.last_words()) for member in self._members if member.process.poll() is not None]
        return min(ended, key=lambda one: one[2])[:2] if ended else None

    def _failure(self, rank: int, how: str) -> str:
        return (
            f"training.devices: {self._devices}: the process of device {rank} ended ({how}); "
            "run again to go on from the last checkpoint, or with fewer devices"
        )

    def _watch(self, rank: int, process: subprocess.Popen[bytes]) -> None:
        """End this process if it does not notice that another has ended: it would wait for it for ever."""
        code = process.wait()
        if not self._closing.wait(_GRACE_SECONDS):
            print(f"error: {self._failure(rank, _status(code))}", file=sys.stderr, flush=True)
            shutil.rmtree(self._folder, ignore_errors=True)
            os._exit(1)

    def _end(self) -> None:
        """End the processes and remove their folder."""
        self._closing.set()
        for member in self._members:
            with contextlib.suppress(OSError):
                member.commands.close()
        for member in self._members:
            try:
                member.process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                member.process.kill()
                member.process.wait()
            member.answers.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _leave(self) -> None:
        """End the processes of a training that is over."""
        if not self._closing.is_set():
            self._end()
            dist.destroy_process_group()


def _is_lost(error: Exception) -> bool:
    """Return whether an error says that another process has ended."""
    return isinstance(error, BrokenPipeError) or any(word in str(error) for word in _LOST)


def _status(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"status {code}"


def join(folder: Path, rank: int, devices: int) -> None:
    """Join this process to the others, which know one another by a file; they talk over the loopback interface."""
    os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = _loopback()
    device = device_of_rank(rank, devices)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    store = dist.FileStore(str(folder / "rendezvous"), devices)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=devices)


def _loopback() -> str:
    """Return the name of the network interface whose address is 127.0.0.1."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(address.address == "127.0.0.1" for address in addresses):
            return name
    raise TandemError("training.devices: no network interface has the address 127.0.0.1; train on one device")
