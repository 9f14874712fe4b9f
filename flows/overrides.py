"""Runs of one experiment with other numbers than params.yaml declares, in a copy of the workspace."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from flows.copies import IsolatedCopy, open_copy
from flows.experiments import SavedExperiment, experiment_names, save_as_experiment
from stages import paths
from tandem.config import (
    FRAMEWORKS,
    BatchSize,
    Epochs,
    Experiment,
    Params,
    Replicates,
    Seed,
    Suite,
    Threads,
    parse_params,
    read_params,
)
from tandem.declared import Declared
from tandem.errors import ParameterError, StorageError, suggest
from tandem.plan import frameworks_of, make_plan, select_suite, write_plan
from tandem.storage import write_text

LearningRate = Annotated[float, Field(gt=0)]
Run = Callable[[Path, Mapping[str, str]], bool]
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")


class Overrides(Declared):
    """What one run takes instead of the declared numbers; what is None stays as declared."""

    learning_rate: LearningRate | None = Field(default=None, description="Of the optimizer.")
    epochs: Epochs | None = Field(default=None, description="The most passes over the training rows.")
    batch_size: BatchSize | None = Field(default=None, description="Training rows to a step.")
    replicates: Replicates | None = Field(default=None, description="Trainings that differ in their seed alone.")
    seed: Seed | None = Field(default=None, description="Of the first replicate; the next ones count on.")
    threads: Threads | None = Field(default=None, description="Of the framework; results depend on it.")

    @property
    def given(self) -> dict[str, int | float]:
        """The overrides that are set, in the order of the fields."""
        return {name: value for name, value in self if value is not None}

    @property
    def text(self) -> str:
        """The overrides in one line, for instance "learning_rate=0.01, epochs=5"."""
        return ", ".join(f"{name}={value}" for name, value in self.given.items())


@dataclass(frozen=True)
class OverriddenRun:
    """How a run in a copy ended."""

    experiment: str
    frameworks: tuple[str, ...]
    overrides: Overrides
    succeeded: bool
    saved: SavedExperiment | None  # the DVC experiment; None if the run failed
    copy: IsolatedCopy
    page: Path | None  # the report, in the copy
    metrics: Mapping[str, Mapping[str, Any] | None]  # by framework; None where the run left none


def read_overrides(values: Mapping[str, Any]) -> Overrides:
    """Check the values of a form or of a command line; those that are None are left out.

    Raises:
        ParameterError: a name is unknown or a value is out of its range; one line for each.
    """
    try:
        return Overrides.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        raise ParameterError("\n".join(_explain(dict(problem)) for problem in error.errors())) from None


def _explain(problem: Mapping[str, Any]) -> str:
    name, value = str(problem["loc"][0]), problem["input"]
    if problem["type"] == "extra_forbidden":
        return f"override '{name}' is not known; {suggest(name, Overrides.model_fields)}"
    shown = f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str)
    return f"override {name}: {shown}: allowed: {_range(name)}"


def _range(name: str) -> str:
    """Return the numbers that an override takes, in words."""
    schema = Overrides.model_json_schema()["properties"][name]["anyOf"][0]
    if schema["type"] == "number":
        return f"numbers greater than {schema['exclusiveMinimum']:g}"
    lowest = schema["minimum"] if "minimum" in schema else schema["exclusiveMinimum"] + 1
    highest = schema["maximum"] if "maximum" in schema else schema["exclusiveMaximum"] - 1
    return f"whole numbers from {lowest} to {highest}"


def only_experiment(experiments: Sequence[str]) -> str:
    """Return the one experiment that overrides are for.

    Raises:
        ParameterError: there is none, or more than one.
    """
    if len(experiments) != 1:
        chosen = ", ".join(experiments) or "none"
        raise ParameterError(f"overrides are for one experiment at a time; chosen: {chosen}; choose one")
    return experiments[0]


# ------------------------------------------------------------------------------------------ params.yaml


def apply_overrides(text: str, experiment: str, overrides: Overrides, path: Path = paths.PARAMS) -> str:
    """Return the text of params.yaml with an experiment's numbers replaced; every other byte stays.

    Args:
        text: of params.yaml.
        experiment: whose numbers.
        overrides: at least one must be set.
        path: names the file in errors.

    Raises:
        ParameterError: nothing is overridden, the experiment is not declared, the file is wrong before or after,
            or the experiment shares what is overridden with another by a YAML anchor.
    """
    if not overrides.given:
        raise ParameterError(f"no override is set; set at least one of: {', '.join(Overrides.model_fields)}")
    params = parse_params(text, path)
    if experiment not in params.experiments:
        known = suggest(experiment, params.experiments)
        raise ParameterError(f"experiment '{experiment}' is not declared under experiments in {path}; {known}")
    expected = _overridden(params, experiment, overrides)
    edited = text
    try:
        for name, value in overrides.given.items():
            section = "optimizer" if name == "learning_rate" else "training"
            edited = _with_value(edited, ("experiments", experiment, section), name, _number(value))
        YAML(typ="safe", pure=True).load(edited)  # fails for an alias that has lost its anchor
        if parse_params(edited, path) == expected:
            return edited
    except (YAMLError, LookupError):  # the place is not spelled out in the file
        pass
    raise ParameterError(
        f"{path}: experiments.{experiment} shares its numbers with other keys by an anchor (& or *); "
        "write them out and try again"
    )


def _overridden(params: Params, name: str, overrides: Overrides) -> Params:
    declared: Experiment = params.experiments[name]
    training = {key: value for key, value in overrides.given.items() if key != "learning_rate"}
    changes: dict[str, Any] = {"training": declared.training.model_copy(update=training)}
    if overrides.learning_rate is not None:
        changes["optimizer"] = declared.optimizer.model_copy(update={"learning_rate": overrides.learning_rate})
    return params.model_copy(update={"experiments": params.experiments | {name: declared.model_copy(update=changes)}})


def _with_value(text: str, place: Sequence[str], name: str, value: str) -> str:
    """Replace or add a value, as YAML spells it, in a mapping of a YAML text, in the style that the mapping has."""
    node = YAML(typ="rt").compose(text)
    for key in place:
        node = next(inner for outer, inner in node.value if outer.value == key)
    old = next((inner for outer, inner in node.value if outer.value == name), None)
    if old is not None:
        return text[: old.start_mark.index] + value + text[old.end_mark.index :]
    first = node.value[0][0].start_mark
    newline = "\r\n" if "\r\n" in text else "\n"
    after = ", " if node.flow_style else newline + " " * first.column
    return f"{text[: first.index]}{name}: {value}{after}{text[first.index :]}"


def _number(value: float) -> str:
    """Write a number so that every YAML reader takes it for one: 1e-05 is text to some."""
    text = repr(value)
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def suite_of_one(params: Params, experiment: str, frameworks: Sequence[str]) -> Suite:
    """Return the suite of one experiment, in the chosen frameworks; none: those that train it.

    Raises:
        ParameterError: a framework is not known.
    """
    for framework in frameworks:
        if framework not in FRAMEWORKS:
            raise ParameterError(f"framework '{framework}' is not known; {suggest(framework, FRAMEWORKS)}")
    declared = frameworks_of(params, experiment)
    ordered = (*declared, *(name for name in FRAMEWORKS if name not in declared))
    chosen = tuple(name for name in ordered if name in frameworks)
    return Suite(experiments=(experiment,), frameworks=chosen or declared)


# ---------------------------------------------------------------------------------------------- the run


@contextmanager
def run_with_overrides(
    root: Path,
    experiment: str,
    frameworks: Sequence[str],
    overrides: Overrides,
    run: Run,
    *,
    variables: Mapping[str, str],
    name: str | None = None,
) -> Iterator[OverriddenRun]:
    """Run one experiment with other numbers in a copy of the workspace, and save it as a DVC experiment.

    Only a run that succeeded is saved. Its copy is removed when the block ends in order, so publish the report
    inside it; the copy of a run that failed is kept until :func:`flows.copies.remove_old_copies` takes it.

    Args:
        root: the project's folder; nothing of it changes but ``.tandem`` and git's references.
        experiment: declared in params.yaml.
        frameworks: none: those of the suite.
        overrides: at least one must be set.
        run: called with the copy's folder, whose whole graph it runs, and the environment of the stages' commands;
            returns whether all of them succeeded.
        variables: what that environment is made from.
        name: of the DVC experiment; none: the experiment's with the time and a random part.

    Raises:
        ParameterError: what is overridden, the frameworks or the name are wrong.
        RepositoryError: the workspace cannot be copied, or the run not saved.
        StorageError: no space is left.
    """
    text = apply_overrides(_read_params_text(root), experiment, overrides)
    params = parse_params(text, paths.PARAMS)
    suite = suite_of_one(params, experiment, frameworks)
    if params.experiments[experiment].frameworks is not None:  # they go before the suite's
        text = _with_value(text, ("experiments", experiment), "frameworks", f"[{', '.join(suite.frameworks)}]")
    wanted = _checked_name(name) if name else _new_name(experiment)
    with open_copy(root, wanted) as copy:
        try:
            if wanted in experiment_names(copy.folder):
                raise ParameterError(f"the DVC experiment '{wanted}' is there already; choose another name")
            _declare(copy.project, text, experiment, suite)
        except BaseException:
            copy.remove()
            raise
        succeeded = run(copy.project, copy.environment(variables))
        message = f"{experiment} with {overrides.text}"
        saved = save_as_experiment(copy, wanted, message) if succeeded else None
        page = copy.project / paths.report(experiment)
        yield OverriddenRun(
            experiment,
            suite.frameworks,
            overrides,
            succeeded,
            saved,
            copy,
            page if succeeded and page.exists() else None,
            {framework: _read_metrics(copy.project, experiment, framework) for framework in suite.frameworks},
        )
        if succeeded:
            with suppress(StorageError):  # a copy that is left behind goes with the old ones
                copy.remove()


def _read_params_text(root: Path) -> str:
    read_params(root / paths.PARAMS)  # tells what is wrong with the file
    return (root / paths.PARAMS).read_bytes().decode("utf-8")


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ParameterError(
            f"'{name}' is no allowed name for an experiment; names are at most 80 lower-case letters, digits and '-', "
            "and begin with a letter or digit"
        )
    return name


def _new_name(experiment: str) -> str:
    return f"{experiment}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def _declare(project: Path, text: str, experiment: str, suite: Suite) -> None:
    """Write the copy's params.yaml and the plan that follows from it."""
    path = project / paths.PARAMS
    write_text(path, text)
    declared = read_params(path)
    select_suite(declared.model_copy(update={"suites": {experiment: suite}}), experiment, path)
    write_plan(make_plan(read_params(path)), project / paths.RUNS)


def _read_metrics(project: Path, experiment: str, framework: str) -> Mapping[str, Any] | None:
    try:
        read = json.loads((project / paths.metrics(experiment, framework)).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return read if isinstance(read, dict) else None
