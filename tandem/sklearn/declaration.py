"""An estimator's parameters as the declaration of an experiment, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tandem.augmentation import takes_augmentation
from tandem.config import Experiment, Holdout, Params, Standardize, parse_at, parse_params, read_params
from tandem.datasets.source import numeric_columns
from tandem.errors import ParameterError, suggest
from tandem.layers import kinds_of
from tandem.layers.layer import ArchitectureError
from tandem.losses import LossName, allowed_losses
from tandem.models import Architecture
from tandem.records import DataDescription, Task
from tandem.sklearn.errors import EstimatorError
from tandem.sklearn.process import loadable_frameworks

# Settings of an experiment's `training` that are parameters of their own, by the parameter's name.
_OWN = {
    "epochs": "epochs",
    "batch_size": "batch_size",
    "early_stopping": "early_stopping",
    "checkpoint": "checkpoint",
    "random_state": "seed",
    "threads": "threads",
}
_MORE = ("augmentation", "repeat", "shuffle", "stop_below")  # of `training`, for the parameter `training`
_LEFT_ASIDE = ("devices", "input", "replicates")  # an estimator trains once, on one device, from memory
_STANDARDIZE = ("minmax", "none", "zscore")
_PLACE = ("experiments", "estimator")


@dataclass(frozen=True)
class Declaration:
    """What an estimator trains.

    Attributes:
        experiment: the settings.
        architecture: the network, for the samples at hand.
        standardize: how features are scaled.
        description: of the samples.
        validation: share of the rows that validate, from 0.
    """

    experiment: Experiment
    architecture: Architecture
    standardize: Standardize
    description: DataDescription
    validation: float


def declare(
    parameters: Mapping[str, Any], task: Task, seed: int, columns: int, names: Sequence[str], classes: Sequence[str]
) -> Declaration:
    """Check an estimator's parameters against its data.

    Args:
        parameters: as ``get_params`` gives them.
        task: of the estimator.
        seed: that ``random_state`` stands for.
        columns: of the data.
        names: of the columns; empty if they have none.
        classes: names of the labels; empty for regression.

    Raises:
        EstimatorError: a parameter is wrong, or does not fit the data.
    """
    given = {name: plain(value) for name, value in parameters.items()}
    _check_framework(given["framework"])
    shape = _sample_shape(given["sample_shape"], columns)
    validation = _validation(given["validation_fraction"])
    description = DataDescription(
        dataset="estimator",
        source="estimator",
        title="Rows of an estimator",
        reference="",
        task=task,
        feature_shape=shape,
        columns=numeric_columns(*names) if len(shape) == 1 else (),
        class_names=tuple(classes),
        target_name="y",
        rows={},
        class_counts={},
    )
    loss = given["loss"] or default_loss(task, len(classes))
    experiment = _experiment(given, loss, shape, seed)
    _check_loss(experiment.loss, task, len(classes))
    _check_training(experiment, shape, validation)
    return Declaration(
        experiment,
        _architecture(experiment, description, given),
        _standardize(given["standardize"]),
        description,
        validation,
    )


def plain(value: Any) -> Any:
    """Return NumPy's numbers, tuples and mappings as Python's own: what a search proposes is often NumPy's."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def default_loss(task: Task, classes: int) -> LossName:
    """Return the loss of an estimator that names none."""
    if task == "regression":
        return "mse"
    return "binary_cross_entropy" if classes == 2 else "cross_entropy"


# --------------------------------------------------------------------------------------------- checks


def _check_framework(name: Any) -> None:
    if name not in loadable_frameworks():
        raise EstimatorError(f"framework: {name!r} is not known; {suggest(name, loadable_frameworks())}")


def _sample_shape(given: Any, columns: int) -> tuple[int, ...]:
    if given is None:
        return (columns,)
    if not isinstance(given, list) or not given or not all(type(size) is int and size > 0 for size in given):
        raise EstimatorError(f"sample_shape: {given!r}: must be None or whole numbers above 0, like (28, 28)")
    if math.prod(given) != columns:
        raise EstimatorError(
            f"sample_shape: {tuple(given)} holds {math.prod(given)} numbers, X has {columns} columns; "
            "give a shape of so many numbers"
        )
    return tuple(given)


