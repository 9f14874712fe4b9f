"""The rules of :mod:`tandem.training` for many members at once: epochs, early stopping, best epochs and divergence.

A member that stops leaves its batch, which shrinks; what it learnt does not depend on when others leave.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol, TypeVar

import numpy as np

from tandem import metrics
from tandem.datasets.source import Rows
from tandem.frameworks import Framework, Population
from tandem.losses import sample_losses
from tandem.models import Architecture, parameter_names
from tandem.population.stack import Member, Stack, family
from tandem.schedules import learning_rates
from tandem.training import (
    DROPOUT_STREAM,
    PROBE_ROWS,
    Run,
    adapted_weights,
    epoch_order,
    epoch_seed,
    given_weights,
    layer_norms,
    note_epoch,
)

_BYTES = {"float32": 4, "float64": 8}
_COPIES = 3  # of a member's weights: themselves, their gradients, and what is being computed; each slot is one more
_ORDER_BYTES = 16  # of a row: its place as drawn, stacked, moved to its fold, and as the framework takes it
_SLOTS = {"sgd": 1, "adam": 2, "rmsprop": 1}


@dataclass(frozen=True)
class Held:
    """A member's state between two epochs: enough to go on, with whomever.

    Attributes:
        run: what was noted of its epochs.
        weights: its own arrays by "layer/parameter".
        slots: its optimiser's by "slot/layer/parameter".
        steps: that it has taken.
        best: arrays of its best epoch; None unless they are to be kept.
    """

    run: Run
    weights: Mapping[str, np.ndarray]
    slots: Mapping[str, np.ndarray]
    steps: int
    best: Mapping[str, np.ndarray] | None


@dataclass(frozen=True)
class Candidate:
    """A member to be trained.

    Attributes:
        name: by which its result is told.
        member: the network.
        held: where it goes on; None: at the beginning.
    """

    name: Hashable
    member: Member
    held: Held | None = None


@dataclass(frozen=True)
class Left:
    """A member that leaves its batch, because it has stopped or pauses.

    Attributes:
        candidate: the member.
        held: its state.
        outputs: raw, (n, units) a head, of the weights that are kept, on the rows that score.
        seconds: of wall time, its share of each epoch's.
    """

    candidate: Candidate
    held: Held
    outputs: tuple[np.ndarray, ...]
    seconds: float


class Fold(Protocol):
    """The rows of a fold: to train on, to watch (early stopping, best epoch; may be empty), and to score on."""

    @property
    def train(self) -> Rows:
        """Trained on."""

    @property
    def watch(self) -> Rows:
        """Watched; may be empty."""

    @property
    def score(self) -> Rows:
        """Scored on."""


_T = TypeVar("_T")
Batch = tuple[Candidate, ...]  # trained at once
OnLeft = Callable[[Left], None]
OnEpochs = Callable[[int], None]
# Told after an epoch the members that are still trained, and a function that gives their states.
Follow = Callable[[Mapping[Hashable, Run], Callable[[], Mapping[Hashable, Held]]], None]


def make_batches(
    candidates: Sequence[Candidate], folds: Sequence[Fold], megabytes: float, at_least: int = 1
) -> Iterator[Batch]:
    """Divide candidates into batches: by family and steps taken, then so that each fits the memory allowed.

    Args:
        candidates: those that :func:`tandem.population.stack.why_alone` has no reason against.
        folds: by the members' fold.
        megabytes: for the members' arrays and values, and the orders of their rows; the rows themselves come on top.
            A batch has at least one member.
        at_least: families are cut into so many batches together, if members suffice for two in each: one by itself is
            trained beside a copy.
    """
    families: dict[Hashable, list[Candidate]] = {}
    for candidate in candidates:
        member, begun = candidate.member, candidate.held.steps if candidate.held else 0
        rows = len(folds[member.fold].train) * member.experiment.training.repeat
        families.setdefault((begun, family(member, rows)), []).append(candidate)
    parts = math.ceil(at_least / max(1, len(families)))
    for found in families.values():
        rows = len(folds[found[0].member.fold].train) * found[0].member.experiment.training.repeat
        orders = len({(one.member.fold, one.member.seed) for one in found}) / len(found)
        fitting = int(megabytes * 1e6 // (_member_bytes(Stack.of([found[0].member])) + orders * rows * _ORDER_BYTES))
        pieces = max(min(parts, len(found) // 2), math.ceil(len(found) / max(1, fitting)))
        bounds = [len(found) * piece // pieces for piece in range(pieces + 1)]
        yield from (tuple(found[start:end]) for start, end in pairwise(bounds))


def batch_work(batch: Batch) -> int:
    """Return how much work a batch is, to be compared with others of the same rows: the weights of all members."""
    padded = Stack.of([batch[0].member]).padded
    return len(batch) * sum(math.prod(parameter.shape) for _, parameter in parameter_names(padded))


def _member_bytes(stack: Stack) -> float:
    """Return about how much memory a member takes: its arrays and what its layers give for a batch of rows."""
    experiment, padded = stack.members[0].experiment, stack.padded
    weights = sum(math.prod(parameter.shape) for _, parameter in parameter_names(padded))
    size = experiment.training.batch_size
    rows = size if isinstance(size, int) else 1
    values = rows * (math.prod(padded.input_shape) + 3 * sum(layer.output_shape[-1] for layer in padded.layers))
    copies = _COPIES + _SLOTS[experiment.optimizer.name] + (experiment.training.checkpoint == "best")
    return _BYTES["float32"] * (weights * copies + values)


def train_batch(
    framework: Framework,
    batch: Batch,
    folds: Sequence[Fold],
    epochs: int | None,
    on_left: OnLeft,
    on_epochs: OnEpochs | None = None,
    dtype: str = "float32",
    follow: Follow | None = None,
) -> None:
    """Train a batch until each member has stopped or has had its epochs.

    Args:
        framework: which trains.
        batch: the members.
        folds: by the members' fold.
        epochs: at which all pause, however many more are declared; None: as declared.
        on_left: told each member when it leaves; its run says whether it has stopped.
        on_epochs: told after each epoch how many members trained it.
        dtype: number type.
        follow: asked for after each epoch, by whoever wants each member's whole history; it is not recorded otherwise.
    """
    _Group(framework, batch, folds, dtype, follow).train(epochs, on_left, on_epochs)


@dataclass
class _Followed:
    """A member while it is trained."""

    candidate: Candidate
    run: Run
    best: Mapping[str, np.ndarray] | None = None
    seconds: float = 0.0

    @property
    def member(self) -> Member:
        return self.candidate.member

    @property
    def keeps_best(self) -> bool:
        """Whether the weights of the best epoch are wanted."""
        return self.best is not None or self.member.experiment.training.checkpoint == "best"

    @property
    def watches(self) -> bool:
        """Whether the rows that are watched decide anything."""
        training = self.member.experiment.training
        stopping = training.early_stopping
        return self.keeps_best or (stopping is not None and stopping.monitor == "valid_loss")


@dataclass
class _Group:
    framework: Framework
    batch: Batch
    folds: Sequence[Fold]
    dtype: str
    follow: Follow | None
    followed: list[_Followed] = field(init=False)
    stack: Stack = field(init=False)
    population: Population = field(init=False)

    def __post_init__(self) -> None:
        members = [candidate.member for candidate in self.batch]
        used = sorted({member.fold for member in members})
        self._position = {fold: position for position, fold in enumerate(used)}
        self.stack = Stack.of(members)
        begun = _begin(self.batch, self.folds)
        stack, given = Stack.of(_two_or_more(members)), _two_or_more(begun)
        self.population = self.framework.populate(stack, [self.folds[fold].train for fold in used], self.dtype)
        slots = {name: _packed_slot(stack, name, given) for name in given[0].slots}
        weights = stack.pack([held.weights for held in given], self.dtype)
        self.population.restart(weights, slots, given[0].steps)
        self.followed = [
            _Followed(candidate, _copied(held.run), held.best or (None if self.follow is None else held.weights))
            for candidate, held in zip(self.batch, begun, strict=True)
        ]

    def train(self, epochs: int | None, on_left: OnLeft, on_epochs: OnEpochs | None) -> None:
        """Train epochs until nobody is left."""
        if self.follow is not None:
            self._note_gradients([place for place, one in enumerate(self.followed) if not one.run.epoch])
        self._let_go(epochs, on_left)
        while self.followed:
            began = time.perf_counter()
            losses, values = self._train_epoch()
            trained = time.perf_counter() - began
            watched = self._watch()
            better = []
            for position, one in enumerate(self.followed):
                one.run.epoch += 1
                noted = {
                    "train_loss": float(losses[position]),
                    f"train_{metrics.EPOCH_METRIC[one.member.architecture.task]}": float(values[position]),
                    **watched.get(position, {}),
                }
                if self.follow is not None:
                    self._note_history(one, noted, trained / len(self.followed))
                if note_epoch(one.run, noted, one.member.experiment.training) and one.keeps_best:
                    better.append(position)
            self._keep_best(better)
            if self.follow is not None:
                self._note_gradients(range(len(self.followed)))
            self._share(time.perf_counter() - began)
            if on_epochs is not None:
                on_epochs(len(self.followed))
            self._let_go(epochs, on_left)
            if self.follow is not None and self.followed:
                self.follow({one.candidate.name: one.run for one in self.followed}, self._states)

    def _train_epoch(self) -> tuple[np.ndarray, np.ndarray]:
        """Show every member its rows in its own order; members with the same seed and fold share one."""
        streams: dict[tuple[int, int, bool], int] = {}
        orders: list[np.ndarray] = []
        folds, of_member, rates, seeds = [], [], [], []
        batch_size = self.followed[0].member.experiment.training.batch_size
        assert isinstance(batch_size, int)  # noqa: S101  (auto is trained alone)
        for one in self.followed:
            member, declared = one.member, one.member.experiment.training
            key = (member.fold, member.seed, declared.shuffle)
            if key not in streams:
                streams[key] = len(orders)
                rows = len(self.folds[member.fold].train)
                order = epoch_order(rows, declared.repeat, member.seed, one.run.epoch, shuffle=declared.shuffle)
                orders.append(order.astype(np.int32))
                folds.append(self._position[member.fold])
            of_member.append(streams[key])
            steps = self._steps()
            optimizer = member.experiment.optimizer
            rates.append(learning_rates(optimizer.schedule, optimizer.learning_rate, one.run.epoch, steps))
            seeds.append(epoch_seed(member.seed, one.run.epoch, DROPOUT_STREAM))
        return self.population.train_epoch(
            np.stack(orders),
            np.array(folds),
            np.array(_two_or_more(of_member)),
            batch_size,
            np.stack(_two_or_more(rates), axis=1),
            _two_or_more(seeds),
        )

    def _share(self, seconds: float) -> None:
        """Give each member its share of an epoch's time."""
        share, now = seconds / len(self.followed), time.time()
        for one in self.followed:
            one.seconds += share
            if self.follow is not None:
                one.run.elapsed.append((one.run.elapsed[-1] if one.run.elapsed else 0.0) + share)
                one.run.wall_times.append(now)

    def _note_history(self, one: _Followed, noted: Mapping[str, float], seconds: float) -> None:
        optimizer, run = one.member.experiment.optimizer, one.run
        rates = learning_rates(optimizer.schedule, optimizer.learning_rate, run.epoch - 1, self._steps())
        run.learning_rate.append(float(rates[0]))
        run.train_seconds.append(seconds)
        for name, value in noted.items():
            run.columns.setdefault(name, []).append(value)

    def _note_gradients(self, positions: Sequence[int]) -> None:
        """Note the norm of the gradient of each layer, over the first training rows of each member's fold."""
        for fold, chosen in self._by_fold(positions).items():
            rows = self.folds[fold].train
            probe = Rows(rows.features[:PROBE_ROWS], rows.targets[:PROBE_ROWS])
            gradients = self.population.gradients(_two_or_more(chosen), probe)
            for place, position in enumerate(chosen):
                norms = layer_norms({name: gradient[place] for name, gradient in gradients.items()})
                for layer, norm in norms.items():
                    self.followed[position].run.gradient_norms.setdefault(layer, []).append(norm)

    def _steps(self) -> int:
        member = self.followed[0].member
        training = member.experiment.training
        assert isinstance(training.batch_size, int)  # noqa: S101  (auto is trained alone)
        return math.ceil(len(self.folds[member.fold].train) * training.repeat / training.batch_size)

    def _by_fold(self, positions: Iterable[int]) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for position in positions:
            found.setdefault(self.followed[position].member.fold, []).append(position)
        return found

    def _watch(self) -> dict[int, dict[str, float]]:
        """Return the loss on the rows that are watched, of each member for which it decides anything.

        Of members that are followed, all that is recorded.
        """
        wanted = [place for place, one in enumerate(self.followed) if one.watches or self.follow is not None]
        found: dict[int, dict[str, float]] = {}
        for fold, positions in self._by_fold(wanted).items():
            rows = self.folds[fold].watch
            if not len(rows):
                continue
            outputs = self._predict(positions, rows.features)
            if self.follow is None:
                losses = mean_losses(self.stack.padded, outputs, rows.targets).tolist()
                found |= {position: {"valid_loss": loss} for position, loss in zip(positions, losses, strict=True)}
                continue
            for place, position in enumerate(positions):
                own = [raw[place] for raw in outputs]
                values = metrics.epoch_values(self.stack.members[position].architecture, own, rows.targets)
                found[position] = {f"valid_{name}": value for name, value in values.items()}
        return found

    def _keep_best(self, positions: list[int]) -> None:
        if not positions:
            return
        weights, _, _ = self.population.arrays(positions)
        part = self.stack.keep(positions)
        for place, position in enumerate(positions):
            self.followed[position].best = part.unpack(place, weights)

    def _states(self) -> dict[Hashable, Held]:
        """Return the state of every member that is still trained."""
        held = self._hold(range(len(self.followed)))
        return {one.candidate.name: state for one, state in zip(self.followed, held, strict=True)}

    def _hold(self, positions: Sequence[int]) -> list[Held]:
        weights, slots, steps = self.population.arrays(positions)
        part = self.stack.keep(positions)
        return [
            Held(
                self.followed[position].run,
                part.unpack(place, weights),
                _own_slots(part, place, slots),
                steps,
                self.followed[position].best,
            )
            for place, position in enumerate(positions)
        ]

    def _let_go(self, epochs: int | None, on_left: OnLeft) -> None:
        """Hand over those that have stopped or pause, and go on with the rest."""
        for one in self.followed:
            if not one.run.stopped and one.run.epoch >= one.member.experiment.training.epochs:
                one.run.stopped = "no epoch was asked for"
        gone = [
            position
            for position, one in enumerate(self.followed)
            if one.run.stopped or (epochs is not None and one.run.epoch >= epochs)
        ]
        if not gone:
            return
        helds = self._hold(gone)
        kept = [kept_weights(self.followed[position].member, held) for position, held in zip(gone, helds, strict=True)]
        outputs = self._score(gone, kept)
        for position, held, scored in zip(gone, helds, outputs, strict=True):
            one = self.followed[position]
            on_left(Left(one.candidate, held, scored, one.seconds))
        stay = [position for position in range(len(self.followed)) if position not in set(gone)]
        self.followed = [self.followed[position] for position in stay]
        if stay:
            self.stack = self.stack.keep(stay)
            self.population.keep(_two_or_more(stay))

    def _predict(
        self,
        positions: Sequence[int],
        features: np.ndarray,
        weights: Sequence[Mapping[str, np.ndarray]] | None = None,
    ) -> tuple[np.ndarray, ...]:
        """Return each head's raw outputs of some members, with their weights or with others."""
        size, parts = self.stack.predicted_members, []
        for start in range(0, len(positions), size):
            chosen = positions[start : start + size]
            both, packed = _two_or_more(chosen), None
            if weights is not None:
                own = _two_or_more(weights[start : start + size])
                packed = self.stack.keep(both).pack(own, self.dtype)
            raws = self.population.predict(both, features, packed)
            parts.append([raw[: len(chosen)] for raw in raws])
        return tuple(np.concatenate(raw) for raw in zip(*parts, strict=True))

    def _score(
        self, positions: Sequence[int], weights: Sequence[Mapping[str, np.ndarray]]
    ) -> list[tuple[np.ndarray, ...]]:
        """Return each head's raw outputs of some members, with these weights, on the rows that score."""
        outputs: list[tuple[np.ndarray, ...]] = [()] * len(positions)
        for fold in sorted({self.followed[position].member.fold for position in positions}):
            places = [place for place, position in enumerate(positions) if self.followed[position].member.fold == fold]
            chosen = [positions[place] for place in places]
            raws = self._predict(chosen, self.folds[fold].score.features, [weights[place] for place in places])
            for number, place in enumerate(places):
                outputs[place] = tuple(raw[number] for raw in raws)
        return outputs


