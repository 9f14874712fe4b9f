"""What the stages write for one another: typed, frozen records kept as JSON.

Numbers that are not finite (a diverged loss) are stored as null and read as ``None``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tandem.errors import DataError

Number = float | None
Task = Literal["classification", "regression"]
Part = Literal["train", "valid", "test"]
Fill = Literal["median", "mean", "most-frequent", "constant", "category"]  # what a missing value becomes
Duplicates = Literal["refuse", "keep-together", "allow"]  # rows with the same features on both sides of a split


class Record(BaseModel):
    """A frozen record that refuses unknown keys and round-trips through JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class FoldRows(Record):
    """How many rows one fold has."""

    repeat: int  # from 0; 0 unless the folds are drawn anew
    train: int
    valid: int


class Column(Record):
    """One column of a table, as it stands in the features.

    A categorical column holds the position of its value in ``categories``, from 0.
    """

    name: str
    kind: Literal["numeric", "categorical"] = "numeric"
    categories: tuple[str, ...] = ()  # by code; empty for numbers
    missing: Fill | None = None  # what a missing value becomes; None: there may be none
    constant: float | None = None  # the number or code of ``missing: constant``


class TableFormat(Record):
    """How a text table is written; other files of the same data set are read alike."""

    delimiter: str = ","
    encoding: str = "utf-8"  # a byte order mark is skipped
    decimal: str = "."
    na_values: tuple[str, ...] = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "<NA>", "#N/A", "?")


class Description(Record):
    """What a source says of its data before any is read."""

    title: str  # for people
    reference: str  # where it comes from, one line
    task: Task
    feature_shape: tuple[int, ...]  # shape of one sample: (8,) or (28, 28)
    columns: tuple[Column, ...] = ()  # of a table, in the order of the features; empty for images
    class_names: tuple[str, ...] = ()  # by label; empty for regression
    target_name: str  # what is predicted
    own_test: bool = False  # the source brings test rows, so that a split holds none out
    table: TableFormat = TableFormat()  # of files with new rows
    channels_first: bool = False  # arrays with new rows have their channels first; features have them last
    resize: bool = False  # new images of another size are brought to feature_shape
    duplicates: Duplicates = "allow"

    @model_validator(mode="before")
    @classmethod
    def _from_names(cls, given: Any) -> Any:
        """Take ``feature_names`` for numeric columns."""
        if not isinstance(given, dict) or "feature_names" not in given:
            return given
        rest = {key: value for key, value in given.items() if key != "feature_names"}
        return {"columns": [{"name": name} for name in given["feature_names"] or ()], **rest}

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The columns' names; empty for images."""
        return tuple(column.name for column in self.columns)

    @property
    def categorical(self) -> tuple[int, ...]:
        """The positions of the categorical columns."""
        return tuple(place for place, column in enumerate(self.columns) if column.kind == "categorical")


class DataDescription(Description):
    """What is known of a data set besides its numbers; travels from ``split`` to the report."""

    dataset: str  # its name in params.yaml
    source: str  # the module under tandem/datasets
    rows: dict[Part, int]  # rows of each part, of the first fold where there are several
    class_counts: dict[Part, tuple[int, ...]]  # by label; empty for regression. Test counts are left out
    protocol: str = ""  # how the rows were divided, in words
    folds: tuple[FoldRows, ...] = ()  # empty with a single validation part


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
    fold: int | None = None  # from 0 over all repeats; None with a single validation part
    seed: int
    outcome: Literal["finished", "stopped early", "diverged"]
    epochs: int  # epochs trained
    kept_epoch: int  # the epoch whose weights were saved, from 1; 0: the initial weights, it diverged at once
    explanation: str  # in words: why it stopped

    @property
    def name(self) -> str:
        """The folder of its model and history in ``models/<experiment>/<framework>``."""
        return f"replicate-{self.replicate}" + ("" if self.fold is None else f"-fold-{self.fold}")


