"""params.yaml as frozen models, and every error message about it."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self, TypeVar

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from tandem import datasets
from tandem.augmentation import Augmentation, takes_augmentation
from tandem.declared import Declared
from tandem.errors import DataError, ParameterError, show_value, suggest
from tandem.layers import kinds_of
from tandem.layers.layer import ArchitectureError
from tandem.losses import LossName, allowed_losses
from tandem.models import Architecture, Constants, ModelDeclaration, parameter_names, resolve
from tandem.optimizers import Optimizer, Sgd
from tandem.records import DataDescription, Description, Margin, RunRecord, Task

FrameworkName = Literal["keras", "torch", "numpy"]
FRAMEWORKS: tuple[FrameworkName, ...] = ("keras", "torch", "numpy")
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=80)]
Share = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Epochs = Annotated[int, Field(ge=0, le=1_000_000)]
BatchSize = Annotated[int, Field(gt=0, le=100_000_000)]
AnyBatchSize = Annotated[BatchSize | Literal["auto"], WrapValidator(lambda value, _: _batch_size(value))]
Replicates = Annotated[int, Field(gt=0, le=1000)]
Folds = Annotated[int, Field(ge=2, le=1000)]
Threads = Annotated[int, Field(gt=0, le=1024)]
Devices = Annotated[int, Field(gt=0, le=64)]
MetricName = Literal["accuracy", "log_loss", "mse", "rmse", "mae", "r2"]
METRIC_NAMES: Mapping[Task, tuple[MetricName, ...]] = {
    "classification": ("accuracy", "log_loss"),
    "regression": ("mse", "rmse", "mae", "r2"),
}
_HIGHEST = {"accuracy": 1, "r2": 1}
# What counts as equivalent where params.yaml says nothing else: 5 % of an error, one point of a share.
MARGINS: Mapping[str, Margin] = {
    metric: Margin(size=0.01, relative=False) if metric in _HIGHEST else Margin(size=0.05, relative=True)
    for metrics in METRIC_NAMES.values()
    for metric in metrics
}
Entry = TypeVar("Entry", bound=Declared)
RESERVED_NAMES = ("index",)
SPLIT_METHODS = ("holdout", "first-n", "k-fold", "repeated-k-fold")
_ONE_DEVICE = "'numpy' trains on one device, but"
_ONE_BOUND = "a gate takes exactly one of: at_least, at_most"
_NAME_RULE = "names are lower-case letters, digits and '-', and begin with a letter or digit"


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _batch_size(value: Any) -> int | str:
    """Take a number or "auto", so that a wrong one is told once and not for each of the two."""
    if value == "auto":
        return str(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise PydanticCustomError("batch_size", "must be a whole number, or auto")
    return _adapter(BatchSize).validate_python(value)


def _name_or_mapping(schema: dict[str, Any]) -> None:
    """Let editors accept a bare name where a mapping with a name is meant."""
    reference = schema.pop("$ref", None)
    schema["anyOf"] = [{"type": "string"}, {"$ref": reference}]


class Suite(Declared):
    """What runs."""

    experiments: tuple[Name, ...] = Field(
        default=(), description="Experiments, in the order of the index page; at least one, or a search."
    )
    searches: tuple[Name, ...] = Field(default=(), description="Hyper-parameter searches.")
    frameworks: tuple[FrameworkName, ...] = Field(
        min_length=1, description="Each is compared with every other; differences are later minus earlier."
    )


class Holdout(Declared):
    """A random test part, then a random validation part of what is left (scikit-learn's train_test_split)."""

    method: Literal["holdout"]
    test: Share | None = Field(
        default=None, description="Share of the rows to test on; none if the source has its own."
    )
    valid: Share = Field(description="Share of the rows left to validate on.")
    seeds: tuple[Seed, Seed] = Field(description="Random states of the two splits.")
    stratify: bool = Field(default=False, description="Keep the classes' shares in each part.")


class FirstRows(Declared):
    """The first rows validate, the next ones test (unless the source has test rows of its own), the rest train."""

    method: Literal["first-n"]
    valid: int = Field(ge=0, description="Rows to validate on.")
    test: int | None = Field(default=None, gt=0, description="Rows to test on; none if the source has its own.")


class KFold(Declared):
    """A test part, then folds of the rows left, each of which validates once (scikit-learn's KFold).

    Rows that are not shuffled keep their order: the last ones test, and each fold is a block of its own.
    """

    method: Literal["k-fold"]
    folds: Folds = Field(description="Parts of the rows left; each validates once.")
    test: Share | None = Field(
        default=None, description="Share of the rows to test on; none if the source has its own."
    )
    seed: Seed = Field(default=0, description="Random state of the test part and of the folds.")
    shuffle: bool = Field(default=True, description="Draw the rows of each part; false: keep their order.")
    stratify: bool = Field(default=False, description="Keep the classes' shares in each part.")


class RepeatedKFold(Declared):
    """A random test part, then folds of the rows left, drawn anew several times (scikit-learn's RepeatedKFold)."""

    method: Literal["repeated-k-fold"]
    folds: Folds = Field(description="Parts of the rows left; each validates once in each repeat.")
    repeats: int = Field(ge=2, le=1000, description="Times that the folds are drawn anew.")
    test: Share | None = Field(
        default=None, description="Share of the rows to test on; none if the source has its own."
    )
    seed: Seed = Field(default=0, description="Random state of the test part and of the folds.")
    stratify: bool = Field(default=False, description="Keep the classes' shares in each part.")


Split = Annotated[Holdout | FirstRows | KFold | RepeatedKFold, Field(discriminator="method")]


class Standardize(Declared):
    """How features are scaled; fitted on the training rows."""

    method: Literal["zscore", "minmax", "none"]
    per: Literal["feature", "all"] = Field(default="feature", description="One scale a feature, or one for all.")


class SourceDeclaration(BaseModel):
    """Where the data comes from: a source's name, or a mapping with its name and its options."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    name: str

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, declared: Any) -> Any:
        return {"name": declared} if isinstance(declared, str) else declared

    @property
    def options(self) -> dict[str, Any]:
        """The settings besides the name."""
        return dict(self.model_extra or {})


class Dataset(Declared):
    """A data set: its source, its split and its scaling."""

    source: SourceDeclaration = Field(json_schema_extra=_name_or_mapping)
    split: Split
    standardize: Standardize

    def describe(self) -> Description:
        """Say what the data is; nothing is read.

        Raises:
            ValidationError: the source's options are wrong.
        """
        return datasets.describe(self.source.name, self.source.options)


class EarlyStopping(Declared):
    """Stops when the monitored value has not fallen by more than ``min_delta`` for ``patience`` epochs."""

    monitor: Literal["valid_loss", "train_loss"] = "valid_loss"
    patience: int = Field(gt=0)
    min_delta: float = Field(default=0.0, ge=0)


class Training(Declared):
    """How a network is trained."""

    epochs: Epochs = Field(description="At most so many; 0 evaluates the weights that it begins with.")
    batch_size: AnyBatchSize = Field(
        description="Training rows to a step; auto: the largest power of two that fits the device's memory."
    )
    repeat: int = Field(default=1, gt=0, le=1_000_000, description="Times that each training row is shown in an epoch.")
    checkpoint: Literal["last", "best"] = Field(
        default="last", description="Keep the weights of the last epoch, or of the lowest validation loss."
    )
    replicates: Replicates = Field(default=1, description="Trainings that differ in their seed alone.")
    seed: Seed = Field(default=0, description="Of the first replicate; the next ones count on.")
    threads: Threads = Field(default=1, description="Threads of the framework on each device; results depend on it.")
    devices: Devices = Field(
        default=1, description="GPUs, or processes and logical devices of the CPU, that share each batch."
    )
    shuffle: bool = Field(default=True, description="Show the rows in another order each epoch.")
    stop_below: float | None = Field(
        default=None, gt=0, description="Stop when the training loss of an epoch is below this."
    )
    early_stopping: EarlyStopping | None = None
    augmentation: Augmentation | None = Field(
        default=None, description="Random changes of the training images; none: they are shown as they are."
    )
    input: Literal["memory", "streamed"] = Field(
        default="memory",
        description="memory: all training rows lie on the device; streamed: they stay on disk, read batch by batch.",
    )


class Experiment(Declared):
    """One network trained on one data set, in every framework of the suite."""

    description: str = Field(min_length=1, description="What it teaches, in a line.")
    dataset: Name
    model: ModelDeclaration
    loss: LossName
    optimizer: Optimizer
    training: Training
    frameworks: tuple[FrameworkName, ...] | None = Field(
        default=None, min_length=1, description="Those that train it; none: the suite's."
    )
    constants: Constants = Field(
        default="aligned",
        description="aligned: the same initial weights and Keras's constants in all frameworks; "
        "aligned-torch: the same with PyTorch's; native: each its own.",
    )
    initial_weights: dict[str, Any] = Field(
        default_factory=dict,
        description='Arrays to begin with, by "layer/parameter" as the report names them: lists. '
        "Or file: an .npz file of the project, with such arrays.",
    )

    pruning: tuple[Share, ...] = Field(
        default=(),
        description="Shares of the trained kernels' weights to set to zero, smallest first, each scored on test rows.",
    )

    @field_validator("pruning")
    @classmethod
    def _rising(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if any(later <= earlier for earlier, later in pairwise(shares)):
            raise PydanticCustomError("rising", "each share must be greater than the one before")
        return shares

    def architecture(self, description: DataDescription) -> Architecture:
        """Resolve the network for a data set's samples.

        Raises:
            ArchitectureError: the declaration does not fit them.
        """
        classes = len(description.class_names)
        return resolve(self.model, description.feature_shape, description.task, self.loss, classes, description.columns)

    @property
    def weights_file(self) -> str | None:
        """The file that initial weights are read from; None if there is none."""
        return self.initial_weights.get("file")

    def native_topics(self, architecture: Architecture) -> set[str]:
        """Return what the experiment uses of that the frameworks treat differently when constants are native."""
        topics = {"initial_weights", self.optimizer.name}
        topics |= {layer.kind for layer in architecture.layers}
        if isinstance(self.optimizer, Sgd) and self.optimizer.momentum:
            topics.add("momentum")
        return topics


# What a search may vary, and how.
ParameterPath = Annotated[str, StringConstraints(min_length=1, max_length=200)]
TRAINING_PATHS = ("batch_size", "checkpoint", "early_stopping")
SEARCH_FRAMEWORKS: tuple[FrameworkName, ...] = ("keras", "torch")


def _check_bounds(bounds: tuple[float, float] | None) -> tuple[float, float] | None:
    if bounds is not None and bounds[0] >= bounds[1]:
        raise PydanticCustomError("bounds", "the first bound must be below the second")
    return bounds


def _check_log_bounds(bounds: tuple[float, float] | None) -> tuple[float, float] | None:
    if bounds is not None and bounds[0] <= 0:
        raise PydanticCustomError("bounds", "a logarithmic range must begin above 0")
    return _check_bounds(bounds)


class SearchedValues(Declared):
    """The values that a search tries for one parameter: choices, or a range with both bounds included."""

    choices: tuple[Any, ...] | None = Field(default=None, min_length=1, description="Each value that is tried.")
    integer: tuple[int, int] | None = Field(default=None, description="Whole numbers, drawn uniformly.")
    log_integer: tuple[int, int] | None = Field(
        default=None, description="Whole numbers, drawn uniformly in their logarithm."
    )
    uniform: tuple[float, float] | None = Field(default=None, description="Numbers, drawn uniformly.")
    log_uniform: tuple[float, float] | None = Field(
        default=None, description="Numbers, drawn uniformly in their logarithm."
    )
    when: dict[ParameterPath, Annotated[tuple[Any, ...], Field(min_length=1)]] = Field(
        default_factory=dict,
        description="Parameters of the same space, each with the values for which this one is drawn; none: always.",
    )

    _bounds = field_validator("integer", "uniform")(_check_bounds)
    _log_bounds = field_validator("log_integer", "log_uniform")(_check_log_bounds)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [name for name in type(self).model_fields if name != "when"]
        given = [name for name in kinds if getattr(self, name) is not None]
        if len(given) != 1:
            raise PydanticCustomError(
                "exactly_one", "a parameter takes exactly one of: {allowed}", {"allowed": ", ".join(sorted(kinds))}
            )
        return self


class Budget(Declared):
    """How much a search may train; where both stand, the first to be spent ends it."""

    epochs: int | None = Field(
        default=None, gt=0, le=10**12, description="Trained epochs, over all settings and folds; the refit aside."
    )
    trials: int | None = Field(default=None, gt=0, le=1_000_000, description="Settings that are tried.")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.epochs is None and self.trials is None:
            raise PydanticCustomError("inconsistent", "a budget takes epochs, trials or both")
        return self


class ScoredHoldout(Declared):
    """Each setting trains on the training rows and is scored on the validation rows."""

    method: Literal["holdout"]


class ScoredFolds(Declared):
    """Each setting is scored on folds of the training rows, each of which is held out once."""

    method: Literal["k-fold"]
    folds: Folds = Field(description="Parts of the training rows; each is held out once.")
    seed: Seed = Field(default=0, description="Random state of the folds.")
    shuffle: bool = Field(default=True, description="Draw the rows of each fold; false: keep their order.")
    stratify: bool = Field(default=False, description="Keep the classes' shares in each fold.")


Protocol = Annotated[ScoredHoldout | ScoredFolds, Field(discriminator="method")]


class StrategyDeclaration(BaseModel):
    """What proposes settings: a strategy's name, or a mapping with its name and its settings."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    name: str

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, declared: Any) -> Any:
        return {"name": declared} if isinstance(declared, str) else declared

    @property
    def settings(self) -> dict[str, Any]:
        """The settings besides the name."""
        return dict(self.model_extra or {})


