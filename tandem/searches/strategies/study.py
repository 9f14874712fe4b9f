"""Optuna's samplers by ask and tell, with the trials so far put into a study of their own for each batch."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tandem.imports import quick_imports
from tandem.searches.records import SearchedParameter, Trial
from tandem.searches.space import Space, Values, bounds, same_value
from tandem.searches.values import setting_key

if TYPE_CHECKING:
    import optuna

_REDRAWS = 20  # for each new setting, on average, before the space counts as exhausted


@functools.cache
def import_optuna() -> Any:
    """Import Optuna, which takes a second and says nothing from here on unless it fails."""
    with quick_imports():
        import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def suggest(trial: optuna.Trial, parameter: SearchedParameter) -> Any:
    """Have a study's sampler choose a parameter's value."""
    name = parameter.name
    if parameter.kind == "choice":  # by position: Optuna takes no lists and mappings
        return parameter.choices[trial.suggest_categorical(name, range(len(parameter.choices)))]
    low, high = bounds(parameter)
    if parameter.kind == "integer":
        return trial.suggest_int(name, int(low), int(high), log=parameter.log)
    return float(trial.suggest_float(name, low, high, log=parameter.log))


def _distribution(parameter: SearchedParameter) -> Any:
    distributions = import_optuna().distributions
    if parameter.kind == "choice":
        return distributions.CategoricalDistribution(range(len(parameter.choices)))
    low, high = bounds(parameter)
    if parameter.kind == "integer":
        return distributions.IntDistribution(int(low), int(high), log=parameter.log)
    return distributions.FloatDistribution(low, high, log=parameter.log)


def _told(parameter: SearchedParameter, value: Any) -> Any:
    if parameter.kind != "choice":
        return value
    return next(place for place, choice in enumerate(parameter.choices) if same_value(choice, value))


def make_study(
    sampler: Any,
    space: Space,
    history: Sequence[Trial],
    higher_is_better: bool,
    attributes: dict[str, Any] | None = None,
) -> optuna.Study:
    """Return a study in memory that knows the trials so far.

    A trial that has no value (diverged, invalid) counts as worse than all others: Optuna's samplers would leave it
    out and propose its neighbours again.

    Args:
        sampler: Optuna's.
        space: of the search.
        history: by number.
        higher_is_better: of the metric.
        attributes: what the sampler finds with each trial, besides.
    """
    optuna = import_optuna()
    study = optuna.create_study(direction="maximize" if higher_is_better else "minimize", sampler=sampler)
    known = [trial.value for trial in history if trial.value is not None]
    worst = min(known, default=0.0) if higher_is_better else max(known, default=0.0)
    beyond = worst - 1 - abs(worst) if higher_is_better else worst + 1 + abs(worst)
    distributions = {parameter.name: _distribution(parameter) for parameter in space.parameters}
    for trial in history:
        had = [parameter for parameter in space.parameters if parameter.name in trial.parameters]
        study.add_trial(
            optuna.create_trial(
                params={parameter.name: _told(parameter, trial.parameters[parameter.name]) for parameter in had},
                distributions={parameter.name: distributions[parameter.name] for parameter in had},
                value=beyond if trial.value is None else trial.value,
                system_attrs=dict(attributes or {}),
            )
        )
    return study


def ask(study: optuna.Study, space: Space, count: int, history: Iterable[Trial]) -> list[Values]:
    """Ask a study for settings that are new; one that is not is drawn again.

    Args:
        study: that knows the trials so far.
        space: of the search.
        count: settings to return.
        history: trials so far.

    Returns:
        Fewer than ``count`` where 20 times as many draws did not find them.
    """
    known = {setting_key(trial.parameters) for trial in history}
    proposed: list[Values] = []
    for _ in range(_REDRAWS * count):
        if len(proposed) == count:
            break
        trial = study.ask()
        values = space.draw(lambda parameter, trial=trial: suggest(trial, parameter))  # type: ignore[misc]
        key = setting_key(values)
        if key not in known:
            known.add(key)
            proposed.append(values)
    return proposed
