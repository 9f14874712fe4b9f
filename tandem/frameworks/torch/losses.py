"""Losses by name, and metrics, on raw outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tandem.losses import LOSSES, OutputFunction
from tandem.models import Architecture


def _values(raw: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return a regression's outputs and targets with one shape."""
    if raw.shape[1] == 1:
        return raw.view(-1), targets
    return raw, targets[:, None].expand_as(raw)


def _squared_error(raw: Tensor, targets: Tensor, output: OutputFunction, reduction: str) -> Tensor:
    if output == "linear":
        return functional.mse_loss(*_values(raw, targets), reduction=reduction)
    if output == "sigmoid":
        return functional.mse_loss(torch.sigmoid(raw.view(-1)), targets.to(raw.dtype), reduction=reduction)
    wanted = functional.one_hot(targets, raw.shape[1]).to(raw.dtype)
    return functional.mse_loss(torch.softmax(raw, dim=1), wanted, reduction=reduction)


def _absolute_error(raw: Tensor, targets: Tensor, _output: OutputFunction, reduction: str) -> Tensor:
    return functional.l1_loss(*_values(raw, targets), reduction=reduction)


def _cross_entropy(raw: Tensor, targets: Tensor, _output: OutputFunction, reduction: str) -> Tensor:
    return functional.cross_entropy(raw, targets, reduction=reduction)


def _one_hot_cross_entropy(raw: Tensor, targets: Tensor, _output: OutputFunction, reduction: str) -> Tensor:
    wanted = functional.one_hot(targets, raw.shape[1]).to(raw.dtype)
    return functional.cross_entropy(raw, wanted, reduction=reduction)


def _binary_cross_entropy(raw: Tensor, targets: Tensor, _output: OutputFunction, reduction: str) -> Tensor:
    return functional.binary_cross_entropy_with_logits(raw.view(-1), targets.to(raw.dtype), reduction=reduction)


# Name → the loss, from raw outputs (n, units), targets (n,), the output function and PyTorch's reduction: "mean" over
# the batch, or "none", which leaves (n,), or (n, units) to be averaged over units.
LOSS_FUNCTIONS: Mapping[str, Callable[[Tensor, Tensor, OutputFunction, str], Tensor]] = {
    "mse": _squared_error,
    "squared_error_sum": _squared_error,
    "mae": _absolute_error,
    "cross_entropy": _cross_entropy,
    "categorical_cross_entropy": _one_hot_cross_entropy,
    "binary_cross_entropy": _binary_cross_entropy,
}


def mean_loss(architecture: Architecture, raw: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of one head's raw outputs (n, units), its mean over the samples."""
    return LOSS_FUNCTIONS[architecture.loss](raw, targets, architecture.output, "mean")


def sample_losses(architecture: Architecture, raw: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each sample (n,), of one head's raw outputs (n, units)."""
    losses = LOSS_FUNCTIONS[architecture.loss](raw, targets, architecture.output, "none")
    return losses.mean(dim=1) if losses.dim() == 2 else losses


def batch_loss(architecture: Architecture, outputs: Sequence[Tensor], targets: Tensor) -> Tensor:
    """Return the loss of all heads' raw outputs, weighted and summed, its mean over the samples."""
    losses = [
        weighted(mean_loss(architecture, raw, targets), head.weight)
        for head, raw in zip(architecture.heads, outputs, strict=True)
    ]
    return losses[0] if len(losses) == 1 else torch.stack(losses).sum()


def weighted(loss: Tensor, weight: float) -> Tensor:
    """Return a head's share of the loss."""
    return loss if weight == 1 else loss * weight


def step_factor(architecture: Architecture, rows: int) -> float:
    """Return by what the gradient of the mean loss over some rows is multiplied for a step: 1, or their number."""
    return float(rows) if LOSSES[architecture.loss].reduction == "sum" else 1.0


def sample_metrics(architecture: Architecture, raw: Tensor, targets: Tensor) -> Tensor:
    """Return, for each sample, whether it is right (1 or 0), or the absolute error of a regression."""
    if architecture.task == "regression":
        return torch.abs(raw[:, 0] - targets)
    labels = raw[:, 0] > 0 if architecture.output == "sigmoid" else raw.argmax(dim=1)
    return (labels == targets).to(raw.dtype)