class Search(Declared):
    """A search for the settings with which an experiment scores best."""

    description: str = Field(min_length=1, description="What it teaches, in a line.")
    experiment: Name = Field(description="The one whose settings are varied.")
    strategy: StrategyDeclaration = Field(json_schema_extra=_name_or_mapping)
    space: dict[ParameterPath, SearchedValues] = Field(
        min_length=1, description="Parameters by their path in the experiment: model.sequential.0.dense.units."
    )
    budget: Budget | None = Field(default=None, description="How much may be trained; left out: a whole grid.")
    protocol: Protocol = Field(
        default=ScoredHoldout(method="holdout"), description="On which rows settings train and are scored."
    )
    metric: MetricName = Field(description="What is sought: the highest accuracy or R², or the lowest error.")
    epochs: int | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="Of each training at most, the refit's too; none: the experiment's.",
    )
    batch: int | None = Field(
        default=None, gt=0, le=100_000, description="Settings that are proposed at once; none: as the strategy does."
    )
    seed: Seed = Field(default=0, description="Of the strategy.")
    chunk_megabytes: int = Field(
        default=256, gt=0, le=1_000_000, description="Memory for settings trained together; results do not hang on it."
    )
    frameworks: tuple[FrameworkName, ...] | None = Field(
        default=None, min_length=1, description="Those that search; none: the experiment's, or else the suite's."
    )

    @property
    def folds(self) -> int:
        """Trainings of each setting."""
        return self.protocol.folds if isinstance(self.protocol, ScoredFolds) else 1

    def epochs_of(self, experiment: Experiment) -> int:
        """Return how many epochs a training takes at most."""
        return experiment.training.epochs if self.epochs is None else self.epochs


