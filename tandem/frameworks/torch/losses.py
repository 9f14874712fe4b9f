"""Losses and metrics on raw outputs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tandem.models import Architecture


def mean_loss(architecture: Architecture, raw: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of one head's raw outputs (n, units), its mean over the samples."""
    if architecture.task == "regression":
        values = raw.view(-1)
        return (
            functional.mse_loss(values, targets) if architecture.loss == "mse" else functional.l1_loss(values, targets)
        )
    if architecture.loss == "mse" and architecture.output == "sigmoid":
        return functional.mse_loss(torch.sigmoid(raw.view(-1)), targets.to(raw.dtype))
    if architecture.loss == "mse":
        wanted = functional.one_hot(targets, raw.shape[1]).to(raw.dtype)
        return functional.mse_loss(torch.softmax(raw, dim=1), wanted)
    if architecture.output == "sigmoid":
        return functional.binary_cross_entropy_with_logits(raw.view(-1), targets.to(raw.dtype))
    return functional.cross_entropy(raw, targets)


def sample_metrics(architecture: Architecture, raw: Tensor, targets: Tensor) -> Tensor:
    """Return, for each sample, whether it is right (1 or 0), or the absolute error of a regression."""
    if architecture.task == "regression":
        return torch.abs(raw[:, 0] - targets)
    labels = raw[:, 0] > 0 if architecture.output == "sigmoid" else raw.argmax(dim=1)
    return (labels == targets).to(raw.dtype)
