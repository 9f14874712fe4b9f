"""Every system of the tutorials: what it is, and the numbers that the tutorials have for it.

A number in the column "tutorial" is the one that a tutorial prints; one with "measured" behind it was measured with
plain framework code on the genuine data, since no tutorial prints one. The bounds follow from both: accuracy may be
0.015 below, an error 5 % above.
"""

from __future__ import annotations

from dataclasses import dataclass

from tandem.records import Part
from tandem.tutorials import measures
from tandem.tutorials.measures import Measure

ACCURACY_TOLERANCE = 0.015
ERROR_TOLERANCE = 1.05


@dataclass(frozen=True)
class Check:
    """One number of a system; the median over the trainings must lie within the bounds.

    Attributes:
        stated: the number as the tutorials have it, as text; empty: they have none.
        lost: what a training without a value counts as; None: as one out of bounds.
    """

    measure: Measure
    stated: str = ""
    at_least: float | None = None
    at_most: float | None = None
    lost: float | None = None


@dataclass(frozen=True)
class System:
    """One experiment that is, or belongs to, a system of the tutorials."""

    id: str
    what: str
    experiment: str
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Group:
    """Systems under one heading; ``suite`` runs them."""

    title: str
    suite: str
    systems: tuple[System, ...]


def _accuracy(*known: float, stated: str, valid: bool = False) -> Check:
    part: Part = "valid" if valid else "test"
    measure = measures.scored(part, "accuracy", "validation accuracy" if valid else "test accuracy")
    return Check(measure, stated, at_least=round(min(known) - ACCURACY_TOLERANCE, 6))


def _at_least(bound: float, stated: str) -> Check:
    return Check(measures.scored("test", "accuracy", "test accuracy"), stated, at_least=bound)


def _error(bound: float, stated: str, metric: str = "mse", name: str = "test MSE") -> Check:
    return Check(measures.scored("test", metric, name), stated, at_most=round(bound * ERROR_TOLERANCE, 6))


def _loss(bound: float, stated: str) -> Check:
    return _error(bound, stated, "log_loss", "test loss")


def _exactly(measure: Measure, value: float, reach: float = 0.0) -> Check:
    digits = 0 if measure.digits is None else measure.digits
    return Check(measure, f"{value:,.{digits}f}", value - reach, value + reach)


def _parameters(count: int) -> Check:
    return _exactly(measures.parameters(), count)


def _rows(train: int, valid: int, test: int) -> tuple[Check, ...]:
    counts: dict[Part, int] = {"train": train, "valid": valid, "test": test}
    return tuple(_exactly(measures.rows(part), count) for part, count in counts.items())


_SHOWN_ACCURACY = Check(measures.scored("test", "accuracy", "test accuracy"))
_SHOWN_MSE = Check(measures.scored("test", "mse", "test MSE"))
_FOUR_PLACES = 0.5e-4 + 1e-9
_ROUNDING = 1e-6  # of float32, on probabilities

FASHION = Group(
    "Fashion-MNIST",
    "fashion",
    (
        System("D1", "First 5 000 training images validate", "fashion-mlp", _rows(55_000, 5_000, 10_000)),
        System(
            "M1",
            "300 and 100 relu units",
            "fashion-mlp",
            (_accuracy(0.8778, 0.8794, 0.8734, stated="0.8734–0.8794 measured"), _parameters(266_610)),
        ),
        System(
            "M1b",
            "M1 on raw pixels",
            "fashion-mlp-unscaled",
            (
                Check(
                    measures.scored("test", "accuracy", "test accuracy"),
                    "diverges, or stays at chance",
                    at_most=0.1 + ACCURACY_TOLERANCE,
                    lost=0.1,
                ),
            ),
        ),
        System(
            "M2",
            "20 × 100 relu",
            "fashion-deep-relu",
            (_accuracy(0.8619, 0.8495, stated="0.8619"), _loss(0.4306, "0.4111"), _parameters(271_410)),
        ),
        System(
            "M3",
            "M2 with batch normalisation after the activation",
            "fashion-deep-normalization-after",
            (_accuracy(0.8513, stated="0.8513 measured"), _loss(0.4287, "0.4287 measured"), _parameters(279_410)),
        ),
        System(
            "M4",
            "M2 with batch normalisation before the activation",
            "fashion-deep-normalization-before",
            (_accuracy(0.8593, stated="0.8593 measured"), _loss(0.4136, "0.4136 measured")),
        ),
        System(
            "M5",
            "20 × 100 selu",
            "fashion-deep-selu",
            (_accuracy(0.8610, stated="0.8610 measured"), _loss(0.4177, "0.4177 measured")),
        ),
        System(
            "M6",
            "M5 with alpha dropout 0.5",
            "fashion-deep-selu-alpha-dropout",
            (_accuracy(0.8695, stated="0.8695 measured"), _loss(0.6288, "0.6288 measured")),
        ),
        System("M6, variant", "M5 with plain dropout 0.5", "fashion-deep-selu-dropout", (_SHOWN_ACCURACY,)),
        System(
            "M7",
            "20 × 100 selu, alpha dropout 0.2, learning rate 0.001, best epoch",
            "fashion-selu-alpha-dropout",
            (
                _accuracy(0.8712, stated="0.8712", valid=True),
                _accuracy(0.8568, 0.8546, stated="0.8568"),
                _loss(0.4725, "0.4599"),
            ),
        ),
        System("M7, variant", "plain dropout 0.5", "fashion-selu-dropout", (_SHOWN_ACCURACY,)),
        System("M7, variant", "batch normalisation", "fashion-selu-normalization", (_SHOWN_ACCURACY,)),
        System(
            "M8",
            "3 × (128 relu, dropout 0.5), one-hot labels, Adam",
            "fashion-dropout-adam",
            (_accuracy(0.8489, 0.8532, stated="0.8489 measured"),),
        ),
        System("M8, without dropout", "3 × 128 relu, to see what dropout does", "fashion-adam", (_SHOWN_ACCURACY,)),
        System("D10", "Flipped and turned training images", "fashion-augmented", (_SHOWN_ACCURACY,)),
    ),
)

