"""Training and predicting with PyTorch modules."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from tandem.datasets.source import Rows
from tandem.frameworks import Constants
from tandem.frameworks.torch.gradients import choose_gradients
from tandem.frameworks.torch.layers import TandemNetwork, load_weights, weights
from tandem.frameworks.torch.losses import sample_metrics
from tandem.frameworks.torch.optimizers import make_optimizer
from tandem.models import Adam, RmsProp, Sgd

_PREDICT_ROWS = 4096
_GATHER_ROWS = 4096


def trainer(
    network: TandemNetwork, rows: Rows, optimizer: Sgd | Adam | RmsProp, *, constants: Constants
) -> TorchTrainer:
    """Put a module together with training rows."""
    return TorchTrainer(network, rows, optimizer, constants)


class TorchTrainer:
    """A module with its optimiser and training rows, which lie on the module's device as a whole."""

    def __init__(
        self, network: TandemNetwork, rows: Rows, declared: Sgd | Adam | RmsProp, constants: Constants
    ) -> None:
        self._network = network
        self._parameters = list(network.parameters())
        self._stepper = make_optimizer(declared, self._parameters, aligned=constants == "aligned")
        self._differentiate = choose_gradients(network)
        device = self._parameters[0].device
        self._inputs = [torch.from_numpy(part).to(device) for part in network.architecture.inputs(rows.features)]
        targets = torch.from_numpy(rows.targets).to(device)
        self._targets = targets if targets.is_floating_point() else targets.long()

    def restart(self, initial: Mapping[str, np.ndarray]) -> None:
        """Begin again with other weights and an optimiser without memory."""
        load_weights(self._network, initial)
        self._stepper.restart()

    def train_epoch(self, order: np.ndarray, batch_size: int, learning_rate: float, seed: int) -> tuple[float, float]:
        """Train one epoch; see :class:`tandem.frameworks.Trainer`."""
        torch.manual_seed(seed)
        self._network.train()
        indices = torch.from_numpy(order).to(self._targets.device)
        losses = metrics = 0.0
        # Rows are gathered, and results summed up, for many batches at once: fewer, larger operations.
        for chunk in indices.split(max(1, _GATHER_ROWS // batch_size) * batch_size):
            targets = self._targets[chunk]
            parts = [inputs[chunk].split(batch_size) for inputs in self._inputs]
            steps = [
                (len(batch_targets), *self._step(batch, batch_targets, learning_rate))
                for batch_targets, *batch in zip(targets.split(batch_size), *parts, strict=True)
            ]
            sizes, step_losses, outputs = zip(*steps, strict=True)
            losses += float(torch.stack(step_losses).double().cpu() @ torch.tensor(sizes, dtype=torch.float64))
            metrics += float(sample_metrics(self._network.architecture, torch.cat(outputs), targets).sum())
        return losses / len(order), metrics / len(order)

    def _step(self, batch: list[Tensor], targets: Tensor, learning_rate: float) -> tuple[Tensor, Tensor]:
        """Take a step; return the mean loss over the batch and the main head's outputs, both before it."""
        loss, raw = self._differentiate(batch, targets, self._stepper.gradients)
        self._stepper.step(learning_rate)
        return loss, raw

    def state(self) -> dict[str, np.ndarray]:
        """Return weights and optimiser state; dropout is seeded anew each epoch and needs none."""
        return weights(self._network) | self._stepper.state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take back what :meth:`state` gave."""
        load_weights(self._network, state)
        self._stepper.load_state(state)


def predict(network: TandemNetwork, features: np.ndarray) -> np.ndarray:
    """Return raw outputs (n, heads, units), layers in inference mode."""
    device = next(network.parameters()).device
    network.eval()
    parts = []
    with torch.no_grad():
        for start in range(0, len(features), _PREDICT_ROWS):
            inputs = network.architecture.inputs(np.asarray(features[start : start + _PREDICT_ROWS]))
            outputs = network(*(torch.from_numpy(part).to(device) for part in inputs))
            parts.append(torch.stack(outputs, dim=1).cpu().numpy())
    return np.concatenate(parts)
