"""The sentences about trends, levels and gaps, with their numbers."""

from __future__ import annotations

import numpy as np

from tandem import titles
from tandem.diagnosis.curves import Curves
from tandem.diagnosis.numbers import format_number, format_percent, format_signed_percent
from tandem.diagnosis.thresholds import CONFIDENCE, LEVEL_EPOCHS, NOT_STARTED
from tandem.diagnosis.trends import Trend

_CONFIDENCE = f"{100 * CONFIDENCE:g}\N{NO-BREAK SPACE}%"


def trend_sentence(curves: Curves) -> str:
    """Say both trends with their slopes, intervals and ends."""
    train, valid = curves.train_trend, curves.valid_trend
    if train is None:
        return ""
    over = f"Over epochs {train.first_epoch} to {train.last_epoch} the training loss {_one_trend(train)}"
    return f"{over}; the validation loss {_one_trend(valid)}." if valid is not None else f"{over}."


def _one_trend(trend: Trend) -> str:
    ends = f"{format_number(trend.first)} to {format_number(trend.last)}"
    low, high = trend.low, trend.high
    if trend.under_floor:
        return f"is next to nothing, from {ends}"
    if trend.direction != "flat":
        size, reach = abs(trend.slope), sorted((abs(low), abs(high)))
        interval = f"{_CONFIDENCE} interval {format_percent(reach[0])} to {format_percent(reach[1])}"
        return f"{trend.direction} by {format_percent(size)} per epoch ({interval}), from {ends}"
    interval = f"{_CONFIDENCE} interval {format_signed_percent(low)} to {format_signed_percent(high)} per epoch"
    word = "is flat" if trend.is_clear else "has no trend that stands out of its noise"
    return f"{word} ({interval}), from {ends}"


def level_sentence(curves: Curves, part: str) -> str:
    """Say what a part's loss ends at, against the baseline."""
    learned = curves.learned(part)
    losses = curves.train if part == "train" else curves.valid
    if learned is None or not losses:
        return ""
    name = "training" if part == "train" else "validation"
    counted = min(LEVEL_EPOCHS, len(losses))
    over = f"median of the last {counted} epochs" if counted > 1 else "one epoch"
    what, ends, constant = "loss", curves.loss_level(part), curves.baseline.loss
    if not constant:  # the metric is judged
        what, ends, constant = titles.METRICS[curves.baseline.metric], curves.metric_level(part), curves.baseline.value
    removed = (
        f"{format_percent(learned)} of the way from there to a perfect score"
        if learned > 0
        else "no better than that"
        if learned > -NOT_STARTED
        else "worse than that"
    )
    return (
        f"The {name} {what} ends at {format_number(ends)} ({over}); a constant prediction has "
        f"{format_number(constant)} on the training rows: {removed}."
    )


def gap_sentence(curves: Curves) -> str:
    """Say how far validation lies above training at the end and, in a longer run, at the beginning."""
    words = (
        f"The validation loss ends {format_number(curves.gap)} above the training loss, "
        f"{format_percent(curves.relative_gap)} of the former (medians of the last {LEVEL_EPOCHS} epochs: "
        f"{format_number(curves.valid_level)} and {format_number(curves.train_level)})"
    )
    if len(curves.valid) >= 2 * LEVEL_EPOCHS:
        start = float(np.median(curves.valid[:LEVEL_EPOCHS]) - np.median(curves.train[:LEVEL_EPOCHS]))
        side = "above" if start >= 0 else "below"
        words += f"; in the first {LEVEL_EPOCHS} epochs it was {format_number(abs(start))} {side}"
    train, valid = curves.metric_level("train"), curves.metric_level("valid")
    if curves.baseline.metric == "accuracy" and train is not None and valid is not None:
        words += f". Training accuracy is {format_number(train)}, validation accuracy {format_number(valid)}"
    return f"{words}."


def rise_sentence(curves: Curves, best: int) -> str:
    """Say from where validation has risen since its best epoch, whose place is ``best``, and what was kept."""
    epoch, loss = curves.epochs[best], curves.valid[best]
    words = (
        f"The validation loss was lowest about epoch {epoch}, {format_number(loss)}, and has risen by "
        f"{format_percent(curves.valid_level / loss - 1)} since (median of the last {LEVEL_EPOCHS} epochs: "
        f"{format_number(curves.valid_level)})"
    )
    kept = curves.ended.kept_epoch
    return f"{words}; the weights kept are those of epoch {kept}."