class Gate(Declared):
    """A bound that a metric of an experiment must keep on the test rows, or a run of it fails."""

    experiment: Name
    metric: MetricName = Field(description="On the test rows, the mean over the replicates.")
    at_least: float | None = Field(default=None, description="The lowest value that passes.")
    at_most: float | None = Field(default=None, description="The highest value that passes.")
    framework: FrameworkName | None = Field(default=None, description="The one it holds for; left out: each.")

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        given = [name for name in ("at_least", "at_most") if getattr(self, name) is not None]
        if len(given) != 1:
            bounds = " and ".join(given) or "neither"
            raise PydanticCustomError("one_bound", "{text}", {"text": _ONE_BOUND, "bounds": bounds})
        return self


class Equivalence(Declared):
    """How far apart two frameworks' results in a metric may lie and still count as equivalent."""

    metric: MetricName
    margin: float = Field(gt=0, description="Differences below it do not matter.")
    relative: bool = Field(
        default=True, description="The margin is a share of the first framework's mean error, not in the metric's unit."
    )
    experiment: Name | None = Field(default=None, description="The one it holds for; left out: each.")


class Params(Declared):
    """The whole of params.yaml."""

    suite: Suite
    suites: dict[Name, Suite] = Field(default_factory=dict)
    datasets: dict[Name, Dataset]
    experiments: dict[Name, Experiment]
    searches: dict[Name, Search] = Field(default_factory=dict)
    gate: tuple[Gate, ...] = Field(default=(), description="Bounds that fail a run, after its reports are made.")
    equivalence: tuple[Equivalence, ...] = Field(
        default=(), description="Margins of equivalence; for a metric without one, 5 % of an error or 0.01 of a share."
    )


# ---------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class Mistake:
    """One thing wrong in a YAML file."""

    line: int
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


def load_yaml(path: Path) -> Any:
    """Read a YAML file with the positions of its keys (ruamel's round-trip types).

    Raises:
        ParameterError: missing, unreadable, not UTF-8, does not parse, or a key stands twice.
    """
    return _parse_yaml(_read_text(path), path)


def load_plain_yaml(path: Path) -> Any:
    """Read a YAML file as plain values, without positions: ten times as fast.

    Raises:
        ParameterError: as :func:`load_yaml`.
    """
    return _parse_plain_yaml(_read_text(path), path)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParameterError(f"{path}: missing; run the command in a Tandem project, or create the file") from None
    except UnicodeDecodeError as error:
        raise ParameterError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise ParameterError(f"{path}: cannot be read ({error.strerror}); make it a readable file") from None


def _parse_yaml(text: str, path: Path) -> Any:
    try:
        return YAML(typ="rt").load(text)
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        key = str(error.problem).partition('"')[2].partition('"')[0]
        raise ParameterError(f"{path}:{line}: the key '{key}' stands twice; remove one of the two") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        problem = error.problem or error.context
        raise ParameterError(f"{where}: does not parse as YAML: {problem}; correct the line") from None
    except ReaderError as error:
        before = text[: error.position]
        where = f"{path}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
        character = f"U+{ord(text[error.position]):04X}"
        raise ParameterError(f"{where}: the control character {character}; remove it") from None


def _parse_plain_yaml(text: str, path: Path) -> Any:
    try:
        return _plain(YAML(typ="safe").load(text))  # parsed by libyaml, as DVC reads params.yaml
    except YAMLError:
        return _plain(_parse_yaml(text, path))  # raises it in Tandem's words
    except RecursionError:
        raise ParameterError(
            f"{path}: an alias (*) stands inside what it names (&), or lists are nested too deep; write it out"
        ) from None


def read_params(path: Path) -> Params:
    """Read and check params.yaml.

    Raises:
        ParameterError: with every mistake of the file, one a line, each with its place, the wrong value, the
            allowed ones and, for names, the nearest match.
    """
    return parse_params(_read_text(path), path)


def parse_params(text: str, path: Path) -> Params:
    """Check the text of a params.yaml; ``path`` names it in errors.

    Raises:
        ParameterError: as :func:`read_params`.
    """
    plain = _parse_plain_yaml(text, path)
    if not isinstance(plain, dict):
        raise ParameterError(f"{path}:1: must be a mapping with suite, datasets and experiments")
    problems: list[Any] = []
    params: Params | None = None
    try:
        params = Params.model_validate_json(json.dumps(plain, default=str))
    except ValidationError as error:
        problems = [dict(problem) for problem in error.errors() if not _is_echo(problem)]
    inconsistencies = list(_inconsistencies(plain))
    if params is not None and not inconsistencies:
        return params
    document = _parse_yaml(text, path)
    mistakes = [_explain(document, plain, problem) for problem in problems]
    mistakes += [Mistake(_line(document, place), _dotted(place), message) for place, message in inconsistencies]
    mistakes.sort(key=lambda mistake: mistake.line)
    lines = dict.fromkeys(f"{path}:{mistake.line}: {mistake}" for mistake in mistakes)
    raise ParameterError("\n".join([*lines, f"nothing was run; correct {path.name} and run again"]))


