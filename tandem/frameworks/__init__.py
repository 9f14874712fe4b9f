"""The deep-learning frameworks behind one interface; the only places that import one.

A process imports one framework, never two. Each framework is a package with mirrored modules: ``layers`` (one
module a kind), ``network``, ``activations``, ``losses``, ``optimizers``, ``augmentation``, ``input``, ``fit``,
``save`` and ``setup``; the package itself is a :class:`Framework`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from tandem.datasets.source import Rows
from tandem.imports import quick_imports
from tandem.models import Architecture, Constants
from tandem.optimizers import AnyOptimizer
from tandem.population.costs import StackCosts
from tandem.population.stack import Stack
from tandem.records import ModelSummary

# MKL otherwise rounds a product by where in memory its matrices begin, hence by the members beside it.
_STACKED = {"TF_ENABLE_ONEDNN_OPTS": "1"}
_CONVENIENCES = ("matplotlib", "pandas", "sklearn")  # Keras imports them where they are, and works without


class Trainer(Protocol):
    """A network with its optimiser and its training rows, ready to train epochs."""

    def take_rows(self, rows: Rows) -> None:
        """Take other training rows; before the next epoch comes :meth:`restart` or :meth:`load_state`."""

    def restart(self, initial: Mapping[str, np.ndarray]) -> None:
        """Begin again with other weights, by "layer/parameter", and an optimiser without memory."""

    def train_epoch(
        self,
        order: np.ndarray,
        batch_size: int,
        learning_rates: np.ndarray,
        seed: int,
        transforms: np.ndarray | None = None,
    ) -> tuple[float, float]:
        """Train one epoch.

        Args:
            order: int32 indices into the training rows, in the order in which they are shown.
            batch_size: rows a step; the last step takes what is left.
            learning_rates: float64, of each step.
            seed: of the random numbers that layers draw in this epoch (dropout).
            transforms: what happens to each shown image, (len(order), 2, 2); see :mod:`tandem.augmentation`. None:
                rows are shown as they are.

        Returns:
            The mean over the shown rows of the loss, summed over heads, without penalties, and of the metric
            (accuracy of the main head, or its mean absolute error), both before each step, as the epoch goes.
        """

    def state(self) -> Mapping[str, np.ndarray]:
        """Return weights and optimiser state as arrays; enough to go on bit for bit."""

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back what :meth:`state` gave."""


