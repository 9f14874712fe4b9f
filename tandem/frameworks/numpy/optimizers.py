"""Optimisers by name, with the formulas and constants of Keras or of PyTorch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tandem.models import Constants
from tandem.optimizers import Adam, AnyOptimizer, RmsProp, Sgd

Arrays = Mapping[str, np.ndarray]
_KERAS_EPSILON, _TORCH_EPSILON = 1e-7, 1e-8


class Stepper(ABC):
    """Moves arrays in place against their gradients.

    Args:
        declared: the optimiser.
        arrays: trainable, by name.
        of_torch: PyTorch's formulas and constants, else Keras's.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, declared: Any, arrays: Arrays, *, of_torch: bool) -> None:
        self.declared, self.arrays, self.of_torch = declared, arrays, of_torch
        self.restart()

    def restart(self) -> None:
        """Forget all steps."""
        self.steps = 0
        self.memory = {slot: {name: np.zeros_like(a) for name, a in self.arrays.items()} for slot in self.slots}

    def step(self, gradients: Arrays, learning_rate: float) -> None:
        """Take one step."""
        self.steps += 1
        for name, array in self.arrays.items():
            self.move(array, gradients[name], learning_rate, {slot: self.memory[slot][name] for slot in self.slots})

    @abstractmethod
    def move(self, array: np.ndarray, gradient: np.ndarray, rate: float, memory: dict[str, np.ndarray]) -> None:
        """Change one array and its memory in place."""

    def state(self) -> dict[str, np.ndarray]:
        """Return the memory and the number of steps."""
        kept = {f"optimizer/{slot}/{name}": a.copy() for slot, held in self.memory.items() for name, a in held.items()}
        return kept | {"optimizer/steps": np.array(self.steps)}

    def load_state(self, state: Arrays) -> None:
        """Take back what :meth:`state` gave."""
        for slot, held in self.memory.items():
            for name, array in held.items():
                array[...] = state[f"optimizer/{slot}/{name}"]
        self.steps = int(state["optimizer/steps"])


class SgdStepper(Stepper):
    """Keras: v ← μ v - η g; w ← w + v. PyTorch: v ← μ v + g; w ← w - η v. Nesterov's looks one step ahead."""

    slots = ("velocity",)
    declared: Sgd

    def move(self, array: np.ndarray, gradient: np.ndarray, rate: float, memory: dict[str, np.ndarray]) -> None:
        """Change one array and its memory in place."""
        velocity = memory["velocity"]
        if not self.declared.momentum:
            array -= rate * gradient
        elif self.of_torch:
            velocity[...] = self.declared.momentum * velocity + gradient
            array -= rate * (gradient + self.declared.momentum * velocity if self.declared.nesterov else velocity)
        else:
            momentum = float(np.float32(self.declared.momentum))  # as Keras rounds it
            velocity[...] = momentum * velocity - rate * gradient
            array += momentum * velocity - rate * gradient if self.declared.nesterov else velocity


class AdamStepper(Stepper):
    """Adam (Kingma and Ba, 2014); Keras's ε stands beside the root of the uncorrected second moment."""

    slots = ("mean", "square")
    declared: Adam

    def move(self, array: np.ndarray, gradient: np.ndarray, rate: float, memory: dict[str, np.ndarray]) -> None:
        """Change one array and its memory in place."""
        mean, square = memory["mean"], memory["square"]
        beta_1, beta_2 = self.declared.beta_1, self.declared.beta_2
        mean += (gradient - mean) * (1 - beta_1)
        square += (np.square(gradient) - square) * (1 - beta_2)
        if self.of_torch:
            root = np.sqrt(square) / (1 - beta_2**self.steps) ** 0.5 + _TORCH_EPSILON
            array -= rate / (1 - beta_1**self.steps) * mean / root
            return
        power_1, power_2 = (float(np.float32(beta)) ** self.steps for beta in (beta_1, beta_2))  # as Keras rounds them
        array -= rate * (1 - power_2) ** 0.5 / (1 - power_1) * mean / (np.sqrt(square) + _KERAS_EPSILON)


class RmsPropStepper(Stepper):
    """RMSprop (Hinton, 2012); ε stands inside the root in Keras, outside in PyTorch."""

    slots = ("square",)
    declared: RmsProp

    def move(self, array: np.ndarray, gradient: np.ndarray, rate: float, memory: dict[str, np.ndarray]) -> None:
        """Change one array and its memory in place."""
        square, rho = memory["square"], self.declared.rho
        square[...] = rho * square + (1 - rho) * np.square(gradient)
        root = np.sqrt(square) + _TORCH_EPSILON if self.of_torch else np.sqrt(square + _KERAS_EPSILON)
        array -= rate * gradient / root


OPTIMIZERS: Mapping[str, Callable[..., Stepper]] = {
    "sgd": SgdStepper,
    "adam": AdamStepper,
    "rmsprop": RmsPropStepper,
}


def make_optimizer(declared: AnyOptimizer, arrays: Arrays, constants: Constants) -> Stepper:
    """Return an optimiser for a declaration; NumPy has no constants of its own: native takes Keras's."""
    return OPTIMIZERS[declared.name](declared, arrays, of_torch=constants == "aligned-torch")
