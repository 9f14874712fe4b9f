"""What the best constant prediction scores: the level that a network must beat."""

from __future__ import annotations

import numpy as np

from tandem.diagnosis.numbers import format_number, format_percent
from tandem.diagnosis.records import Baseline
from tandem.records import Number, Task


def constant_baseline(task: Task, loss: str, targets: np.ndarray, outputs: int = 1) -> Baseline:
    """Return what the best constant prediction scores on the training targets.

    Class shares are the best constant probabilities under cross-entropy and under squared error, for both are
    proper scoring rules; the mean is under squared error, the median under absolute error.

    Args:
        task: of the data set.
        loss: as declared.
        targets: (n,) labels or values of the training rows.
        outputs: heads of the network whose losses are summed.
    """
    if task == "classification":
        shares = np.unique(targets, return_counts=True)[1] / len(targets)
        words = f"always the training rows’ shares of the classes, the largest {format_percent(float(shares.max()))}"
        return Baseline(
            loss=_classification_loss(loss, shares) if outputs == 1 else None,
            metric="accuracy",
            value=float(shares.max()),
            words=words,
        )
    values = np.asarray(targets, dtype=np.float64)
    constant = float(np.median(values) if loss == "mae" else values.mean())
    deviation = float(np.abs(values - np.median(values)).mean())
    known = {"mse": float(values.var()), "squared_error_sum": float(values.var()), "mae": deviation}
    return Baseline(
        loss=known.get(loss) if outputs == 1 else None,
        metric="mae",
        value=deviation,
        words=f"always the {'median' if loss == 'mae' else 'mean'} of the training targets, {format_number(constant)}",
    )


def _classification_loss(loss: str, shares: np.ndarray) -> Number:
    if "cross_entropy" in loss:
        return float(-(shares * np.log(shares)).sum())
    if loss == "mse":  # per class where there are more than two, as the frameworks average
        return float((shares * (1 - shares)).mean())
    return None
