"""What a page shows, worked out from the stages' records and arrays; drawing and setting come after.

Every function is pure. Where an input is keyed by framework, the result keeps the order of its keys.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.diagnosis import DiagnosisRecord, case_words
from tandem.records import (
    ComparisonRecord,
    DataDescription,
    EvaluationRecord,
    FeatureRange,
    History,
    Interval,
    LayerSummary,
    MetricDifference,
    MetricEstimate,
    Number,
    Part,
    ReplicateRecord,
    RunRecord,
    TimingRecord,
)
from tandem.report.columns import named_value
from tandem.report.formats import format_count, format_seconds, framework_title, is_number
from tandem.report.samples import Sample, show_samples
from tandem.rounding import is_rounding
from tandem.titles import listing

Array = np.ndarray[Any, Any]

PARTS: dict[Part, str] = {"train": "training", "valid": "validation", "test": "test"}
SHOWN_POINTS = 1200  # of a residual plot: enough to see the shape, few enough for a small file
SHOWN_FEATURES = 12  # columns of a table of raw features
SHOWN_RANGES = 30  # rows of the table of feature ranges
FEW_REPLICATES = 5  # fewer are too few for a conclusion over seeds
_EPOCHS_TO_TELL = 5  # fewer say nothing of speed
GALLERY = 15  # sample images: 3 rows of 5


@dataclass(frozen=True)
class EvaluationArrays:
    """The arrays beside an EvaluationRecord: n test rows, r replicates, k wrong samples."""

    targets: Array  # (n,) labels or values
    predictions: Array  # (r, n); NaN or -1 where a replicate diverged
    probabilities: Array | None  # (r, n, classes), or None for regression
    wrong_features: Array  # (k, *feature_shape), raw units


@dataclass(frozen=True)
class FitSamples:
    """Some rows of the fit part in raw units, for the gallery."""

    features: Array  # (n, *feature_shape)
    labels: Array  # (n,)


@dataclass(frozen=True)
class MetricRow:
    """One metric on the test rows with one kind of interval, and the frameworks' paired difference."""

    metric: str
    higher_is_better: bool
    over: str  # "360 test samples" or "5 seeds"
    level: float
    estimates: dict[str, Interval | None]  # by framework
    difference: Interval | None  # of two frameworks: second minus first
    favours: str | None  # the framework that the difference's interval speaks for; None if it holds 0
    few: bool = False  # too few seeds for the difference to speak for either


@dataclass(frozen=True)
class PartRow:
    """One metric of one framework on the three parts: means over replicates that did not diverge."""

    framework: str
    metric: str
    values: dict[Part, Number]
    diverged: bool  # no replicate has a value, because all diverged


@dataclass(frozen=True)
class IntervalBar:
    """One estimate with its interval, as it is drawn."""

    framework: str
    over: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class IntervalPlot:
    """The main metric of all frameworks with its intervals."""

    metric: str
    higher_is_better: bool
    bars: tuple[IntervalBar, ...]


@dataclass(frozen=True)
class Curve:
    """One quantity on one part over the epochs.

    Replicates that diverged are left out of mean and band, unless all did; then the curve ends where no
    replicate has a finite value.
    """

    framework: str
    part: Part
    epochs: tuple[int, ...]
    mean: tuple[float, ...]  # over the replicates that reached the epoch
    low: tuple[float, ...]  # least and largest of the replicates; equal to the mean with one
    high: tuple[float, ...]
    replicates: int
    diverged: int  # replicates whose values became infinite or NaN
    kept_epoch: int | None  # of a single replicate: the epoch whose weights were saved

    @property
    def averaged(self) -> int:
        """Replicates that mean and band rest on."""
        return self.replicates - self.diverged or self.replicates


@dataclass(frozen=True)
class CurvePanel:
    """All curves of one quantity."""

    quantity: str  # "loss", "accuracy", ...
    curves: tuple[Curve, ...]
    logarithmic: bool  # values span more than a factor of 50
    limits: tuple[float, float] | None = None  # of the axis where they are fixed, so that pages compare