def read_dataset(path: Path, name: str) -> Dataset:
    """Read one data set's declaration, and nothing else of params.yaml.

    Raises:
        ParameterError: it is wrong; with every mistake of the whole file.
    """
    return _read_entry(path, "datasets", name, Dataset)


def read_experiment(path: Path, name: str) -> Experiment:
    """Read one experiment's declaration, and nothing else of params.yaml.

    Raises:
        ParameterError: it is wrong; with every mistake of the whole file.
    """
    return _read_entry(path, "experiments", name, Experiment)


def declared_experiment(record: RunRecord) -> Experiment:
    """Return the declaration that a run was trained from.

    Raises:
        DataError: it is none of this version's.
    """
    experiment: Experiment | None = _parsed(Experiment, record.declaration)
    if experiment is None:
        raise DataError(
            f"run.json of '{record.experiment}' in {record.framework}: what was declared cannot be read; "
            "delete its folder below models and run `dvc repro`"
        )
    return experiment


def read_search(path: Path, name: str) -> Search:
    """Read one search's declaration, and nothing else of params.yaml.

    Raises:
        ParameterError: it is wrong; with every mistake of the whole file.
    """
    return _read_entry(path, "searches", name, Search)


def read_margins(path: Path, experiment: str) -> dict[str, Margin]:
    """Read what counts as equivalent in an experiment, by metric, and nothing else of params.yaml.

    Raises:
        ParameterError: as :func:`read_params`.
    """
    plain = load_plain_yaml(path)
    entries = _parsed(tuple[Equivalence, ...], plain.get("equivalence", []) if isinstance(plain, dict) else None)
    if entries is None:
        read_params(path)
        raise ParameterError(f"{path}: equivalence: must be a list of margins; correct it and run again")
    margins = dict(MARGINS)
    for entry in sorted(entries, key=lambda entry: entry.experiment is not None):  # an experiment's own counts last
        if entry.experiment in (None, experiment):
            margins[entry.metric] = Margin(size=entry.margin, relative=entry.relative)
    return margins


def _read_entry(path: Path, section: str, name: str, kind: type[Entry]) -> Entry:
    entries = _mapping(load_plain_yaml(path), section)
    entry = _parsed(kind, entries.get(name))
    if entry is None:
        read_params(path)
        raise ParameterError(f"{path}: '{name}' is not declared under {section}; {suggest(name, entries)}")
    return entry


def parse_at(place: tuple[str, ...], kind: type[Entry], declared: Any) -> Entry:
    """Check a part of params.yaml that stands in no file.

    Args:
        place: where it would stand, ("experiments", "any") for instance.
        kind: the model of it.
        declared: plain values.

    Raises:
        ParameterError: every mistake, one a line, as "place below the part: what is wrong".
    """
    plain: Any = _plain(declared)
    problems: list[Any] = []
    try:
        return kind.model_validate_json(json.dumps(plain, default=str))
    except ValidationError as error:
        problems = [dict(problem) for problem in error.errors() if not _is_echo(problem)]
    for key in reversed(place):
        plain = {key: plain}
    mistakes = [_explain({}, plain, {**problem, "loc": (*place, *problem["loc"])}) for problem in problems]
    lines = (str(mistake).removeprefix(_dotted(place)).removeprefix(".") for mistake in mistakes)
    raise ParameterError("\n".join(dict.fromkeys(lines)))


def params_schema() -> dict[str, Any]:
    """Return the JSON Schema of params.yaml, for editors."""
    schema = _with_strategies(_with_names_of_layers(Params.model_json_schema()))
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "params.yaml of Tandem"
    return schema


def _with_names_of_layers(schema: dict[str, Any]) -> dict[str, Any]:
    """Call each layer's declaration by its kind: all classes have one name, and pydantic adds their modules."""
    text = re.sub(
        r"tandem__layers__(\w+?)__Declaration", lambda found: _camel(found[1]), json.dumps(schema, ensure_ascii=False)
    )
    named: dict[str, Any] = json.loads(text)
    for name, definition in named["$defs"].items():
        if definition.get("title") == "Declaration":
            definition["title"] = name
    return named


def _with_strategies(schema: dict[str, Any]) -> dict[str, Any]:
    """Spell out the settings of each strategy, which are not known where searches are read."""
    from tandem.searches import strategies

    mapping: dict[str, str] = {}
    for name in strategies.strategy_names():
        own = strategies.declaration(name).model_json_schema()
        title = f"{_camel(name)}Strategy"
        properties = {"name": {"const": name, "title": "Name", "type": "string"}, **own.get("properties", {})}
        schema["$defs"][title] = {**own, "properties": properties, "required": ["name"], "title": title}
        mapping[name] = f"#/$defs/{title}"
    del schema["$defs"]["StrategyDeclaration"]
    one_of = [{"$ref": reference} for reference in mapping.values()]
    schema["$defs"]["Search"]["properties"]["strategy"]["anyOf"] = [
        {"enum": list(mapping), "type": "string"},
        {"discriminator": {"mapping": mapping, "propertyName": "name"}, "oneOf": one_of, "type": "object"},
    ]
    return schema


def _camel(kind: str) -> str:
    return "".join(word.capitalize() for word in kind.split("_"))


def _plain(node: Any) -> Any:
    """Turn ruamel's types into plain ones."""
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


# ------------------------------------------------------------------------------------- structural errors


def _is_echo(problem: Mapping[str, Any]) -> bool:
    """Return whether a list is called too short only because pydantic left out its wrong entries."""
    if problem["type"] != "too_short":
        return False
    return isinstance(problem["input"], list) and len(problem["input"]) >= problem["ctx"]["min_length"]


