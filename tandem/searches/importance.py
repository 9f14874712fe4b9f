"""How much of the metric's variance each parameter of a search explains: functional ANOVA.

A random forest is fitted to the settings that finished, and its variance over the whole space is divided among the
parameters (Hutter, Hoos and Leyton-Brown, 2014), as Optuna computes it. What the forest has from a handful of
settings is noise: see :data:`FEWEST_TRIALS`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.searches.records import SearchedParameter, SearchRecord, Trial
from tandem.searches.values import is_ordered, value_key

FEWEST_TRIALS = 10  # settings that finished, before anything is said
FEW_TRIALS = 30  # below, the shares are rough
_NODES = 6400  # about so many in the forest: with more settings fewer trees suffice
_REACH = 3.0  # interquartile ranges beyond the worse quartile at which bad values are cut


@dataclass(frozen=True)
class ParameterImportance:
    """One parameter's share.

    Attributes:
        parameter: its name.
        share: of the variance, by the parameter alone; None where nothing can be said.
        trials: on which it rests; of a conditional parameter those that have it.
        reason: why there is no share, in words; "" if there is.
    """

    parameter: str
    share: float | None
    trials: int
    reason: str = ""


@dataclass(frozen=True)
class Importances:
    """The shares of all parameters of one framework.

    Attributes:
        parameters: as declared.
        trials: settings on which all but conditional parameters rest.
        after: epochs after which they were compared, where too few finished; None: those that finished.
        together: share that parameters explain only in combination, and those left out; None without shares.
        cut: values so bad that the least good one that is not stands in for them.
    """

    parameters: tuple[ParameterImportance, ...]
    trials: int
    after: int | None
    together: float | None
    cut: int

    @property
    def known(self) -> tuple[ParameterImportance, ...]:
        """Those with a share, the largest first."""
        found = [entry for entry in self.parameters if entry.share is not None]
        return tuple(sorted(found, key=lambda entry: -(entry.share or 0.0)))


def worst_shown(values: Sequence[float], higher_is_better: bool) -> float:
    """Return the value beyond which settings are so bad that their differences say nothing.

    That is three interquartile ranges beyond the worse quartile (Tukey's outer fence); infinite where the quartiles
    are equal.
    """
    low, high = np.quantile(values, [0.25, 0.75])
    reach = _REACH * (high - low) or np.inf
    return float(low - reach if higher_is_better else high + reach)


def cut_values(values: Sequence[float], higher_is_better: bool) -> np.ndarray:
    """Return the values with those beyond :func:`worst_shown` brought to the worst that is not."""
    found = np.asarray(values, dtype=np.float64)
    fence = worst_shown(values, higher_is_better)
    kept = found[found >= fence] if higher_is_better else found[found <= fence]
    return found.clip(kept.min(), kept.max()) if len(kept) else found


def parameter_importance(record: SearchRecord, seed: int = 0) -> Importances:
    """Return how much of the metric's variance each parameter explains.

    Parameters without a condition are told over all settings that finished; where too few did, over those that
    reached the rung that most reached. A conditional one is told over those that have it. Numbers drawn in their
    logarithm are taken so.

    Args:
        record: the search in one framework.
        seed: of the forest.
    """
    after, scored = _compared(record)
    if len(scored) < FEWEST_TRIALS:
        reason = (
            f"{len(scored)} setting{'s' * (len(scored) != 1)} finished, and fewer than {FEWEST_TRIALS} tell nothing"
        )
        unknown = tuple(ParameterImportance(entry.name, None, len(scored), reason) for entry in record.space)
        return Importances(unknown, len(scored), None, None, 0)
    trials, values = [trial for trial, _ in scored], [value for _, value in scored]
    cut = cut_values(values, record.higher_is_better)
    rows = list(zip(trials, cut.tolist(), strict=True))
    always = [entry for entry in record.space if not entry.when and all(entry.name in t.parameters for t in trials)]
    shares = _shares(always, rows, seed)
    found = [
        _conditional(entry, always, rows, seed) if entry not in always else _told(entry, rows, shares)
        for entry in record.space
    ]
    together = max(0.0, 1 - sum(shares.values())) if shares else None
    return Importances(tuple(found), len(trials), after, together, int((cut != np.asarray(values)).sum()))


def _compared(record: SearchRecord) -> tuple[int | None, list[tuple[Trial, float]]]:
    """Return settings with values after the same epochs; the epochs are None for those that finished."""
    finished = [
        (trial, trial.value) for trial in record.trials if trial.state == "finished" and trial.value is not None
    ]
    rungs: dict[int, list[tuple[Trial, float]]] = {}
    for trial in record.trials:
        for rung in trial.rungs:
            if rung.value is not None:
                rungs.setdefault(rung.epochs, []).append((trial, rung.value))
    if len(finished) >= FEWEST_TRIALS or not rungs:
        return None, finished
    after = max(rungs, key=lambda epochs: (len(rungs[epochs]), epochs))
    return (after, rungs[after]) if len(rungs[after]) >= FEWEST_TRIALS else (None, finished)


def _told(
    entry: SearchedParameter, rows: Sequence[tuple[Trial, float]], shares: dict[str, float]
) -> ParameterImportance:
    if len({value_key(trial.parameters[entry.name]) for trial, _ in rows}) == 1:
        return ParameterImportance(entry.name, None, len(rows), "it had one value alone")
    if entry.name not in shares:
        return ParameterImportance(entry.name, None, len(rows), "the metric is the same for every setting")
    return ParameterImportance(entry.name, shares[entry.name], len(rows))


def _conditional(
    entry: SearchedParameter, always: Sequence[SearchedParameter], rows: Sequence[tuple[Trial, float]], seed: int
) -> ParameterImportance:
    having = [(trial, value) for trial, value in rows if entry.name in trial.parameters]
    if len(having) < FEWEST_TRIALS:
        reason = f"{len(having)} settings have it, and fewer than {FEWEST_TRIALS} tell nothing"
        return ParameterImportance(entry.name, None, len(having), reason)
    return _told(entry, having, _shares([*always, entry], having, seed))


def _shares(space: Sequence[SearchedParameter], rows: Sequence[tuple[Trial, float]], seed: int) -> dict[str, float]:
    """Return the share of each parameter that varies; none where the metric does not."""
    import optuna  # here: it takes a while, and few need it

    varying = [entry for entry in space if len({value_key(trial.parameters[entry.name]) for trial, _ in rows}) > 1]
    if not varying or len({value for _, value in rows}) == 1:
        return {}
    axes = {entry.name: _axis(entry) for entry in varying}
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # a line a study says nothing to the reader
    study = optuna.create_study(study_name="importance")
    optuna.logging.set_verbosity(level)
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={entry.name: _place(entry, trial.parameters[entry.name]) for entry in varying},
                distributions=axes,
                value=value,
            )
            for trial, value in rows
        ]
    )
    trees = int(np.clip(_NODES // len(rows), 16, 64))
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=trees, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of ``normalize``
        found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=list(axes), normalize=False)
    return {name: float(share) for name, share in found.items()}


def _axis(entry: SearchedParameter) -> Any:
    """Return a parameter's distribution as the forest sees it: logarithms where it is drawn so, places of choices."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if entry.kind == "choice":
        places = range(len(entry.choices))
        return IntDistribution(0, len(entry.choices) - 1) if is_ordered(entry) else CategoricalDistribution(places)
    low, high = float(entry.low or 0.0), float(entry.high or 0.0)
    if entry.log:
        return FloatDistribution(float(np.log10(low)), float(np.log10(high)))
    return FloatDistribution(low, high)


def _place(entry: SearchedParameter, value: Any) -> float | int:
    if entry.kind != "choice":
        low, high = float(entry.low or 0.0), float(entry.high or 0.0)
        within = min(max(float(value), low), high)
        return float(np.clip(np.log10(within), np.log10(low), np.log10(high))) if entry.log else within
    choices = sorted(entry.choices) if is_ordered(entry) else entry.choices
    return [value_key(choice) for choice in choices].index(value_key(value))