@dataclass(frozen=True)
class ReplicateRow:
    """How one replicate of one framework ended."""

    framework: str
    ended: ReplicateRecord


@dataclass(frozen=True)
class Confusion:
    """Which class was taken for which, summed over the replicates."""

    framework: str
    class_names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]  # [true][predicted]
    total: int
    correct: int

    @property
    def worst(self) -> tuple[str, str, int] | None:
        """The most frequent confusion: true class, predicted class, count; None if nothing is confused."""
        pairs = [
            (count, i, j) for i, row in enumerate(self.counts) for j, count in enumerate(row) if i != j and count > 0
        ]
        if not pairs:
            return None
        count, i, j = max(pairs, key=lambda pair: (pair[0], -pair[1], -pair[2]))
        return self.class_names[i], self.class_names[j], count


@dataclass(frozen=True)
class Residuals:
    """Predicted against target for the first replicate that did not diverge."""

    framework: str
    target_name: str
    replicate: int
    targets: tuple[float, ...]  # thinned evenly along the sorted targets to SHOWN_POINTS
    predictions: tuple[float, ...]
    rows: int  # before thinning
    rmse: float
    bias: float  # mean of predicted minus target
    limits: tuple[float, float]  # of both axes, shared by the frameworks


@dataclass(frozen=True)
class WrongRow:
    """A test row that a framework got most wrong, as it is shown."""

    row: int
    target: float
    predicted: float
    target_name: str  # class name; empty for regression
    predicted_name: str
    confidence: Number
    error: float
    picture: Sample | None  # of samples that can be looked at
    features: tuple[float | str, ...]  # the first SHOWN_FEATURES, categories by name; empty where there is a picture


@dataclass(frozen=True)
class WrongSamples:
    """What one framework gets most wrong, worst first."""

    framework: str
    rows: tuple[WrongRow, ...]
    feature_names: tuple[str, ...]  # of the features shown
    left_out: int  # features not shown


@dataclass(frozen=True)
class CostRow:
    """What one framework's training cost; medians over replicates, over all epochs for an epoch's time."""

    framework: str
    seconds_per_epoch: Number
    samples_per_second: Number
    seconds_to_kept_epoch: Number
    total_seconds: float
    epochs: int
    peak_memory_bytes: int
    start_up_seconds: float
    resumed: bool


@dataclass(frozen=True)
class ModelRow:
    """The network of one framework."""

    framework: str
    layers: tuple[LayerSummary, ...]
    parameters: int
    trainable: int


@dataclass(frozen=True)
class ClassBalance:
    """Rows per class in the parts whose counts are known."""

    class_names: tuple[str, ...]
    counts: dict[Part, tuple[int, ...]]


@dataclass(frozen=True)
class Picture:
    """One sample of the fit part."""

    label: str
    sample: Sample


@dataclass(frozen=True)
class EnvironmentRow:
    """One fact about the runs' environment."""

    name: str
    values: dict[str, str]  # by framework

    @property
    def differs(self) -> bool:
        """Whether the frameworks ran under different values."""
        return len(set(self.values.values())) > 1


@dataclass(frozen=True)
class Command:
    """A command line and what it does."""

    purpose: str
    line: str


@dataclass(frozen=True)
class IndexEntry:
    """What the index needs of one experiment."""

    comparison: ComparisonRecord
    runs: dict[str, RunRecord]
    timings: dict[str, TimingRecord]
    address: str  # of its page, relative to the index
    diagnosis: DiagnosisRecord
    search: str = ""  # strategy of the search whose winners these are; "" for an experiment


@dataclass(frozen=True)
class IndexRow:
    """One experiment on the index."""

    experiment: str
    description: str
    dataset: str
    verdict: str
    metric: str
    estimates: dict[str, Interval | None]
    seconds: float  # all trainings of all frameworks
    diverged: bool
    address: str
    curves: str  # what the learning curves say, in a word or two
    search: str  # strategy of the search whose winners these are; "" for an experiment


