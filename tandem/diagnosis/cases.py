"""The five cases that the trends of training and validation loss make, and those that hold besides."""

from __future__ import annotations

import math

import numpy as np

from tandem.diagnosis.curves import Curves
from tandem.diagnosis.numbers import format_number, format_percent
from tandem.diagnosis.records import TITLES, Diagnosis, make_diagnosis
from tandem.diagnosis.thresholds import (
    COSTLY_GAP,
    COSTLY_SWINGS,
    DECAYED,
    HALF_LEARNED,
    LARGE_GAP,
    LEAST_EPOCHS,
    LEVEL_EPOCHS,
    MEMORISED,
    NOISE_FACTOR,
    NOT_STARTED,
    RISE,
    SMALL_GAP,
    SWINGS,
    WIDE_GAP,
)
from tandem.diagnosis.trends import scatter, theil_sen, window_of
from tandem.diagnosis.words import (
    gap_sentence,
    level_sentence,
    rise_sentence,
    trend_sentence,
)


def too_few_epochs(curves: Curves) -> Diagnosis:
    """Say that there are too few epochs for a trend."""
    n = len(curves.train)
    if n == 0:
        return make_diagnosis(
            "too few epochs",
            "No epoch was trained: the results are those of the weights that it began with.",
            advice=("Declare epochs above 0 to train.",),
            title="Not trained",
        )
    ends = "" if n == 1 else f", {format_number(curves.train[-1])} in epoch {curves.epochs[-1]}"
    return make_diagnosis(
        "too few epochs",
        f"{n} epoch{'s are' if n != 1 else ' is'} too few to judge a trend; it takes {LEAST_EPOCHS}. "
        f"The training loss was {format_number(curves.train[0])} in epoch {curves.epochs[0]}{ends}.",
        level_sentence(curves, "valid" if curves.valid else "train"),
        advice=(f"Train for {LEAST_EPOCHS} epochs or more.",),
    )


def curve_case(curves: Curves) -> Diagnosis:
    """Name the case that the trends of training and validation loss make.

    ============  =====================  ===========================  ===========================
    validation    falls                  flat                         rises
    ============  =====================  ===========================  ===========================
    train falls   still learning         overfitting if they part,    overfitting if they part,
                                         else still learning          else still learning
    train flat    data set at fault      bottleneck or converged      overfitting if they part,
                                                                      else rising losses
    train rises   data set at fault      rising losses                rising losses
    ============  =====================  ===========================  ===========================
    """
    train = curves.train_trend.direction if curves.train_trend else "flat"
    if curves.valid_trend is None:
        return {"falls": _still_learning, "flat": _settled, "rises": _rising}[train](curves)
    valid = curves.valid_trend.direction
    if valid == "falls":
        return _still_learning(curves) if train == "falls" else _data_at_fault(curves)
    if train == "rises":
        return _rising(curves)
    found = overfitting(curves)
    if found is not None:
        return found
    if train == "falls":
        return _still_learning(curves)
    return _rising(curves) if valid == "rises" else _settled(curves)


def _still_learning(curves: Curves) -> Diagnosis:
    valid = curves.valid_trend
    if valid is None or valid.direction == "falls":
        conclusion = "Training longer should help."
    elif curves.relative_gap < SMALL_GAP:
        conclusion = "The validation loss no longer falls clearly, but there is no gap to the training loss yet."
    else:
        conclusion = "The validation loss no longer falls clearly, but the gap to the training loss does not grow."
    stopped = curves.ended.outcome == "stopped early"
    return make_diagnosis(
        "still learning",
        trend_sentence(curves),
        level_sentence(curves, "valid" if curves.valid else "train"),
        conclusion,
        advice=(
            "It was stopped while it still learned: loosen the rule that did so (patience, min_delta or stop_below)."
            if stopped
            else "Train for more epochs.",
            "A larger learning rate may get there sooner.",
        ),
    )


def _data_at_fault(curves: Curves) -> Diagnosis:
    return make_diagnosis(
        "data set at fault",
        trend_sentence(curves),
        "What the network learns helps the validation rows alone: they may be easier, few, or also among the "
        "training rows.",
        advice=(
            "Check how the rows were split: shuffled, each class in both parts, no duplicates across them.",
            "Check the training rows’ targets for mistakes; use cross-validation.",
            "With much dropout or augmentation, training loss is measured on harder rows: compare both without it.",
        ),
    )


def _rising(curves: Curves) -> Diagnosis:
    return make_diagnosis(
        "rising losses",
        trend_sentence(curves),
        advice=(
            "Lower the learning rate, or let it decay.",
            "If that does not help, the structure, the loss or the data do not fit one another: try a small network "
            "on a few rows first.",
        ),
    )


def _settled(curves: Curves) -> Diagnosis:
    """Both losses are flat: a bottleneck where little was learned, else converged."""
    part = "valid" if curves.valid else "train"
    learned = curves.learned(part)
    if learned is not None and learned < HALF_LEARNED:
        rates = curves.history.learning_rate
        decayed = bool(rates) and rates[-1] <= DECAYED * rates[0]
        return make_diagnosis(
            "bottleneck",
            trend_sentence(curves),
            level_sentence(curves, part),
            f"The learning rate has decayed from {format_number(rates[0])} to {format_number(rates[-1])}."
            if decayed
            else "",
            advice=(
                "Let the learning rate decay more slowly." if decayed else "Lower the learning rate or the batch size.",
                "If nothing changes, the network is too small, or the features say no more about the target.",
            ),
        )
    unjudged = "" if curves.valid else "There are no validation rows, so overfitting cannot be judged."
    to_the_end = curves.ended.outcome == "finished" and bool(curves.valid)
    return make_diagnosis(
        "converged",
        trend_sentence(curves),
        level_sentence(curves, part),
        unjudged or "Nothing is wrong.",
        advice=("Early stopping would save the last epochs.",) if to_the_end else (),
    )


