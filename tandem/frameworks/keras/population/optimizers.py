"""Optimisers of many networks at once, with Keras's formulas and constants or with PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tandem.frameworks.keras.population.layers import pad_rows, root
from tandem.models import Constants
from tandem.optimizers import AnyOptimizer

_KERAS_EPSILON, _TORCH_EPSILON = 1e-7, 1e-8
_CONSTANTS = {"sgd": ("momentum",), "adam": ("beta_1", "beta_2"), "rmsprop": ("rho",)}
SLOTS = {"sgd": ("velocity",), "adam": ("mean", "square"), "rmsprop": ("square",)}


def slot_names(declared: AnyOptimizer) -> tuple[str, ...]:
    """Return what an optimiser remembers of each array."""
    return () if declared.name == "sgd" and not declared.momentum else SLOTS[declared.name]


def optimizer_numbers(declared: Sequence[AnyOptimizer], constants: Constants) -> dict[str, np.ndarray]:
    """Return the settings of each member, by name, float64 (members,) each; ``NAME_rounded`` as powers take them."""
    found = {}
    for name in _CONSTANTS[declared[0].name]:
        found[name] = np.array([float(getattr(one, name)) for one in declared])
        keras = constants != "aligned-torch"
        found[f"{name}_rounded"] = found[name].astype(np.float32).astype(np.float64) if keras else found[name]
    return found


class Step:
    """One step of every member, each at its own rate.

    Args:
        numbers: as :func:`optimizer_numbers` gives them.
        rates: float64 (members,).
        count: of the step, from 1, float64.
        of_torch: PyTorch's formulas, not Keras's.
        nesterov: of SGD.
    """

    def __init__(self, numbers: Mapping[str, Any], rates: Any, count: Any, *, of_torch: bool, nesterov: bool) -> None:
        self._numbers, self._rates, self._count = numbers, rates, count
        self._of_torch, self._nesterov = of_torch, nesterov

    def _shaped(self, values: Any, like: Any) -> Any:
        shape = [-1] + [1] * (like.shape.rank - 1)
        return tf.reshape(tf.cast(values, like.dtype), shape)

    def sgd(self, array: Any, gradient: Any, slots: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Keras: v ← μ v - η g; w ← w + v, or w + μ v - η g (Nesterov). PyTorch: v ← μ v + g; w ← w - η v."""
        rate = self._shaped(self._rates, array)
        if not slots:
            return array - rate * gradient, {}
        momentum = self._shaped(self._numbers["momentum_rounded"], array)
        if self._of_torch:
            velocity = slots["velocity"] * momentum + gradient
            step = gradient + momentum * velocity if self._nesterov else velocity
            return array - rate * step, {"velocity": velocity}
        velocity = slots["velocity"] * momentum - rate * gradient
        step = velocity * momentum - rate * gradient if self._nesterov else velocity
        return array + step, {"velocity": velocity}

    def adam(self, array: Any, gradient: Any, slots: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """ε beside the root of the uncorrected second moment (Keras), or of the corrected one (PyTorch)."""
        first, second = (self._shaped(1 - self._numbers[name], array) for name in ("beta_1", "beta_2"))
        mean = slots["mean"] + (gradient - slots["mean"]) * first
        square = slots["square"] + (tf.square(gradient) - slots["square"]) * second
        correction_1, correction_2 = (
            1 - tf.pow(pad_rows(self._numbers[f"{name}_rounded"]), self._count)[: tf.shape(array)[0]]
            for name in ("beta_1", "beta_2")
        )
        if self._of_torch:
            rate, spread = self._rates / correction_1, tf.sqrt(square) / self._shaped(root(correction_2), array)
        else:
            rate, spread = self._rates * tf.sqrt(correction_2) / correction_1, tf.sqrt(square)
        epsilon = _TORCH_EPSILON if self._of_torch else _KERAS_EPSILON
        return array - mean / (spread + epsilon) * self._shaped(rate, array), {"mean": mean, "square": square}

    def rmsprop(self, array: Any, gradient: Any, slots: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """V ← ρ v + (1 - ρ) g²; w ← w - η g / √(v + ε) (Keras), or / (√v + ε) (PyTorch)."""
        rate, rho = self._shaped(self._rates, array), self._shaped(self._numbers["rho"], array)
        square = slots["square"] * rho + tf.square(gradient) * (1 - rho)
        divisor = tf.sqrt(square) + _TORCH_EPSILON if self._of_torch else root(square + _KERAS_EPSILON)
        return array - rate * gradient / divisor, {"square": square}


OPTIMIZERS: Mapping[str, Callable[..., tuple[Any, dict[str, Any]]]] = {
    "sgd": Step.sgd,
    "adam": Step.adam,
    "rmsprop": Step.rmsprop,
}