def _two_or_more(items: Sequence[_T]) -> list[_T]:
    """Return items, one twice.

    A single matrix is multiplied by another routine than a stack of them, which rounds otherwise: a member by itself
    is trained beside a copy.
    """
    return list(items) * (2 if len(items) == 1 else 1)


def kept_weights(member: Member, held: Held) -> Mapping[str, np.ndarray]:
    """Return the weights that a member keeps: of its last epoch, or of its best if so declared or if it diverged."""
    best = member.experiment.training.checkpoint == "best" or held.run.outcome == "diverged"
    return held.best if best and held.best is not None else held.weights


def mean_losses(architecture: Architecture, outputs: Sequence[np.ndarray], targets: np.ndarray) -> np.ndarray:
    """Return each member's mean loss, weighted and summed over heads, float64 (members,).

    Args:
        architecture: of the family.
        outputs: raw, (members, n, units) a head.
        targets: (n,).
    """
    members, rows = outputs[0].shape[:2]
    tiled = np.tile(targets, members)
    total = np.zeros(members)
    with np.errstate(all="ignore"):  # a diverged network gives infinities and NaN, which are results
        for head, raw in zip(architecture.heads, outputs, strict=True):
            flat = raw.reshape(members * rows, raw.shape[2])
            losses = sample_losses(architecture.loss, flat, tiled, architecture.output)
            total += head.weight * losses.reshape(members, rows).mean(axis=1)
    return total