def metric_rows(comparison: ComparisonRecord) -> tuple[MetricRow, ...]:
    """Return the metrics of all frameworks, main metric first; seeds follow samples."""
    estimates = {
        framework: {estimate.metric: estimate for estimate in listed}
        for framework, listed in comparison.estimates.items()
    }
    two = comparison.differences if len(comparison.frameworks) == 2 else ()  # of more, a table of their own tells
    differences = {difference.metric: difference for difference in two}
    names = list(dict.fromkeys([comparison.main_metric, *(m for found in estimates.values() for m in found)]))
    rows = []
    for metric in names:
        known = {framework: found.get(metric) for framework, found in estimates.items()}
        if all(estimate is None for estimate in known.values()):
            continue
        difference = differences.get(metric)
        better = next(estimate.higher_is_better for estimate in known.values() if estimate is not None)
        for kind in ("samples", "seeds"):
            intervals = {f: _interval(estimate, kind) for f, estimate in known.items()}
            given = [interval for interval in intervals.values() if interval is not None]
            if not given:
                continue
            gap: Interval | None = getattr(difference, kind) if difference is not None else None
            few = kind == "seeds" and gap is not None and gap.n < FEW_REPLICATES
            rows.append(
                MetricRow(
                    metric=metric,
                    higher_is_better=better,
                    over=_over(max(given, key=lambda interval: interval.n)),
                    level=given[0].level,
                    estimates=intervals,
                    difference=gap,
                    favours=None if few or difference is None else _favours(gap, difference),
                    few=few,
                )
            )
    return tuple(rows)


def _interval(estimate: MetricEstimate | None, kind: str) -> Interval | None:
    return None if estimate is None else getattr(estimate, kind)


def _over(interval: Interval) -> str:
    return f"{format_count(interval.n)} {interval.over}"


def _favours(gap: Interval | None, difference: MetricDifference) -> str | None:
    """Return the framework that an interval speaks for, if any."""
    if gap is None or gap.low is None or gap.high is None or gap.low <= 0 <= gap.high:
        return None
    if is_rounding(gap, difference.rounding):
        return None
    return difference.second if (gap.low > 0) == difference.higher_is_better else difference.first


def interval_plot(comparison: ComparisonRecord) -> IntervalPlot | None:
    """Return the main metric's intervals, or None if no framework has any (all diverged)."""
    rows = [row for row in metric_rows(comparison) if row.metric == comparison.main_metric]
    bars = tuple(
        IntervalBar(framework, row.over, interval.value, interval.low, interval.high)
        for framework in comparison.frameworks
        for row in rows
        if (interval := row.estimates.get(framework)) is not None
        and interval.value is not None
        and interval.low is not None
        and interval.high is not None
    )
    return IntervalPlot(comparison.main_metric, rows[0].higher_is_better, bars) if bars else None


def part_rows(evaluations: Mapping[str, EvaluationRecord]) -> tuple[PartRow, ...]:
    """Return every metric on training, validation and test rows, framework by framework within a metric."""
    metrics = dict.fromkeys(
        metric for evaluation in evaluations.values() for part in evaluation.metrics.values() for metric in part
    )
    rows = []
    for metric in metrics:
        for framework, evaluation in evaluations.items():
            values = {part: _mean(evaluation.metrics.get(part, {}).get(metric, ())) for part in PARTS}
            lost = bool(evaluation.diverged) and all(value is None for value in values.values())
            rows.append(PartRow(framework, metric, values, lost))
    return tuple(rows)


def _mean(values: Sequence[Number]) -> Number:
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return statistics.fmean(finite) if finite else None


def validation_gap(evaluation: EvaluationRecord) -> Number:
    """Return the largest difference between a recorded validation loss and its evaluation afresh.

    None if no replicate has both, for instance without validation rows.
    """
    again = evaluation.metrics.get("valid", {}).get("loss", ())
    gaps = [
        abs(a - b)
        for a, b in zip(again, evaluation.recorded_valid, strict=False)
        if a is not None and b is not None and math.isfinite(a) and math.isfinite(b)
    ]
    return max(gaps, default=None)


