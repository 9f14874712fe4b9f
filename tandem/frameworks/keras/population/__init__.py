"""Training many networks of one family at once with TensorFlow: every array has a leading model axis.

An epoch is one ``tf.function``. It is not compiled by XLA, whose programs hold for one number of members and one width
only; a graph serves every batch of the same structure.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tandem.datasets.source import Rows
from tandem.frameworks.keras.losses import SAMPLE_LOSSES, sample_metrics
from tandem.frameworks.keras.population.layers import Noise, StackedNetwork, member_numbers, pad_rows
from tandem.frameworks.keras.population.optimizers import OPTIMIZERS, Step, optimizer_numbers, slot_names
from tandem.losses import LOSSES
from tandem.models import Architecture, parameter_names, penalties
from tandem.optimizers import Sgd
from tandem.population.costs import StackCosts
from tandem.population.stack import Stack, family

STACK_COSTS = StackCosts(
    program=1.2, step=1e-5, rate=6e10, stack_program=1.0, stack_step=1.5e-4, stack_rate=4.5e10, member=6e-6
)
_PROGRAMS: dict[Hashable, _Program] = {}  # by structure
_making = threading.RLock()  # a program or a graph: batches are trained in threads


def populate(stack: Stack, rows: Sequence[Rows], dtype: str = "float32") -> KerasPopulation:
    """Put members together with the training rows of each fold; see :class:`tandem.frameworks.Population`."""
    return KerasPopulation(stack, rows, dtype)


class KerasPopulation:
    """Members of one family with their optimiser; see :class:`tandem.frameworks.Population`."""

    def __init__(self, stack: Stack, rows: Sequence[Rows], dtype: str) -> None:
        self._dtype = dtype
        parts = [stack.padded.inputs(np.asarray(of.features)) for of in rows]
        self._inputs = [tf.constant(np.concatenate(of), dtype=dtype) for of in zip(*parts, strict=True)]
        targets = np.concatenate([of.targets for of in rows])
        kind = tf.int32 if np.issubdtype(targets.dtype, np.integer) else dtype
        self._targets = tf.constant(targets, dtype=kind)
        self._offsets = np.cumsum([0, *(len(of.targets) for of in rows)]).astype(np.int32)
        self._program = _program(stack, dtype)
        self._arrays: dict[str, Any] = {}
        self._slots: dict[str, Any] = {}
        self._steps = 0
        self._take(stack)

    def restart(self, weights: Mapping[str, np.ndarray], slots: Mapping[str, np.ndarray], steps: int) -> None:
        """Begin with these arrays, (members, *padded shape) each."""
        self._arrays = {name: tf.constant(array, dtype=self._dtype) for name, array in weights.items()}
        self._slots = {
            name: tf.constant(slots[name], dtype=self._dtype) if name in slots else tf.zeros_like(self._arrays[of])
            for name, of in self._program.slots.items()
        }
        self._steps = steps

    def keep(self, positions: Sequence[int]) -> None:
        """Let all other members go."""
        chosen = tf.constant(positions, dtype=tf.int32)
        self._arrays, self._slots = (
            {name: tf.gather(array, chosen) for name, array in given.items()} for given in (self._arrays, self._slots)
        )
        self._take(self._stack.keep(positions))

    def arrays(self, positions: Sequence[int]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], int]:
        """Return copies of some members' weights and optimiser slots, and the number of steps taken."""
        weights, slots = (
            {name: array.numpy()[list(positions)] for name, array in given.items()}
            for given in (self._arrays, self._slots)
        )
        return weights, slots, self._steps

    def train_epoch(
        self,
        orders: np.ndarray,
        folds: np.ndarray,
        streams: np.ndarray,
        batch_size: int,
        learning_rates: np.ndarray,
        seeds: Sequence[int],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Train one epoch of every member."""
        distinct = sorted(set(seeds))
        shared = {
            "streams": tf.constant(streams, dtype=tf.int32),
            "seeds": tf.constant(distinct, dtype=tf.int32),
            "of_member": tf.constant([distinct.index(seed) for seed in seeds], dtype=tf.int32),
        }
        sums = np.zeros((2, len(self._stack)))
        taken = 0
        for batches in _parts(orders + self._offsets[folds][:, None], batch_size):
            rates = tf.constant(learning_rates[taken : taken + len(batches)])
            self._arrays, self._slots, losses, values = self._program.run(
                self._arrays,
                self._slots,
                self._numbers,
                self._inputs,
                self._targets,
                tf.constant(batches, dtype=tf.int32),
                rates,
                shared,
                tf.constant(taken),
                tf.constant(float(self._steps), dtype=tf.float64),
            )
            sums += np.stack([losses.numpy(), values.numpy()])
            taken += len(batches)
            self._steps += len(batches)
        return sums[0] / orders.shape[1], sums[1] / orders.shape[1]

    def predict(
        self, positions: Sequence[int], features: np.ndarray, weights: Mapping[str, np.ndarray] | None = None
    ) -> tuple[np.ndarray, ...]:
        """Return each head's raw outputs (members, n, units) of some members on the same rows."""
        chosen = tf.constant(positions, dtype=tf.int32)
        given = self._arrays if weights is None else weights
        arrays = {
            name: tf.gather(array, chosen) if weights is None else tf.constant(array, dtype=self._dtype)
            for name, array in given.items()
        }
        numbers = {name: tf.gather(array, chosen) for name, array in self._numbers.items()}
        at_once = self._stack.predicted_rows
        parts = []
        for start in range(0, len(features), at_once):
            inputs = self._stack.padded.inputs(np.asarray(features[start : start + at_once]))
            raw = self._program.predict(arrays, numbers, [tf.constant(part, dtype=self._dtype) for part in inputs])
            parts.append([each.numpy() for each in raw])
        return tuple(np.concatenate(raw, axis=1) for raw in zip(*parts, strict=True))

    def gradients(self, positions: Sequence[int], rows: Rows) -> dict[str, np.ndarray]:
        """Return the gradients (members, *shape) of some members over the same rows."""
        chosen = tf.constant(positions, dtype=tf.int32)
        arrays, numbers = (
            {name: tf.gather(array, chosen) for name, array in given.items()} for given in (self._arrays, self._numbers)
        )
        inputs = [tf.constant(part, dtype=self._dtype) for part in self._stack.padded.inputs(np.asarray(rows.features))]
        targets = tf.constant(rows.targets, dtype=self._targets.dtype)
        found = self._program.gradients(arrays, numbers, inputs, targets)
        return {name: gradient.numpy() for name, gradient in found.items()}

    def _take(self, stack: Stack) -> None:
        """Note what the members that there are now need besides their arrays."""
        self._stack = stack
        optimizers = [member.experiment.optimizer for member in stack.members]
        constants = stack.members[0].experiment.constants
        kind = self._dtype
        self._numbers = {
            name: tf.constant(array) if array.dtype == bool else tf.constant(array, dtype=kind)
            for name, array in member_numbers(stack).items()
        }
        for name, array in optimizer_numbers(optimizers, constants).items():
            self._numbers[f"optimizer/{name}"] = tf.constant(array, dtype=tf.float64)
        if optimizers[0].clip_norm is not None:
            self._numbers["optimizer/clip_norm"] = tf.constant([one.clip_norm for one in optimizers], dtype=kind)
        for name in penalties(stack.padded):
            both = np.stack(stack.regularization(name.partition("/")[0]))[:, :, None, None]
            self._numbers[f"{name}/penalty"] = tf.constant(both.swapaxes(0, 1), dtype=kind)


def _parts(orders: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Yield the rows of the full steps, then those of the last one: (steps, streams, n)."""
    streams, shown = orders.shape
    full = shown // batch_size
    if full:
        yield orders[:, : full * batch_size].reshape(streams, full, batch_size).transpose(1, 0, 2)
    if shown % batch_size:
        yield orders[None, :, full * batch_size :]


def _program(stack: Stack, dtype: str) -> _Program:
    """Return the program of a structure, made once a process."""
    member = stack.members[0]
    *structure, _widths = family(member, 0)
    key = (dtype, tuple(structure), tuple(sorted(member_numbers(stack))))
    with _making:
        if key not in _PROGRAMS:
            _PROGRAMS[key] = _Program(stack, dtype)
        return _PROGRAMS[key]


class _Program:
    """The functions that train and predict networks of one structure, whatever their widths and number.

    Attributes:
        slots: of the optimiser, "slot/layer/parameter" → "layer/parameter".
    """

    def __init__(self, stack: Stack, dtype: str) -> None:
        experiment = stack.members[0].experiment
        self._architecture: Architecture = stack.padded
        self._network = StackedNetwork(stack, experiment.constants, dtype)
        declared = self._declared = experiment.optimizer
        self._of_torch = experiment.constants == "aligned-torch"
        self._nesterov = isinstance(declared, Sgd) and declared.nesterov
        self._slot_names = slot_names(declared)
        self._trainable = [name for name, parameter in parameter_names(stack.padded) if parameter.trainable]
        self.slots = {f"{slot}/{name}": name for slot in self._slot_names for name in self._trainable}
        self.run = _Traced(self._run)
        self.predict = _Traced(self._predict)
        self.gradients = _Traced(self._gradients)

    def _predict(self, arrays: dict[str, Any], numbers: dict[str, Any], inputs: list[Any]) -> list[Any]:
        taken = [_for_each(part, arrays) for part in inputs]
        return self._network.forward({**arrays, **numbers}, taken)

    def _gradients(
        self, arrays: dict[str, Any], numbers: dict[str, Any], inputs: list[Any], targets: Any
    ) -> dict[str, Any]:
        taken = [_for_each(part, arrays) for part in inputs]
        _, gradients, _, _ = self._differentiate(arrays, numbers, taken, _for_each(targets, arrays), None)
        return gradients

    def _run(
        self,
        arrays: dict[str, Any],
        slots: dict[str, Any],
        numbers: dict[str, Any],
        inputs: list[Any],
        targets: Any,
        batches: Any,
        rates: Any,
        shared: dict[str, Any],
        first: Any,
        steps: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], Any, Any]:
        """Take a step for each row of ``batches`` (steps, streams, n); return arrays, slots, and sums as they go."""
        members = tf.shape(shared["streams"])
        zeros = tf.zeros(members, next(iter(arrays.values())).dtype)

        def take_step(step: Any, arrays: Any, slots: Any, losses: Any, values: Any) -> tuple[Any, ...]:
            rows = tf.gather(batches[step], shared["streams"])  # (members, n)
            taken = [tf.gather(part, rows) for part in inputs]
            noise = Noise(shared["seeds"], shared["of_member"], first + step)
            arrays, gradients, loss, value = self._differentiate(
                arrays, numbers, taken, tf.gather(targets, rows), noise
            )
            count = steps + tf.cast(step, tf.float64) + 1
            arrays, slots = self._move(arrays, slots, gradients, numbers, rates[step], count)
            return step + 1, arrays, slots, losses + loss, values + value

        _, arrays, slots, losses, values = tf.while_loop(
            lambda step, *_: step < tf.shape(batches)[0], take_step, (tf.constant(0), arrays, slots, zeros, zeros)
        )
        return arrays, slots, losses, values

    def _differentiate(
        self, arrays: dict[str, Any], numbers: dict[str, Any], inputs: list[Any], targets: Any, noise: Noise | None
    ) -> tuple[dict[str, Any], dict[str, Any], Any, Any]:
        """Return the arrays (running statistics renewed), gradients, and sums of losses and metrics (members,)."""
        architecture = self._architecture
        leaves = {name: arrays[name] for name in self._trainable}
        given = {**arrays, **numbers}
        rows = tf.shape(targets)[1]
        count = tf.size(targets)
        flat = pad_rows(tf.reshape(targets, [-1]))
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            raws = self._network.forward(given, inputs, noise)
            sample_losses = SAMPLE_LOSSES[architecture.loss]
            losses = sum(
                head.weight * sample_losses(_flat(raw, head.layer.output_shape[-1]), flat, architecture.output)[:count]
                for head, raw in zip(architecture.heads, raws, strict=True)
            )
            total = tf.reduce_sum(losses)
            if LOSSES[architecture.loss].reduction != "sum":
                total /= tf.cast(rows, total.dtype)
        # The sum over the members has each one's own gradient.
        gradients = tape.gradient(total, leaves, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        metrics = sample_metrics(architecture, _flat(raws[0], architecture.output_units), flat)[:count]
        loss, value = (tf.reduce_sum(tf.reshape(each, tf.shape(targets)), 1) for each in (losses, metrics))
        return {name: given[name] for name in arrays}, gradients, loss, value

    def _move(
        self, arrays: dict[str, Any], slots: dict[str, Any], gradients: dict[str, Any], numbers: dict[str, Any],
        rates: Any, count: Any,
    ) -> tuple[dict[str, Any], dict[str, Any]]:  # fmt: skip
        for name in self._trainable:
            penalty = numbers.get(f"{name}/penalty")
            if penalty is not None:
                kernel = arrays[name]
                gradients[name] += 2 * penalty[:, 1] * kernel + penalty[:, 0] * tf.sign(kernel)
        norms = numbers.get("optimizer/clip_norm")
        if norms is not None:
            squares = [tf.reduce_sum(tf.square(one), tf.range(1, one.shape.rank)) for one in gradients.values()]
            factors = tf.minimum(norms / (tf.sqrt(tf.add_n(squares)) + 1e-6), 1.0)
            gradients = {
                name: one * tf.reshape(factors, [-1] + [1] * (one.shape.rank - 1)) for name, one in gradients.items()
            }
        settings = {name.removeprefix("optimizer/"): number for name, number in numbers.items() if "optimizer/" in name}
        step = Step(settings, rates, count, of_torch=self._of_torch, nesterov=self._nesterov)
        arrays, slots = dict(arrays), dict(slots)
        for name in self._trainable:
            own = {slot: slots[f"{slot}/{name}"] for slot in self._slot_names}
            arrays[name], moved = OPTIMIZERS[self._declared.name](step, arrays[name], gradients[name], own)
            slots.update({f"{slot}/{name}": array for slot, array in moved.items()})
        return arrays, slots


def _for_each(rows: Any, arrays: dict[str, Any]) -> Any:
    """Return the same rows for each member, (members, *shape)."""
    members = tf.shape(next(iter(arrays.values())))[:1]
    return tf.broadcast_to(rows, tf.concat([members, tf.shape(rows)], 0))


class _Traced:
    """A function as a graph for arrays of any sizes.

    A graph made for certain sizes is rewritten with them in mind, and rounds otherwise than one made for others.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = tf.function(function, autograph=False)
        self._graphs: dict[Hashable, Any] = {}

    def __call__(self, *given: Any) -> Any:
        flat = tf.nest.flatten(given)
        key = tuple(tuple(sorted(part)) if isinstance(part, dict) else () for part in given)
        with _making:
            if key not in self._graphs:
                specs = [tf.TensorSpec([None] * len(one.shape), one.dtype) for one in flat]
                self._graphs[key] = self._function.get_concrete_function(*tf.nest.pack_sequence_as(given, specs))
        return self._graphs[key](*given)


def _flat(raw: Any, units: int) -> Any:
    return pad_rows(tf.reshape(raw, [-1, units]))
