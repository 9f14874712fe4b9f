"""Optimisers on one flat vector of all parameters, with Keras's constants; or PyTorch's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tandem.models import Constants
from tandem.optimizers import Adam, AnyOptimizer, RmsProp, Sgd

_KERAS_EPSILON, _TORCH_EPSILON = 1e-7, 1e-8


def make_optimizer(declared: AnyOptimizer, parameters: Sequence[nn.Parameter], constants: Constants) -> Stepper:
    """Return an optimiser for a declaration: Keras's formulas and constants, PyTorch's, or PyTorch's own class."""
    of_keras, of_torch, own = OPTIMIZERS[declared.name]
    if constants == "native":
        return NativeStepper(own(declared, parameters), parameters)
    return (of_keras if constants == "aligned" else of_torch)(declared, parameters)


class Stepper(ABC):
    """Moves parameters against their gradients.

    Attributes:
        gradients: one tensor a parameter, in their order; to be filled before each step.
    """

    gradients: Sequence[Tensor]

    @abstractmethod
    def step(self, learning_rate: float) -> None:
        """Take one step against ``gradients``."""

    @abstractmethod
    def restart(self) -> None:
        """Forget all steps."""

    @abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """Return what the next step depends on, besides the parameters."""

    @abstractmethod
    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back what :meth:`state` gave."""


class FlatStepper(Stepper):
    """Parameters and gradients are views of one vector each: a step costs a few operations however many there are."""

    slots: tuple[str, ...] = ()

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.vector = torch.cat([parameter.detach().reshape(-1) for parameter in parameters])
        self.gradient = torch.zeros_like(self.vector)
        sizes = [parameter.numel() for parameter in parameters]
        for parameter, values in zip(parameters, self.vector.split(sizes), strict=True):
            parameter.data = values.view(parameter.shape)
        self.gradients = [
            part.view(parameter.shape) for parameter, part in zip(parameters, self.gradient.split(sizes), strict=True)
        ]
        self.memory = {name: torch.zeros_like(self.vector) for name in self.slots}
        self.steps = 0

    def step(self, learning_rate: float) -> None:
        """Move the vector."""
        self.steps += 1
        self.move(self.gradient, learning_rate)

    @abstractmethod
    def move(self, gradient: Tensor, learning_rate: float) -> None:
        """Change ``vector`` in place."""

    def restart(self) -> None:
        """Forget all steps."""
        self.steps = 0
        for slot in self.memory.values():
            slot.zero_()

    def state(self) -> dict[str, np.ndarray]:
        """Return the memory and the number of steps."""
        arrays = {f"optimizer/{name}": slot.cpu().numpy().copy() for name, slot in self.memory.items()}
        return arrays | {"optimizer/steps": np.array(self.steps)}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back the memory and the number of steps."""
        for name, slot in self.memory.items():
            slot.copy_(torch.from_numpy(np.array(state[f"optimizer/{name}"])))
        self.steps = int(state["optimizer/steps"])


