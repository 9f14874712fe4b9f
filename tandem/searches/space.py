"""The space of a search: its parameters, settings drawn from it, and experiments with a setting in place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, get_args

from pydantic import BaseModel

from tandem.columns import ColumnEntry
from tandem.config import TRAINING_PATHS, Experiment, Search, SearchedValues, setting_mistakes
from tandem.models import LayerEntry, ModelDeclaration
from tandem.optimizers import AnyOptimizer
from tandem.records import Description
from tandem.searches.records import SearchedParameter
from tandem.searches.values import setting_key

Values = dict[str, Any]
# What is one of several kinds: the others cannot be set beside it.
_ONE_OF = (LayerEntry, ModelDeclaration, ColumnEntry)
_ROOTS = ("model", "optimizer", "loss", "training")


class InvalidSettingError(ValueError):
    """The experiment cannot be built with a setting; the message is one line."""


class CircleError(ValueError):
    """Parameters depend on one another in a circle; ``names`` are those in it, the first one again at the end."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(" → ".join(names))
        self.names = tuple(names)


@dataclass(frozen=True)
class Space:
    """The parameters of a search.

    Attributes:
        parameters: each after those on which it depends; otherwise as declared.
    """

    parameters: tuple[SearchedParameter, ...]

    def draw(self, choose: Callable[[SearchedParameter], Any]) -> Values:
        """Return a setting: parameters in order, without those whose condition does not hold.

        Args:
            choose: gives a parameter's value; asked for those alone that the setting has.
        """
        values: Values = {}
        for parameter in self.parameters:
            if holds(parameter, values):
                values[parameter.name] = choose(parameter)
        return values

    def grid(self) -> Iterator[Values]:
        """Yield every setting of a space without ranges of numbers, each once."""
        names = [parameter.name for parameter in self.parameters]
        known: set[str] = set()
        for combination in product(*(grid_values(parameter) for parameter in self.parameters)):
            chosen = dict(zip(names, combination, strict=True))
            values = self.draw(lambda parameter, chosen=chosen: chosen[parameter.name])  # type: ignore[misc]
            if setting_key(values) not in known:
                known.add(setting_key(values))
                yield values


def make_space(declared: Mapping[str, SearchedValues]) -> Space:
    """Bring a search's parameters into the order in which they can be drawn.

    Raises:
        CircleError: some depend on one another.
        KeyError: a condition names a parameter that the space does not have.
    """
    ordered: dict[str, SearchedParameter] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise CircleError((*above[above.index(name) :], name))
        if name not in ordered:
            for parent in declared[name].when:
                visit(parent, (*above, name))
            ordered[name] = _describe(name, declared[name])

    for name in declared:
        visit(name, ())
    return Space(tuple(ordered.values()))


def _describe(name: str, declared: SearchedValues) -> SearchedParameter:
    if declared.choices is not None:
        return SearchedParameter(name=name, kind="choice", choices=declared.choices, when=declared.when)
    integers, numbers = declared.integer or declared.log_integer, declared.uniform or declared.log_uniform
    low, high = integers or numbers or (None, None)
    return SearchedParameter(
        name=name,
        kind="integer" if integers else "uniform",
        low=low,
        high=high,
        log=declared.log_integer is not None or declared.log_uniform is not None,
        when=declared.when,
    )


def same_value(one: Any, other: Any) -> bool:
    """Return whether two values are the same; true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def holds(parameter: SearchedParameter, values: Mapping[str, Any]) -> bool:
    """Return whether a setting has a parameter, given the values of those on which it depends."""
    return all(
        name in values and any(same_value(values[name], one) for one in allowed)
        for name, allowed in parameter.when.items()
    )


def bounds(parameter: SearchedParameter) -> tuple[float, float]:
    """Return the lowest and the highest value of a range."""
    if parameter.low is None or parameter.high is None:
        raise ValueError(f"{parameter.name}: choices have no bounds")
    return parameter.low, parameter.high


def grid_values(parameter: SearchedParameter) -> Sequence[Any]:
    """Return all values of choices or of a range of whole numbers."""
    if parameter.kind == "choice":
        return parameter.choices
    if parameter.kind == "uniform":
        raise ValueError(f"{parameter.name}: a range of numbers has no end of values")
    low, high = bounds(parameter)
    return range(int(low), int(high) + 1)


# ------------------------------------------------------------------------------- settings in experiments


def base_experiment(search: Search, experiment: Experiment) -> Experiment:
    """Return the experiment with the search's epochs."""
    training = experiment.training.model_copy(update={"epochs": search.epochs_of(experiment)})
    return experiment.model_copy(update={"training": training})


def vary(
    experiment: Experiment, values: Mapping[str, Any], data: Description, *, valid_rows: bool = True
) -> Experiment:
    """Return an experiment with a setting in place; what the setting does not name stays as it is.

    Args:
        experiment: as declared.
        values: by path.
        data: what is known of its data set.
        valid_rows: the data set has validation rows.

    Raises:
        InvalidSettingError: it cannot be built, or does not fit the data.
    """
    declared = experiment.model_dump(mode="json", exclude_unset=True)
    for path, value in values.items():
        _assign(declared, path, value)
    mistakes = setting_mistakes(declared, data, valid_rows=valid_rows)
    if mistakes:
        raise InvalidSettingError(mistakes[0])
    return Experiment.model_validate_json(json.dumps(declared))


def _assign(declared: dict[str, Any], path: str, value: Any) -> None:
    node: Any = declared
    *above, last = path.split(".")
    for part in above:
        if isinstance(node, list):
            node = node[int(part)]
            continue
        if node.get(part) is None:
            node[part] = {}  # left out in the declaration: its defaults hold
        node = node[part]
    if isinstance(node, list):
        node[int(last)] = value
    else:
        node[last] = value


def searchable_paths(experiment: Experiment, optimizers: Iterable[Any] = ()) -> tuple[str, ...]:
    """Return every path of an experiment that a search may vary, whole parts included.

    Args:
        experiment: as declared; what it leaves to its defaults is there, too.
        optimizers: names of others that the search chooses from, whose settings count as well.
    """
    found = [path for root in _ROOTS for path in _paths(getattr(experiment, root), root)]
    for kind in get_args(AnyOptimizer):
        if any(name in get_args(kind.model_fields["name"].annotation) for name in optimizers):
            found += [f"optimizer.{name}" for name in kind.model_fields]
    return tuple(dict.fromkeys(path for path in found if not _is_refused(path)))


def _paths(node: Any, path: str) -> Iterator[str]:
    yield path
    if isinstance(node, BaseModel):
        for name in type(node).model_fields:
            if not isinstance(node, _ONE_OF) or getattr(node, name) is not None:
                yield from _paths(getattr(node, name), f"{path}.{name}")
    elif isinstance(node, list | tuple):
        for position, item in enumerate(node):
            yield from _paths(item, f"{path}.{position}")


def _is_refused(path: str) -> bool:
    root, _, rest = path.partition(".")
    return root == "training" and rest.partition(".")[0] not in TRAINING_PATHS
