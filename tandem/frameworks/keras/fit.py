"""Training and predicting with Keras models: a whole epoch is one compiled program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tandem.datasets.source import Rows
from tandem.frameworks import Constants
from tandem.frameworks.keras.layers import load_weights, weights
from tandem.frameworks.keras.losses import mean_loss, sample_metrics
from tandem.frameworks.keras.optimizers import make_optimizer
from tandem.models import Adam, RmsProp, Sgd

_PREDICT_ROWS = 4096


def trainer(network: keras.Model, rows: Rows, optimizer: Sgd | Adam | RmsProp, *, constants: Constants) -> KerasTrainer:
    """Put a model together with training rows; Keras's own constants are the aligned ones."""
    del constants
    return KerasTrainer(network, rows, optimizer)


class KerasTrainer:
    """A Keras model with its optimiser and training rows.

    The loop over the batches of an epoch lies inside one ``tf.function`` that XLA compiles: Python is asked
    once an epoch, not once a step.
    """

    def __init__(self, model: keras.Model, rows: Rows, declared: Sgd | Adam | RmsProp) -> None:
        self._model = model
        self._optimizer = make_optimizer(declared)
        self._optimizer.build(model.trainable_variables)
        self._inputs = tuple(tf.constant(part) for part in model.architecture.inputs(rows.features))
        self._targets = tf.constant(rows.targets)
        self._seeded = [layer.seed_generator for layer in model.layers if hasattr(layer, "seed_generator")]
        self._steps = tf.function(self._run_steps, jit_compile=True)
        self._fresh_slots = [np.array(slot) for slot in self._optimizer.variables]

    def restart(self, initial: Mapping[str, np.ndarray]) -> None:
        """Begin again with other weights; the compiled program is kept."""
        load_weights(self._model, initial)
        for slot, fresh in zip(self._optimizer.variables, self._fresh_slots, strict=True):
            slot.assign(fresh)

    def train_epoch(self, order: np.ndarray, batch_size: int, learning_rate: float, seed: int) -> tuple[float, float]:
        """Train one epoch; see :class:`tandem.frameworks.Trainer`."""
        self._optimizer.learning_rate = learning_rate
        for position, generator in enumerate(self._seeded):
            generator.state.assign([seed, position])
        whole = len(order) // batch_size * batch_size
        totals = np.zeros(2)
        for part in (order[:whole].reshape(-1, batch_size), order[whole:].reshape(1, -1)):
            if part.size:
                totals += np.array([float(total) for total in self._steps(tf.constant(part, dtype=tf.int32))])
        loss, metric = totals / len(order)
        return float(loss), float(metric)

    def _run_steps(self, batches: Any) -> tuple[Any, Any]:
        """Take a step for each row of ``batches``; return the sums of losses and metrics."""
        dtype = self._model.outputs[0].dtype
        losses, metrics = tf.zeros((), dtype), tf.zeros((), dtype)
        for step in tf.range(tf.shape(batches)[0]):
            loss, metric = self._step(batches[step])
            losses += loss
            metrics += metric
        return losses, metrics

    def _step(self, batch: Any) -> tuple[Any, Any]:
        architecture = self._model.architecture
        inputs = [tf.gather(part, batch) for part in self._inputs]
        targets = tf.gather(self._targets, batch)
        with tf.GradientTape() as tape:
            outputs = _outputs(self._model, inputs, training=True)
            loss = sum(mean_loss(architecture, raw, targets) for raw in outputs)
        variables = self._model.trainable_variables
        self._optimizer.apply(tape.gradient(loss, variables), variables)
        metric = tf.reduce_sum(sample_metrics(architecture, outputs[0], targets))
        return loss * tf.cast(tf.shape(batch)[0], loss.dtype), metric

    def state(self) -> dict[str, np.ndarray]:
        """Return weights and optimiser state; dropout is seeded anew each epoch and needs none."""
        slots = {f"optimizer/{i}": np.array(slot) for i, slot in enumerate(self._optimizer.variables)}
        return weights(self._model) | slots

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back what :meth:`state` gave."""
        load_weights(self._model, state)
        for i, slot in enumerate(self._optimizer.variables):
            slot.assign(state[f"optimizer/{i}"])


def _outputs(model: keras.Model, inputs: list[Any], *, training: bool) -> list[Any]:
    """Return one tensor a head; a Keras model with one output gives it bare."""
    outputs = model(inputs if len(inputs) > 1 else inputs[0], training=training)
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def predict(network: keras.Model, features: np.ndarray) -> np.ndarray:
    """Return raw outputs (n, heads, units), layers in inference mode."""
    run = getattr(network, "tandem_predict", None)
    if run is None:
        run = tf.function(
            lambda *inputs: tf.stack(_outputs(network, list(inputs), training=False), axis=1),
            input_signature=[tf.TensorSpec(given.shape, given.dtype) for given in network.inputs],
        )
        network.tandem_predict = run
    parts = []
    for start in range(0, len(features), _PREDICT_ROWS):
        inputs = network.architecture.inputs(np.asarray(features[start : start + _PREDICT_ROWS]))
        parts.append(run(*(tf.constant(part) for part in inputs)).numpy())
    return np.concatenate(parts)
