"""What the estimators of a process share: its one framework, and the networks and programs that are compiled.

Fits and predictions take turns: frameworks keep random states and settings for the whole process.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from tandem.config import Experiment
from tandem.fitdata import FitData
from tandem.frameworks import Framework, framework_names, load_framework
from tandem.models import Architecture, Constants, write_architecture
from tandem.sklearn.errors import EstimatorError
from tandem.training import Session, Trained, train_replicate

TURN = threading.RLock()
KEPT = 8  # networks, and as many trainers: those of the folds and of some settings of a search
_FOREIGN = {"keras": "torch", "torch": "tensorflow"}  # the two in one process crash, or take each other's memory
_FOREIGN_NAMES = {"torch": "PyTorch", "tensorflow": "TensorFlow"}
_threads: dict[str, int] = {}  # of each framework that is set up

Kept = TypeVar("Kept")


class _Recent(Generic[Kept]):
    """The things that were used last, by key."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """Return what is kept under a key, made now if nothing is."""
        if key not in self._kept:
            self._kept[key] = make()
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return self._kept[key]


_sessions: _Recent[Session] = _Recent(KEPT)
_networks: _Recent[Any] = _Recent(KEPT)


def framework_for(name: str, threads: int, *, training: bool) -> Framework:
    """Return a framework, set up in this process.

    Args:
        name: of it.
        threads: that it computes with.
        training: whether results depend on the threads; TensorFlow's cannot be changed, and predict with any.

    Raises:
        EstimatorError: another framework is loaded, or TensorFlow's threads are fixed at another number.
    """
    foreign = _FOREIGN.get(name)
    if foreign in sys.modules:
        raise EstimatorError(
            f"framework: '{name}' cannot be used here, {_FOREIGN_NAMES[foreign]} is loaded in this process already; "
            "start another process for it, or use the framework that is loaded"
        )
    if name == "keras" and "keras" in sys.modules and sys.modules["keras"].config.backend() != "tensorflow":
        raise EstimatorError(
            f"framework: 'keras' computes with TensorFlow, Keras is loaded in this process with "
            f"{sys.modules['keras'].config.backend()}; set KERAS_BACKEND=tensorflow and start another process"
        )
    framework = load_framework(name)
    fixed = _threads.get(name)
    if fixed != threads and not (name == "keras" and fixed is not None):
        try:
            framework.set_up(threads)
        except RuntimeError:
            raise EstimatorError(
                f"threads: {threads} cannot be set, TensorFlow has computed in this process before the first fit; "
                "fit first, or start another process"
            ) from None
        _threads[name] = fixed = threads
    if training and fixed != threads:
        raise EstimatorError(
            f"threads: {threads}, but TensorFlow's were fixed at {fixed} by the first fit of this process; "
            f"allowed: {fixed}, or any number in another process"
        )
    return framework


def loadable_frameworks() -> tuple[str, ...]:
    """Return the names that ``framework`` takes."""
    return framework_names()


def train(name: str, architecture: Architecture, experiment: Experiment, data: FitData) -> Trained:
    """Train a network with a framework, with what a fit of such a network and so many rows has compiled before.

    Raises:
        EstimatorError: see :func:`framework_for`.
        TandemError: the network does not take the rows.
    """
    with TURN:
        framework = framework_for(name, experiment.training.threads, training=True)
        made: list[Session] = []

        def make() -> Session:
            made.append(Session(framework, architecture, experiment, data, gradient_norms=False))
            return made[0]

        session = _sessions.get(_session_key(name, architecture, experiment, data), make)
        try:
            if not made:
                session.take(experiment, data)
            trained = train_replicate(session, 0, None)
        finally:
            session.drop_rows()
        return trained


def _session_key(name: str, architecture: Architecture, experiment: Experiment, data: FitData) -> Hashable:
    """Return all that a trainer is compiled for: learning rates, seeds and epochs are given to it later."""
    optimizer = experiment.optimizer.model_copy(update={"learning_rate": 1.0, "schedule": None})
    return (
        name,
        experiment.constants,
        write_architecture(architecture),
        optimizer.model_dump_json(),
        len(data.train) * experiment.training.repeat,
        experiment.training.batch_size,
    )


def network_for(framework: Framework, architecture: Architecture, constants: Constants) -> Any:
    """Return a network of this architecture in float64, with any weights; to be used while :data:`TURN` is held."""
    key = (framework.NAME, constants, write_architecture(architecture))
    return _networks.get(key, lambda: framework.build(architecture, seed=0, constants=constants, dtype="float64"))
