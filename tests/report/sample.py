"""Complete made-up inputs for the report: what the stages would hand over, with awkward names."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np

from tandem.diagnosis import Baseline, diagnose
from tandem.hypotheses import mcnemar
from tandem.records import (
    ComparisonRecord,
    DataDescription,
    EquivalenceTest,
    EvaluationRecord,
    FeatureRange,
    History,
    Interval,
    LayerSummary,
    Margin,
    MetricDifference,
    MetricEstimate,
    ModelSummary,
    ReplicateRecord,
    ReplicateTiming,
    RunRecord,
    ScalingSummary,
    Significance,
    TimingRecord,
    WrongSample,
)
from tandem.report.pages import Link, PageInputs
from tandem.report.records import EvaluationArrays, FitSamples, IndexEntry

from .made_ladder import made_ladder

HOSTILE = '<script>alert("x")</script> & $a$'
BOTH = ("keras", "torch")
CLASSES = ("衬衫", "Ankle boot", HOSTILE)
VERSIONS = {
    "keras": {"python": "3.12.3", "numpy": "2.4.1", "keras": "3.15.0", "tensorflow": "2.21.0"},
    "torch": {"python": "3.12.3", "numpy": "2.4.1", "torch": "2.13.0"},
    "numpy": {"python": "3.12.3", "numpy": "2.4.1"},
}


def classification(
    frameworks: tuple[str, ...] = BOTH,
    replicates: int = 1,
    shape: tuple[int, ...] = (4,),
    class_names: tuple[str, ...] = CLASSES,
    diverged: dict[str, tuple[int, ...]] | None = None,
    constants: str = "aligned",
    epochs: int = 10,
    rows: int = 120,
) -> PageInputs:
    """Return inputs of a classification; ``diverged`` names replicates by framework."""
    diverged = diverged or {}
    random = np.random.default_rng(5)
    classes = len(class_names)
    targets = random.integers(0, classes, rows)
    arrays, evaluations = {}, {}
    for framework in frameworks:
        lost = diverged.get(framework, ())
        chance = 0.2 + 0.8 * random.random((replicates, rows))
        guesses = np.where(chance > 0.36, targets, random.integers(0, classes, (replicates, rows)))
        scores = random.random((replicates, rows, classes)) * 0.3
        np.put_along_axis(scores, guesses[..., None], 0.9, axis=2)
        probabilities = scores / scores.sum(axis=2, keepdims=True)
        guesses[list(lost)] = -1
        wrong = [row for row in range(rows) if guesses[0, row] not in (-1, targets[row])][:12]
        confusion = np.zeros((classes, classes), dtype=int)
        for r in set(range(replicates)) - set(lost):
            np.add.at(confusion, (targets, guesses[r]), 1)
        accuracy = [None if r in lost else float(np.mean(guesses[r] == targets)) for r in range(replicates)]
        loss = [None if r in lost else 0.4 + 0.01 * r - 0.03 * len(arrays) for r in range(replicates)]
        arrays[framework] = EvaluationArrays(targets, guesses, probabilities, 255 * random.random((len(wrong), *shape)))
        evaluations[framework] = EvaluationRecord(
            experiment="digits-mlp",
            framework=framework,
            task="classification",
            metrics={part: {"accuracy": tuple(accuracy), "loss": tuple(loss)} for part in ("train", "valid", "test")},
            recorded_valid=tuple(loss),
            estimates=_estimates(accuracy, loss, rows),
            wrong=tuple(
                WrongSample(
                    row=row,
                    target=float(targets[row]),
                    predicted=float(guesses[0, row]),
                    confidence=float(probabilities[0, row].max()),
                    error=0.9,
                )
                for row in wrong
            ),
            confusion=tuple(tuple(row) for row in confusion.tolist()),
            diverged=lost,
        )
    names = () if len(shape) > 1 else ("花瓣 长度", HOSTILE, "width", "petal & sepal")[: shape[0]]
    counts = tuple(int(100 - 7 * label) for label in range(classes))
    data = DataDescription(
        dataset="digits",
        source="digits",
        title="手写数字 & digits",
        reference="Made up for the tests; see https://example.org/digits",
        task="classification",
        feature_shape=shape,
        feature_names=names,
        class_names=class_names,
        target_name="class",
        rows={"train": sum(counts), "valid": sum(counts) // 3, "test": rows},
        class_counts={"train": counts, "valid": tuple(count // 3 for count in counts)},
    )
    samples = FitSamples(255 * random.random((15, *shape)), np.arange(15) % classes)
    differences = tuple(
        difference
        for metric, better, half in (("accuracy", True, 0.012), ("loss", False, 0.012))
        for first, second in combinations(frameworks, 2)
        for difference in _differences(metric, better, half, evaluations[first], evaluations[second], rows)
    )
    right = {framework: arrays[framework].predictions == targets for framework in frameworks}
    labels = tuple(
        mcnemar(first, second, list(range(replicates)), right[first], right[second])
        for first, second in combinations(frameworks, 2)
    )
    comparison = ComparisonRecord(
        experiment="digits-mlp",
        description="Two hidden layers on scaled pixels, plain gradient descent.",
        dataset="digits",
        task="classification",
        frameworks=frameworks,
        main_metric="accuracy",
        verdict="Keras and PyTorch are equally accurate: they differ by less than the test rows can tell.",
        estimates={framework: evaluations[framework].estimates for framework in frameworks},
        differences=differences,
        all_wrong=9 if len(frameworks) > 1 else None,
        only_wrong=dict.fromkeys(frameworks, 4) if len(frameworks) > 1 else {},
        mcnemar=labels,
        cautions=("Fewer than five replicates: nothing can be concluded over seeds.",) if replicates < 5 else (),
        findings=("Keras and PyTorch are equivalent within 0.01.",) if replicates >= 5 else (),
    )
    return _inputs(data, comparison, evaluations, arrays, samples, replicates, diverged, constants, epochs)


def regression(frameworks: tuple[str, ...] = BOTH, rows: int = 300, replicates: int = 1) -> PageInputs:
    """Return inputs of a regression with two outputs, hence extra metrics."""
    random = np.random.default_rng(6)
    targets = random.gamma(4.0, 0.5, rows)
    arrays, evaluations = {}, {}
    for framework in frameworks:
        predictions = targets + random.normal(0, 0.35, (replicates, rows)) - 0.1 * (targets - 2)
        error = np.abs(predictions[0] - targets)
        worst = np.argsort(-error)[:10]
        mse = [float(np.mean((row - targets) ** 2)) for row in predictions]
        arrays[framework] = EvaluationArrays(targets, predictions, None, random.normal(1000, 900, (10, 8)))
        evaluations[framework] = EvaluationRecord(
            experiment="housing-wide-deep",
            framework=framework,
            task="regression",
            metrics={
                part: {"mse": tuple(mse), "loss_joint": tuple(mse), "loss": tuple(mse)}
                for part in ("train", "valid", "test")
            },
            recorded_valid=tuple(value + 1e-7 for value in mse),
            estimates=(
                MetricEstimate(
                    metric="mse",
                    higher_is_better=False,
                    samples=_interval(mse[0], 0.02, "test samples", rows),
                    seeds=None,
                ),
                MetricEstimate(
                    metric="loss_joint",
                    higher_is_better=False,
                    samples=_interval(mse[0], 0.02, "test samples", rows),
                    seeds=None,
                ),
            ),
            wrong=tuple(
                WrongSample(
                    row=int(row),
                    target=float(targets[row]),
                    predicted=float(predictions[0, row]),
                    confidence=None,
                    error=float(error[row]),
                )
                for row in worst
            ),
            confusion=(),
            diverged=(),
        )
    names = ("收入", "HouseAge", "AveRooms", "AveBedrms", "Population", "AveOccup", "Latitude", "Longitude")
    data = DataDescription(
        dataset="housing",
        source="california_housing",
        title="California housing",
        reference="StatLib, census of 1990",
        task="regression",
        feature_shape=(8,),
        feature_names=names,
        class_names=(),
        target_name="house value in $100,000",
        rows={"train": 11_610, "valid": 3_870, "test": rows},
        class_counts={},
    )
    comparison = ComparisonRecord(
        experiment="housing-wide-deep",
        description="Wide & Deep with two inputs.",
        dataset="housing",
        task="regression",
        frameworks=frameworks,
        main_metric="mse",
        verdict="PyTorch’s squared error is lower by 0.004; another test set could reverse that.",
        estimates={framework: evaluations[framework].estimates for framework in frameworks},
        differences=(),
        all_wrong=None,
        only_wrong={},
    )
    return _inputs(data, comparison, evaluations, arrays, None, replicates, {}, "native", 60)


def _differences(
    metric: str, better: bool, half: float, first: EvaluationRecord, second: EvaluationRecord, rows: int
) -> tuple[MetricDifference, ...]:
    """Return the difference of two frameworks in one metric, or none where no replicate finished in both."""
    values = [evaluation.metrics["test"][metric] for evaluation in (first, second)]
    each = {i: b - a for i, (a, b) in enumerate(zip(*values, strict=True)) if a is not None and b is not None}
    if not each:
        return ()
    gap, several, enough = sum(each.values()) / len(each), len(each) > 1, len(each) >= 5
    p = Significance(p=0.004, adjusted=0.008, comparisons=2)
    return (
        MetricDifference(
            metric=metric,
            higher_is_better=better,
            first=first.framework,
            second=second.framework,
            samples=_interval(gap, half, "test samples", rows),
            seeds=_interval(gap, half / 2, "seeds", len(each)) if several else None,
            both=_interval(gap, 1.2 * half, "test samples and seeds", rows) if enough else None,
            values=tuple(sum(part[i] for i in each) / len(each) for part in values),
            rounding=1e-7,
            each=each,
            deviation=0.0123 if several else None,
            seeds_test=p if several else None,
            both_test=p if enough else None,
            equivalence=EquivalenceTest(
                margin=Margin(size=0.05 if metric == "loss" else 0.01, relative=metric == "loss"),
                reach=0.02 if metric == "loss" else 0.01,
                interval=_interval(gap, half / 3, "seeds", len(each)).model_copy(update={"level": 0.9}),
                test=p,
                needed=None,
            )
            if several
            else None,
        ),
    )


def entries() -> tuple[IndexEntry, ...]:
    """Return the index's view of three experiments; the last diverged in PyTorch."""
    made = (
        ("digits-mlp", classification(replicates=3)),
        ("housing-wide-deep", regression()),
        ("fast-rate", classification(diverged={"torch": (0,)})),
    )
    return tuple(
        IndexEntry(
            inputs.comparison.model_copy(update={"experiment": name}),
            dict(inputs.runs),
            dict(inputs.timings),
            f"{name}.html",
            inputs.diagnosis,
        )
        for name, inputs in made
    )


