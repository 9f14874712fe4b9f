"""What the stages write for one another: typed, frozen records kept as JSON.

Numbers that are not finite (a diverged loss) are stored as null and read as ``None``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tandem.errors import DataError

Number = float | None
Task = Literal["classification", "regression"]
Part = Literal["train", "valid", "test"]


class Record(BaseModel):
    """A frozen record that refuses unknown keys and round-trips through JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class DataDescription(Record):
    """What is known of a data set besides its numbers; travels from ``split`` to the report."""

    dataset: str  # its name in params.yaml
    source: str  # the module under tandem/datasets
    title: str
    reference: str  # where it comes from, one line
    task: Task
    feature_shape: tuple[int, ...]  # shape of one sample: (8,) or (28, 28)
    feature_names: tuple[str, ...]  # one per column; empty for images
    class_names: tuple[str, ...]  # by label; empty for regression
    target_name: str
    rows: dict[Part, int]  # rows of each part
    class_counts: dict[Part, tuple[int, ...]]  # by label; empty for regression. Test counts are left out


class FeatureRange(Record):
    """Range of one feature (or of all of them together) over the training rows."""

    feature: str
    before: tuple[float, float, float, float]  # minimum, mean, maximum, standard deviation in raw units
    after: tuple[float, float, float, float]  # the same after scaling


class ScalingSummary(Record):
    """How the features were scaled; fitted on training rows only."""

    method: str  # "zscore", "minmax" or "none"
    per: str  # "feature" or "all"
    fitted_rows: int
    ranges: tuple[FeatureRange, ...]


class LayerSummary(Record):
    """One row of a model summary."""

    name: str
    kind: str
    output_shape: tuple[int, ...]  # without the batch axis
    parameters: int
    trainable: int


class ModelSummary(Record):
    """Layers of a network with their output shapes and parameter counts."""

    layers: tuple[LayerSummary, ...]
    parameters: int
    trainable: int


class History(Record):
    """What one replicate's training recorded, one entry per epoch.

    ``columns`` holds ``train_loss``, ``valid_loss`` (if there are validation rows) and the same for each
    metric of the task, for instance ``train_accuracy``; losses are means over samples.

    ``gradient_norms`` holds, for each layer with trainable parameters from input to output, the Euclidean norm of
    the loss's gradient over a fixed batch of training rows: before training, then after each epoch.
    """

    epochs: tuple[int, ...]  # counted from 1
    learning_rate: tuple[float, ...]
    columns: dict[str, tuple[Number, ...]]
    gradient_norms: dict[str, tuple[Number, ...]] = {}  # layer -> one entry more than epochs


class ReplicateRecord(Record):
    """How one replicate of a training ended."""

    replicate: int
    seed: int
    outcome: Literal["finished", "stopped early", "diverged"]
    epochs: int  # epochs trained
    kept_epoch: int  # the epoch whose weights were saved, from 1; 0: the initial weights, it diverged at once
    explanation: str  # in words: why it stopped


class RunRecord(Record):
    """One training of one experiment in one framework: ``models/<experiment>/<framework>/run.json``."""

    experiment: str
    framework: str
    dataset: str
    constants: Literal["aligned", "aligned-torch", "native"]
    threads: int
    device: str
    versions: dict[str, str]  # python, numpy and the framework's own packages
    platform: str
    declaration: dict[str, Any]  # the experiment as params.yaml declares it, defaults filled in
    model: ModelSummary
    differences: tuple[str, ...]  # defaults that differ from the other framework when constants are native
    replicates: tuple[ReplicateRecord, ...]


class ReplicateTiming(Record):
    """Wall-clock cost of one replicate."""

    seconds: float  # all epochs, validation included
    seconds_per_epoch: tuple[float, ...]  # training rows only, validation excluded
    seconds_to_kept_epoch: float


class TimingRecord(Record):
    """Cost of one training: ``timings/<experiment>/<framework>.json``. No other result depends on it."""

    experiment: str
    framework: str
    start_up_seconds: (
        float  # from process start to the first batch: imports, data, building; Keras compiles in its first epoch
    )
    peak_memory_bytes: int  # largest resident set of the process
    samples_per_epoch: int
    replicates: tuple[ReplicateTiming, ...]
    resumed: bool  # continued from a checkpoint of a killed run


class Interval(Record):
    """An estimate with its interval.

    ``over`` says what varies: "test samples" (bootstrap) or "seeds" (Student's t over replicates).
    """

    value: Number
    low: Number
    high: Number
    over: Literal["test samples", "seeds"]
    level: float = 0.95
    n: int  # samples or seeds it rests on


class MetricEstimate(Record):
    """One metric of one framework on the test rows."""

    metric: str  # "accuracy", "mse", ...
    higher_is_better: bool
    samples: Interval
    seeds: Interval | None  # None with a single replicate


class WrongSample(Record):
    """A test row that a framework got most wrong."""

    row: int  # position among the test rows
    target: float  # label or value
    predicted: float  # label or value
    confidence: Number  # probability given to the predicted class; None for regression
    error: float  # 1 - probability of the true class, or |predicted - target|


class EvaluationRecord(Record):
    """``evaluation/<experiment>/<framework>/evaluation.json``.

    Beside it lie arrays, rows in the order of the test part:
    ``targets.npy`` (n,) labels or values; ``predictions.npy`` (replicates, n) labels or values of the
    first head; ``probabilities.npy`` (replicates, n, classes) for classification;
    ``wrong_features.npy`` (k, *feature_shape) raw features of ``wrong``, in the same order.
    A diverged replicate's predictions are NaN (labels: -1).
    """

    experiment: str
    framework: str
    task: Task
    metrics: dict[Part, dict[str, tuple[Number, ...]]]  # part -> metric -> one value per replicate
    recorded_valid: tuple[Number, ...]  # validation loss that training recorded for the kept epoch
    estimates: tuple[MetricEstimate, ...]  # on the test rows, main metric first
    wrong: tuple[WrongSample, ...]  # of the first replicate that did not diverge, worst first
    confusion: tuple[tuple[int, ...], ...]  # [true][predicted] summed over replicates; empty for regression
    diverged: tuple[int, ...]  # replicates that diverged


class MetricDifference(Record):
    """A metric's paired difference, second framework minus first, on the same test rows."""

    metric: str
    higher_is_better: bool
    first: str
    second: str
    samples: Interval
    seeds: Interval | None


class ComparisonRecord(Record):
    """``comparison/<experiment>/comparison.json``: all that a report says of the frameworks' results."""

    experiment: str
    description: str
    dataset: str
    task: Task
    frameworks: tuple[str, ...]  # one or two
    main_metric: str
    verdict: str  # one sentence
    estimates: dict[str, tuple[MetricEstimate, ...]]  # by framework
    differences: tuple[MetricDifference, ...]  # empty with one framework
    both_wrong: int | None  # test rows that both get wrong, first replicate (classification)
    only_wrong: dict[str, int]  # by framework: test rows that it alone gets wrong


R = TypeVar("R", bound=Record)


def read_record(kind: type[R], path: Path) -> R:
    """Read a record.

    Raises:
        DataError: the file is missing, is no JSON, or holds other keys than ``kind``.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: missing; run `dvc repro` to make it") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(
            f"{path}: not a {kind.__name__}: {place}: {first['msg']}; delete the file and run `dvc repro`"
        ) from None


def write_record(record: Record, path: Path) -> None:
    """Write a record as indented JSON with a final newline; the bytes depend on its values alone."""
    path.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
