"""One framework climbs the parity ladder: what it computes on each rung, in both number types."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from tandem.config import Experiment
from tandem.datasets.source import Rows
from tandem.fitdata import load_training_rows
from tandem.frameworks import Framework, Trainer
from tandem.layers import Layer, layer_kind
from tandem.models import Architecture, initial_weights
from tandem.parity.compare import differences, magnitude
from tandem.parity.records import DTYPES, RUNGS, STEPS, Dtype, ParityRecord, Rung, Side
from tandem.records import Number
from tandem.schedules import learning_rates
from tandem.training import adapted_weights, epoch_order, epoch_transforms, given_weights

_BATCH_ROWS = 2048  # of a batch, however large the experiment's own is
_NUDGES = 3
_SAME, _OTHER = 1e-9, 1e-3  # relative changes that change nothing, and that change all
_KEPT = 16_384  # entries of an array that are compared, evenly spread over it

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Course:
    """What every framework climbs with, the experiment's own: network, batches, learning rates and augmentation.

    Attributes:
        architecture: its layers, those that draw random numbers stilled.
        stilled: names of these.
        experiment: as declared.
        positions: of the training rows that the batches show, sorted.
        batches: of each step: int32 positions among ``positions``.
        rates: learning rate of each step.
        transforms: what happens to each image of each batch, see :mod:`tandem.augmentation`; None: nothing.
    """

    architecture: Architecture
    stilled: tuple[str, ...]
    experiment: Experiment
    positions: np.ndarray
    batches: tuple[np.ndarray, ...]
    rates: tuple[float, ...]
    transforms: tuple[np.ndarray | None, ...]

    @property
    def batch_size(self) -> int:
        """Rows of the largest batch."""
        return max(map(len, self.batches))


@dataclass(frozen=True)
class Climb:
    """What a framework computed.

    Attributes:
        arrays: see :data:`tandem.parity.records.Side`.
        rounding, undetermined: see :class:`tandem.parity.records.ParityRecord`.
    """

    arrays: Side
    rounding: Mapping[Dtype, Mapping[Rung, Number]]
    undetermined: Mapping[Rung, tuple[str, ...]]


def lay_course(architecture: Architecture, experiment: Experiment, training_rows: int) -> Course:
    """Take an experiment's first batches and learning rates, as its first replicate sees them."""
    quiet, stilled = still(architecture)
    batches, rates, transforms = _first_batches(experiment, training_rows)
    positions = np.unique(np.concatenate(batches))
    numbered = tuple(np.searchsorted(positions, batch).astype(np.int32) for batch in batches)
    return Course(quiet, stilled, experiment, positions, numbered, tuple(rates), tuple(transforms))


def still(architecture: Architecture) -> tuple[Architecture, tuple[str, ...]]:
    """Return a network whose layers draw no random numbers in training, and the names of those that would."""
    quiet = {layer.name: _still_layer(layer) for layer in architecture.body}
    stilled = tuple(layer.name for layer in architecture.body if quiet[layer.name] != layer)
    return replace(architecture, body=tuple(quiet.values())), stilled


def _still_layer(layer: Layer) -> Layer:
    settings = getattr(layer_kind(layer.kind), "STILL", {})
    return replace(layer, settings=MappingProxyType({**layer.settings, **settings})) if settings else layer


def _first_batches(experiment: Experiment, rows: int) -> tuple[list[np.ndarray], list[float], list[np.ndarray | None]]:
    """Return batches, learning rates and transforms of the first steps, over as many epochs as it takes."""
    declared, optimizer = experiment.training, experiment.optimizer
    size = _BATCH_ROWS if declared.batch_size == "auto" else declared.batch_size
    batches: list[np.ndarray] = []
    rates: list[float] = []
    transforms: list[np.ndarray | None] = []
    epoch = 0
    while len(batches) < STEPS:
        order = epoch_order(rows, declared.repeat, declared.seed, epoch, shuffle=declared.shuffle)
        turned = epoch_transforms(declared, len(order), declared.seed, epoch)
        steps = math.ceil(len(order) / size)
        planned = learning_rates(optimizer.schedule, optimizer.learning_rate, epoch, steps).tolist()
        for start, rate in list(zip(range(0, len(order), size), planned, strict=True))[: STEPS - len(batches)]:
            shown = slice(start, start + min(size, _BATCH_ROWS))
            batches.append(order[shown])
            rates.append(rate)
            transforms.append(None if turned is None else turned[shown])
        epoch += 1
    return batches, rates, transforms


def climb(framework: Framework, course: Course, fit: Path, scaler: Path) -> Climb:
    """Compute every rung in both number types.

    Args:
        framework: which climbs, set up.
        course: what it climbs with.
        fit, scaler: folders that ``split`` and ``standardize`` wrote; the rows of the first fold are taken.

    Raises:
        DataError: a file is missing or damaged.
        KeyError: the framework does not have a kind of layer.
    """
    found: Arrays = {}
    rounding: dict[Dtype, dict[Rung, Number]] = {}
    undetermined: dict[Rung, tuple[str, ...]] = {}
    for dtype in DTYPES:
        rows = load_training_rows(fit, scaler, course.positions, dtype=dtype)
        climber = _Climber(framework, course, rows, dtype)
        exact = climber.climb(climber.start)
        nudges = [climber.climb(_nudged(climber.start, seed)) for seed in range(_NUDGES)]
        if dtype == "float64":
            undetermined = {rung: names for rung in RUNGS if (names := _undetermined(exact[rung], nudges[0][rung]))}
        rounding[dtype] = {
            rung: _largest_change(exact[rung], [nudged[rung] for nudged in nudges], undetermined.get(rung, ()))
            for rung in RUNGS[1:]
        }
        found |= {f"{dtype}/{rung}/{name}": _thin(array) for rung in RUNGS for name, array in exact[rung].items()}
    return Climb(found, rounding, undetermined)