def curve_panels(histories: Mapping[str, Sequence[History]], runs: Mapping[str, RunRecord]) -> tuple[CurvePanel, ...]:
    """Return one panel per quantity, loss first, with each framework's training and validation curve."""
    quantities: dict[str, None] = {"loss": None}
    for replicates in histories.values():
        for history in replicates:
            quantities.update(dict.fromkeys(name.partition("_")[2] for name in history.columns))
    panels = []
    for quantity in quantities:
        curves = tuple(
            curve
            for framework, replicates in histories.items()
            for part in ("train", "valid")
            if (curve := _curve(framework, part, quantity, replicates, runs[framework])) is not None
        )
        if curves:
            logarithmic = _spans_decades(curves)
            panels.append(CurvePanel(quantity, curves, logarithmic, None if logarithmic else _limits(quantity, curves)))
    return tuple(panels)


def _curve(framework: str, part: Part, quantity: str, replicates: Sequence[History], run: RunRecord) -> Curve | None:
    column = f"{part}_{quantity}"
    if not any(column in history.columns for history in replicates):
        return None
    series = [(history.epochs, history.columns.get(column, ())) for history in replicates]
    sound = [(epochs, values) for epochs, values in series if all(map(is_number, values))]
    by_epoch: dict[int, list[float]] = {}
    for epochs_run, values in sound or series:
        for epoch, value in zip(epochs_run, values, strict=False):
            if value is not None and math.isfinite(value):
                by_epoch.setdefault(epoch, []).append(value)
    epochs = tuple(sorted(by_epoch))
    kept = run.replicates[0].kept_epoch if len(run.replicates) == 1 else 0
    return Curve(
        framework=framework,
        part=part,
        epochs=epochs,
        mean=tuple(statistics.fmean(by_epoch[epoch]) for epoch in epochs),
        low=tuple(min(by_epoch[epoch]) for epoch in epochs),
        high=tuple(max(by_epoch[epoch]) for epoch in epochs),
        replicates=len(replicates),
        diverged=len(series) - len(sound),
        kept_epoch=kept if kept in by_epoch else None,
    )


def _limits(quantity: str, curves: Sequence[Curve]) -> tuple[float, float] | None:
    """Return 0 to 1 for a share, 0 to the largest value for what is never negative."""
    values = [value for curve in curves for value in (*curve.low, *curve.high)]
    if quantity == "accuracy":
        return 0.0, 1.0
    return (0.0, max(values)) if values and min(values) >= 0 and max(values) > 0 else None


def _spans_decades(curves: Sequence[Curve]) -> bool:
    values = [value for curve in curves for value in (*curve.low, *curve.high)]
    return bool(values) and min(values) > 0 and max(values) > 50 * min(values)


def replicate_rows(runs: Mapping[str, RunRecord]) -> tuple[ReplicateRow, ...]:
    """Return how every replicate of every framework ended."""
    return tuple(ReplicateRow(framework, ended) for framework, run in runs.items() for ended in run.replicates)


def diverged_rows(runs: Mapping[str, RunRecord]) -> tuple[ReplicateRow, ...]:
    """Return the replicates that diverged."""
    return tuple(row for row in replicate_rows(runs) if row.ended.outcome == "diverged")


def confusions(evaluations: Mapping[str, EvaluationRecord], class_names: Sequence[str]) -> tuple[Confusion, ...]:
    """Return each framework's confusion matrix; a framework whose replicates all diverged has none."""
    found = []
    for framework, evaluation in evaluations.items():
        total = sum(map(sum, evaluation.confusion))
        if total:
            names = tuple(name_of(label, class_names) for label in range(len(evaluation.confusion)))
            correct = sum(row[label] for label, row in enumerate(evaluation.confusion))
            found.append(Confusion(framework, names, evaluation.confusion, total, correct))
    return tuple(found)


def name_of(label: float, class_names: Sequence[str]) -> str:
    """Return a label's class name, or "class 3" where it has none."""
    index = int(label)
    return class_names[index] if 0 <= index < len(class_names) else f"class {index}"


