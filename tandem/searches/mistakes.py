"""What is wrong with a search whose parts are each well-formed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from tandem.config import (
    METRIC_NAMES,
    SEARCH_FRAMEWORKS,
    TRAINING_PATHS,
    Dataset,
    Experiment,
    FirstRows,
    ScoredFolds,
    Search,
)
from tandem.errors import show_value, suggest
from tandem.records import Description
from tandem.searches import strategies
from tandem.searches.records import SearchedParameter
from tandem.searches.space import (
    CircleError,
    InvalidSettingError,
    Space,
    Values,
    base_experiment,
    bounds,
    grid_values,
    make_space,
    same_value,
    searchable_paths,
    vary,
)

Place = tuple[str | int, ...]
Told = Iterator[tuple[Place, str]]
_DRAWS = 64  # settings looked at before a value counts as one that no experiment takes
_SPACE_DRAWS = 512  # before a whole space does
_COMBINATIONS = 16  # of values that others depend on, tried for one


def search_mistakes(place: Place, search: Search, experiment: Experiment, dataset: Dataset, data: Description) -> Told:
    """Yield what is wrong with a search, (place, message).

    Args:
        place: of the search in params.yaml.
        search: as declared.
        experiment: that it varies; without mistakes of its own.
        dataset: of the experiment.
        data: what is known of it.
    """
    yield from _metric_mistakes(place, search, data)
    yield from _experiment_mistakes(place, search, experiment, dataset)
    yield from _framework_mistakes(place, search, experiment)
    yield from _budget_mistakes(place, search, experiment)
    mistakes = [*_path_mistakes(place, search, experiment), *_condition_mistakes(place, search)]
    mistakes += _repeated_choices(place, search)
    yield from mistakes
    if mistakes:
        return
    space = make_space(search.space)
    yield from _strategy_mistakes(place, search, experiment, space)
    if search.epochs_of(experiment) > 0:
        valid_rows = not isinstance(dataset.split, FirstRows) or dataset.split.valid > 0
        yield from _Values(space, base_experiment(search, experiment), data, valid_rows).mistakes((*place, "space"))


def _metric_mistakes(place: Place, search: Search, data: Description) -> Told:
    if search.metric not in METRIC_NAMES[data.task]:
        fitting = METRIC_NAMES[data.task]
        yield (*place, "metric"), f"'{search.metric}' does not fit {data.task}; {suggest(search.metric, fitting)}"
    if isinstance(search.protocol, ScoredFolds) and search.protocol.stratify and data.task == "regression":
        yield (
            (*place, "protocol", "stratify"),
            f"true: '{search.experiment}' is a regression, only classes can be stratified",
        )


def _experiment_mistakes(place: Place, search: Search, experiment: Experiment, dataset: Dataset) -> Told:
    name, training = search.experiment, experiment.training
    if training.devices > 1:
        yield (
            (*place, "experiment"),
            f"'{name}' trains on {training.devices} devices, a search on one; allowed: an experiment with devices: 1",
        )
    if search.threads is not None and search.threads < training.threads:
        yield (
            (*place, "threads"),
            f"{search.threads}: '{name}' trains with {training.threads} threads; allowed: {training.threads} and more",
        )
    if search.epochs is None and training.epochs == 0:
        yield (*place, "epochs"), f"missing; '{name}' trains 0 epochs, say how many each setting is trained"
    no_valid_rows = isinstance(dataset.split, FirstRows) and dataset.split.valid == 0
    if search.folds == 1 and no_valid_rows:
        yield (
            (*place, "protocol", "method"),
            f"'holdout' scores on validation rows, '{experiment.dataset}' has none; allowed: k-fold",
        )


def _framework_mistakes(place: Place, search: Search, experiment: Experiment) -> Told:
    for framework in search.frameworks or ():
        if framework not in SEARCH_FRAMEWORKS:
            yield (*place, "frameworks"), f"'{framework}' does not search; allowed: {', '.join(SEARCH_FRAMEWORKS)}"
        elif experiment.frameworks is not None and framework not in experiment.frameworks:
            yield (
                (*place, "frameworks"),
                f"'{framework}' does not train '{search.experiment}'; allowed: {', '.join(experiment.frameworks)}",
            )
    if len(set(search.frameworks or ())) < len(search.frameworks or ()):
        yield (*place, "frameworks"), f"{list(search.frameworks or ())} names a framework twice; remove one of the two"
    own = experiment.frameworks if search.frameworks is None else None
    unable = [framework for framework in own or () if framework not in SEARCH_FRAMEWORKS]
    if unable:
        yield (
            (*place, "frameworks"),
            f"missing; '{unable[0]}', which '{search.experiment}' names, does not search; "
            f"allowed: {', '.join(SEARCH_FRAMEWORKS)}",
        )


def _budget_mistakes(place: Place, search: Search, experiment: Experiment) -> Told:
    if search.budget is None:
        if search.strategy.name != "grid":
            yield (
                (*place, "budget"),
                f"missing; only a grid has an end of its own, say how much '{search.strategy.name}' may train: "
                "epochs, trials or both",
            )
        return
    least = search.folds * search.epochs_of(experiment)
    if search.budget.epochs is not None and search.budget.epochs < least:
        folds = f"{search.folds} folds x " if search.folds > 1 else ""
        yield (
            (*place, "budget", "epochs"),
            f"{search.budget.epochs}: one setting takes {folds}{search.epochs_of(experiment)} epochs; "
            f"allowed: {least} and more",
        )


def _path_mistakes(place: Place, search: Search, experiment: Experiment) -> Told:
    named = search.space.get("optimizer.name")
    known = searchable_paths(experiment, (named.choices or ()) if named is not None else ())
    for path in search.space:
        here = (*place, "space", path)
        if path == "training.epochs":
            yield here, f"the epochs are not varied; write epochs: in '{place[-1]}', for all settings"
        elif path not in known:
            yield here, _unknown(path, known, search.experiment)
        inside = next((other for other in search.space if other.startswith(f"{path}.")), None)
        if inside is not None:
            yield here, f"holds '{inside}', which is varied, too; vary one of the two"


def _unknown(path: str, known: tuple[str, ...], experiment: str) -> str:
    """Say of a path that it is none, and which there are in the same part of the experiment."""
    root, _, below = path.partition(".")
    if root == "training" and below.startswith("early_stopping."):
        return f"'{experiment}' stops no training early; declare early_stopping in it"
    if root == "training":
        return f"'{path}' cannot be varied; allowed below training: {', '.join(TRAINING_PATHS)}"
    leaves = [one for one in known if not any(other.startswith(f"{one}.") for other in known)]
    near = [one for one in leaves if one.partition(".")[0] == root]
    if near:
        return f"'{experiment}' has no such setting; {suggest(path, near)}"
    return f"'{path}' cannot be varied; allowed: loss, and what stands below model, optimizer and training"


def _condition_mistakes(place: Place, search: Search) -> Told:
    unknown = False
    for path, declared in search.space.items():
        for parent, values in declared.when.items():
            here = (*place, "space", path, "when", parent)
            if parent not in search.space:
                unknown = True
                others = [name for name in search.space if name != path]
                yield here, f"'{parent}' is no parameter of the space; {suggest(parent, others)}"
            elif search.space[parent].uniform or search.space[parent].log_uniform:
                yield here, f"'{parent}' is a range of numbers; a condition names choices or whole numbers"
            else:
                yield from _condition_values(here, search, parent, values)
    if not unknown:
        try:
            make_space(search.space)
        except CircleError as circle:
            yield (
                (*place, "space", circle.names[0], "when"),
                f"parameters depend on one another in a circle: {circle}; take one condition out",
            )


def _condition_values(here: Place, search: Search, parent: str, values: tuple[Any, ...]) -> Told:
    declared = search.space[parent]
    bounds = declared.integer or declared.log_integer
    for value in values:
        if declared.choices is not None:
            if not any(same_value(value, choice) for choice in declared.choices):
                shown = ", ".join(json.dumps(choice) for choice in declared.choices)
                yield here, f"{show_value(value)} is not among the choices of '{parent}': {shown}"
        elif bounds and (type(value) is not int or not bounds[0] <= value <= bounds[1]):
            yield here, f"{show_value(value)} is not in the range of '{parent}': {bounds[0]} to {bounds[1]}"


def _repeated_choices(place: Place, search: Search) -> Told:
    for path, declared in search.space.items():
        choices = declared.choices or ()
        for position, choice in enumerate(choices):
            if any(same_value(choice, other) for other in choices[:position]):
                yield (
                    (*place, "space", path, "choices"),
                    f"{show_value(choice)} stands twice; remove one of the two",
                )


def _strategy_mistakes(place: Place, search: Search, experiment: Experiment, space: Space) -> Told:
    if search.strategy.name not in strategies.strategy_names():
        return
    try:
        settings = strategies.read_settings(search.strategy.name, search.strategy.settings)
    except ValueError:
        return  # told where the strategy is read
    for where, message in settings.mistakes(space, search.epochs_of(experiment), search.batch):
        key, _, below = where.partition(".")
        yield (*place, key, *([below] if below else [])), message


class _Values:
    """Tries the values of a space in the experiment."""

    def __init__(self, space: Space, experiment: Experiment, data: Description, valid_rows: bool) -> None:
        self._space, self._experiment = space, experiment
        self._data, self._valid_rows = data, valid_rows
        self._by_name = {parameter.name: parameter for parameter in space.parameters}

    def mistakes(self, place: Place) -> Told:
        """Yield a space that no experiment takes, or else each value that none takes."""
        first = self._first_refusal()
        if first is not None:
            drawn = f"each of {_SPACE_DRAWS} settings drawn is invalid"
            whole = "every setting is invalid" if self._is_small() else drawn
            yield place, f"{whole}; the first, {first}"
            return
        for parameter in self._space.parameters:
            for value in _extremes(parameter):
                reason = self._refusal_of(parameter, value)
                if reason is not None:
                    yield (*place, parameter.name), f"{show_value(value)}: no setting with it is valid: {reason}"

    def _first_refusal(self) -> str | None:
        """Return why the first setting is invalid if all are; None if one is valid."""
        first: str | None = None
        for values in self._draws({}, _SPACE_DRAWS):
            reason = self._refusal(values)
            if reason is None:
                return None
            first = first or f"with {_shown(values)}, {reason}"
        return first

    def _refusal_of(self, parameter: SearchedParameter, value: Any) -> str | None:
        """Return why no setting takes a value; None if one does."""
        first: str | None = None
        for pinned in islice(self._conditions([parameter], {parameter.name: value}), _COMBINATIONS):
            for values in (pinned, *self._draws(pinned)):
                reason = self._refusal(values)
                if reason is None:
                    return None
                first = first or reason
        return first

    def _conditions(self, parameters: Sequence[SearchedParameter], pinned: Values) -> Iterator[Values]:
        """Yield values of all on which parameters depend, directly or not: each combination that lets them be drawn."""
        for parameter in parameters:
            for parent, allowed in parameter.when.items():
                if parent not in pinned:
                    for value in allowed:
                        yield from self._conditions([*parameters, self._by_name[parent]], {**pinned, parent: value})
                    return
        yield pinned

    def _draws(self, pinned: Mapping[str, Any], count: int = _DRAWS) -> Iterator[Values]:
        """Yield settings of the space: all of a small one, else some."""
        if not pinned and self._is_small():
            yield from self._space.grid()
            return
        generator = random.Random(0)  # noqa: S311
        for _ in range(count):
            yield self._space.draw(
                lambda parameter: pinned[parameter.name] if parameter.name in pinned else _drawn(parameter, generator)
            )

    def _is_small(self) -> bool:
        if any(parameter.kind == "uniform" for parameter in self._space.parameters):
            return False
        size = 1
        for parameter in self._space.parameters:
            size *= len(grid_values(parameter))
        return size <= _SPACE_DRAWS

    def _refusal(self, values: Mapping[str, Any]) -> str | None:
        try:
            vary(self._experiment, values, self._data, valid_rows=self._valid_rows)
        except InvalidSettingError as error:
            return str(error)
        return None


def _extremes(parameter: SearchedParameter) -> tuple[Any, ...]:
    if parameter.kind == "choice":
        return parameter.choices
    return tuple(map(int, bounds(parameter))) if parameter.kind == "integer" else bounds(parameter)


def _drawn(parameter: SearchedParameter, generator: random.Random) -> Any:
    if parameter.kind == "choice":
        return generator.choice(parameter.choices)
    low, high = bounds(parameter)
    if parameter.kind == "integer":
        return generator.randint(int(low), int(high))
    if parameter.log:
        return low * (high / low) ** generator.random()
    return generator.uniform(low, high)


def _shown(values: Values) -> str:
    return ", ".join(f"{name} {json.dumps(value)}" for name, value in islice(values.items(), 4)) or "no parameter"