def overfitting(curves: Curves) -> Diagnosis | None:
    """Name curves that part, a validation loss that has risen since its best, or a gap that costs much."""
    if curves.train_trend is None or curves.valid_trend is None or curves.gap <= 0:
        return None
    best = _best_epoch(curves)
    costly = curves.baseline.loss is not None and curves.gap >= COSTLY_GAP * curves.baseline.loss
    train, valid = curves.train_trend.direction, curves.valid_trend.direction
    parting = (train == "falls" and valid != "falls") or (train == "flat" and valid == "rises")
    apart = parting and curves.relative_gap >= SMALL_GAP and (curves.relative_gap >= WIDE_GAP or _gap_grows(curves))
    large = costly and curves.relative_gap >= LARGE_GAP and _gap_exceeds_noise(curves)
    if not (apart or large or best is not None):
        return None
    memorised = curves.baseline.loss is not None and costly and curves.train_level <= MEMORISED * curves.baseline.loss
    sentences = [trend_sentence(curves), gap_sentence(curves)]
    if best is not None:
        sentences.append(rise_sentence(curves, best))
    if memorised:
        sentences.append("What is left of the training loss says that the network memorises the training rows.")
    title = "Overfitting: the training rows are memorised" if memorised else TITLES["overfitting"]
    return make_diagnosis("overfitting", *sentences, title=title, advice=_regularise(curves, best))


def _regularise(curves: Curves, best: int | None) -> tuple[str, ...]:
    advice = ["Regularise: dropout, an L2 penalty, fewer units; or use more training rows or augmentation."]
    if best is not None:
        advice.append("Stop early, or keep the best epoch’s weights (checkpoint: best).")
    if curves.baseline.loss and curves.gap < SMALL_GAP * curves.baseline.loss:
        share = format_percent(curves.gap / curves.baseline.loss)
        advice.append(f"There is no hurry: the gap is {share} of what a constant prediction’s loss is.")
    return tuple(advice)


def _best_epoch(curves: Curves) -> int | None:
    """Return the place of the best epoch if validation has risen since by more than noise, while training fell.

    The best is looked for in running medians of LEVEL_EPOCHS, which a single lucky epoch does not move.
    """
    n = len(curves.valid)
    if n < 2 * LEVEL_EPOCHS:
        return None
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(curves.valid), LEVEL_EPOCHS)
    medians = np.median(windows, axis=1)
    start = int(np.argmin(medians))
    train = np.median(np.asarray(curves.train[start : start + LEVEL_EPOCHS]))
    if not (medians[start] > 0 and train > 0):
        return None
    rise = math.log(curves.valid_level / medians[start])
    fall = math.log(train / max(curves.train_level, np.finfo(float).tiny))
    sure_rise = max(math.log1p(RISE), NOISE_FACTOR * scatter(curves.valid))
    sure_fall = max(math.log1p(RISE), NOISE_FACTOR * scatter(curves.train))
    if rise < sure_rise or fall < sure_fall:
        return None
    return start + int(np.argmin(windows[start]))


def _gap_exceeds_noise(curves: Curves) -> bool:
    noise = max(scatter(curves.train), scatter(curves.valid))
    return curves.train_level <= 0 or math.log(curves.valid_level / curves.train_level) >= NOISE_FACTOR * noise


def _gap_grows(curves: Curves) -> bool:
    size = window_of(len(curves.valid))
    gaps = np.subtract(curves.valid[-size:], curves.train[-size:])
    return theil_sen(np.asarray(curves.epochs[-size:], dtype=np.float64), gaps)[1] > 0


def underfitting(curves: Curves) -> Diagnosis | None:
    """Name losses that both stay high against the baseline."""
    learned = {part: value for part in ("train", "valid") if (value := curves.learned(part)) is not None}
    if not learned or any(value >= HALF_LEARNED for value in learned.values()):
        return None
    worst = min(learned.values())
    useless = max(learned.values()) < NOT_STARTED
    return make_diagnosis(
        "underfitting",
        *(level_sentence(curves, part) for part in learned),
        title="Underfitting: no better than a constant" if useless else TITLES["underfitting"],
        advice=(
            "Lower the learning rate; check that features and targets are scaled."
            if worst < -NOT_STARTED
            else "Use more units or layers, better features, or less regularisation; train longer.",
            "No network gets below the noise in the targets: compare with other models on the same data.",
        ),
    )


def unstable(curves: Curves) -> Diagnosis | None:
    """Name a training loss that swings from epoch to epoch by more than a little."""
    swings = scatter(curves.train)
    if swings < SWINGS or swings * curves.train_level < COSTLY_SWINGS * (curves.baseline.loss or curves.train[0]):
        return None
    return make_diagnosis(
        "unstable",
        f"The training loss swings by {format_percent(swings)} from epoch to epoch (robust standard deviation): "
        f"in the last {min(LEVEL_EPOCHS, len(curves.train))} epochs it was between "
        f"{format_number(min(curves.train[-LEVEL_EPOCHS:]))} and {format_number(max(curves.train[-LEVEL_EPOCHS:]))}.",
        advice=("Lower the learning rate, let it decay, or use larger batches.",),
    )
