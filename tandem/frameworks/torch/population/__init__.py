"""Training many networks of one family at once with PyTorch: every array has a leading model axis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from tandem.datasets.source import Rows
from tandem.frameworks.torch.losses import sample_metrics
from tandem.frameworks.torch.population.dense import DenseStep, is_plain, loss_gradient
from tandem.frameworks.torch.population.functions import sample_losses
from tandem.frameworks.torch.population.layers import Noise, StackedNetwork
from tandem.frameworks.torch.population.optimizers import make_optimizer
from tandem.frameworks.torch.setup import batch_threads, best_device
from tandem.models import parameter_names, penalties
from tandem.optimizers import Sgd
from tandem.population.costs import StackCosts
from tandem.population.stack import Stack

STACK_COSTS = StackCosts(
    program=0.01, step=1.9e-4, rate=5.5e10, stack_program=0.01, stack_step=2.8e-4, stack_rate=4.5e10, member=6e-6
)
_GATHERED_NUMBERS = 4_000_000  # of features that are laid out in the order of the steps at a time, or of outputs kept


def populate(stack: Stack, rows: Sequence[Rows], dtype: str = "float32") -> TorchPopulation:
    """Put members together with the training rows of each fold; see :class:`tandem.frameworks.Population`."""
    return TorchPopulation(stack, rows, getattr(torch, dtype))


class TorchPopulation:
    """Members of one family with their optimiser; see :class:`tandem.frameworks.Population`."""

    def __init__(self, stack: Stack, rows: Sequence[Rows], dtype: torch.dtype) -> None:
        self._device, self._dtype = best_device(), dtype
        self._architecture = stack.padded
        self._constants = stack.members[0].experiment.constants
        parts = [stack.padded.inputs(np.asarray(of.features)) for of in rows]
        self._inputs = [self._numbers(np.concatenate(of)) for of in zip(*parts, strict=True)]
        self._targets = self._labels(np.concatenate([of.targets for of in rows]))
        self._offsets = np.cumsum([0, *(len(of.targets) for of in rows)]).astype(np.int32)
        self._arrays = {
            name: torch.zeros(len(stack), *parameter.shape, dtype=dtype, device=self._device)
            for name, parameter in parameter_names(stack.padded)
        }
        self._take(stack)

    def restart(self, weights: Mapping[str, np.ndarray], slots: Mapping[str, np.ndarray], steps: int) -> None:
        """Begin with these arrays, (members, *padded shape) each."""
        self._arrays = {name: self._numbers(array) for name, array in weights.items()}
        self._take(self._stack)
        self._stepper.steps = steps
        for name, array in slots.items():
            self._stepper.slots[name].copy_(self._numbers(array))

    def keep(self, positions: Sequence[int]) -> None:
        """Let all other members go."""
        chosen = torch.tensor(positions, device=self._device)
        self._arrays = {name: array.index_select(0, chosen) for name, array in self._arrays.items()}
        slots, steps = self._stepper.slots, self._stepper.steps
        self._take(self._stack.keep(positions))
        self._stepper.steps = steps
        for name, slot in slots.items():
            self._stepper.slots[name].copy_(slot.index_select(0, chosen))

    def arrays(self, positions: Sequence[int]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], int]:
        """Return copies of some members' weights and optimiser slots, and the number of steps taken."""
        chosen = torch.tensor(positions, device=self._device)
        weights, slots = (
            {name: array.index_select(0, chosen).cpu().numpy() for name, array in given.items()}
            for given in (self._arrays, self._stepper.slots)
        )
        return weights, slots, self._stepper.steps

    @batch_threads()
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
        noise = Noise(seeds, self._device)
        orders = orders + self._offsets[folds][:, None]
        of_member = None if len(orders) == len(streams) and (np.arange(len(streams)) == streams).all() else streams
        chosen = None if of_member is None else torch.tensor(of_member, device=self._device)
        rates = torch.from_numpy(learning_rates).to(self._device)
        sums: list[np.ndarray] = []
        step = 0
        units = sum(head.layer.output_shape[-1] for head in self._architecture.heads)
        for block in _blocks(orders, batch_size, self._inputs, len(streams) * (units + 1)):
            batches = torch.from_numpy(block).to(self._device, torch.int64)
            inputs = [part[batches] for part in self._inputs]  # (steps, streams, n, *shape)
            targets = self._targets[batches]
            outputs = [
                self._inputs[0].new_empty(len(batches), len(self._stack), batches.shape[2], head.layer.output_shape[-1])
                for head in self._architecture.heads
            ]
            for position in range(len(batches)):
                taken = [
                    part[position] if chosen is None else part[position].index_select(0, chosen) for part in inputs
                ]
                wanted = targets[position] if chosen is None else targets[position].index_select(0, chosen)
                self._step(taken, wanted, [raw[position] for raw in outputs], rates[step], noise)
                step += 1
            wanted = targets if chosen is None else targets.index_select(1, chosen)
            sums.append(self._sum_up(outputs, wanted))
        # One step after the other: a sum of another order would depend on how many members there are.
        losses, metrics = np.cumsum(np.concatenate(sums, axis=1), axis=1)[:, -1] / orders.shape[1]
        return losses, metrics

    @batch_threads()
    def predict(
        self, positions: Sequence[int], features: np.ndarray, weights: Mapping[str, np.ndarray] | None = None
    ) -> tuple[np.ndarray, ...]:
        """Return each head's raw outputs (members, n, units) of some members on the same rows."""
        stack = self._stack.keep(positions)
        if weights is None:
            chosen = torch.tensor(positions, device=self._device)
            arrays = {name: array.index_select(0, chosen) for name, array in self._arrays.items()}
        else:
            arrays = {name: self._numbers(array) for name, array in weights.items()}
        network = StackedNetwork(stack, self._constants, self._device, self._dtype)
        at_once = self._stack.predicted_rows
        parts = []
        with torch.no_grad():
            for start in range(0, len(features), at_once):
                inputs = self._architecture.inputs(np.asarray(features[start : start + at_once]))
                taken = [self._numbers(part)[None].expand(len(stack), *part.shape) for part in inputs]
                parts.append([raw.cpu().numpy() for raw in network.forward(arrays, taken)])
        return tuple(np.concatenate(raw, axis=1) for raw in zip(*parts, strict=True))

    def gradients(self, positions: Sequence[int], rows: Rows) -> dict[str, np.ndarray]:
        """Return the gradients (members, *shape) of some members over the same rows."""
        stack, chosen = self._stack.keep(positions), torch.tensor(positions, device=self._device)
        network = StackedNetwork(stack, self._constants, self._device, self._dtype)
        arrays = {name: array.index_select(0, chosen) for name, array in self._arrays.items()}
        inputs = [
            self._numbers(part)[None].expand(len(stack), *part.shape)
            for part in self._architecture.inputs(rows.features)
        ]
        targets = self._labels(rows.targets).expand(len(stack), -1)
        leaves = {name: arrays[name].requires_grad_() for name in self._trainable}
        raws = network.forward(arrays, inputs)
        found = self._backward(raws, targets, leaves)
        return {name: gradient.cpu().numpy() for name, gradient in found.items()}

    def _take(self, stack: Stack) -> None:
        """Set everything up for the members that there are now."""
        self._stack = stack
        self._network = StackedNetwork(stack, self._constants, self._device, self._dtype)
        trainable = [name for name, parameter in parameter_names(stack.padded) if parameter.trainable]
        self._trainable = {name: self._arrays[name] for name in trainable if name in self._arrays}
        optimizers = [member.experiment.optimizer for member in stack.members]
        self._stepper = make_optimizer(optimizers, self._constants, self._trainable)
        declared = optimizers[0]
        norms = [one.clip_norm for one in optimizers]
        self._norms = None if declared.clip_norm is None else self._numbers(np.array(norms, dtype=np.float64))
        self._penalties = {
            name: tuple(self._numbers(each)[:, None, None] for each in stack.regularization(name.partition("/")[0]))
            for name in penalties(stack.padded)
        }
        self._plain = is_plain(stack)
        descends = isinstance(declared, Sgd) and not declared.momentum
        self._fused = self._plain and descends and self._norms is None and not self._penalties
        self._passes: dict[int, DenseStep] = {}

    def _step(self, inputs: list[Tensor], targets: Tensor, outputs: list[Tensor], rates: Tensor, noise: Noise) -> None:
        """Take a step; fill ``outputs`` with the heads' raw outputs before it."""
        if self._plain:
            rows = targets.shape[1]
            if rows not in self._passes:
                self._passes[rows] = DenseStep(self._stack, self._arrays, rows)
            both = self._passes[rows]
            with torch.no_grad():
                if self._fused:
                    both(inputs, targets, outputs, both.descend, rates.to(self._dtype)[:, None, None])
                    return
                gradients: dict[str, Tensor] = {}
                both(inputs, targets, outputs, _Kept(gradients, self._arrays))
        else:
            gradients = self._differentiate(inputs, targets, outputs, noise)
        with torch.no_grad():
            self._move(gradients, rates)

    def _differentiate(
        self, inputs: list[Tensor], targets: Tensor, outputs: list[Tensor], noise: Noise
    ) -> dict[str, Tensor]:
        """Return gradients by autograd, each member's from those of its own raw outputs."""
        leaves = {name: array.detach().requires_grad_() for name, array in self._trainable.items()}
        raws = self._network.forward({**self._arrays, **leaves}, inputs, noise)
        for raw, kept in zip(raws, outputs, strict=True):
            kept.copy_(raw.detach())
        return self._backward(raws, targets, leaves)

    def _backward(self, raws: list[Tensor], targets: Tensor, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the gradients that a step follows, of each member's own loss."""
        reached, arriving = [], []
        for head, raw in zip(self._architecture.heads, raws, strict=True):
            if raw.requires_grad:  # what a head passes through has no weights
                reached.append(raw)
                arriving.append(loss_gradient(self._architecture, raw.detach(), targets, head.weight))
        found = torch.autograd.grad(reached, list(leaves.values()), arriving, allow_unused=True)
        return {
            name: torch.zeros_like(leaf) if gradient is None else gradient
            for (name, leaf), gradient in zip(leaves.items(), found, strict=True)
        }

    def _move(self, gradients: dict[str, Tensor], rates: Tensor) -> None:
        for name, (l1, l2) in self._penalties.items():
            kernel = self._arrays[name]
            gradients[name] = gradients[name] + 2 * l2 * kernel + l1 * torch.sign(kernel)
        if self._norms is not None:
            squares = [gradient.square().flatten(1).sum(1) for gradient in gradients.values()]
            lengths = torch.stack(squares).sum(0).sqrt()
            factors = (self._norms / (lengths + 1e-6)).clamp(max=1.0)
            gradients = {
                name: gradient * factors.view(-1, *(1,) * (gradient.dim() - 1)) for name, gradient in gradients.items()
            }
        self._stepper.step(gradients, rates)

    def _sum_up(self, outputs: list[Tensor], targets: Tensor) -> np.ndarray:
        """Return the sums over rows of losses and metrics, (2, steps, members)."""
        steps, members, rows = targets.shape
        flat = targets.flatten()
        of_heads = [
            head.weight * sample_losses(self._architecture, raw.flatten(0, 2), flat).double()
            for head, raw in zip(self._architecture.heads, outputs, strict=True)
        ]
        losses = torch.stack(of_heads).sum(0)
        metrics = sample_metrics(self._architecture, outputs[0].flatten(0, 2), flat).double()
        return np.stack([each.view(steps, members, rows).sum(2).cpu().numpy() for each in (losses, metrics)])

    def _numbers(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device, self._dtype)

    def _labels(self, targets: np.ndarray) -> Tensor:
        if np.issubdtype(targets.dtype, np.integer):
            return torch.from_numpy(targets.astype(np.int64)).to(self._device)
        return self._numbers(targets)


class _Kept:
    """Keeps the gradients of dense layers."""

    def __init__(self, gradients: dict[str, Tensor], arrays: Mapping[str, Tensor]) -> None:
        self._gradients, self._arrays = gradients, arrays

    def __call__(self, layer: str, given: Tensor, gradient: Tensor) -> None:
        self._gradients[f"{layer}/kernel"] = torch.bmm(given.transpose(1, 2), gradient)
        if f"{layer}/bias" in self._arrays:
            self._gradients[f"{layer}/bias"] = gradient.sum(1)


def _blocks(orders: np.ndarray, batch_size: int, inputs: Sequence[Tensor], given: int) -> Iterator[np.ndarray]:
    """Yield the rows of several steps, (steps, streams, n): as many as are gathered at once, all steps of one size.

    Args:
        orders: (streams, shown).
        batch_size: rows a step.
        inputs: that are gathered.
        given: outputs and targets that are kept of each row of a step.
    """
    streams, shown = orders.shape
    features = sum(int(np.prod(part.shape[1:])) for part in inputs)
    numbers = max(features * streams, given) * batch_size
    at_once = max(1, _GATHERED_NUMBERS // numbers)
    full = shown // batch_size
    for start in range(0, full, at_once):
        end = min(full, start + at_once)
        block = orders[:, start * batch_size : end * batch_size].reshape(streams, end - start, batch_size)
        yield np.ascontiguousarray(block.transpose(1, 0, 2))
    if shown % batch_size:
        yield np.ascontiguousarray(orders[None, :, full * batch_size :])
