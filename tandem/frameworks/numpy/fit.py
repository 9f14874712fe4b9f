"""Training and predicting in NumPy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tandem.datasets.source import Rows
from tandem.frameworks.numpy.augmentation import transform_images
from tandem.frameworks.numpy.input import make_input
from tandem.frameworks.numpy.losses import batch_loss, output_gradients, sample_metrics
from tandem.frameworks.numpy.network import NumpyNetwork, backward, forward, load_weights, weights
from tandem.frameworks.numpy.optimizers import make_optimizer
from tandem.models import Constants, parameter_names, penalties
from tandem.optimizers import AnyOptimizer

_PREDICT_ROWS = 4096


def trainer(
    network: NumpyNetwork, rows: Rows, optimizer: AnyOptimizer, *, constants: Constants, devices: int = 1
) -> NumpyTrainer:
    """Put a network together with training rows, on the one device that NumPy has."""
    del devices
    return NumpyTrainer(network, rows, optimizer, constants)


class NumpyTrainer:
    """A network with its optimiser and training rows."""

    def __init__(self, network: NumpyNetwork, rows: Rows, declared: AnyOptimizer, constants: Constants) -> None:
        self._network, self._clip_norm = network, declared.clip_norm
        trainable = [name for name, parameter in parameter_names(network.architecture) if parameter.trainable]
        self._stepper = make_optimizer(declared, {name: network.arrays[name] for name in trainable}, constants)
        self._penalties = penalties(network.architecture)
        self.take_rows(rows)

    def take_rows(self, rows: Rows) -> None:
        """Train on other rows from now on."""
        self._inputs = make_input(self._network.architecture, rows)
        self._targets = np.asarray(rows.targets)

    def restart(self, initial: Mapping[str, np.ndarray]) -> None:
        """Begin again with other weights and an optimiser without memory."""
        load_weights(self._network, initial)
        self._stepper.restart()

    def train_epoch(
        self,
        order: np.ndarray,
        batch_size: int,
        learning_rates: np.ndarray,
        seed: int,
        transforms: np.ndarray | None = None,
    ) -> tuple[float, float]:
        """Train one epoch; see :class:`tandem.frameworks.Trainer`."""
        del seed  # no layer draws
        losses = metrics = 0.0
        with np.errstate(all="ignore"):  # a network that diverges overflows, which the loss tells
            for rate, start in zip(learning_rates.tolist(), range(0, len(order), batch_size), strict=True):
                batch = order[start : start + batch_size]
                matrices = None if transforms is None else transforms[start : start + batch_size]
                loss, metric = self._step(batch, rate, matrices)
                losses += loss * len(batch)
                metrics += metric
        return losses / len(order), metrics / len(order)

    def _step(self, batch: np.ndarray, rate: float, transforms: np.ndarray | None) -> tuple[float, float]:
        """Take a step; return the mean loss over the batch and the sum of the metric, both before it."""
        architecture, targets = self._network.architecture, self._targets[batch]
        inputs = self._inputs(batch)
        if transforms is not None:
            inputs = [transform_images(part, transforms) for part in inputs]
        passed = forward(self._network, inputs)
        gradients = backward(self._network, passed, output_gradients(architecture, passed.outputs, targets))
        for name, penalty in self._penalties.items():
            array = self._network.arrays[name]
            gradients[name] = gradients[name] + 2 * penalty.l2 * array + penalty.l1 * np.sign(array)
        self._stepper.step(_clipped(gradients, self._clip_norm), rate)
        metric = sample_metrics(architecture, passed.outputs[0], targets).sum()
        return batch_loss(architecture, passed.outputs, targets), float(metric)

    def state(self) -> dict[str, np.ndarray]:
        """Return weights and optimiser state."""
        return weights(self._network) | self._stepper.state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back what :meth:`state` gave."""
        load_weights(self._network, state)
        self._stepper.load_state(state)


def _clipped(gradients: dict[str, np.ndarray], norm: float | None) -> dict[str, np.ndarray]:
    """Shorten the gradients, all together, to a norm; the same formula as PyTorch's ``clip_grad_norm_``."""
    if norm is None:
        return gradients
    length = np.sqrt(sum(float(np.square(gradient).sum()) for gradient in gradients.values()))
    factor = min(norm / (length + 1e-6), 1.0)
    return {name: gradient * factor for name, gradient in gradients.items()}


def predict(network: NumpyNetwork, features: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return each head's raw outputs (n, units)."""
    parts = []
    with np.errstate(all="ignore"):
        for start in range(0, len(features), _PREDICT_ROWS):
            inputs = network.architecture.inputs(np.asarray(features[start : start + _PREDICT_ROWS]))
            parts.append(forward(network, inputs).outputs)
    return tuple(np.concatenate(outputs) for outputs in zip(*parts, strict=True))


def gradients(network: NumpyNetwork, rows: Rows) -> tuple[float, dict[str, np.ndarray]]:
    """Return the loss over the rows and its gradient with respect to each trainable array."""
    with np.errstate(all="ignore"):
        passed = forward(network, network.architecture.inputs(np.asarray(rows.features)))
        targets = np.asarray(rows.targets)
        arriving = output_gradients(network.architecture, passed.outputs, targets)
        return batch_loss(network.architecture, passed.outputs, targets), backward(network, passed, arriving)
