"""The tutorials' claims, each a comparison of two experiments seed by seed."""

from __future__ import annotations

from dataclasses import dataclass

from tandem.tutorials import measures
from tandem.tutorials.measures import Measure


@dataclass(frozen=True)
class Contrast:
    """``better`` is claimed to have the better value of ``measure`` than ``worse``."""

    better: str
    worse: str
    measure: Measure
    higher: bool


@dataclass(frozen=True)
class Claim:
    """What a tutorial claims, in its words, and the contrasts that put it to the test."""

    text: str
    ids: str
    contrasts: tuple[Contrast, ...]


def _accuracy(better: str, worse: str) -> Contrast:
    return Contrast(better, worse, measures.scored("test", "accuracy", "test accuracy"), higher=True)


def _lower(better: str, worse: str, measure: Measure) -> Contrast:
    return Contrast(better, worse, measure, higher=False)


_LAST_LOSS = measures.after_epoch("train_loss", -1, "training loss of the last epoch")
_FIRST_LOSS = measures.after_epoch("train_loss", 1, "training loss of the first epoch")

CLAIMS = (
    Claim("Scaled inputs train better than raw ones", "M1, M1b", (_accuracy("fashion-mlp", "fashion-mlp-unscaled"),)),
    Claim(
        "Batch normalisation eases deep stacks",
        "M3, M4 against M2",
        tuple(
            _lower(f"fashion-deep-normalization-{place}", "fashion-deep-relu", measure)
            for place in ("after", "before")
            for measure in (_FIRST_LOSS, _LAST_LOSS)
        ),
    ),
    Claim(
        "Selu starts faster than relu with batch normalisation",
        "M5 against M3",
        (_lower("fashion-deep-selu", "fashion-deep-normalization-after", _FIRST_LOSS),),
    ),
    Claim(
        "Dropout narrows the gap between training and validation",
        "M6, M8",
        (
            _lower("fashion-deep-selu-alpha-dropout", "fashion-deep-selu", measures.gap()),
            _lower("fashion-deep-selu-dropout", "fashion-deep-selu", measures.gap()),
            _lower("fashion-dropout-adam", "fashion-adam", measures.gap()),
        ),
    ),
    Claim(
        "Cross-entropy beats squared error on classes",
        "M1",
        (_accuracy("fashion-mlp", "fashion-mlp-squared-error"),),
    ),
    Claim(
        "More hidden layers raise capacity, from the 80s to the 90s in accuracy on a table of 15 columns",
        "",
        (
            _accuracy("fifteen-columns-one-hidden-layer", "fifteen-columns-no-hidden-layer"),
            _accuracy("fifteen-columns-two-hidden-layers", "fifteen-columns-one-hidden-layer"),
            _accuracy("fifteen-columns-three-hidden-layers", "fifteen-columns-two-hidden-layers"),
            _accuracy("fifteen-columns-three-hidden-layers", "fifteen-columns-no-hidden-layer"),
        ),
    ),
    Claim(
        "Small batches train faster on simple tasks, at equal epochs",
        "",
        (
            _lower("digits-batches-of-16", "digits-batches-of-128", _LAST_LOSS),
            _lower("digits-batches-of-128", "digits-batches-of-1024", _LAST_LOSS),
        ),
    ),
    Claim(
        "A too large learning rate explodes",
        "M14, M10",
        (
            _lower("housing-mlp", "housing-mlp-rate-3e-2", measures.diverged()),
            _lower("housing-wide-deep-functional", "housing-wide-deep-too-fast", measures.diverged()),
        ),
    ),
    Claim(
        "Crossed categories beat the deep part alone where the label hangs on co-occurrence",
        "M20",
        (_accuracy("shoppers-wide-deep", "shoppers-deep"),),
    ),
)