def parity_record(experiment: str, framework: Framework, course: Course, climbed: Climb) -> ParityRecord:
    """Return what is to be known of a climb besides its arrays."""
    declared = course.experiment
    topics = declared.native_topics(course.architecture) if declared.constants == "native" else set()
    return ParityRecord(
        experiment=experiment,
        framework=framework.NAME,
        constants=declared.constants,
        batch_size=course.batch_size,
        rows=len(course.positions),
        stilled=course.stilled,
        differences=tuple(text for topic, text in framework.NATIVE_DIFFERENCES.items() if topic in topics),
        rounding={dtype: dict(found) for dtype, found in climbed.rounding.items()},
        undetermined=dict(climbed.undetermined),
    )


class _Climber:
    """A network in one number type, with its trainer and what it begins with.

    With native constants each framework's initial weights are its own; they make the first rung. On the rungs above
    all frameworks take the same, which shows what else differs.
    """

    def __init__(self, framework: Framework, course: Course, rows: Rows, dtype: Dtype) -> None:
        experiment, architecture = course.experiment, course.architecture
        seed, constants = experiment.training.seed, experiment.constants
        architecture.check_rows(rows.features, "training")
        self.framework, self.course, self.rows = framework, course, rows
        self.network = framework.build(architecture, seed=seed, constants=constants, dtype=dtype)
        given = {**adapted_weights(architecture, rows.features), **given_weights(experiment, architecture)}
        self.initial = {**framework.weights(self.network), **given}
        shared = {**initial_weights(architecture, seed), **given} if constants == "native" else self.initial
        self.start = {name: np.asarray(array, dtype=dtype) for name, array in shared.items()}
        self.trainer: Trainer = framework.trainer(self.network, rows, experiment.optimizer, constants=constants)

    def climb(self, start: Mapping[str, np.ndarray]) -> dict[Rung, Arrays]:
        """Return each rung's arrays, from the same network on with other weights."""
        self.trainer.restart(start)
        first = self.course.batches[0]
        batch = Rows(self.rows.features[first], self.rows.targets[first])
        found: dict[Rung, Arrays] = {"weights": self.initial}
        found["outputs"] = self.framework.layer_outputs(self.network, batch.features)
        loss, gradients = self.framework.gradients(self.network, batch)
        found["gradients"] = {**gradients, "loss": np.array(loss)}
        steps = zip(self.course.batches, self.course.rates, self.course.transforms, strict=True)
        for step, (shown, rate, turned) in enumerate(steps):
            self.trainer.train_epoch(shown, len(shown), np.array([rate]), 0, turned)
            if step == 0:
                found["one_step"] = self._state(batch)
        found["ten_steps"] = self._state(batch)
        return found

    def _state(self, batch: Rows) -> Arrays:
        """Return all arrays, and the heads' outputs of the first batch."""
        heads = [f"outputs/{head.layer.name}" for head in self.course.architecture.heads]
        outputs = dict(zip(heads, self.framework.predict(self.network, batch.features), strict=True))
        return {**self.framework.weights(self.network), **outputs}


def _nudged(start: Mapping[str, np.ndarray], seed: int) -> Arrays:
    """Move every weight by one unit in the last place, up or down."""
    generator = np.random.default_rng(seed)
    ways = {name: np.where(generator.random(array.shape) < 0.5, -np.inf, np.inf) for name, array in start.items()}
    return {
        name: np.where(array == 0, array, np.nextafter(array, ways[name].astype(array.dtype)))
        for name, array in start.items()
    }


def _undetermined(exact: Arrays, nudged: Arrays) -> tuple[str, ...]:
    """Return the arrays that the nudge changed altogether, although it changed no output."""
    outputs = {name: array for name, array in exact.items() if name.startswith("outputs/")}
    apart = differences(outputs, {name: nudged[name] for name in outputs})
    if not outputs or any(value is None or value > _SAME for value in apart.values()):
        return ()
    return tuple(
        name
        for name, array in exact.items()
        if name not in outputs and magnitude(array - nudged[name]) > _OTHER * magnitude(array)
    )


def _largest_change(exact: Arrays, nudges: Sequence[Arrays], left_out: tuple[str, ...]) -> Number:
    """Return the largest relative change that a nudge made; None: a number is not finite."""
    apart = [value for nudged in nudges for name, value in differences(exact, nudged).items() if name not in left_out]
    known = [value for value in apart if value is not None]
    return max(known) if len(known) == len(apart) else None


def _thin(array: np.ndarray) -> np.ndarray:
    if array.size <= _KEPT:
        return array
    return array.ravel()[np.linspace(0, array.size - 1, _KEPT).astype(np.int64)]
