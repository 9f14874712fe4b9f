"""Optimisers of many networks at once, with Keras's formulas and constants or with PyTorch's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tandem.models import Constants
from tandem.optimizers import AnyOptimizer

_KERAS_EPSILON, _TORCH_EPSILON = 1e-7, 1e-8


def make_optimizer(declared: Sequence[AnyOptimizer], constants: Constants, arrays: Mapping[str, Tensor]) -> Stepper:
    """Return the optimiser of some members.

    Args:
        declared: of each member, all of one kind.
        constants: "aligned" takes Keras's formulas, anything else PyTorch's.
        arrays: those that it moves, (members, *shape) each.
    """
    return OPTIMIZERS[declared[0].name](declared, constants == "aligned", arrays)


class Stepper(ABC):
    """Moves the arrays of all members against their gradients, each member at its own rate.

    Attributes:
        slots: what it remembers, by "slot/layer/parameter".
        steps: that were taken.
    """

    names: tuple[str, ...] = ()  # of the slots

    def __init__(self, declared: Sequence[AnyOptimizer], of_keras: bool, arrays: Mapping[str, Tensor]) -> None:
        self._declared, self._of_keras, self._arrays = declared, of_keras, arrays
        self.slots = {
            f"{slot}/{name}": torch.zeros_like(array) for slot in self.names for name, array in arrays.items()
        }
        self.steps = 0

    def constant(self, setting: str, *, rounded: bool = False) -> Tensor:
        """Return a setting of each member (members,)."""
        found = np.array([float(getattr(one, setting)) for one in self._declared])
        like = next(iter(self._arrays.values()))
        return torch.from_numpy(found.astype(np.float32) if rounded else found).to(like.device, torch.float64)

    def constants_of(self, values: Iterable[float]) -> Tensor:
        """Return numbers of each member as an array (members,)."""
        return torch.tensor(list(values), dtype=torch.float64, device=next(iter(self._arrays.values())).device)

    def step(self, gradients: Mapping[str, Tensor], rates: Tensor) -> None:
        """Move every array.

        Args:
            gradients: by "layer/parameter".
            rates: float64 (members,).
        """
        self.steps += 1
        for rank, names in self._by_rank().items():
            self.move(names, gradients, _Shaped(rates, rank, self._arrays[names[0]].dtype))

    def _by_rank(self) -> dict[int, list[str]]:
        ranks: dict[int, list[str]] = {}
        for name, array in self._arrays.items():
            ranks.setdefault(array.dim(), []).append(name)
        return ranks

    @abstractmethod
    def move(self, names: Sequence[str], gradients: Mapping[str, Tensor], rates: _Shaped) -> None:
        """Move arrays of one rank."""


class _Shaped:
    """Numbers of each member, shaped to be multiplied with arrays of one rank."""

    def __init__(self, rates: Tensor, rank: int, dtype: torch.dtype) -> None:
        self._shape, self._dtype, self.rates = (len(rates), *(1,) * (rank - 1)), dtype, rates

    def __call__(self, values: Tensor) -> Tensor:
        return values.to(self._dtype).view(self._shape)


class SgdStepper(Stepper):
    """Keras's SGD: v ← μ v - η g; w ← w + v, or w + μ v - η g (Nesterov). PyTorch's: v ← μ v + g; w ← w - η v."""

    def __init__(self, declared: Sequence[Any], of_keras: bool, arrays: Mapping[str, Tensor]) -> None:
        self.names = ("velocity",) if declared[0].momentum else ()
        super().__init__(declared, of_keras, arrays)
        self._momentum = self.constant("momentum", rounded=of_keras)
        self._nesterov = declared[0].nesterov

    def move(self, names: Sequence[str], gradients: Mapping[str, Tensor], rates: _Shaped) -> None:
        """Move arrays of one rank."""
        rate, momentum = rates(rates.rates), rates(self._momentum)
        for name in names:
            array, gradient = self._arrays[name], gradients[name]
            if not self.names:
                array.addcmul_(gradient, rate, value=-1)
                continue
            velocity = self.slots[f"velocity/{name}"]
            if self._of_keras:
                velocity.mul_(momentum).addcmul_(gradient, rate, value=-1)
                array.add_(velocity * momentum - gradient * rate if self._nesterov else velocity)
            else:
                velocity.mul_(momentum).add_(gradient)
                array.addcmul_(gradient + velocity * momentum if self._nesterov else velocity, rate, value=-1)


class AdamStepper(Stepper):
    """Adam, ε beside the root of the uncorrected second moment (Keras) or of the corrected one (PyTorch)."""

    names = ("mean", "square")

    def __init__(self, declared: Sequence[Any], of_keras: bool, arrays: Mapping[str, Tensor]) -> None:
        super().__init__(declared, of_keras, arrays)
        self._betas = self.constant("beta_1"), self.constant("beta_2")
        self._powers = [tuple(self.constant(name, rounded=of_keras).tolist()) for name in ("beta_1", "beta_2")]

    def move(self, names: Sequence[str], gradients: Mapping[str, Tensor], rates: _Shaped) -> None:
        """Move arrays of one rank."""
        first, second = (rates(1 - beta) for beta in self._betas)
        correction_1, correction_2 = (1 - self._to_the_steps(power) for power in self._powers)
        if self._of_keras:
            rate, divisor, epsilon = rates(rates.rates * correction_2.sqrt() / correction_1), None, _KERAS_EPSILON
        else:
            rate, divisor, epsilon = rates(rates.rates / correction_1), rates(correction_2.sqrt()), _TORCH_EPSILON
        for name in names:
            gradient = gradients[name]
            mean = self.slots[f"mean/{name}"].lerp_(gradient, first.expand_as(gradient))
            square = self.slots[f"square/{name}"].lerp_(gradient.square(), second.expand_as(gradient))
            root = square.sqrt() if divisor is None else square.sqrt().div_(divisor)
            self._arrays[name].sub_(mean.div(root.add_(epsilon)).mul_(rate))

    def _to_the_steps(self, powers: tuple[float, ...]) -> Tensor:
        """Return numbers to the power of the steps taken, one by one: as tensors they would round by their place."""
        distinct = {power: power**self.steps for power in set(powers)}
        return self.constants_of(distinct[power] for power in powers)


class RmsPropStepper(Stepper):
    """RMSprop: v ← ρ v + (1 - ρ) g²; w ← w - η g / √(v + ε) (Keras), or / (√v + ε) (PyTorch)."""

    names = ("square",)

    def __init__(self, declared: Sequence[Any], of_keras: bool, arrays: Mapping[str, Tensor]) -> None:
        super().__init__(declared, of_keras, arrays)
        self._rho = self.constant("rho")

    def move(self, names: Sequence[str], gradients: Mapping[str, Tensor], rates: _Shaped) -> None:
        """Move arrays of one rank."""
        rate, rho, rest = rates(rates.rates), rates(self._rho), rates(1 - self._rho)
        for name in names:
            gradient = gradients[name]
            square = self.slots[f"square/{name}"].mul_(rho).add_(gradient.square().mul_(rest))
            root = (square + _KERAS_EPSILON).sqrt_() if self._of_keras else square.sqrt().add_(_TORCH_EPSILON)
            self._arrays[name].sub_(gradient.div(root).mul_(rate))


OPTIMIZERS: Mapping[str, type[Stepper]] = {"sgd": SgdStepper, "adam": AdamStepper, "rmsprop": RmsPropStepper}
