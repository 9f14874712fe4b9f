"""One replicate's curves, with what the rules ask of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tandem.diagnosis.records import Baseline
from tandem.diagnosis.thresholds import NOT_STARTED
from tandem.diagnosis.trends import Trend, level
from tandem.records import History, Number, ReplicateRecord


@dataclass(frozen=True)
class Curves:
    """One replicate's curves, with what the rules ask of them."""

    history: History
    ended: ReplicateRecord
    baseline: Baseline
    train: tuple[float, ...]  # finite losses
    valid: tuple[float, ...]  # finite; empty without validation rows
    train_trend: Trend | None
    valid_trend: Trend | None

    @property
    def epochs(self) -> tuple[int, ...]:
        """Numbers of the epochs whose training loss is finite."""
        return self.history.epochs[: len(self.train)]

    def loss_level(self, part: str) -> Number:
        """Return where a part's loss ends, or None if it is not there."""
        losses = self.train if part == "train" else self.valid
        return level(losses) if losses else None

    @property
    def train_level(self) -> float:
        """Where the training loss ends."""
        return level(self.train)

    @property
    def valid_level(self) -> float:
        """Where the validation loss ends."""
        return level(self.valid)

    @property
    def gap(self) -> float:
        """Validation minus training loss at the end; 0 without validation rows."""
        return self.valid_level - self.train_level if self.valid else 0.0

    @property
    def relative_gap(self) -> float:
        """The gap as a share of the validation loss."""
        return self.gap / self.valid_level if self.valid and self.valid_level > 0 else 0.0

    def metric_level(self, part: str) -> Number:
        """Return where the recorded metric of a part ends, or None if it is not there."""
        values = finite_start(self.history.columns.get(f"{part}_{self.baseline.metric}", ()))
        return level(values) if values else None

    def learned(self, part: str) -> Number:
        """Return the share of the baseline's loss, or else of its metric, that is removed on a part."""
        ends = self.loss_level(part)
        if ends is None:
            return None
        if self.baseline.loss:
            return 1 - ends / self.baseline.loss
        reached, constant = self.metric_level(part), self.baseline.value
        if reached is None:
            return None
        if self.baseline.metric == "accuracy":
            return (reached - constant) / (1 - constant) if constant < 1 else None
        return 1 - reached / constant if constant > 0 else None

    @property
    def has_not_started(self) -> bool:
        """Whether next to nothing was learned: against the baseline, or else against the first epoch."""
        learned = self.learned("train")
        if learned is not None:
            return learned < NOT_STARTED
        return not self.train or self.train_level > (1 - NOT_STARTED) * self.train[0]


def finite_start(values: Sequence[Number]) -> tuple[float, ...]:
    """Return the values up to the first that is not finite."""
    kept = []
    for value in values:
        if value is None or not math.isfinite(value):
            break
        kept.append(value)
    return tuple(kept)


def gradient_ratios(history: History) -> tuple[Number, ...]:
    """Return the first layer's gradient norm over the last layer's, before training and after each epoch.

    None where one is not finite or the last is zero; empty with fewer than two layers.
    """
    layers = tuple(history.gradient_norms.values())
    if len(layers) < 2:
        return ()
    return tuple(
        first / last if first is not None and last else None for first, last in zip(layers[0], layers[-1], strict=True)
    )
