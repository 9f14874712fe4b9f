"""Training a Keras model on several devices of one process: tf.distribute's MirroredStrategy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tandem.datasets.source import Rows
from tandem.frameworks import device_seed, share_of
from tandem.frameworks.keras.augmentation import transform_images
from tandem.frameworks.keras.fit import KerasTrainer, model_outputs
from tandem.frameworks.keras.losses import batch_losses, sample_metrics
from tandem.frameworks.keras.network import build, load_weights, number_type, weights
from tandem.frameworks.keras.optimizers import clipped
from tandem.frameworks.keras.setup import device_names
from tandem.losses import LOSSES
from tandem.models import Constants
from tandem.optimizers import AnyOptimizer


class MirroredTrainer(KerasTrainer):
    """A copy of a model on each device with all training rows; the model itself gets the weights after each epoch.

    Each device computes the gradient of its share of a batch, weighted so that their sum is that of the whole batch's
    loss; every device takes the same step.
    """

    compiled = False

    def __init__(
        self, model: keras.Model, rows: Rows, declared: AnyOptimizer, constants: Constants, devices: int
    ) -> None:
        self._given, self._names = model, device_names(devices)
        # On CPUs the gradients are added in the devices' order; on GPUs by NCCL.
        on_cpu = all(name.startswith("CPU") for name in self._names)
        self._strategy = tf.distribute.MirroredStrategy(
            self._names, cross_device_ops=tf.distribute.ReductionToOneDevice() if on_cpu else None
        )
        with self._strategy.scope():
            mirrored = build(model.architecture, seed=0, constants=constants, dtype=number_type(model))
            load_weights(mirrored, weights(model))
            super().__init__(mirrored, rows, declared, constants)

    def take_rows(self, rows: Rows) -> None:
        """Train on other rows from now on; each device has its own, which are part of the program."""
        self._streamed, self._data = None, ()
        self._rows = [self._on_device(name, rows) for name in self._names]
        self._steps = tf.function(self._run_steps, jit_compile=self.compiled, autograph=False)

    def _on_device(self, name: str, rows: Rows) -> tuple[tuple[Any, ...], Any]:
        """Return the inputs and the targets of all rows in a device's memory."""
        with tf.device(name):
            inputs = tuple(tf.identity(tf.constant(part)) for part in self._model.architecture.inputs(rows.features))
            return inputs, tf.identity(tf.constant(rows.targets))

    def restart(self, initial: Mapping[str, np.ndarray]) -> None:
        """Begin again with other weights."""
        super().restart(initial)
        self._hand_over()

    def train_epoch(
        self,
        order: np.ndarray,
        batch_size: int,
        learning_rates: np.ndarray,
        seed: int,
        transforms: np.ndarray | None = None,
    ) -> tuple[float, float]:
        """Train one epoch; see :class:`tandem.frameworks.Trainer`."""
        with self._strategy.scope():
            found = super().train_epoch(order, batch_size, learning_rates, seed, transforms)
        self._hand_over()
        return found

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back what :meth:`state` gave."""
        super().load_state(state)
        self._hand_over()

    def _hand_over(self) -> None:
        load_weights(self._given, weights(self._model))

    def _seed(self, seed: int) -> None:
        """Seed the random layers; each device draws numbers of its own."""
        for position, generator in enumerate(self._seeded):
            copies = self._strategy.experimental_local_results(generator.state.value)
            for rank, copy in enumerate(copies):
                copy.assign(np.array([device_seed(seed, rank), position], dtype=np.uint32))

    def _step(self, data: tuple[Any, ...], batch: Any, transforms: Any) -> tuple[Any, Any]:
        del data
        total, metric = self._strategy.run(self._share_step, args=(batch, transforms))
        return tuple(self._strategy.reduce("SUM", part, axis=None) for part in (total, metric))

    def _share_step(self, batch: Any, transforms: Any) -> tuple[Any, Any]:
        """Take a step on this device's share of a batch; return the share's sums of losses and metrics."""
        replica = tf.distribute.get_replica_context()
        rank, size = int(tf.get_static_value(replica.replica_id_in_sync_group)), batch.shape[0]
        first, last = share_of(size, replica.num_replicas_in_sync, rank)
        # A device without rows takes one that counts for nothing: not every operation takes none.
        counts = 1.0 if last > first else 0.0
        taken = slice(first, last) if counts else slice(0, 1)
        losses, metrics, gradients = self._differentiate(
            rank, batch[taken], None if transforms is None else transforms[taken], size, counts
        )
        is_first = rank == 0
        if self._clip_norm is not None:
            whole = self._with_penalties(replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients))
            gradients = clipped(whole, self._clip_norm)
            gradients = gradients if is_first else [tf.zeros_like(gradient) for gradient in gradients]
        elif is_first:
            gradients = self._with_penalties(gradients)
        self._optimizer.apply(gradients, self._model.trainable_variables)  # adds up those of all devices itself
        return losses * counts, metrics * counts

    def _differentiate(
        self, rank: int, share: Any, transforms: Any, batch_size: int, counts: float
    ) -> tuple[Any, Any, list[Any]]:
        """Return a share's sums of losses and metrics, and the gradients that it adds to its batch's."""
        architecture = self._model.architecture
        parts, targets = self._rows[rank]
        inputs = [tf.gather(part, share) for part in parts]
        if transforms is not None:
            inputs = [transform_images(part, transforms) for part in inputs]
        targets = tf.gather(targets, share)
        factor = counts if LOSSES[architecture.loss].reduction == "sum" else counts / batch_size
        with tf.GradientTape() as tape:
            outputs = model_outputs(self._model, inputs, training=True)
            _, total = batch_losses(architecture, outputs, targets)
            weighted = total * factor
        found = tape.gradient(weighted, self._model.trainable_variables)
        gradients = [tf.convert_to_tensor(gradient) for gradient in found]
        return total, tf.reduce_sum(sample_metrics(architecture, outputs[0], targets)), gradients
