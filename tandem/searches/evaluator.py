"""How a search has settings trained; see :mod:`tandem.searches.loop`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tandem.config import Experiment
from tandem.records import FoldRows
from tandem.searches.records import FoldScore, Way


@dataclass(frozen=True)
class Setting:
    """A proposed setting: the number of its trial, and the experiment with its values in place."""

    number: int
    experiment: Experiment


@dataclass(frozen=True)
class Result:
    """What a setting reached: one score a fold.

    Attributes:
        number: of the trial.
        folds: scores after the epochs that were asked for, or at an earlier end; none if training failed.
        way: how it was trained.
        seconds: of wall time; of batches that are trained at a time its equal share.
        failure: the error that ended its training; "" if it did not fail.
    """

    number: int
    folds: tuple[FoldScore, ...]
    way: Way
    seconds: float
    failure: str = ""


class Evaluator(Protocol):
    """Trains settings on every fold and scores them.

    What a setting reaches depends on the setting, the epochs and the data, not on the settings beside it. One whose
    training fails is told as failed; the others go on.

    Attributes:
        folds: rows of each fold.
    """

    folds: tuple[FoldRows, ...]

    def train(
        self,
        settings: Sequence[Setting],
        epochs: int,
        on_result: Callable[[Result], None],
        on_epochs: Callable[[int], None] | None = None,
    ) -> None:
        """Train settings up to ``epochs`` epochs in all and tell each one's result as soon as it is known.

        A setting whose state is still held goes on where it stood; any other begins anew, with the same result.

        Args:
            settings: may be of any shape; those that fit into one batch are trained together.
            epochs: at most so many for each, early stopping aside.
            on_result: told once for each setting, in any order.
            on_epochs: told how many epochs, over all settings and folds, have been trained since it was last told.
        """

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget the state of settings that do not go on."""