class SgdStepper(FlatStepper):
    """Keras's SGD: v ← μ v - η g; w ← w + v, or w + μ v - η g with Nesterov's momentum; μ rounded to float32."""

    slots = ("velocity",)

    def __init__(self, declared: Sgd, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__(parameters)
        self.momentum, self.nesterov = float(np.float32(declared.momentum)), declared.nesterov

    def move(self, gradient: Tensor, learning_rate: float) -> None:
        """Change ``vector`` in place."""
        if not self.momentum:
            self.vector.add_(gradient, alpha=-learning_rate)
            return
        velocity = self.memory["velocity"].mul_(self.momentum).add_(gradient, alpha=-learning_rate)
        if self.nesterov:
            self.vector.add_(velocity, alpha=self.momentum).add_(gradient, alpha=-learning_rate)
        else:
            self.vector.add_(velocity)


class AdamStepper(FlatStepper):
    """Keras's Adam: ε beside the root of the uncorrected second moment, β rounded to float32 in its powers."""

    slots = ("mean", "square")

    def __init__(self, declared: Adam, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__(parameters)
        self.beta_1, self.beta_2 = declared.beta_1, declared.beta_2

    def move(self, gradient: Tensor, learning_rate: float) -> None:
        """Change ``vector`` in place."""
        mean, square = self.memory["mean"], self.memory["square"]
        mean.lerp_(gradient, 1 - self.beta_1)
        square.lerp_(gradient.square(), 1 - self.beta_2)
        power_1 = float(np.float32(self.beta_1)) ** self.steps
        power_2 = float(np.float32(self.beta_2)) ** self.steps
        rate = learning_rate * (1 - power_2) ** 0.5 / (1 - power_1)
        self.vector.addcdiv_(mean, square.sqrt().add_(_KERAS_EPSILON), value=-rate)


class RmsPropStepper(FlatStepper):
    """Keras's RMSprop: v ← ρ v + (1 - ρ) g²; w ← w - η g / √(v + ε)."""

    slots = ("square",)

    def __init__(self, declared: RmsProp, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__(parameters)
        self.rho = declared.rho

    def move(self, gradient: Tensor, learning_rate: float) -> None:
        """Change ``vector`` in place."""
        square = self.memory["square"].mul_(self.rho).addcmul_(gradient, gradient, value=1 - self.rho)
        self.vector.addcdiv_(gradient, (square + _KERAS_EPSILON).sqrt_(), value=-learning_rate)


class TorchSgdStepper(SgdStepper):
    """PyTorch's SGD: v ← μ v + g; w ← w - η v, or w - η (g + μ v) with Nesterov's momentum."""

    def __init__(self, declared: Sgd, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__(declared, parameters)
        self.momentum = declared.momentum

    def move(self, gradient: Tensor, learning_rate: float) -> None:
        """Change ``vector`` in place."""
        if not self.momentum:
            self.vector.add_(gradient, alpha=-learning_rate)
            return
        velocity = self.memory["velocity"].mul_(self.momentum).add_(gradient)
        step = gradient.add(velocity, alpha=self.momentum) if self.nesterov else velocity
        self.vector.add_(step, alpha=-learning_rate)


class TorchAdamStepper(AdamStepper):
    """PyTorch's Adam: ε = 1e-8 beside the root of the corrected second moment."""

    def move(self, gradient: Tensor, learning_rate: float) -> None:
        """Change ``vector`` in place."""
        mean, square = self.memory["mean"], self.memory["square"]
        mean.lerp_(gradient, 1 - self.beta_1)
        square.mul_(self.beta_2).addcmul_(gradient, gradient, value=1 - self.beta_2)
        root = square.sqrt().div_((1 - self.beta_2**self.steps) ** 0.5).add_(_TORCH_EPSILON)
        self.vector.addcdiv_(mean, root, value=-learning_rate / (1 - self.beta_1**self.steps))


class TorchRmsPropStepper(RmsPropStepper):
    """PyTorch's RMSprop: v ← ρ v + (1 - ρ) g²; w ← w - η g / (√v + ε), ε = 1e-8."""

    def move(self, gradient: Tensor, learning_rate: float) -> None:
        """Change ``vector`` in place."""
        square = self.memory["square"].mul_(self.rho).addcmul_(gradient, gradient, value=1 - self.rho)
        self.vector.addcdiv_(gradient, square.sqrt().add_(_TORCH_EPSILON), value=-learning_rate)


class NativeStepper(Stepper):
    """PyTorch's own optimiser with PyTorch's own defaults for what is not declared."""

    def __init__(self, optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.optimizer = optimizer
        self.gradients = [torch.zeros_like(parameter) for parameter in self.parameters]
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient

    def step(self, learning_rate: float) -> None:
        """Hand the gradients to PyTorch's optimiser."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()

    def restart(self) -> None:
        """Forget all steps."""
        self.optimizer.state.clear()

    def state(self) -> dict[str, np.ndarray]:
        """Return the optimiser's tensors by parameter and name."""
        return {
            f"optimizer/{position}/{name}": value.detach().cpu().numpy().copy()
            for position, parameter in enumerate(self.parameters)
            for name, value in self.optimizer.state[parameter].items()
            if isinstance(value, Tensor)
        }

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back the optimiser's tensors."""
        for key, value in state.items():
            if key.startswith("optimizer/"):
                _, position, name = key.split("/")
                parameter = self.parameters[int(position)]
                tensor = torch.from_numpy(np.array(value))
                kept_on = parameter.device if tensor.dim() else tensor.device
                self.optimizer.state[parameter][name] = tensor.to(kept_on)


def _own_sgd(declared: Sgd, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, declared.learning_rate, momentum=declared.momentum, nesterov=declared.nesterov)


def _own_adam(declared: Adam, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, declared.learning_rate, betas=(declared.beta_1, declared.beta_2))


def _own_rmsprop(declared: RmsProp, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(parameters, declared.learning_rate, alpha=declared.rho)


Make = Callable[[Any, Any], Stepper]
# Name → with Keras's formula and constants, with PyTorch's (without the second that importing PyTorch's own optimisers
# takes), and PyTorch's own optimiser.
OPTIMIZERS: Mapping[str, tuple[Make, Make, Callable[[Any, Any], torch.optim.Optimizer]]] = {
    "sgd": (SgdStepper, TorchSgdStepper, _own_sgd),
    "adam": (AdamStepper, TorchAdamStepper, _own_adam),
    "rmsprop": (RmsPropStepper, TorchRmsPropStepper, _own_rmsprop),
}
