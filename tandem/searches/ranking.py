"""How much better a search's winner is than the runners-up, given what folds leave open.

Settings are scored on the same rows of each fold, so that their differences are paired. Folds share training rows:
the variance is corrected for it (see :mod:`tandem.folds`). Each other setting is compared with the winner, and the
p-values are corrected for their number by Holm's method. The winner was picked by the same folds, so that among many
equal settings some are told from it more often than the level says; docs/statistics.md has how often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tandem.correction import ALPHA, holm
from tandem.folds import fold_interval, fold_overlap
from tandem.hypotheses import difference_p
from tandem.metrics import BOUNDS
from tandem.records import Interval, Significance
from tandem.searches.records import SearchRecord, Trial
from tandem.searches.values import setting_key

FEWEST_SHARED = 5  # settings that two frameworks must both have finished before a rank correlation says anything


@dataclass(frozen=True)
class Ranked:
    """A setting that finished, and how it stands to the winner.

    Attributes:
        trial: the first that had the setting.
        interval: of its mean over the folds; None with a single fold.
        difference: its metric minus the winner's, paired over the folds; None for the winner, or with a single fold.
        test: that the difference is 0, corrected for all settings; None like ``difference``.
    """

    trial: Trial
    interval: Interval | None
    difference: Interval | None
    test: Significance | None

    @property
    def told_apart(self) -> bool:
        """Whether the folds show that the setting differs from the winner."""
        return self.test is not None and self.test.adjusted <= ALPHA


@dataclass(frozen=True)
class HeldOutChoice:
    """What is reached if the setting is chosen on all folds but one, and scored on that one.

    Attributes:
        value: mean over the folds; the rows that score have not chosen.
        again: folds without which the same setting wins.
    """

    value: float
    again: int


@dataclass(frozen=True)
class Ranking:
    """The settings of one framework that finished.

    Attributes:
        settings: best first; the winner is the first.
        folds: on which each was scored; with a single one nothing is known of noise.
        held_out: see :class:`HeldOutChoice`; None with a single fold, setting, or with repeated folds, whose rows
            return.
    """

    settings: tuple[Ranked, ...]
    folds: int
    held_out: HeldOutChoice | None

    @property
    def winner(self) -> Ranked:
        """The best setting."""
        return self.settings[0]

    @property
    def rivals(self) -> tuple[Ranked, ...]:
        """All others."""
        return self.settings[1:]

    @property
    def equals(self) -> tuple[Ranked, ...]:
        """The rivals that the folds cannot tell from the winner."""
        return tuple(ranked for ranked in self.rivals if not ranked.told_apart)


@dataclass(frozen=True)
class Standing:
    """Where one framework's winner stands in another framework.

    Attributes:
        place: from 1 among the other's settings; None: it did not finish there, or was not tried.
        settings: that finished there.
        is_equal: it is the other's winner, or cannot be told from it; None without a place, or with a single fold.
        state: what became of it there; None: it was not tried.
    """

    place: int | None
    settings: int
    is_equal: bool | None
    state: str | None


@dataclass(frozen=True)
class Agreement:
    """Whether two frameworks prefer the same settings.

    Attributes:
        same_winner: the same values of all parameters.
        shared: settings that finished in both.
        correlation: Spearman's, of the metric over the shared settings; None for too few, or where all are equal.
        first_in_second, second_in_first: where each winner stands in the other framework.
    """

    first: str
    second: str
    same_winner: bool
    shared: int
    correlation: float | None
    first_in_second: Standing
    second_in_first: Standing


def distinct_finished(record: SearchRecord) -> tuple[Trial, ...]:
    """Return the trials that finished, one a setting, best first; the winner before its equals."""
    sign = -1.0 if record.higher_is_better else 1.0
    found = [trial for trial in record.trials if trial.state == "finished" and trial.value is not None]
    found.sort(key=lambda trial: (trial.number != record.best, sign * _value(trial), trial.number))
    distinct: dict[str, Trial] = {}
    for trial in found:
        distinct.setdefault(setting_key(trial.parameters), trial)
    return tuple(distinct.values())


def rank_settings(record: SearchRecord) -> Ranking | None:
    """Return the settings that finished and how they stand to the winner; None where none finished."""
    trials = distinct_finished(record)
    if not trials:
        return None
    bounds = BOUNDS.get(record.metric, (-np.inf, np.inf))
    overlap = fold_overlap(record.folds)
    scores = np.array([[fold.value for fold in trial.folds] for trial in trials], dtype=np.float64)
    gaps = [row.tolist() for row in scores[1:] - scores[0]]
    p_values = [difference_p(gap, overlap=overlap) for gap in gaps]
    known = [p for p in p_values if p is not None]
    tests: Sequence[Significance | None] = holm(known) if len(known) == len(gaps) else [None] * len(gaps)
    differences = [fold_interval(gap, record.folds) for gap in gaps]
    settings = tuple(
        Ranked(trial, fold_interval(row.tolist(), record.folds, bounds), difference, test)
        for trial, row, difference, test in zip(trials, scores, [None, *differences], [None, *tests], strict=True)
    )
    repeated = any(fold.repeat for fold in record.folds)
    held_out = None if repeated or min(scores.shape) < 2 else choose_without_each(scores, record.higher_is_better)
    return Ranking(settings, scores.shape[1], held_out)


def choose_without_each(scores: np.ndarray, higher_is_better: bool) -> HeldOutChoice:
    """Choose a setting on all folds but one, score it on that one, and so with each fold.

    Args:
        scores: (settings, folds); the winner on all folds first.
        higher_is_better: of the metric.
    """
    rest = scores.sum(axis=1, keepdims=True) - scores
    chosen = (rest if higher_is_better else -rest).argmax(axis=0)
    return HeldOutChoice(float(scores[chosen, np.arange(scores.shape[1])].mean()), int((chosen == 0).sum()))


def compare_preferences(records: Mapping[str, SearchRecord]) -> tuple[Agreement, ...]:
    """Return the agreement of each framework and each later one; without those in which nothing finished."""
    rankings = {name: ranking for name, record in records.items() if (ranking := rank_settings(record)) is not None}
    return tuple(
        _agreement((first, second), (records[first], records[second]), (rankings[first], rankings[second]))
        for first, second in combinations(rankings, 2)
    )


def _agreement(
    names: tuple[str, str], records: tuple[SearchRecord, SearchRecord], rankings: tuple[Ranking, Ranking]
) -> Agreement:
    values = [{setting_key(ranked.trial.parameters): _value(ranked.trial) for ranked in r.settings} for r in rankings]
    shared = [key for key in values[0] if key in values[1]]
    keys = [setting_key(ranking.winner.trial.parameters) for ranking in rankings]
    return Agreement(
        first=names[0],
        second=names[1],
        same_winner=keys[0] == keys[1],
        shared=len(shared),
        correlation=rank_correlation([values[0][key] for key in shared], [values[1][key] for key in shared]),
        first_in_second=_standing(keys[0], records[1], rankings[1]),
        second_in_first=_standing(keys[1], records[0], rankings[0]),
    )


def _standing(key: str, record: SearchRecord, ranking: Ranking) -> Standing:
    for place, ranked in enumerate(ranking.settings, 1):
        if setting_key(ranked.trial.parameters) == key:
            equal = None if ranking.folds < 2 else place == 1 or not ranked.told_apart
            return Standing(place, len(ranking.settings), equal, "finished")
    states = [trial.state for trial in record.trials if setting_key(trial.parameters) == key]
    return Standing(None, len(ranking.settings), None, states[0] if states else None)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation (1904), ties with their mean rank.

    None for fewer than FEWEST_SHARED pairs, or where one side does not vary.
    """
    one, other = (_mean_ranks(np.asarray(values, dtype=np.float64)) for values in (first, second))
    if len(first) < FEWEST_SHARED or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.corrcoef(one, other)[0, 1])


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[places]


def _value(trial: Trial) -> float:
    return float("nan") if trial.value is None else trial.value