def _validation(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < 1:
        raise EstimatorError(f"validation_fraction: {given!r}: must be 0 (no rows validate) or a share below 1")
    return float(given)


def _standardize(given: Any) -> Standardize:
    declared = {"method": given} if isinstance(given, str) else given
    if isinstance(given, str) and given not in _STANDARDIZE:
        raise EstimatorError(f"standardize: {given!r} is not known; {suggest(given, _STANDARDIZE)}")
    try:
        return parse_at(("datasets", "estimator", "standardize"), Standardize, declared)
    except ParameterError as error:
        raise EstimatorError("\n".join(f"standardize.{line}" for line in str(error).splitlines())) from None


def _experiment(given: Mapping[str, Any], loss: Any, shape: tuple[int, ...], seed: int) -> Experiment:
    declared = {
        "description": "An estimator.",
        "dataset": "estimator",
        "model": _model(given, shape),
        "loss": loss,
        "optimizer": _optimizer(given["optimizer"], given["learning_rate"]),
        "training": _training(given, seed),
        "constants": given["constants"],
    }
    try:
        return parse_at(_PLACE, Experiment, declared)
    except ParameterError as error:
        lines = dict.fromkeys(_in_parameters(line, given["model"] is None) for line in str(error).splitlines())
        raise EstimatorError("\n".join(lines)) from None


def _model(given: Mapping[str, Any], shape: tuple[int, ...]) -> Any:
    model, hidden = given["model"], given["hidden"]
    if isinstance(model, list):
        return {"sequential": model}
    if model is not None:
        return model
    if not isinstance(hidden, list) or not all(type(width) is int and width > 0 for width in hidden):
        raise EstimatorError(f"hidden: {hidden!r}: must be widths, whole numbers above 0, like (30, 30); () for none")
    flat: list[dict[str, Any]] = [{"flatten": {}}] if len(shape) > 1 else []
    return {
        "sequential": [*flat, *({"dense": {"units": width, "activation": given["activation"]}} for width in hidden)]
    }


def _optimizer(given: Any, learning_rate: Any) -> Any:
    declared = {"name": given} if isinstance(given, str) else given
    if not isinstance(declared, dict):
        raise EstimatorError(f"optimizer: {given!r}: must be a name or a mapping with a name, like {{'name': 'adam'}}")
    if "learning_rate" in declared:
        raise EstimatorError(
            "optimizer: 'learning_rate' is a parameter of its own; take it out and write "
            f"learning_rate={declared['learning_rate']!r}"
        )
    return {**declared, "learning_rate": learning_rate}


def _training(given: Mapping[str, Any], seed: int) -> dict[str, Any]:
    more = given["training"] or {}
    if not isinstance(more, dict):
        raise EstimatorError(f"training: {more!r}: must be None or a mapping of settings; allowed: {', '.join(_MORE)}")
    for key in more:
        if key not in _MORE:
            own = next((parameter for parameter, setting in _OWN.items() if setting == key), None)
            hint = f"it is the parameter {own}" if own else suggest(key, _MORE)
            raise EstimatorError(f"training: unknown key '{key}'; {hint}")
    settings = {setting: given[parameter] for parameter, setting in _OWN.items() if parameter != "random_state"}
    return {**more, **settings, "seed": seed}


def _in_parameters(line: str, built: bool) -> str:
    """Name the estimator's parameter where a mistake in its declaration has its place."""
    settings = {f"training.{setting}": parameter for parameter, setting in _OWN.items()}
    settings["optimizer.learning_rate"] = "learning_rate"
    place, colon, message = line.partition(": ")
    if built and place.startswith("model"):
        return f"{'activation' if place.endswith('.activation') else 'hidden'}{colon}{message}"
    for setting, parameter in settings.items():
        if place == setting or place.startswith(f"{setting}."):
            return f"{parameter}{place[len(setting) :]}{colon}{message}"
    return line


def _check_loss(loss: LossName, task: Task, classes: int) -> None:
    allowed = allowed_losses(task, classes)
    if loss not in allowed:
        kind = task if task == "regression" else f"classification into {classes}"
        raise EstimatorError(f"loss: '{loss}' does not fit {kind}; {suggest(loss, allowed)}")


def _check_training(experiment: Experiment, shape: tuple[int, ...], validation: float) -> None:
    training = experiment.training
    lacking = "needs validation rows; give validation_fraction a share above 0"
    if not validation and training.early_stopping is not None and training.early_stopping.monitor == "valid_loss":
        raise EstimatorError(f"early_stopping.monitor: 'valid_loss' {lacking}, or monitor train_loss")
    if not validation and training.checkpoint == "best":
        raise EstimatorError(f"checkpoint: 'best' {lacking}, or keep the last")
    if training.augmentation is not None and not takes_augmentation(shape):
        raise EstimatorError(
            f"training.augmentation: takes images, samples have the shape {shape}; give sample_shape a height and a "
            "width, or take it out"
        )


def _architecture(experiment: Experiment, description: DataDescription, given: Mapping[str, Any]) -> Architecture:
    try:
        architecture = experiment.architecture(description)
    except ArchitectureError as error:
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.place)
        if isinstance(given["model"], list):
            place = place.removeprefix(".sequential")
        raise EstimatorError(f"model{place}: {error.message}") from None
    able = kinds_of(given["framework"])
    lacking = next((layer.kind for layer in architecture.layers if layer.kind not in able), None)
    if lacking is not None:
        frameworks = [
            name for name in loadable_frameworks() if all(layer.kind in kinds_of(name) for layer in architecture.layers)
        ]
        raise EstimatorError(
            f"framework: '{given['framework']}' has no layer {lacking}; allowed: {', '.join(frameworks)}"
        )
    return architecture


