"""Puts together how far a search is from what the loop tells."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice

from tandem.config import Search
from tandem.metrics import HIGHER_IS_BETTER
from tandem.searches.loop import Declaration
from tandem.searches.progress import Leader, SearchProgress, share_done, with_trial
from tandem.searches.records import Trial
from tandem.searches.space import make_space

_TELL_SECONDS = 0.2  # at least so long between two that tell of epochs alone


class Watcher:
    """Counts trials and epochs, keeps the best trials, and estimates what is left.

    Args:
        declaration: of the search.
        tell: given how far the search is, and a line for a log where there is something new: another best trial, or
            another tenth of the search.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        declaration: Declaration,
        tell: Callable[[SearchProgress, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        search = declaration.search
        self._declaration, self._tell, self._clock = declaration, tell, clock
        self._trials_limit = trials_limit(search)
        self._epochs_limit = search.budget.epochs if search.budget is not None else None
        self._trials = self._epochs = 0
        self._leaders: tuple[Leader, ...] = ()
        self._began: tuple[float, float] | None = None  # when training began here, and the share done by then
        self._told_at = -_TELL_SECONDS
        self._tenths = 0

    def on_trial(self, trial: Trial, seconds: float) -> None:
        """Take in a trial that is over; those that a killed search had recorded come first."""
        del seconds
        self._trials += 1
        if self._began is None:
            self._epochs += trial.epochs  # of others, on_epochs has told
        best = self._leaders[:1]
        higher = self._declaration.search.metric in HIGHER_IS_BETTER
        self._leaders = with_trial(self._leaders, trial, higher_is_better=higher)
        self._report(self._leaders[:1] != best)

    def on_epochs(self, epochs: int) -> None:
        """Take in that so many epochs were trained since the last time."""
        if self._began is None:
            self._began = self._clock(), self._share() or 0.0
        self._epochs += epochs
        if self._clock() >= self._told_at + _TELL_SECONDS:
            self._report(is_better=False)

    def _share(self) -> float | None:
        return share_done(self._trials, self._trials_limit, self._epochs, self._epochs_limit)

    def _seconds_left(self) -> float | None:
        share = self._share()
        if self._began is None or share is None or share <= self._began[1]:
            return None
        return (self._clock() - self._began[0]) * (1 - share) / (share - self._began[1])

    def _report(self, is_better: bool) -> None:
        self._told_at = self._clock()
        search, tenths = self._declaration.search, int(10 * (self._share() or 0.0))
        progress = SearchProgress(
            search=self._declaration.name,
            framework=self._declaration.framework,
            metric=search.metric,
            trials=self._trials,
            trials_limit=self._trials_limit,
            epochs=self._epochs,
            epochs_limit=self._epochs_limit,
            leaders=self._leaders,
            seconds_left=self._seconds_left(),
        )
        line = ""
        if self._leaders and (is_better or tenths > self._tenths):
            best = self._leaders[0]
            values = ", ".join(f"{name} {value}" for name, value in best.parameters.items())
            line = f"{self._trials} trials, {self._epochs} epochs: best {search.metric} {best.value:.6g} with {values}"
        self._tenths = max(tenths, self._tenths)
        self._tell(progress, line)


def trials_limit(search: Search) -> int | None:
    """Return how many settings a search tries at most; None if only its epochs bound it."""
    limit = search.budget.trials if search.budget is not None else None
    if search.strategy.name != "grid":
        return limit
    return sum(1 for _ in islice(make_space(search.space).grid(), limit))
