"""Failures: divergence, and gradients that explode, vanish or no longer reach a layer."""

from __future__ import annotations

import math

import numpy as np

from tandem.diagnosis.curves import Curves, gradient_ratios
from tandem.diagnosis.numbers import format_number, format_times
from tandem.diagnosis.records import Diagnosis, make_diagnosis
from tandem.diagnosis.thresholds import GROWTH, LEVEL_EPOCHS, LOSS_GROWTH, LOST, NOISE_FACTOR, VANISHED
from tandem.diagnosis.trends import scatter
from tandem.diagnosis.words import level_sentence
from tandem.records import History

_CALMER = (
    "Lower the learning rate, by a factor of ten at first.",
    "Check that features and targets are scaled, and that none is missing or infinite.",
)
_DEEP_STACKS = "In deep stacks, use batch normalisation or smaller initial weights."


def divergence(curves: Curves) -> Diagnosis | None:
    """Name a loss that is no longer finite, or that ends well above where it started."""
    first = curves.train[0] if curves.train else None
    if curves.ended.outcome == "diverged":
        epoch = curves.history.epochs[-1]
        if first is None:
            words = f"The training loss was no longer finite in epoch {epoch}, the first."
        else:
            words = f"The loss was no longer finite in epoch {epoch}; the training loss was {format_number(first)} "
            words += f"in epoch {curves.epochs[0]}"
            if len(curves.train) > 1:
                words += f" and {format_number(curves.train[-1])} in epoch {curves.epochs[-1]}"
            words += "."
        return make_diagnosis("divergence", words, advice=_CALMER)
    if first and len(curves.train) > LEVEL_EPOCHS and _ends_above(curves, first):
        return make_diagnosis(
            "divergence",
            f"The training loss ends at {format_number(curves.train_level)} (median of the last {LEVEL_EPOCHS} "
            f"epochs), {format_times(curves.train_level / first)} the {format_number(first)} of epoch "
            f"{curves.epochs[0]}, where it started.",
            advice=_CALMER,
        )
    return None


def _ends_above(curves: Curves, first: float) -> bool:
    sure = max(math.log(LOST), NOISE_FACTOR * scatter(curves.train))
    return math.log(max(curves.train_level, first)) - math.log(first) > sure


def exploding_gradients(curves: Curves) -> Diagnosis | None:
    """Name a gradient that is no longer finite or has grown out of bounds while nothing was gained by it."""
    norms = _total_norms(curves.history)
    diverged = curves.ended.outcome == "diverged"
    if norms and not math.isfinite(norms[0]):
        return make_diagnosis(
            "exploding gradients",
            "The norm of the gradient was not finite even before training.",
            advice=("Look for missing, infinite or very large values in the data.", _DEEP_STACKS),
        )
    words = _norm_growth(curves, norms) if norms else ""
    if not words and diverged:
        words = _loss_growth(curves, norms)
    if not words:
        return None
    return make_diagnosis("exploding gradients", words, advice=(*_CALMER, _DEEP_STACKS))


def _norm_growth(curves: Curves, norms: tuple[float, ...]) -> str:
    lost = next((entry for entry, norm in enumerate(norms) if not math.isfinite(norm)), None)
    if lost is not None:
        return (
            f"The norm of the gradient was no longer finite {_moment(curves.history, lost)}; until then it was at most "
            f"{format_number(max(norms[:lost]))}, and {format_number(norms[0])} before training."
        )
    peak = max(range(len(norms)), key=norms.__getitem__)
    gained = curves.ended.outcome != "diverged" and not curves.has_not_started and curves.train_level <= curves.train[0]
    if gained or norms[0] == 0 or norms[peak] < GROWTH * norms[0]:
        return ""
    return (
        f"The norm of the gradient grew from {format_number(norms[0])} before training to {format_number(norms[peak])} "
        f"{_moment(curves.history, peak)}: {format_times(norms[peak] / norms[0])} as much."
    )


def _loss_growth(curves: Curves, norms: tuple[float, ...]) -> str:
    if not curves.train:
        return "" if norms else "Not even the first epoch had a finite loss: the steps grew at once."
    losses = curves.train
    low, high = losses.index(min(losses)), losses.index(max(losses))
    if low > high or losses[high] < LOSS_GROWTH * losses[low]:
        return ""
    return (
        f"Before it was lost, the training loss grew from {format_number(losses[low])} in epoch {curves.epochs[low]} "
        f"to {format_number(losses[high])} in epoch {curves.epochs[high]}."
    )


def stuck_gradients(curves: Curves) -> Diagnosis | None:
    """Name vanishing gradients or dead units: next to no gradient reaches the first layer, and nothing is learned."""
    ratios = gradient_ratios(curves.history)
    if not ratios or not curves.has_not_started:
        return None
    (first, early), *_, (last, late) = curves.history.gradient_norms.items()
    if early[-1] == 0 and ratios[0] is not None and ratios[0] > VANISHED:
        return make_diagnosis(
            "dead units",
            f"No gradient reaches {first} any more: its norm was {format_number(early[0])} before training and is 0 at "
            f"the end, while that of {last} is {format_number(late[-1])}.",
            level_sentence(curves, "train"),
            advice=(
                "Scale the features and lower the learning rate: one large step can leave every relu at zero for good.",
                "Use leaky relu, elu or selu, whose gradient is never zero.",
            ),
        )
    known = [ratio for ratio in ratios if ratio is not None]
    typical = float(np.median(known)) if known else math.inf
    if typical > VANISHED:
        return None
    return make_diagnosis(
        "vanishing gradients",
        f"The norm of the gradient in {first} is {format_number(typical)} of that in {last} (median of "
        f"{len(known)} measurements): before training {format_number(early[0])} against {format_number(late[0])}, at "
        f"the end {format_number(early[-1])} against {format_number(late[-1])}.",
        level_sentence(curves, "train"),
        advice=(
            "Use relu, elu or selu in the hidden layers instead of sigmoid or tanh.",
            "Add batch normalisation, or take fewer layers.",
        ),
    )


def _total_norms(history: History) -> tuple[float, ...]:
    """Return the norm over all layers, before training and after each epoch; infinite where one is not finite."""
    return tuple(
        math.inf if any(norm is None for norm in norms) else math.hypot(*(norm for norm in norms if norm is not None))
        for norms in zip(*history.gradient_norms.values(), strict=True)
    )


def _moment(history: History, entry: int) -> str:
    return "before training" if entry == 0 else f"after epoch {history.epochs[entry - 1]}"
