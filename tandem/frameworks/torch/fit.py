"""Training and predicting with PyTorch modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from tandem.datasets.source import Rows
from tandem.frameworks import Trainer
from tandem.frameworks.torch.gradients import choose_gradients
from tandem.frameworks.torch.input import make_input, target_tensor
from tandem.frameworks.torch.losses import batch_loss, sample_metrics, step_factor
from tandem.frameworks.torch.network import (
    TandemNetwork,
    input_tensors,
    load_weights,
    named_arrays,
    weights,
)
from tandem.frameworks.torch.optimizers import make_optimizer
from tandem.models import Constants, penalties
from tandem.optimizers import AnyOptimizer

_PREDICT_ROWS = 4096
_GATHER_ROWS = 4096
_TRANSFORM_ROWS = 512  # resampling takes several times the rows' own memory


def trainer(
    network: TandemNetwork, rows: Rows, optimizer: AnyOptimizer, *, constants: Constants, devices: int = 1
) -> Trainer:
    """Put a module together with training rows, on one device or on several."""
    if devices == 1:
        return TorchTrainer(network, rows, optimizer, constants)
    from tandem.frameworks.torch.several_devices import DistributedTrainer

    return DistributedTrainer(network, rows, optimizer, constants, devices)


class TorchTrainer:
    """A module with its optimiser and training rows."""

    def __init__(self, network: TandemNetwork, rows: Rows, declared: AnyOptimizer, constants: Constants) -> None:
        self._network = network
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._stepper = make_optimizer(declared, parameters, constants)
        self._differentiate = choose_gradients(network)
        self._clip_norm = declared.clip_norm
        positions = {id(parameter): number for number, parameter in enumerate(parameters)}
        arrays = named_arrays(network)
        self._penalties = [
            (positions[id(arrays[name].tensor)], arrays[name].tensor.data, penalty)
            for name, penalty in penalties(network.architecture).items()
        ]
        self.take_rows(rows)

    def take_rows(self, rows: Rows) -> None:
        """Train on other rows from now on."""
        self._rows = make_input(self._network, rows)

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
        torch.manual_seed(seed)
        self._network.train()
        losses = metrics = 0.0
        rates = iter(learning_rates.tolist())
        # Rows are gathered, and results summed up, for many batches at once: fewer, larger operations.
        gathered = _GATHER_ROWS if transforms is None else _TRANSFORM_ROWS
        rows_at_once = max(1, gathered // batch_size) * batch_size
        for start in range(0, len(order), rows_at_once):
            shown = slice(start, start + rows_at_once)
            matrices = None if transforms is None else transforms[shown]
            steps = [
                (targets, *self._step(batch, targets, next(rates)))
                for targets, *batch in self._rows.batches(order[shown], batch_size, matrices)
            ]
            targets, step_losses, outputs = zip(*steps, strict=True)
            sizes = torch.tensor([len(part) for part in targets], dtype=torch.float64)
            losses += float(torch.stack(step_losses).double().cpu() @ sizes)
            metrics += float(sample_metrics(self._network.architecture, torch.cat(outputs), torch.cat(targets)).sum())
        return losses / len(order), metrics / len(order)

    def _step(self, batch: list[Tensor], targets: Tensor, learning_rate: float) -> tuple[Tensor, Tensor]:
        """Take a step; return the mean loss over the batch and the main head's outputs, both before it."""
        gradients = self._stepper.gradients
        loss, raw = self._differentiate(batch, targets, gradients)
        self._move(gradients, learning_rate)
        return loss, raw

    def _move(self, gradients: Sequence[Tensor], learning_rate: float) -> None:
        """Take a step against a batch's gradients."""
        for position, values, penalty in self._penalties:
            gradients[position].add_(values, alpha=2 * penalty.l2).add_(torch.sign(values), alpha=penalty.l1)
        if self._clip_norm is not None:
            _clip(gradients, self._clip_norm)
        self._stepper.step(learning_rate)

    def state(self) -> dict[str, np.ndarray]:
        """Return weights and optimiser state; dropout is seeded anew each epoch and needs none."""
        return weights(self._network) | self._stepper.state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back what :meth:`state` gave."""
        load_weights(self._network, state)
        self._stepper.load_state(state)


def _clip(gradients: Sequence[Tensor], norm: float) -> None:
    """Shorten the gradients, all together, to a norm, as ``torch.nn.utils.clip_grad_norm_`` does."""
    length = torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt()
    factor = (norm / (length + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor)


def predict(network: TandemNetwork, features: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return each head's raw outputs (n, units), layers in inference mode."""
    network.eval()
    parts = []
    with torch.no_grad():
        for start in range(0, len(features), _PREDICT_ROWS):
            outputs = network(*input_tensors(network, features[start : start + _PREDICT_ROWS]))
            parts.append([output.cpu().numpy() for output in outputs])
    return tuple(np.concatenate(outputs) for outputs in zip(*parts, strict=True))


def gradients(network: TandemNetwork, rows: Rows) -> tuple[float, dict[str, np.ndarray]]:
    """Return the loss over the rows and its gradient with respect to each trainable array."""
    network.eval()
    arrays = {name: array for name, array in named_arrays(network).items() if array.tensor.requires_grad}
    outputs = network(*input_tensors(network, rows.features))
    loss = batch_loss(network.architecture, outputs, target_tensor(network, rows.targets))
    factor = step_factor(network.architecture, len(rows.targets))
    found = torch.autograd.grad(loss * factor, [array.tensor for array in arrays.values()])
    return float(loss.detach()), {
        name: array.read(gradient) for (name, array), gradient in zip(arrays.items(), found, strict=True)
    }
