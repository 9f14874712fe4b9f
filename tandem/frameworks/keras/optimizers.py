"""Optimisers by name: Keras's own, or with PyTorch's formulas and constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tandem.models import Constants
from tandem.optimizers import Adam, AnyOptimizer, RmsProp, Sgd

_TORCH_EPSILON = 1e-8


class TorchSgd(keras.optimizers.SGD):
    """PyTorch's SGD with momentum: b ← μ b + g; w ← w - η b, or w - η (g + μ b) with Nesterov's."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable."""
        rate = ops.cast(learning_rate, variable.dtype)
        if not self.momentum:
            self.assign_sub(variable, gradient * rate)
            return
        velocity = self.momentums[self._get_variable_index(variable)]
        self.assign(velocity, velocity * self.momentum + gradient)
        step = gradient + self.momentum * velocity if self.nesterov else velocity
        self.assign_sub(variable, rate * step)


class TorchAdam(keras.optimizers.Adam):
    """PyTorch's Adam: ε = 1e-8 beside the root of the corrected second moment."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable."""
        kind = variable.dtype
        rate, step = ops.cast(learning_rate, kind), ops.cast(self.iterations + 1, kind)
        index = self._get_variable_index(variable)
        mean, square = self._momentums[index], self._velocities[index]
        self.assign_add(mean, (gradient - mean) * (1 - self.beta_1))
        self.assign_add(square, (ops.square(gradient) - square) * (1 - self.beta_2))
        correction_1 = 1 - tf.pow(tf.constant(self.beta_1, kind), step)
        correction_2 = 1 - tf.pow(tf.constant(self.beta_2, kind), step)
        root = ops.sqrt(square) / ops.sqrt(correction_2) + _TORCH_EPSILON
        self.assign_sub(variable, rate / correction_1 * mean / root)


class TorchRmsProp(keras.optimizers.RMSprop):
    """PyTorch's RMSprop: ε = 1e-8 outside the root."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable."""
        rate = ops.cast(learning_rate, variable.dtype)
        square = self._velocities[self._get_variable_index(variable)]
        self.assign(square, self.rho * square + (1 - self.rho) * ops.square(gradient))
        self.assign_sub(variable, rate * gradient / (ops.sqrt(square) + _TORCH_EPSILON))


def _sgd(declared: Sgd, kind: type[keras.optimizers.SGD]) -> keras.optimizers.Optimizer:
    return kind(declared.learning_rate, momentum=declared.momentum, nesterov=declared.nesterov)


def _adam(declared: Adam, kind: type[keras.optimizers.Adam]) -> keras.optimizers.Optimizer:
    return kind(declared.learning_rate, beta_1=declared.beta_1, beta_2=declared.beta_2)


def _rmsprop(declared: RmsProp, kind: type[keras.optimizers.RMSprop]) -> keras.optimizers.Optimizer:
    return kind(declared.learning_rate, rho=declared.rho)


# Name → function of the declaration and of one of the classes after it: Keras's own, then with PyTorch's constants.
OPTIMIZERS: Mapping[str, tuple[Callable[..., keras.optimizers.Optimizer], Any, Any]] = {
    "sgd": (_sgd, keras.optimizers.SGD, TorchSgd),
    "adam": (_adam, keras.optimizers.Adam, TorchAdam),
    "rmsprop": (_rmsprop, keras.optimizers.RMSprop, TorchRmsProp),
}


def make_optimizer(declared: AnyOptimizer, constants: Constants) -> keras.optimizers.Optimizer:
    """Return an optimiser for a declaration; Keras's own constants are the aligned ones."""
    make, own, of_torch = OPTIMIZERS[declared.name]
    return make(declared, of_torch if constants == "aligned-torch" else own)


def clipped(gradients: list[Any], norm: float | None) -> list[Any]:
    """Shorten the gradients, all together, to a norm; the same formula as PyTorch's ``clip_grad_norm_``."""
    if norm is None:
        return gradients
    length = tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(gradient)) for gradient in gradients]))
    factor = tf.minimum(norm / (length + 1e-6), 1.0)
    return [gradient * factor for gradient in gradients]