class RunRecord(Record):
    """One training of one experiment in one framework: ``models/<experiment>/<framework>/run.json``."""

    experiment: str
    framework: str
    dataset: str
    constants: Literal["aligned", "aligned-torch", "native"]
    threads: int
    batch_size: int | None = None  # rows a step, also where ``auto`` was declared; None in older records
    together: bool = False  # its replicates and folds were trained as one batch of matrices
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

    ``over`` says what varies: "test samples" (bootstrap), "seeds" (Student's t over replicates), both
    (bootstrap of samples and replicates), or "folds" (Student's t, corrected for their shared training rows).
    """

    value: Number
    low: Number
    high: Number
    over: Literal["test samples", "seeds", "test samples and seeds", "folds"]
    level: float = 0.95
    n: int  # samples, seeds or folds it rests on


class MetricEstimate(Record):
    """One metric of one framework on the test rows."""

    metric: str  # "accuracy", "mse", ...
    higher_is_better: bool
    samples: Interval
    seeds: Interval | None  # None with a single replicate


class ReliabilityBin(Record):
    """Test rows whose predicted probabilities are neighbours.

    ``low`` and ``high`` are Wilson's interval of the share. It counts each test row once, however many replicates
    predicted it, since they share the row's outcome.
    """

    count: int  # predictions, of all replicates
    predicted: float  # their mean probability
    observed: float  # the share that came true
    low: float
    high: float


class Calibration(Record):
    """How probabilities and outcomes agree on the test rows; see ``tandem/calibration.py``."""

    bins: tuple[ReliabilityBin, ...]  # over the predictions of all replicates, least probable first
    error: Interval  # expected calibration error, mean over replicates
    error_seeds: Interval | None  # None with fewer than two replicates
    chance: float  # what 95 % of perfectly calibrated networks would stay below on as many rows
    brier: Interval  # Brier score, mean over replicates
    brier_seeds: Interval | None
    confidence: float  # mean probability of the predicted class
    accuracy: float
    rows: int
    replicates: int  # those that did not diverge


class WrongSample(Record):
    """A test row that a framework got most wrong."""

    row: int  # position among the test rows
    target: float  # label or value
    predicted: float  # label or value
    confidence: Number  # probability given to the predicted class; None for regression
    error: float  # 1 - probability of the true class, or |predicted - target|


class FoldEstimate(Record):
    """One metric over the folds of one framework.

    On the validation part each fold's network is scored on the rows that it did not train on: the
    cross-validation score. On the test part all networks are scored on the same rows.
    """

    part: Part
    metric: str
    higher_is_better: bool
    values: tuple[Number, ...]  # by fold, the mean over the replicates that did not diverge; None: all did
    mean: Number
    deviation: Number  # standard deviation between the folds
    interval: Interval | None  # None if a fold has no value


class FoldsRecord(Record):
    """Results by fold and over the folds."""

    protocol: str  # how the rows were divided, in words
    rows: tuple[FoldRows, ...]  # by fold, repeat after repeat
    overlap: float  # validation rows a training row, mean over the folds: n_test / n_train of the corrected variance
    watched: bool  # the validation rows also chose the epoch, so that their score flatters
    estimates: tuple[FoldEstimate, ...]  # validation part first, then the test part


class FoldDifference(Record):
    """A metric's paired difference over the folds, second framework minus first."""

    part: Part
    metric: str
    first: str
    second: str
    values: tuple[Number, ...]  # by fold; None where one of them diverged
    interval: Interval | None  # None if a fold has no value


class PrunedScores(Record):
    """Metrics on the test rows with a share of the weights set to zero."""

    share: float  # of the kernels' weights; 0: the network as trained
    metrics: dict[str, tuple[Number, ...]]  # metric -> one value per training; None: it diverged


class PruningRecord(Record):
    """What is left of the metrics as the smallest weights are set to zero; see ``tandem/pruning.py``."""

    weights: int  # numbers in all kernels together
    levels: tuple[PrunedScores, ...]  # share 0 first, rising


class EvaluationRecord(Record):
    """``evaluation/<experiment>/<framework>/evaluation.json``.

    Beside it lie arrays, rows in the order of the test part:
    ``targets.npy`` (n,) labels or values; ``predictions.npy`` (trainings, n) labels or values of the
    first head; ``probabilities.npy`` (trainings, n, classes) for classification;
    ``wrong_features.npy`` (k, *feature_shape) raw features of ``wrong``, in the same order. Of data with one or two
    features also ``surface.npy`` (replicates, points, classes or 1), the outputs over the grid that
    ``tandem/surfaces.py`` lays over the training rows, and ``test_features.npy`` (n, features) in raw units.
    A diverged training's predictions are NaN (labels: -1). A training is a replicate, or with folds a replicate on
    a fold, in the order of ``RunRecord.replicates``; what follows says replicate for both.
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
    calibration: Calibration | None = None  # of a classification with a replicate that did not diverge
    pruning: PruningRecord | None = None  # where the experiment declares it
    folds: FoldsRecord | None = None  # of a k-fold split; each training of a replicate on a fold then counts above


class Margin(Record):
    """How far apart two frameworks' results may lie and still count as equivalent."""

    size: float
    relative: bool  # a share of the first framework's mean, or in the metric's unit


class Significance(Record):
    """A p-value by itself, and corrected for all comparisons of its kind on the page (Holm)."""

    p: float
    adjusted: float
    comparisons: int


class EquivalenceTest(Record):
    """Two one-sided paired t tests over replicates (TOST)."""

    margin: Margin
    reach: float  # the margin in the metric's unit: equivalent is what differs by less
    interval: Interval  # 90 %: it lies within the reach just when the test's own p-value is below 0.05
    test: Significance
    needed: int | None  # replicates that would do with a chance of 80 %; None: none would, or it is shown already

    @property
    def shown(self) -> bool:
        """Whether the frameworks are shown to be equivalent."""
        return self.test.adjusted < 0.05


class MetricDifference(Record):
    """A metric's paired difference, second framework minus first, on the same test rows.

    It rests on the replicates that finished in both. With folds each training of a replicate on a fold counts as a
    replicate; what is said over seeds then holds over folds, with the variance corrected by ``overlap``.
    """

    metric: str
    higher_is_better: bool
    first: str
    second: str
    samples: Interval
    seeds: Interval | None  # over seeds or folds; None with a single replicate
    both: Interval | None = None  # over test rows and replicates; None with fewer than five replicates
    values: tuple[Number, Number] = (None, None)  # the metric in the first and the second framework
    rounding: Number = None  # a difference up to this is float32's rounding; None: a value is not finite
    each: dict[int, Number] = {}  # replicate -> its difference
    deviation: Number = None  # standard deviation of ``each``; None with a single replicate
    seeds_test: Significance | None = None  # Student's paired t test
    both_test: Significance | None = None
    equivalence: EquivalenceTest | None = None  # None with a single replicate
    overlap: float = 0.0  # n_test / n_train of the folds, see tandem.statistics.variance_factor; 0 without folds


class ReplicateLabels(Record):
    """Test rows that one replicate gets right in one framework alone, with McNemar's exact p-value."""

    replicate: int
    first_only: int
    second_only: int
    p: float


class McNemarTest(Record):
    """McNemar's test on the labels of the shared test rows, over all replicates that finished in both."""

    first: str
    second: str
    replicates: tuple[ReplicateLabels, ...]
    rows: int
    discordant: int  # rows on which the frameworks differ in at least one replicate
    test: Significance  # over all replicates, each test row a cluster


class ComparisonRecord(Record):
    """``comparison/<experiment>/comparison.json``: all that a report says of the frameworks' results."""

    experiment: str
    description: str
    dataset: str
    task: Task
    frameworks: tuple[str, ...]  # one or more
    main_metric: str
    verdict: str  # one sentence
    estimates: dict[str, tuple[MetricEstimate, ...]]  # by framework
    differences: tuple[MetricDifference, ...]  # of all pairs, one after another; empty with one framework
    fold_differences: tuple[FoldDifference, ...] = ()  # of all pairs; empty without folds
    all_wrong: int | None  # test rows that all frameworks get wrong, first replicate (classification)
    only_wrong: dict[str, int]  # by framework: test rows that it alone gets wrong
    mcnemar: tuple[McNemarTest, ...] = ()  # of all pairs (classification)
    cautions: tuple[str, ...] = ()  # what the number of replicates does not let one conclude
    findings: tuple[str, ...] = ()  # on the main metric's equivalence, a sentence a pair


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