def residuals(arrays: Mapping[str, EvaluationArrays], target_name: str) -> tuple[Residuals, ...]:
    """Return predicted against target for each framework that has finite predictions."""
    chosen = {}
    for framework, found in arrays.items():
        finite = [r for r, row in enumerate(found.predictions) if row.size and np.isfinite(row).all()]
        if finite:
            targets = np.asarray(found.targets, dtype=np.float64)
            chosen[framework] = finite[0], targets, np.asarray(found.predictions[finite[0]], dtype=np.float64)
    if not chosen:
        return ()
    ends = [end for _, t, p in chosen.values() for end in (t.min(), t.max(), p.min(), p.max())]
    limits = float(min(ends)), float(max(ends))
    shown = []
    for framework, (replicate, targets, predictions) in chosen.items():
        order = np.argsort(targets, kind="stable")
        kept = order[np.unique(np.linspace(0, order.size - 1, min(order.size, SHOWN_POINTS)).astype(int))]
        error = predictions - targets
        shown.append(
            Residuals(
                framework=framework,
                target_name=target_name,
                replicate=replicate,
                targets=tuple(targets[kept].tolist()),
                predictions=tuple(predictions[kept].tolist()),
                rows=targets.size,
                rmse=float(np.sqrt(np.mean(error**2))),
                bias=float(np.mean(error)),
                limits=limits,
            )
        )
    return tuple(shown)


def wrong_samples(
    data: DataDescription,
    evaluations: Mapping[str, EvaluationRecord],
    arrays: Mapping[str, EvaluationArrays],
    limit: int = 12,
) -> tuple[WrongSamples, ...]:
    """Return at most ``limit`` of the samples that each framework gets most wrong, worst first."""
    return tuple(
        _wrong(data, framework, evaluation, arrays[framework].wrong_features[:limit])
        for framework, evaluation in evaluations.items()
    )


def _wrong(data: DataDescription, framework: str, evaluation: EvaluationRecord, features: Array) -> WrongSamples:
    listed = evaluation.wrong[: len(features)]
    pictures = show_samples(data, features)
    flat = np.asarray(features, dtype=np.float64).reshape(len(features), math.prod(data.feature_shape))
    shown = 0 if pictures is not None else min(flat.shape[1], SHOWN_FEATURES)
    labelled = data.task == "classification"
    rows = tuple(
        WrongRow(
            row=wrong.row,
            target=wrong.target,
            predicted=wrong.predicted,
            target_name=name_of(wrong.target, data.class_names) if labelled else "",
            predicted_name=name_of(wrong.predicted, data.class_names) if labelled else "",
            confidence=wrong.confidence,
            error=wrong.error,
            picture=None if pictures is None else pictures[i],
            features=_named_features(data, flat[i, :shown]),
        )
        for i, wrong in enumerate(listed)
    )
    names = data.feature_names or tuple(f"feature {i}" for i in range(shown))
    return WrongSamples(framework, rows, names[:shown], 0 if pictures is not None else flat.shape[1] - shown)


def _named_features(data: DataDescription, values: Array) -> tuple[float | str, ...]:
    if not data.columns:
        return tuple(values.tolist())
    pairs = zip(data.columns, values.tolist(), strict=False)  # the first columns are shown
    return tuple(named_value(column, value) for column, value in pairs)


def cost_rows(timings: Mapping[str, TimingRecord]) -> tuple[CostRow, ...]:
    """Return what each framework's training cost."""
    rows = []
    for framework, timing in timings.items():
        epochs = [seconds for replicate in timing.replicates for seconds in replicate.seconds_per_epoch]
        epoch = statistics.median(epochs) if epochs else None
        kept = [replicate.seconds_to_kept_epoch for replicate in timing.replicates]
        rows.append(
            CostRow(
                framework=framework,
                seconds_per_epoch=epoch,
                samples_per_second=timing.samples_per_epoch / epoch if epoch else None,
                seconds_to_kept_epoch=statistics.median(kept) if kept else None,
                total_seconds=sum(replicate.seconds for replicate in timing.replicates),
                epochs=len(epochs),
                peak_memory_bytes=timing.peak_memory_bytes,
                start_up_seconds=timing.start_up_seconds,
                resumed=timing.resumed,
            )
        )
    return tuple(rows)