def _inputs(
    data: DataDescription,
    comparison: ComparisonRecord,
    evaluations: dict[str, EvaluationRecord],
    arrays: dict[str, EvaluationArrays],
    samples: FitSamples | None,
    replicates: int,
    diverged: dict[str, tuple[int, ...]],
    constants: str,
    epochs: int,
) -> PageInputs:
    frameworks = comparison.frameworks
    names = data.feature_names or ("all pixels",)
    inputs = PageInputs(
        data=data,
        scaling=ScalingSummary(
            method="zscore",
            per="feature" if data.feature_names else "all",
            fitted_rows=data.rows["train"],
            ranges=tuple(
                FeatureRange(feature=name, before=(0.0, 72.94, 255.0, 90.02), after=(-0.8102, 0.0, 2.022, 1.0))
                for name in names
            ),
        ),
        comparison=comparison,
        runs={
            framework: _run(comparison, framework, replicates, diverged.get(framework, ()), constants, epochs)
            for framework in frameworks
        },
        histories={
            framework: tuple(
                _history(data.task, place, replicate, replicate in diverged.get(framework, ()), epochs)
                for replicate in range(replicates)
            )
            for place, framework in enumerate(frameworks)
        },
        timings={
            framework: _timing(comparison, framework, replicates, epochs, 0.5 + 0.7 * place)
            for place, framework in enumerate(frameworks)
        },
        evaluations=evaluations,
        arrays=arrays,
        samples=samples,
        previous=Link("coffee", "coffee.html"),
        following=Link("five-rule", "five-rule.html"),
    )
    ended = {framework: run.replicates for framework, run in inputs.runs.items()}
    baseline = Baseline(loss=1.6, metric="accuracy", value=0.4, words=f"always the same, {HOSTILE}")
    climbed = made_ladder(comparison.experiment, tuple(frameworks), constants)
    return replace(inputs, diagnosis=diagnose(inputs.histories, ended, baseline), ladder=climbed)