def _explain(document: Any, plain: Any, problem: dict[str, Any]) -> Mistake:
    """Say in Tandem's words what pydantic found wrong."""
    loc = _without_tags(plain, problem["loc"])
    loc = loc[:-1] if loc and loc[-1] == "[key]" else loc
    kind, context = problem["type"], problem.get("ctx", {})
    value = problem.get("input")
    schema = _schema_at(problem["loc"])
    if kind == "extra_forbidden":
        parent = _schema_at(problem["loc"][:-1])
        message = f"unknown key '{loc[-1]}'; {suggest(str(loc[-1]), parent.get('properties', {}))}"
    elif kind == "missing":
        parent = _schema_at(problem["loc"][:-1])
        required = parent.get("required", [])
        message = "missing; " + (
            f"required keys: {', '.join(required)}" if required else f"the list takes {parent['minItems']} entries"
        )
    elif kind == "literal_error":
        message = f"{_show(value)} is not known; {suggest(str(value), _choices(schema))}"
    elif kind == "union_tag_invalid":
        loc = (*loc, context["discriminator"].strip("'"))
        known = schema.get("discriminator", {}).get("mapping", {})
        message = f"{_show(context['tag'])} is not known; {suggest(context['tag'], known)}"
    elif kind == "union_tag_not_found":
        tag = context["discriminator"].strip("'")
        loc = (*loc, tag)
        message = f"missing; {suggest('', schema.get('discriminator', {}).get('mapping', {}))}"
    elif kind == "string_pattern_mismatch":
        message = f"{_show(value)} is no allowed name; {_NAME_RULE}"
    elif kind in ("exactly_one", "inconsistent"):
        given = ", ".join(value) if isinstance(value, dict) and value else "nothing"
        message = f"{problem['msg']}; given: {given}"
    elif kind == "one_bound":
        message = f"{problem['msg']}; given: {context['bounds']}"
    elif kind == "too_short":
        message = f"{_show(value)}: must have at least {context['min_length']} entry"
    else:
        message = f"{_show(value)}: {_must(kind, problem['msg'])}"
    return Mistake(_line(document, loc), _dotted(loc), message)


_TYPE_WORDS = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "finite_number": "must be a finite number",
}


def _must(kind: str, message: str) -> str:
    """Turn "Input should be greater than 0" into "must be greater than 0"."""
    return _TYPE_WORDS.get(kind, message.replace("Input should", "must").replace("String should", "must"))


_show = show_value