class Population(Protocol):
    """Members of one family (:mod:`tandem.population`) with their optimiser and the training rows of each fold.

    Arrays are by "layer/parameter", of the padded network, with a leading model axis: (members, *shape). Members are
    named by their positions among those that have not been let go.
    """

    def restart(self, weights: Mapping[str, np.ndarray], slots: Mapping[str, np.ndarray], steps: int) -> None:
        """Begin with these arrays.

        Args:
            weights: of all members.
            slots: of the optimiser, by "slot/layer/parameter"; empty: it has no memory.
            steps: that all members have taken.
        """

    def keep(self, positions: Sequence[int]) -> None:
        """Let all other members go."""

    def arrays(self, positions: Sequence[int]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], int]:
        """Return copies of some members' weights and optimiser slots, and the number of steps taken."""

    def train_epoch(
        self,
        orders: np.ndarray,
        folds: np.ndarray,
        streams: np.ndarray,
        batch_size: int,
        learning_rates: np.ndarray,
        seeds: Sequence[int],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Train one epoch of every member.

        Args:
            orders: int32 (streams, shown) positions among a fold's training rows, in the order in which they are shown.
            folds: (streams,) the fold of each order.
            streams: (members,) the order that each member follows.
            batch_size: rows a step; the last step takes what is left.
            learning_rates: float64 (steps, members).
            seeds: (members,) of the random numbers that layers draw in this epoch.

        Returns:
            The means over the shown rows of loss and metric of each member, (members,) each, as
            :meth:`Trainer.train_epoch` returns them.
        """

    def predict(
        self, positions: Sequence[int], features: np.ndarray, weights: Mapping[str, np.ndarray] | None = None
    ) -> tuple[np.ndarray, ...]:
        """Return each head's raw outputs (members, n, units) of some members on the same scaled features (n, *shape).

        Args:
            positions: of the members.
            features: of the rows.
            weights: (len(positions), *shape) arrays to use; None: those that the members have.
        """

    def gradients(self, positions: Sequence[int], rows: Rows) -> dict[str, np.ndarray]:
        """Return the gradients (members, *shape) of some members over the same rows, as :meth:`Framework.gradients`."""


class Framework(Protocol):
    """What a package below ``tandem.frameworks`` offers. ``network`` is a framework's own object."""

    NAME: str
    NATIVE_DIFFERENCES: Mapping[str, str]
    EXPORTS: Mapping[str, Callable[[Any, Path], None]]  # format -> writes a network into a folder; see tandem/export.py
    STACK_COSTS: StackCosts | None  # None: it trains networks one at a time alone

    def set_up(self, threads: int, devices: int = 1, batches: int = 1) -> None:
        """Fix the number of threads of each device and switch deterministic operations on; before anything else.

        Args:
            threads: of each device that is a CPU.
            devices: how many train a network together.
            batches: of networks that are trained together (:mod:`tandem.population`), at a time and each with so many
                threads; or one with all of the threads, where :meth:`batches_at_once` says so.
        """

    def batches_at_once(self) -> int:
        """Return how many batches of networks are to be trained side by side, in threads of this process."""

    def versions(self) -> dict[str, str]:
        """Return the versions of the framework's own packages."""

    def device(self, devices: int = 1) -> str:
        """Return what computes where so many devices are asked for, in words."""

    def is_out_of_memory(self, error: Exception) -> bool:
        """Return whether an error says that the device's memory did not suffice."""

    def build(self, architecture: Architecture, *, seed: int, constants: Constants, dtype: str = "float32") -> Any:
        """Build a network with its initial weights.

        Args:
            architecture: the layers.
            seed: of the initial weights.
            constants: "aligned" loads :func:`tandem.models.initial_weights` and takes Keras's constants,
                "aligned-torch" the same with PyTorch's; "native" leaves the framework its own.
            dtype: number type, "float32" or "float64".
        """

    def trainer(
        self, network: Any, rows: Rows, optimizer: AnyOptimizer, *, constants: Constants, devices: int = 1
    ) -> Trainer:
        """Put a network together with training rows (scaled, in the network's number type).

        Of :class:`tandem.streaming.StreamedRows` only those of a few steps are held at a time; any others lie on the
        device as a whole. Each batch is divided among the devices, see :func:`share_of`; what is learnt is that of one
        device, up to rounding and to what layers draw. Several devices take no streamed rows.
        """

    def populate(self, stack: Stack, rows: Sequence[Rows], dtype: str = "float32") -> Population:
        """Put members of one family together with the training rows of each fold, scaled.

        A framework whose ``STACK_COSTS`` are None has no such function.
        """

    def predict(self, network: Any, features: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return each head's raw outputs (n, units) of scaled features (n, *shape), layers in inference mode."""

    def layer_outputs(self, network: Any, features: np.ndarray) -> dict[str, np.ndarray]:
        """Return what each layer gives for scaled features (n, *shape), by name in order, layers in inference mode."""

    def gradients(self, network: Any, rows: Rows) -> tuple[float, dict[str, np.ndarray]]:
        """Return the loss over the rows, and its gradient with respect to each trainable array.

        All rows are one batch, layers are in inference mode; the loss is summed over heads and without penalties.
        Gradients are by "layer/parameter", in Keras's layout.
        """

    def weights(self, network: Any) -> dict[str, np.ndarray]:
        """Return copies of all arrays by "layer/parameter", in Keras's layout."""

    def load_weights(self, network: Any, weights: Mapping[str, np.ndarray]) -> None:
        """Take arrays by "layer/parameter", in Keras's layout."""

    def summarize(self, network: Any) -> ModelSummary:
        """Return the layers as the framework itself sees them, with shapes and parameter counts."""

    def save(self, network: Any, directory: Path) -> None:
        """Write the network in the framework's native format, the same bytes for the same weights."""

    def load(self, directory: Path, architecture: Architecture, constants: Constants) -> Any:
        """Read what :meth:`save` wrote.

        Raises:
            ModelError: missing, damaged, or not of this architecture.
        """


def share_of(rows: int, devices: int, rank: int) -> tuple[int, int]:
    """Return the first row of a device's share of a batch, and the one after its last.

    Shares are contiguous and differ by one row at most, as in ``numpy.array_split``; one may be empty.
    """
    size, more = divmod(rows, devices)
    first = rank * size + min(rank, more)
    return first, first + size + (rank < more)


def device_seed(seed: int, rank: int) -> int:
    """Return the seed of the random numbers that layers draw on one of several devices."""
    return int(np.random.SeedSequence([seed, rank]).generate_state(1)[0]) % 2**31


def framework_names() -> tuple[str, ...]:
    """Return the names of all frameworks: the packages in this folder."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load_framework(name: str, *, alone: bool = False, stacked: bool = False) -> Framework:
    """Import a framework's package.

    Args:
        name: of the package.
        stacked: networks are trained together (:mod:`tandem.population`). TensorFlow then multiplies stacks of
            matrices by oneDNN, which is faster; elsewhere it does without, whose kernels vary between machines.
        alone: the process does nothing else with the framework. The import then takes half the time: TensorFlow's
            Keras is kept from importing what it could draw or wrap, and no garbage is collected meanwhile.

    Raises:
        KeyError: there is no such framework.
    """
    if name not in framework_names():
        raise KeyError(name)
    if stacked:
        os.environ |= _STACKED
    with quick_imports(_CONVENIENCES) if alone else contextlib.nullcontext():
        return cast(Framework, importlib.import_module(f"{__name__}.{name}"))