def speed_sentence(rows: Sequence[CostRow]) -> str:
    """Say which framework's epochs are fastest, and what all of the training took; empty unless two are known.

    Too few epochs, as of a run that diverged at once, say nothing of speed.
    """
    timed = [row for row in rows if row.seconds_per_epoch and row.epochs >= _EPOCHS_TO_TELL]
    if len(timed) < 2:
        return ""
    fastest, *slower = sorted(timed, key=lambda row: row.seconds_per_epoch or 0.0)
    ratios = [(row.seconds_per_epoch or 0.0) / (fastest.seconds_per_epoch or 1.0) for row in slower]
    names = [framework_title(row.framework) for row in (fastest, *slower)]
    epochs = (
        f"Typical epochs of {listing(names)} are equally fast, within 5 %"
        if ratios[-1] < 1.05
        else f"A typical epoch of {names[0]} is "
        + listing(
            [f"{ratio:.2g} times as fast as one of {name}" for name, ratio in zip(names[1:], ratios, strict=True)]
        )
    )
    whole = listing(
        [f"{format_seconds(row.total_seconds)} in {framework_title(row.framework)}" for row in (fastest, *slower)]
    )
    compiled = " Keras compiles in its first epoch, which the typical one leaves out." if "Keras" in names else ""
    return f"{epochs}; all training took {whole}.{compiled}"


def repeat_of(runs: Mapping[str, RunRecord]) -> int:
    """Return how often an epoch showed each training row; the same in all frameworks."""
    return max((int(run.declaration.get("training", {}).get("repeat", 1)) for run in runs.values()), default=1)


def model_rows(runs: Mapping[str, RunRecord]) -> tuple[ModelRow, ...]:
    """Return each framework's network."""
    return tuple(
        ModelRow(framework, run.model.layers, run.model.parameters, run.model.trainable)
        for framework, run in runs.items()
    )


def class_balance(data: DataDescription) -> ClassBalance | None:
    """Return the rows per class, or None for regression."""
    counts = {part: data.class_counts[part] for part in PARTS if data.class_counts.get(part)}
    return ClassBalance(data.class_names, counts) if counts else None


def feature_ranges(ranges: Sequence[FeatureRange]) -> tuple[tuple[FeatureRange, ...], int]:
    """Return the first SHOWN_RANGES ranges, and how many are left out.

    A scaled mean that is 0 but for rounding (a millionth of the standard deviation) is given as 0.
    """
    shown = []
    for found in ranges[:SHOWN_RANGES]:
        low, mean, high, deviation = found.after
        rounded = 0.0 if abs(mean) < 1e-6 * deviation else mean
        shown.append(found.model_copy(update={"after": (low, rounded, high, deviation)}))
    return tuple(shown), max(0, len(ranges) - SHOWN_RANGES)


def sample_pictures(data: DataDescription, samples: FitSamples | None) -> tuple[Picture, ...]:
    """Return up to 15 samples with their class names (or values); none where samples are rows of features."""
    shown = None if samples is None else show_samples(data, samples.features[:GALLERY])
    if samples is None or not shown:
        return ()
    labelled = data.task == "classification"
    return tuple(
        Picture(name_of(label, data.class_names) if labelled else f"{float(label):.4g}", sample)
        for label, sample in zip(samples.labels[:GALLERY], shown, strict=True)
    )