def _begin(candidates: Sequence[Candidate], folds: Sequence[Fold]) -> list[Held]:
    """Return where each candidate goes on, or begins."""
    drawn: dict[Hashable, Mapping[str, np.ndarray]] = {}
    found = []
    for candidate in candidates:
        if candidate.held is not None:
            found.append(candidate.held)
            continue
        member = candidate.member
        key = (member.seed, member.experiment.constants, _shapes(member.architecture))
        if key not in drawn:
            drawn[key] = Stack.of([member]).initial_weights()[0]
        weights = {
            **drawn[key],
            **adapted_weights(member.architecture, folds[member.fold].train.features),
            **given_weights(member.experiment, member.architecture),
        }
        found.append(Held(Run(), weights, {}, 0, None))
    return found


def _shapes(architecture: Architecture) -> Hashable:
    return tuple((name, parameter.shape, parameter.initial) for name, parameter in parameter_names(architecture))


def _copied(run: Run) -> Run:
    return copy.deepcopy(run)


def _packed_slot(stack: Stack, name: str, begun: Sequence[Held]) -> np.ndarray:
    """Return one optimiser slot of all members."""
    _, _, array = name.partition("/")
    shape = dict(parameter_names(stack.padded))[array].shape
    packed = np.zeros((len(begun), *shape), dtype=begun[0].slots[name].dtype)
    for target, held in zip(packed, begun, strict=True):
        own = held.slots[name]
        target[tuple(slice(size) for size in own.shape)] = own
    return packed


def _own_slots(stack: Stack, position: int, slots: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    shapes = {name: parameter.shape for name, parameter in parameter_names(stack.members[position].architecture)}
    return {
        name: array[position][tuple(slice(size) for size in shapes[name.partition("/")[2]])].copy()
        for name, array in slots.items()
    }