def _without_tags(plain: Any, loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Drop the parts of a place that name a member of a union and no key of the file."""
    kept: list[str | int] = []
    node = plain
    for position, part in enumerate(loc):
        if isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
        elif isinstance(node, dict) and str(part) in node:
            node = node[str(part)]
        elif position < len(loc) - 1 and part != "[key]":
            continue
        kept.append(part)
    return tuple(kept)


def _is_bare(schema: Mapping[str, Any]) -> bool:
    """Return whether this is the other form of an optional value, or of a mapping that may be a bare name."""
    return schema.get("type") in ("null", "string") and "enum" not in schema


def _resolve_reference(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow $ref, and the one choice of an optional value."""
    while True:
        if "$ref" in schema:
            schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
        elif "anyOf" in schema and len(others := [one for one in schema["anyOf"] if not _is_bare(one)]) == 1:
            schema = others[0]
        else:
            return schema


def _schema_at(loc: Iterable[str | int]) -> Mapping[str, Any]:
    """Return the JSON Schema of a place in params.yaml; {} where there is none."""
    root = _root_schema()
    schema: Mapping[str, Any] = root
    for part in loc:
        schema = _resolve_reference(schema, root)
        mapping = schema.get("discriminator", {}).get("mapping", {})
        if part in mapping:
            schema = {"$ref": mapping[part]}
        elif isinstance(part, int):
            prefix = schema.get("prefixItems", [])
            schema = prefix[part] if part < len(prefix) else schema.get("items", {})
        elif part in schema.get("properties", {}):
            schema = schema["properties"][part]
        elif isinstance(patterned := schema.get("patternProperties"), Mapping):
            schema = next(iter(patterned.values()))
        else:
            more = schema.get("additionalProperties", {})
            schema = more if isinstance(more, Mapping) else {}
    return _resolve_reference(schema, root)


@functools.cache
def _root_schema() -> Mapping[str, Any]:
    return Params.model_json_schema()


def _choices(schema: Mapping[str, Any]) -> list[str]:
    return [str(choice) for choice in schema.get("enum", [schema["const"]] if "const" in schema else [])]


def _line(document: Any, loc: Iterable[str | int]) -> int:
    """Return the line, from 1, of the deepest key of a place that the file has."""
    node, line = document, 1
    for part in loc:
        try:
            if isinstance(node, CommentedSeq) and isinstance(part, int):
                line = node.lc.item(part)[0] + 1
                node = node[part]
            else:
                key = next(key for key in node if str(key) == str(part))
                line = node.lc.key(key)[0] + 1
                node = node[key]
        except (StopIteration, TypeError, KeyError, IndexError, AttributeError):
            break
    return line


def _dotted(loc: Iterable[str | int]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the file"


# ------------------------------------------------------------------------------------ cross references

Inconsistency = tuple[tuple[str | int, ...], str]


def _mapping(node: Any, key: str) -> dict[str, Any]:
    value = node.get(key) if isinstance(node, dict) else None
    return value if isinstance(value, dict) else {}


def _inconsistencies(plain: dict[str, Any]) -> Iterator[Inconsistency]:
    """Yield what is wrong between parts that are each well-formed, (place, message)."""
    declared_datasets, experiments = _mapping(plain, "datasets"), _mapping(plain, "experiments")
    good_datasets: dict[str, Dataset] = {}
    for name, declared in declared_datasets.items():
        yield from _source_mistakes(("datasets", name), declared)
        dataset = _parsed(Dataset, declared)
        if dataset is not None and _described(dataset.source) is not None:
            good_datasets[name] = dataset
    for name, declared in experiments.items():
        place = ("experiments", name)
        if name in RESERVED_NAMES:
            yield place, f"the name '{name}' is taken by the index page; choose another name"
        used = declared.get("dataset") if isinstance(declared, dict) else None
        if isinstance(used, str) and used not in declared_datasets:
            yield (
                (*place, "dataset"),
                f"'{used}' is not declared under datasets; {suggest(used, declared_datasets)}",
            )
        if isinstance(used, str) and used in good_datasets:
            yield from _experiment_mistakes(place, declared, good_datasets[used])
    yield from _search_mistakes(plain, good_datasets)
    yield from _gate_mistakes(plain.get("gate"), experiments, good_datasets)
    yield from _equivalence_mistakes(plain.get("equivalence"), experiments, good_datasets)
    suites: dict[tuple[str, ...], Any] = {("suite",): plain.get("suite")}
    suites |= {("suites", name): suite for name, suite in _mapping(plain, "suites").items()}
    for suite_place, suite in suites.items():
        for key, known in (("experiments", experiments), ("searches", _mapping(plain, "searches"))):
            given = suite.get(key) if isinstance(suite, dict) else None
            listed = given if isinstance(given, list) else []
            for position, entry in enumerate(listed):
                if isinstance(entry, str) and entry not in known:
                    yield (
                        (*suite_place, key, position),
                        f"'{entry}' is not declared under {key}; {suggest(entry, known)}",
                    )
                if entry in listed[:position]:
                    yield (*suite_place, key, position), f"'{entry}' stands twice; remove one of the two"
        frameworks = suite.get("frameworks") if isinstance(suite, dict) else None
        if isinstance(frameworks, list) and len(set(map(str, frameworks))) < len(frameworks):
            yield (*suite_place, "frameworks"), f"{frameworks} names a framework twice; remove one of the two"
        if isinstance(suite, dict) and not suite.get("experiments") and not suite.get("searches"):
            yield (*suite_place, "experiments"), "nothing runs; name an experiment, or under searches a search"
        yield from _unable_frameworks(suite_place, suite, experiments, good_datasets)
        yield from _unable_to_search(suite_place, suite, plain)


def _unable_frameworks(
    place: tuple[str, ...], suite: Any, experiments: Mapping[str, Any], good_datasets: Mapping[str, Dataset]
) -> Iterator[Inconsistency]:
    """Check that a suite's frameworks have all layers of its experiments, those aside that name their own."""
    parsed = _parsed(Suite, suite)
    for name in parsed.experiments if parsed is not None else ():
        experiment = _parsed(Experiment, experiments.get(name))
        if experiment is None or experiment.frameworks is not None or experiment.dataset not in good_datasets:
            continue
        data = _described(good_datasets[experiment.dataset].source)
        with contextlib.suppress(ArchitectureError):
            if data is not None:
                layers = resolve(
                    experiment.model,
                    data.feature_shape,
                    data.task,
                    experiment.loss,
                    len(data.class_names),
                    data.columns,
                ).layers
                for framework in parsed.frameworks:
                    lacking = next((layer.kind for layer in layers if layer.kind not in kinds_of(framework)), None)
                    if lacking is not None:
                        yield (
                            (*place, "frameworks"),
                            f"'{framework}' has no layer {lacking}, which '{name}' needs; "
                            f"name frameworks in experiments.{name}, or take '{framework}' out",
                        )
        if "numpy" in parsed.frameworks and experiment.training.devices > 1:
            yield (
                (*place, "frameworks"),
                f"{_ONE_DEVICE} experiments.{name}.training.devices is {experiment.training.devices}; "
                f"name frameworks in experiments.{name}, or take 'numpy' out",
            )


def _gate_mistakes(
    gate: Any, experiments: Mapping[str, Any], good_datasets: Mapping[str, Dataset]
) -> Iterator[Inconsistency]:
    for position, entry in enumerate(gate if isinstance(gate, list) else ()):
        place = ("gate", position)
        name = entry.get("experiment") if isinstance(entry, dict) else None
        if isinstance(name, str) and name not in experiments:
            yield (*place, "experiment"), f"'{name}' is not declared under experiments; {suggest(name, experiments)}"
        parsed = _parsed(Gate, entry)
        if parsed is None:
            continue
        highest = _HIGHEST.get(parsed.metric)
        if highest is not None and parsed.at_least is not None and parsed.at_least > highest:
            yield (*place, "at_least"), f"{_show(entry['at_least'])}: {parsed.metric} is never above {highest}"
        yield from _unfit_metric((*place, "metric"), parsed.metric, parsed.experiment, experiments, good_datasets)


def _unfit_metric(
    place: tuple[str | int, ...],
    metric: MetricName,
    experiment: str,
    experiments: Mapping[str, Any],
    good_datasets: Mapping[str, Dataset],
) -> Iterator[Inconsistency]:
    used = _mapping(experiments, experiment).get("dataset")
    data = _described(good_datasets[used].source) if isinstance(used, str) and used in good_datasets else None
    if data is not None and metric not in METRIC_NAMES[data.task]:
        yield place, f"'{metric}' does not fit {data.task}; {suggest(metric, METRIC_NAMES[data.task])}"


def _equivalence_mistakes(
    declared: Any, experiments: Mapping[str, Any], good_datasets: Mapping[str, Dataset]
) -> Iterator[Inconsistency]:
    seen: dict[tuple[str | None, str], int] = {}
    for position, entry in enumerate(declared if isinstance(declared, list) else ()):
        place = ("equivalence", position)
        name = entry.get("experiment") if isinstance(entry, dict) else None
        if isinstance(name, str) and name not in experiments:
            yield (*place, "experiment"), f"'{name}' is not declared under experiments; {suggest(name, experiments)}"
        parsed = _parsed(Equivalence, entry)
        if parsed is None:
            continue
        if parsed.metric in _HIGHEST and parsed.relative:
            yield (
                (*place, "relative"),
                f"true: {parsed.metric} is no error, its margin cannot be a share of one; write relative: false",
            )
        if parsed.relative and parsed.margin >= 1:
            yield (*place, "margin"), f"{_show(entry['margin'])}: a share of the error must be less than 1"
        if parsed.experiment is not None:
            yield from _unfit_metric((*place, "metric"), parsed.metric, parsed.experiment, experiments, good_datasets)
        first = seen.setdefault((parsed.experiment, parsed.metric), position)
        if first != position:
            yield place, f"'{parsed.metric}' has a margin already, in entry {first}; remove one of the two"


def _parsed(kind: Any, declared: Any) -> Any:
    """Return the model, or None where its own mistakes are told elsewhere."""
    try:
        return _adapter(kind).validate_json(json.dumps(declared, default=str))
    except ValidationError:
        return None


def _described(source: SourceDeclaration) -> Description | None:
    """Return what the data is; None where that hangs on a source or on options that are wrong."""
    for options in (source.options, {}):
        with contextlib.suppress(KeyError, ValidationError):
            return datasets.describe(source.name, options)
    return None


def _source_mistakes(place: tuple[str, ...], declared: Any) -> Iterator[Inconsistency]:
    given = declared.get("source") if isinstance(declared, dict) else None
    parsed = _parsed(SourceDeclaration, given)
    if parsed is None:
        return
    name = parsed.name
    place_of_name = (*place, "source", "name") if isinstance(given, dict) else (*place, "source")
    if name not in datasets.source_names():
        yield place_of_name, f"'{name}' is not known; {suggest(name, datasets.source_names())}"
        return
    try:
        datasets.read_options(name, parsed.options)
    except ValidationError as error:
        fields = datasets.source(name).options.model_fields
        for problem in error.errors():
            loc = _without_tags(parsed.options, problem["loc"])
            yield (*place, "source", *loc), _option_problem(name, fields, dict(problem))
    data = _described(parsed)
    if data is None:
        return
    split = _mapping(declared, "split")
    if split.get("method") in SPLIT_METHODS:
        if data.own_test and split.get("test") is not None:
            yield (
                (*place, "split", "test"),
                f"{_show(split['test'])}: '{name}' has test rows of its own; remove the key",
            )
        if not data.own_test and split.get("test") is None:
            yield (
                (*place, "split", "test"),
                f"missing; '{name}' has no test rows of its own, say how many to hold out",
            )
    if data.task == "regression" and split.get("stratify") is True:
        yield (*place, "split", "stratify"), f"true: '{name}' is a regression, only classes can be stratified"
    yield from _fold_mistakes((*place, "split"), split, parsed.options.get("samples"))


def _option_problem(owner: str, fields: Mapping[str, Any], problem: dict[str, Any]) -> str:
    """Say in Tandem's words what is wrong with an option of a source, or of a strategy, that has these fields."""
    kind = problem["type"]
    if kind == "extra_forbidden":
        key = str(problem["loc"][-1])
        return f"unknown key '{key}'; " + (suggest(key, fields) if fields else f"'{owner}' takes no options")
    if kind == "missing":
        required = [key for key, field in fields.items() if field.is_required()]
        return f"missing; '{owner}' requires the keys: {', '.join(required)}"
    if kind == "literal_error":
        allowed = [word.strip("'") for word in problem["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return f"{_show(problem['input'])} is not known; {suggest(str(problem['input']), allowed)}"
    if kind == "own_data":  # the text of tandem/datasets/own.py is whole
        return str(problem["msg"])
    return f"{_show(problem['input'])}: {_must(kind, problem['msg'])}"


def _fold_mistakes(place: tuple[str, ...], split: Mapping[str, Any], rows: Any) -> Iterator[Inconsistency]:
    """Check the folds; ``rows`` of the source are known before it is fetched only if it is told how many to make."""
    if split.get("method") not in ("k-fold", "repeated-k-fold"):
        return
    if split.get("shuffle") is False:
        if "seed" in split:
            yield (*place, "seed"), f"{_show(split['seed'])}: rows that are not shuffled take no seed; remove the key"
        if split.get("stratify") is True:
            yield (*place, "stratify"), "true: only shuffled rows can be stratified; allowed: false, or shuffle: true"
    parsed = _parsed(Split, split)
    if parsed is None or not isinstance(rows, int):
        return
    left = rows - math.ceil((parsed.test or 0) * rows)
    if parsed.folds > left:
        yield (*place, "folds"), f"{parsed.folds}: each fold needs a row to validate on; allowed: 2 to {left}"


def _framework_mistakes(place: tuple[str, ...], given: Any, architecture: Architecture) -> Iterator[Inconsistency]:
    """Check that the frameworks that an experiment names have all of its layers."""
    listed = [name for name in given if name in FRAMEWORKS] if isinstance(given, list) else []
    for framework in listed:
        lacking = next((layer.kind for layer in architecture.layers if layer.kind not in kinds_of(framework)), None)
        if lacking is not None:
            able = [name for name in FRAMEWORKS if all(layer.kind in kinds_of(name) for layer in architecture.layers)]
            yield (*place, "frameworks"), f"'{framework}' has no layer {lacking}; allowed: {', '.join(able)}"
    if len(set(listed)) < len(listed):
        yield (*place, "frameworks"), f"{given} names a framework twice; remove one of the two"


def _normalization_mistakes(place: tuple[str, ...], given: Any, architecture: Architecture) -> Iterator[Inconsistency]:
    training = _parsed(Training, given)
    if training is None or training.devices == 1:
        return
    if any(layer.kind == "batch_normalization" for layer in architecture.layers):
        yield (
            (*place, "training", "devices"),
            f"{training.devices}: batch normalisation would take its means over each device's share of a batch; "
            "allowed: 1, or a network without it",
        )


def _device_mistakes(place: tuple[str, ...], training: Training | None, frameworks: Any) -> Iterator[Inconsistency]:
    """Check that several devices can share an experiment's batches."""
    if training is None or training.devices == 1:
        return
    here, devices, size = (*place, "training", "batch_size"), training.devices, training.batch_size
    if size == "auto":
        yield here, f"'auto' is found for one device; name a number of at least {devices}, or devices: 1"
    elif size < devices:
        yield here, f"{size}: fewer rows than the {devices} devices that share them; allowed: {devices} and more"
    if training.input == "streamed":
        yield (
            (*place, "training", "input"),
            f"'streamed' feeds one device, training.devices is {devices}; write input: memory, or devices: 1",
        )
    if isinstance(frameworks, list) and "numpy" in frameworks:
        yield (*place, "frameworks"), f"{_ONE_DEVICE} devices is {devices}; take 'numpy' out, or write devices: 1"


def _weight_mistakes(place: tuple[str, ...], given: Any, architecture: Architecture) -> Iterator[Inconsistency]:
    """Check the arrays that an experiment gives to begin with."""
    shapes = {name: parameter.shape for name, parameter in parameter_names(architecture)}
    if isinstance(given, dict) and "file" in given:
        yield from _weight_file_mistakes((*place, "initial_weights"), given)
        return
    for name, values in given.items() if isinstance(given, dict) else ():
        here = (*place, "initial_weights", name)
        if name not in shapes:
            yield here, f"the network has no array '{name}'; {suggest(name, shapes)}"
            continue
        try:
            array = np.asarray(values, dtype=np.float64)
        except (ValueError, TypeError):
            yield here, f"{_show(values)}: must be lists of numbers of shape {shapes[name]}"
            continue
        if array.shape != shapes[name]:
            yield here, f"lists of shape {array.shape}, the array has {shapes[name]}; correct the lists"
        elif not np.isfinite(array).all():
            yield here, f"{_show(values)}: must be finite numbers"


def _weight_file_mistakes(place: tuple[str, ...], given: Mapping[str, Any]) -> Iterator[Inconsistency]:
    """Check the name of a file with initial weights; what it holds is checked when it is read."""
    if len(given) > 1:
        yield place, f"{', '.join(given)}: a file stands alone; take out the file or the arrays"
    name = given["file"]
    plain = isinstance(name, str) and re.fullmatch(r"[\w. /+-]+\.npz", name)  # what DVC's templates leave as it is
    path = PurePosixPath(name) if plain else None
    if path is None or path.is_absolute() or ".." in path.parts or path.as_posix() != name:
        yield (*place, "file"), f"{_show(name)}: must be an .npz file of the project, like weights/first.npz"


def _experiment_mistakes(
    place: tuple[str, ...], declared: Mapping[str, Any], dataset: Dataset
) -> Iterator[Inconsistency]:
    """Check an experiment against its data set."""
    data = _described(dataset.source)
    if data is not None:
        rows_left = not isinstance(dataset.split, FirstRows) or dataset.split.valid > 0
        yield from _fit_mistakes(place, declared, data, valid_rows=rows_left)


def _fit_mistakes(
    place: tuple[str, ...], declared: Mapping[str, Any], data: Description, *, valid_rows: bool
) -> Iterator[Inconsistency]:
    """Check an experiment against what is known of its data, part by part, so that no mistake hides another."""
    classes = len(data.class_names)
    losses = allowed_losses(data.task, classes)
    loss = _parsed(LossName, declared.get("loss"))
    if loss is not None and loss not in losses:
        kind = data.task if data.task == "regression" else f"classification into {classes}"
        yield (*place, "loss"), f"'{loss}' does not fit {kind}; {suggest(loss, losses)}"
    model = _parsed(ModelDeclaration, declared.get("model"))
    if model is not None:
        try:
            fitting = loss if loss in losses else losses[0]
            architecture = resolve(model, data.feature_shape, data.task, fitting, classes, data.columns)
        except ArchitectureError as error:
            yield (*place, "model", *error.place), error.message
        else:
            yield from _weight_mistakes(place, declared.get("initial_weights"), architecture)
            yield from _framework_mistakes(place, declared.get("frameworks"), architecture)
            yield from _normalization_mistakes(place, declared.get("training"), architecture)
    training = _parsed(Training, declared.get("training"))
    yield from _device_mistakes(place, training, declared.get("frameworks"))
    if training is not None and training.augmentation is not None and not takes_augmentation(data.feature_shape):
        yield (
            (*place, "training", "augmentation"),
            "flips and turns images of shape (height, width) or (height, width, channels), "
            f"'{declared['dataset']}' has samples of shape {data.feature_shape}; remove the key",
        )
    if training is None or valid_rows:
        return
    lacking = f"needs validation rows, '{declared['dataset']}' has none"
    if training.checkpoint == "best":
        yield (*place, "training", "checkpoint"), f"'best' {lacking}; allowed: last"
    if training.early_stopping is not None and training.early_stopping.monitor == "valid_loss":
        yield (
            (*place, "training", "early_stopping", "monitor"),
            f"'valid_loss' {lacking}; allowed: train_loss",
        )


# -------------------------------------------------------------------------------------------- searches


def setting_mistakes(declared: Mapping[str, Any], data: Description, *, valid_rows: bool = True) -> list[str]:
    """Say what is wrong with an experiment's declaration, one "place: message" each; none: it can be trained.

    Args:
        declared: plain values, as YAML has them.
        data: what is known of its data set.
        valid_rows: the data set has validation rows.
    """
    try:
        Experiment.model_validate_json(json.dumps(declared))
    except ValidationError as error:
        root = ("experiments", "varied")
        plain = {"experiments": {"varied": declared}}
        problems: list[Any] = [{**problem, "loc": (*root, *problem["loc"])} for problem in error.errors()]
        return [str(_explain(plain, plain, problem)).removeprefix("experiments.varied.") for problem in problems]
    mistakes = _fit_mistakes((), declared, data, valid_rows=valid_rows)
    return [f"{_dotted(place)}: {message}" for place, message in mistakes]


def _search_mistakes(plain: Mapping[str, Any], good_datasets: Mapping[str, Dataset]) -> Iterator[Inconsistency]:
    experiments = _mapping(plain, "experiments")
    for name, declared in _mapping(plain, "searches").items():
        place = ("searches", name)
        if name in RESERVED_NAMES:
            yield place, f"the name '{name}' is taken by the index page; choose another name"
        if name in experiments:
            yield place, f"'{name}' is the name of an experiment, too, and both name folders; choose another name"
        varied = declared.get("experiment") if isinstance(declared, dict) else None
        if isinstance(varied, str) and varied not in experiments:
            yield (
                (*place, "experiment"),
                f"'{varied}' is not declared under experiments; {suggest(varied, experiments)}",
            )
        yield from _strategy_mistakes((*place, "strategy"), declared)
        search, experiment = _parsed(Search, declared), _parsed(Experiment, _mapping(experiments, str(varied)))
        dataset = good_datasets.get(experiment.dataset) if experiment is not None else None
        data = _described(dataset.source) if dataset is not None else None
        if search is None or experiment is None or dataset is None or data is None:
            continue
        if list(_experiment_mistakes((), experiments[search.experiment], dataset)):
            continue  # told where it is declared
        yield from _fold_mistakes((*place, "protocol"), _mapping(declared, "protocol"), _training_rows(dataset))
        from tandem.searches.mistakes import search_mistakes  # imported by what checks searches, not by what trains

        yield from search_mistakes(place, search, experiment, dataset, data)


def _strategy_mistakes(place: tuple[str, ...], declared: Any) -> Iterator[Inconsistency]:
    """Check that a strategy exists and takes its settings."""
    from tandem.searches import strategies

    given = declared.get("strategy") if isinstance(declared, dict) else None
    parsed = _parsed(StrategyDeclaration, given)
    if parsed is None:
        return
    if parsed.name not in strategies.strategy_names():
        where = (*place, "name") if isinstance(given, dict) else place
        yield where, f"'{parsed.name}' is not known; {suggest(parsed.name, strategies.strategy_names())}"
        return
    try:
        strategies.read_settings(parsed.name, parsed.settings)
    except ValidationError as error:
        fields = strategies.declaration(parsed.name).model_fields
        for problem in error.errors():
            yield (*place, *problem["loc"]), _option_problem(parsed.name, fields, dict(problem))


def _training_rows(dataset: Dataset) -> int | None:
    """Return how many rows the (first fold's) training part has; None unless the source is told how many to make."""
    rows, split = dataset.source.options.get("samples"), dataset.split
    if not isinstance(rows, int):
        return None
    if isinstance(split, FirstRows):
        return rows - split.valid - (split.test or 0)
    left = rows - math.ceil((split.test or 0) * rows)
    return left - math.ceil(split.valid * left if isinstance(split, Holdout) else left / split.folds)


def _unable_to_search(place: tuple[str, ...], suite: Any, plain: Mapping[str, Any]) -> Iterator[Inconsistency]:
    """Check that a suite's frameworks can search, those searches aside that name their own."""
    parsed = _parsed(Suite, suite)
    unable = [name for name in parsed.frameworks if name not in SEARCH_FRAMEWORKS] if parsed is not None else []
    for name in parsed.searches if unable else ():
        search = _mapping(_mapping(plain, "searches"), name)
        varied = _mapping(_mapping(plain, "experiments"), str(search.get("experiment")))
        if search and search.get("frameworks") is None and varied.get("frameworks") is None:
            yield (
                (*place, "frameworks"),
                f"'{unable[0]}' does not search, which '{name}' needs; name frameworks in searches.{name}: "
                f"{', '.join(SEARCH_FRAMEWORKS)}",
            )