def _run(
    comparison: ComparisonRecord,
    framework: str,
    replicates: int,
    diverged: tuple[int, ...],
    constants: str,
    epochs: int,
) -> RunRecord:
    layers = tuple(
        LayerSummary(name=name, kind=kind, output_shape=(units,), parameters=count, trainable=count)
        for name, kind, units, count in (
            ("flatten", "Flatten", 784, 0),
            ("dense_1", "Dense", 300, 235_500),
            ("dense_2", "Dense", 100, 30_100),
            ("output", "Dense", 10, 1_010),
        )
    )
    return RunRecord(
        experiment=comparison.experiment,
        framework=framework,
        dataset=comparison.dataset,
        constants=constants,
        threads=1,
        device="cpu: 2 cores",
        versions=VERSIONS[framework],
        platform="Linux 6.8 x86_64",
        declaration={"dataset": comparison.dataset, "loss": "cross_entropy", "note": HOSTILE},
        model=ModelSummary(layers=layers, parameters=266_610, trainable=266_610),
        differences=("batch normalisation: momentum 0.99 here, 0.9 there",) if constants == "native" else (),
        replicates=tuple(
            ReplicateRecord(
                replicate=replicate,
                seed=100 + replicate,
                outcome="diverged" if replicate in diverged else "stopped early",
                epochs=4 if replicate in diverged else epochs,
                kept_epoch=3 if replicate in diverged else epochs - 2,
                explanation="The training loss became infinite in epoch 4."
                if replicate in diverged
                else "valid_loss did not fall by 0.001 for 2 epochs.",
            )
            for replicate in range(replicates)
        ),
    )