_SWEEP = (
    ("housing-mlp-rate-1e-4", "0.0001", 0.582),
    ("housing-mlp-rate-3e-4", "0.0003", 0.516),
    ("housing-mlp-rate-1e-3", "0.001", 0.451),
    ("housing-mlp-rate-3e-3", "0.003", 0.405),
    ("housing-mlp", "0.01", 0.362),
)
HOUSING = Group(
    "California housing",
    "housing",
    (
        System("D2", "Shares 9 : 3 : 4, z-score per feature", "housing-mlp", _rows(11_610, 3_870, 5_160)),
        System("M9", "30 relu", "housing-mlp", (_error(0.391, "0.362–0.391 measured"),)),
        System(
            "M10",
            "Wide & Deep in functional style, 30 and 20",
            "housing-wide-deep-functional",
            (_error(0.467, "0.403–0.467 measured"),),
        ),
        System(
            "M10, variant",
            "the same at learning rate 0.01",
            "housing-wide-deep-too-fast",
            (Check(measures.diverged(), "every seed, measured", at_least=1.0),),
        ),
        System(
            "M11",
            "Wide & Deep, subclassed, 30 and 30",
            "housing-wide-deep-one-input",
            (_error(0.467, "as M10"), _parameters(1_239)),
        ),
        System(
            "M11b",
            "Two inputs; the second output hands the deep input through",
            "housing-wide-deep-pass-through",
            (
                _error(6.6556, "6.6556", "loss", "test loss, total"),
                _exactly(
                    measures.scored("test", "loss_pass_through", "test loss, passed through", 4), 6.0745, _FOUR_PLACES
                ),
                _error(0.5811, "0.5811", "loss_joint", "test loss, joint head"),
                Check(
                    measures.scored("valid", "loss_joint", "validation loss, joint head"),
                    "0.5983",
                    at_most=0.5983 * ERROR_TOLERANCE,
                ),
                _parameters(1_147),
            ),
        ),
        System(
            "M12",
            "Wide & Deep, two inputs",
            "housing-wide-deep",
            (_error(0.360, "0.334–0.360 measured"), _parameters(1_176)),
        ),
        System(
            "M13",
            "M12 with a second head",
            "housing-wide-deep-two-outputs",
            (
                _error(0.9603, "0.9603", "loss", "test loss, total"),
                _error(0.4309, "0.4309", "loss_joint", "test loss, joint head"),
                _error(0.5326, "0.5326", "loss_deep", "test loss, deep head"),
                _parameters(1_207),
            ),
        ),
        *(
            System("M14", f"M9 at learning rate {rate}", name, (_error(mse, f"{mse} measured"),))
            for name, rate, mse in _SWEEP
        ),
        System(
            "M14",
            "M9 at learning rate 0.03",
            "housing-mlp-rate-3e-2",
            (Check(measures.diverged(), "about half of all seeds, measured", at_least=0.05),),
        ),
    ),
)

