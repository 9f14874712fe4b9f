"""How far a search is: what the stage ``search`` tells while it goes on, and what displays read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from tandem.records import Number, Record
from tandem.searches.records import Trial

KEY = "search"  # of a stage's progress line
LEADERS = 5


class Leader(Record):
    """One of the best trials so far."""

    trial: int
    value: float
    parameters: dict[str, Any]


class SearchProgress(Record):
    """How far one framework's search is.

    Attributes:
        search, framework: which.
        metric: that it looks for.
        trials, trials_limit: told so far, and at most; None: bounded by epochs alone.
        epochs, epochs_limit: trained so far over all trials and folds, and at most; None: bounded by trials alone.
        leaders: the best trials so far, best first.
        seconds_left: None while that is not known.
    """

    search: str
    framework: str
    metric: str
    trials: int
    trials_limit: int | None
    epochs: int
    epochs_limit: int | None
    leaders: tuple[Leader, ...] = ()
    seconds_left: Number = None

    @property
    def share(self) -> float | None:
        """How much is done, from 0 to 1: of the trials or of the epochs, whichever ends the search first."""
        return share_done(self.trials, self.trials_limit, self.epochs, self.epochs_limit)


def share_done(trials: int, trials_limit: int | None, epochs: int, epochs_limit: int | None) -> float | None:
    """Return how much of a search is done, from 0 to 1; None where it has no limit."""
    limits = ((trials, trials_limit), (epochs, epochs_limit))
    shares = [done / limit for done, limit in limits if limit]
    return min(1.0, max(shares)) if shares else None


def with_trial(leaders: Sequence[Leader], trial: Trial, *, higher_is_better: bool) -> tuple[Leader, ...]:
    """Return the best trials, best first, with another one taken in; of equal ones the earlier is better."""
    if trial.state != "finished" or trial.value is None:
        return tuple(leaders)
    sign = -1 if higher_is_better else 1
    more = [*leaders, Leader(trial=trial.number, value=trial.value, parameters=trial.parameters)]
    return tuple(sorted(more, key=lambda leader: (sign * leader.value, leader.trial))[:LEADERS])


def read_progress(values: Mapping[str, Any]) -> SearchProgress | None:
    """Return what a stage's progress line says of a search; None where it says nothing of one."""
    try:
        return SearchProgress.model_validate(values[KEY])
    except (KeyError, ValidationError):
        return None