# --------------------------------------------------------------------------------------- from params.yaml


def declared_parameters(params: Path | str | Mapping[str, Any] | Params, name: str, task: Task) -> dict[str, Any]:
    """Return the parameters of an estimator that trains a declared experiment.

    Raises:
        EstimatorError: params.yaml is wrong, has no such experiment, or it is one that no estimator trains.
    """
    declared = _read(params)
    if name not in declared.experiments:
        raise EstimatorError(f"'{name}' is not declared under experiments; {suggest(name, declared.experiments)}")
    experiment = declared.experiments[name]
    dataset = declared.datasets[experiment.dataset]
    data = dataset.describe()
    if data.task != task:
        other = "TandemRegressor" if task == "classification" else "TandemClassifier"
        raise EstimatorError(f"experiments.{name}: is a {data.task}; use {other}")
    if any(column.kind == "categorical" for column in data.columns):
        raise EstimatorError(
            f"experiments.{name}: '{experiment.dataset}' has categorical columns, an estimator takes numbers; "
            "encode them in a Pipeline, with a model of its own"
        )
    if experiment.initial_weights:
        raise EstimatorError(
            f"experiments.{name}.initial_weights: an estimator draws its own; take an experiment without them"
        )
    optimizer = experiment.optimizer.model_dump(mode="json", exclude_unset=True)
    training = experiment.training.model_dump(mode="json", exclude_unset=True)
    standardize = dataset.standardize.model_dump(mode="json", exclude_unset=True)
    learning_rate = optimizer.pop("learning_rate")
    own = {parameter: training.pop(setting) for parameter, setting in _OWN.items() if setting in training}
    more = {key: value for key, value in training.items() if key not in _LEFT_ASIDE}
    return {
        "model": experiment.model.model_dump(mode="json", exclude_unset=True),
        "loss": experiment.loss,
        "optimizer": optimizer["name"] if len(optimizer) == 1 else optimizer,
        "learning_rate": learning_rate,
        "validation_fraction": dataset.split.valid if isinstance(dataset.split, Holdout) else 0.0,
        "standardize": standardize["method"] if len(standardize) == 1 else standardize,
        "sample_shape": data.feature_shape if len(data.feature_shape) > 1 else None,
        "constants": experiment.constants,
        "training": more or None,
        **own,
    }


def _read(params: Path | str | Mapping[str, Any] | Params) -> Params:
    try:
        if isinstance(params, Mapping):
            return parse_params(json.dumps(plain(params)), Path("params"))  # YAML reads JSON
        return params if isinstance(params, Params) else read_params(Path(params))
    except ParameterError as error:
        raise EstimatorError(str(error)) from None