BASICS = Group(
    "Rules and formulas",
    "basics",
    (
        System("D3", "x1 > x5, of five uniform numbers", "five-rule", _rows(5_000, 1_000, 20_000)),
        System(
            "M15",
            "One linear layer, mean squared error",
            "five-rule",
            (
                _at_least(0.985, "0.990–0.992 measured"),
                _exactly(measures.weight(0, "weight of x1"), 3.0, 0.25),
                _exactly(measures.weight(4, "weight of x5"), -3.0, 0.25),
            ),
        ),
        System(
            "D4",
            "200 roasts, one in five is good",
            "coffee-long",
            (_exactly(measures.class_share(1, "share of good roasts"), 0.215),),
        ),
        System(
            "M16",
            "Three sigmoid units, 6 250 steps an epoch",
            "coffee-long",
            (
                Check(
                    measures.after_epoch("train_accuracy", 2, "accuracy in the 2nd epoch"),
                    "0.955–0.960 measured",
                    at_least=0.955 - ACCURACY_TOLERANCE,
                ),
                Check(
                    measures.scored("train", "accuracy", "accuracy on the 200 roasts, after 10 epochs"), at_least=0.95
                ),
            ),
        ),
        System(
            "M16, by hand",
            "Weights set by hand",
            "coffee-by-hand",
            (Check(measures.scored("train", "accuracy", "accuracy on the 200 roasts"), "200 of 200", 1.0, 1.0),),
        ),
        System("D5", "y = 2x² + 3x + 4 at 0, 0.01, …", "parabola", (_exactly(measures.rows("train"), 100),)),
        System(
            "M17",
            "Gradient descent in batches of 20",
            "parabola",
            (
                _exactly(measures.epochs(), 889),
                _exactly(measures.coefficient(2, "coefficient of x²"), 2.0358, _FOUR_PLACES),
                _exactly(measures.coefficient(1, "coefficient of x"), 2.9610, _FOUR_PLACES),
                _exactly(measures.coefficient(0, "constant"), 4.0075, _FOUR_PLACES),
            ),
        ),
        System(
            "M17, warm-up",
            "The minimum of y = x²",
            "square-minimum",
            (Check(measures.output("distance from the minimum"), "0", at_most=1e-3),),
        ),
        System(
            "M18",
            "Two linear layers",
            "two-linear-layers",
            (Check(measures.departure("numpy", "largest difference from NumPy"), "float32 rounding", 0.0, _ROUNDING),),
        ),
        System(
            "M19",
            "Softmax and cross-entropy, labels by index",
            "softmax-cross-entropy",
            (
                Check(measures.departure("numpy", "largest difference from NumPy"), "float32 rounding", 0.0, _ROUNDING),
                Check(measures.scored("test", "loss", "cross-entropy")),
            ),
        ),
        System(
            "M19",
            "Softmax and cross-entropy, labels one-hot",
            "softmax-one-hot-cross-entropy",
            (
                Check(measures.departure("numpy", "largest difference from NumPy"), "float32 rounding", 0.0, _ROUNDING),
                Check(measures.scored("test", "loss", "cross-entropy")),
            ),
        ),
    ),
)

SPARSE = Group(
    "Categorical columns",
    "sparse",
    (
        System("M20, D9", "The deep part alone, embedded categories", "shoppers-deep", (_SHOWN_ACCURACY,)),
        *(
            System(
                "M20, D9",
                what,
                name,
                (
                    _SHOWN_ACCURACY,
                    Check(
                        measures.advantage("shoppers-deep", "accuracy", "more than the deep part alone"),
                        "beats the deep part alone",
                        at_least=1e-9,
                    ),
                ),
            )
            for name, what in (
                ("shoppers-wide-deep", "Crossed and one-hot in the wide part, embedded in the deep part"),
                ("shoppers-one-hot", "One-hot in both, pairs hashed into buckets"),
            )
        ),
    ),
)

RANKS = Group(
    "Ranks of tensors",
    "ranks",
    tuple(
        System("D6", what, name, (_at_least(0.9, ""),))
        for name, what in (
            ("rank-vectors", "Vectors in a dense network"),
            ("rank-series-lstm", "Series in an LSTM"),
            ("rank-series-gru", "Series in a GRU"),
            ("rank-images", "Images, channels last, in a 2-D convolution"),
            ("rank-images-channels-first", "Images, channels first"),
            ("rank-video", "Video, channels last, in a 3-D convolution"),
            ("rank-video-channels-first", "Video, channels first"),
        )
    ),
)

PROTOCOLS = Group(
    "Protocols and scaling",
    "protocols",
    (
        System("D7", "Five folds", "diabetes-mlp-5-fold", (_SHOWN_MSE,)),
        System("D7", "Three folds, drawn twice", "breast-cancer-mlp-3-fold-twice", (_SHOWN_ACCURACY,)),
        System("D8", "Scaled to 0–1", "breast-cancer-min-max", (_SHOWN_ACCURACY,)),
        System("D8", "A normalisation layer on raw features", "breast-cancer-normalization-layer", (_SHOWN_ACCURACY,)),
    ),
)

GROUPS = (FASHION, HOUSING, BASICS, SPARSE, RANKS, PROTOCOLS)