def environment_rows(runs: Mapping[str, RunRecord]) -> tuple[EnvironmentRow, ...]:
    """Return versions, platform, device and threads of each framework's run."""
    names = dict.fromkeys(name for run in runs.values() for name in run.versions)
    facts: dict[str, dict[str, str]] = {
        name: {framework: run.versions.get(name, "–") for framework, run in runs.items()} for name in names
    }
    facts["platform"] = {framework: run.platform for framework, run in runs.items()}
    facts["device"] = {framework: run.device for framework, run in runs.items()}
    facts["threads"] = {framework: str(run.threads) for framework, run in runs.items()}
    if any(run.together for run in runs.values()):
        facts["replicates and folds"] = {
            framework: "trained together, times are shares" if run.together else "one after another"
            for framework, run in runs.items()
        }
    if has_automatic_batch_size(runs):
        facts["batch size (auto)"] = {framework: str(run.batch_size or "–") for framework, run in runs.items()}
    return tuple(EnvironmentRow(name, values) for name, values in facts.items())


def has_automatic_batch_size(runs: Mapping[str, RunRecord]) -> bool:
    """Return whether the batch size was chosen to fit the device's memory."""
    return any(run.declaration.get("training", {}).get("batch_size") == "auto" for run in runs.values())


def native_differences(runs: Mapping[str, RunRecord]) -> dict[str, tuple[str, ...]]:
    """Return, for runs with native constants, each framework's defaults that differ from the other's."""
    return {
        framework: run.differences for framework, run in runs.items() if run.constants == "native" and run.differences
    }


def reproduce_commands(comparison: ComparisonRecord) -> tuple[Command, ...]:
    """Return the commands that make the page again."""
    name = comparison.experiment
    trainings = " ".join(f"train@{name}-{framework}" for framework in comparison.frameworks)
    return (
        Command("Bring this page up to date, with all that it rests on", f"dvc repro report@{name}"),
        Command("Train afresh, whatever the cache holds", f"dvc repro --force --single-item {trainings}"),
        Command("The same through the Prefect flow", f"tandem run {name}"),
    )


def index_rows(entries: Sequence[IndexEntry]) -> tuple[IndexRow, ...]:
    """Return one row per experiment, in the order given."""
    rows = []
    for entry in entries:
        comparison = entry.comparison
        main = [row for row in metric_rows(comparison) if row.metric == comparison.main_metric]
        rows.append(
            IndexRow(
                experiment=comparison.experiment,
                description=comparison.description,
                dataset=comparison.dataset,
                verdict=comparison.verdict,
                metric=comparison.main_metric,
                estimates=main[0].estimates if main else {},
                seconds=sum(row.total_seconds for row in cost_rows(entry.timings)),
                diverged=bool(diverged_rows(entry.runs)),
                address=entry.address,
                curves=case_words(entry.diagnosis),
                search=entry.search,
            )
        )
    return tuple(rows)


def suite_sentence(entries: Sequence[IndexEntry]) -> str:
    """Return what the suite is: "5 experiments and 1 search on 4 data sets, in Keras and PyTorch."."""
    searches = sum(bool(entry.search) for entry in entries)
    experiments = len(entries) - searches
    named = [f"{experiments} experiment{'s' * (experiments != 1)}"] if experiments or not searches else []
    named += [f"{searches} search{'es' * (searches != 1)}"] if searches else []
    datasets = len({entry.comparison.dataset for entry in entries})
    frameworks = dict.fromkeys(framework_title(name) for entry in entries for name in entry.comparison.frameworks)
    return (
        f"{listing(named)} on {datasets} data set{'s' * (datasets != 1)}"
        f"{', in ' + listing(list(frameworks)) if frameworks else ''}."
    )


def environment_sentence(entries: Sequence[IndexEntry]) -> str:
    """Return the environments of all runs in a sentence: versions, devices and platforms, each once."""
    runs = [run for entry in entries for run in entry.runs.values()]
    facts = dict.fromkeys(f"{name} {version}" for run in runs for name, version in run.versions.items())
    facts.update(dict.fromkeys(run.device for run in runs))
    facts.update(dict.fromkeys(run.platform for run in runs))
    return ", ".join(facts)


def is_diverged(interval: Interval | None) -> bool:
    """Say whether an estimate is missing because its runs diverged."""
    return interval is not None and not is_number(interval.value)