def _history(task: str, place: int, replicate: int, diverged: bool, epochs: int) -> History:
    epochs = 4 if diverged else epochs
    steps = range(1, epochs + 1)
    loss = [0.35 + 0.04 * place + 0.02 * replicate + 1.1 * math.exp(-0.45 * step) for step in steps]
    if diverged:
        loss = [0.9, 3.0, 40.0, None]
    valid = [None if value is None else 1.08 * value + 0.004 * step for step, value in zip(steps, loss, strict=True)]
    columns = {"train_loss": tuple(loss), "valid_loss": tuple(valid)}
    if task == "classification":
        columns["train_accuracy"] = tuple(None if x is None else max(0.1, 1.02 - 0.4 * x) for x in loss)
        columns["valid_accuracy"] = tuple(None if x is None else max(0.1, 1.0 - 0.42 * x) for x in valid)
    norms = {
        layer: tuple(None if diverged and entry == epochs else start * math.exp(-0.2 * entry) for entry in (0, *steps))
        for layer, start in (("dense_1", 0.02), ("dense_2", 0.3), ("output", 1.4))
    }
    return History(epochs=tuple(steps), learning_rate=(0.01,) * epochs, columns=columns, gradient_norms=norms)


def _timing(comparison: ComparisonRecord, framework: str, replicates: int, epochs: int, seconds: float) -> TimingRecord:
    each = ReplicateTiming(
        seconds=seconds * epochs * 1.2,
        seconds_per_epoch=(3 * seconds, *(seconds,) * (epochs - 1)),
        seconds_to_kept_epoch=seconds * (epochs - 2),
    )
    return TimingRecord(
        experiment=comparison.experiment,
        framework=framework,
        start_up_seconds=4.2,
        peak_memory_bytes=700 * 2**20,
        samples_per_epoch=55_000,
        replicates=(each,) * replicates,
        resumed=False,
    )


def _estimates(accuracy: list[float | None], loss: list[float | None], rows: int) -> tuple[MetricEstimate, ...]:
    several = len(accuracy) > 1
    return tuple(
        MetricEstimate(
            metric=metric,
            higher_is_better=better,
            samples=_interval(values[0], 0.03, "test samples", rows),
            seeds=_interval(values[0], 0.015, "seeds", len(values)) if several else None,
        )
        for metric, better, values in (("accuracy", True, accuracy), ("loss", False, loss))
    )


def _interval(value: float | None, half: float, over: str, n: int) -> Interval:
    low, high = (None, None) if value is None else (value - half, value + half)
    return Interval(value=value, low=low, high=high, over=over, n=n)
