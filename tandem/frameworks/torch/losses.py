"""Losses on raw outputs, one number a sample."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tandem.models import Architecture


def sample_losses(architecture: Architecture, raw: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each sample, (n,), of one head's raw outputs (n, units)."""
    if architecture.task == "regression":
        errors = raw[:, 0] - targets
        return torch.square(errors) if architecture.loss == "mse" else torch.abs(errors)
    if architecture.loss == "mse" and architecture.output == "sigmoid":
        return torch.square(torch.sigmoid(raw[:, 0]) - targets)
    if architecture.loss == "mse":
        probabilities = torch.softmax(raw, dim=1)
        return torch.square(probabilities - functional.one_hot(targets, raw.shape[1])).mean(dim=1)
    if architecture.output == "sigmoid":
        return functional.binary_cross_entropy_with_logits(raw[:, 0], targets.to(raw.dtype), reduction="none")
    return functional.cross_entropy(raw, targets, reduction="none")


def sample_metrics(architecture: Architecture, raw: Tensor, targets: Tensor) -> Tensor:
    """Return, for each sample, whether it is right (1 or 0), or the absolute error of a regression."""
    if architecture.task == "regression":
        return torch.abs(raw[:, 0] - targets)
    labels = raw[:, 0] > 0 if architecture.output == "sigmoid" else raw.argmax(dim=1)
    return (labels == targets).to(raw.dtype)
