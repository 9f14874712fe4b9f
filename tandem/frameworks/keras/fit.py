"""Training and predicting with Keras models: a whole epoch is one compiled program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tandem.datasets.source import Rows
from tandem.frameworks.keras.augmentation import transform_images
from tandem.frameworks.keras.input import StreamedInput
from tandem.frameworks.keras.losses import batch_losses, sample_metrics
from tandem.frameworks.keras.network import default_type, load_weights, named_variables, number_type, weights
from tandem.frameworks.keras.optimizers import clipped, make_optimizer
from tandem.models import Constants, penalties
from tandem.optimizers import AnyOptimizer
from tandem.streaming import StreamedRows

_PREDICT_ROWS = 4096


def trainer(
    network: keras.Model, rows: Rows, optimizer: AnyOptimizer, *, constants: Constants, devices: int = 1
) -> KerasTrainer:
    """Put a model together with training rows, on one device or on several."""
    if devices == 1:
        return KerasTrainer(network, rows, optimizer, constants)
    from tandem.frameworks.keras.several_devices import MirroredTrainer

    return MirroredTrainer(network, rows, optimizer, constants, devices)


class KerasTrainer:
    """A Keras model with its optimiser and training rows.

    The loop over the batches of an epoch, or of a window of streamed rows, lies inside one ``tf.function`` that XLA
    compiles: Python is asked once for all of them, not once a step.
    """

    compiled = True  # by XLA

    def __init__(self, model: keras.Model, rows: Rows, declared: AnyOptimizer, constants: Constants) -> None:
        self._model = model
        with default_type(number_type(model)):
            self._optimizer = make_optimizer(declared, constants)
            self._optimizer.build(model.trainable_variables)
        self._clip_norm = declared.clip_norm
        declared_penalties = penalties(model.architecture)
        names = {id(variable): name for name, variable in named_variables(model).items()}
        self._penalties = [declared_penalties.get(names[id(variable)]) for variable in model.trainable_variables]
        self.take_rows(rows)
        self._seeded = [layer.seed_generator for layer in model.layers if hasattr(layer, "seed_generator")]
        self._steps = tf.function(self._run_steps, jit_compile=self.compiled, autograph=False)
        self._window = tf.function(self._run_window, jit_compile=True, autograph=False)
        self._fresh_slots = [np.array(slot) for slot in self._optimizer.variables]

    def take_rows(self, rows: Rows) -> None:
        """Train on other rows from now on; the compiled program is kept for those of the same shape and type."""
        self._streamed = StreamedInput(self._model.architecture, rows) if isinstance(rows, StreamedRows) else None
        self._data: tuple[Any, ...] = ()
        if self._streamed is None:
            inputs = tuple(tf.constant(part) for part in self._model.architecture.inputs(rows.features))
            self._data = (inputs, tf.constant(rows.targets))

    def restart(self, initial: Mapping[str, np.ndarray]) -> None:
        """Begin again with other weights; the compiled program is kept."""
        load_weights(self._model, initial)
        for slot, fresh in zip(self._optimizer.variables, self._fresh_slots, strict=True):
            slot.assign(fresh)

    def train_epoch(
        self,
        order: np.ndarray,
        batch_size: int,
        learning_rates: np.ndarray,
        seed: int,
        transforms: np.ndarray | None = None,
    ) -> tuple[float, float]:
        """Train one epoch; see :class:`tandem.frameworks.Trainer`."""
        self._seed(seed)
        steps = len(order) // batch_size
        totals = np.zeros(2)
        full = steps * batch_size
        for first, part, rates in (
            (0, order[:full].reshape(-1, batch_size), learning_rates[:steps]),
            (full, order[full:].reshape(1, -1), learning_rates[steps:]),
        ):
            if part.size:
                rates = tf.constant(rates, dtype=self._optimizer.learning_rate.dtype)
                matrices = None
                if transforms is not None:
                    shown = transforms[first : first + part.size].reshape(*part.shape, 2, 2)
                    matrices = tf.constant(shown, dtype=number_type(self._model))
                found = self._take_steps(part, rates, matrices)
                totals += np.array([float(total) for total in found])
        loss, metric = totals / len(order)
        return float(loss), float(metric)

    def _seed(self, seed: int) -> None:
        for position, generator in enumerate(self._seeded):
            generator.state.assign([seed, position])

    def _take_steps(self, batches: np.ndarray, rates: Any, transforms: Any) -> tuple[Any, Any]:
        """Take a step for each row of ``batches``; return the sums of losses and metrics."""
        if self._streamed is None:
            return self._steps(self._data, tf.constant(batches, dtype=tf.int32), rates, transforms)
        totals = self._nothing()
        for window in self._streamed.windows(batches):
            span = tf.constant([window.first, window.first + window.steps])
            totals = self._window(window.inputs, window.targets, span, totals, rates, transforms)
        return totals

    def _run_steps(self, data: tuple[Any, ...], batches: Any, rates: Any, transforms: Any) -> tuple[Any, Any]:
        """Take a step for each row of ``batches``; return the sums of losses and metrics.

        ``data`` are the inputs and the targets of all rows, ``transforms`` the matrices of the images, or None.
        """

        def step_on(step: Any, turned: Any) -> tuple[Any, Any]:
            return self._step(data, batches[step], turned)

        return self._loop(step_on, (tf.constant(0), tf.shape(batches)[0]), self._nothing(), rates, transforms)

    def _run_window(
        self, inputs: Any, targets: Any, span: Any, totals: Any, rates: Any, transforms: Any
    ) -> tuple[Any, Any]:
        """Take the steps of a window, from ``span[0]`` up to ``span[1]``; add their losses and metrics to ``totals``.

        ``rates`` and ``transforms`` are those of all windows' steps.
        """

        def step_on(step: Any, turned: Any) -> tuple[Any, Any]:
            return self._step_on([part[step - span[0]] for part in inputs], targets[step - span[0]], turned)

        return self._loop(step_on, (span[0], span[1]), totals, rates, transforms)

    def _nothing(self) -> tuple[Any, Any]:
        zero = tf.zeros((), number_type(self._model))
        return zero, zero

    def _loop(
        self, step_on: Callable[[Any, Any], tuple[Any, Any]], span: Any, totals: Any, rates: Any, transforms: Any
    ) -> tuple[Any, Any]:
        def take_step(step: Any, losses: Any, metrics: Any) -> tuple[Any, Any, Any]:
            self._optimizer.learning_rate.assign(rates[step])
            loss, metric = step_on(step, None if transforms is None else transforms[step])
            return step + 1, losses + loss, metrics + metric

        found = tf.while_loop(lambda step, *_: step < span[1], take_step, (span[0], *totals))
        return found[1], found[2]

    def _step(self, data: tuple[Any, ...], batch: Any, transforms: Any) -> tuple[Any, Any]:
        """Take a step on rows by their positions; return the sums of losses and metrics."""
        inputs, targets = data
        return self._step_on([tf.gather(part, batch) for part in inputs], tf.gather(targets, batch), transforms)

    def _step_on(self, inputs: list[Any], targets: Any, transforms: Any) -> tuple[Any, Any]:
        architecture = self._model.architecture
        if transforms is not None:
            inputs = [transform_images(part, transforms) for part in inputs]
        with tf.GradientTape() as tape:
            outputs = model_outputs(self._model, inputs, training=True)
            loss, total = batch_losses(architecture, outputs, targets)
        variables = self._model.trainable_variables
        # An embedding's gradient is sparse.
        found = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, variables)]
        gradients = clipped(self._with_penalties(found), self._clip_norm)
        self._optimizer.apply(gradients, variables)
        return total, tf.reduce_sum(sample_metrics(architecture, outputs[0], targets))

    def _with_penalties(self, gradients: list[Any]) -> list[Any]:
        """Add the gradient of l1 Σ|w| + l2 Σw²."""
        return [
            gradient
            if penalty is None
            else gradient + 2 * penalty.l2 * variable.value + penalty.l1 * tf.sign(variable.value)
            for gradient, variable, penalty in zip(
                gradients, self._model.trainable_variables, self._penalties, strict=True
            )
        ]

    def state(self) -> dict[str, np.ndarray]:
        """Return weights and optimiser state; dropout is seeded anew each epoch and needs none."""
        slots = {f"optimizer/{i}": np.array(slot) for i, slot in enumerate(self._optimizer.variables)}
        return weights(self._model) | slots

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back what :meth:`state` gave."""
        load_weights(self._model, state)
        for i, slot in enumerate(self._optimizer.variables):
            slot.assign(state[f"optimizer/{i}"])


def model_outputs(model: keras.Model, inputs: list[Any], *, training: bool) -> list[Any]:
    """Return one tensor a head; a Keras model with one output gives it bare."""
    outputs = model(inputs if len(inputs) > 1 else inputs[0], training=training)
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def _input_signature(network: keras.Model) -> list[tf.TensorSpec]:
    kind = number_type(network)
    return [tf.TensorSpec((None, *part.shape), kind) for part in network.architecture.parts]


def predict(network: keras.Model, features: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return each head's raw outputs (n, units), layers in inference mode."""
    run = getattr(network, "tandem_predict", None)
    if run is None:
        run = tf.function(
            lambda *inputs: model_outputs(network, list(inputs), training=False),
            input_signature=_input_signature(network),
            autograph=False,
        )
        network.tandem_predict = run
    parts = []
    for start in range(0, len(features), _PREDICT_ROWS):
        inputs = network.architecture.inputs(np.asarray(features[start : start + _PREDICT_ROWS]))
        parts.append([output.numpy() for output in run(*(tf.constant(part) for part in inputs))])
    return tuple(np.concatenate(outputs) for outputs in zip(*parts, strict=True))


def gradients(network: keras.Model, rows: Rows) -> tuple[float, dict[str, np.ndarray]]:
    """Return the loss over the rows and its gradient with respect to each trainable array."""
    run = getattr(network, "tandem_gradients", None)
    if run is None:
        kind = tf.int32 if np.issubdtype(rows.targets.dtype, np.integer) else number_type(network)
        signature = [tf.TensorSpec((None,), kind), *_input_signature(network)]
        # Without AutoGraph, which cannot read importlib and says so; no Python loop or branch depends on a tensor here.
        run = tf.function(
            lambda targets, *inputs: _gradients(network, targets, inputs), input_signature=signature, autograph=False
        )
        network.tandem_gradients = run
    inputs = network.architecture.inputs(np.asarray(rows.features))
    loss, found = run(tf.constant(rows.targets), *(tf.constant(part) for part in inputs))
    return float(loss), {name: gradient.numpy() for name, gradient in found.items()}


def _gradients(network: keras.Model, targets: Any, inputs: tuple[Any, ...]) -> tuple[Any, dict[str, Any]]:
    trainable = {name: variable for name, variable in named_variables(network).items() if variable.trainable}
    with tf.GradientTape() as tape:
        outputs = model_outputs(network, list(inputs), training=False)
        loss, total = batch_losses(network.architecture, outputs, targets)
    found = tape.gradient(loss, list(trainable.values()))
    mean = total / tf.cast(tf.shape(targets)[0], total.dtype)
    return mean, {name: tf.convert_to_tensor(gradient) for name, gradient in zip(trainable, found, strict=True)}
