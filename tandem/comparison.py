"""How two frameworks' results on the same test rows compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tandem import metrics, titles
from tandem.records import (
    ComparisonRecord,
    EvaluationRecord,
    Interval,
    MetricDifference,
    MetricEstimate,
    Task,
)
from tandem.rounding import is_rounding
from tandem.statistics import resampled_metrics, sample_interval, seed_interval


@dataclass(frozen=True)
class Results:
    """One framework's results on the test rows.

    Attributes:
        record: what ``evaluate`` wrote.
        targets: (n,) labels or values.
        outputs: (replicates, n, classes) probabilities, or (replicates, n) values.
    """

    record: EvaluationRecord
    targets: np.ndarray
    outputs: np.ndarray

    @property
    def finished(self) -> list[int]:
        """Replicates that did not diverge."""
        return [number for number in range(len(self.outputs)) if number not in self.record.diverged]


def compare(*, experiment: str, description: str, dataset: str, results: Mapping[str, Results]) -> ComparisonRecord:
    """Compare the results of one or two frameworks.

    Differences are second framework minus first, over the replicates that finished in both: over test samples
    by a bootstrap that draws the same rows for both, over seeds by Student's t on the paired differences.
    """
    names = tuple(results)
    task = results[names[0]].record.task
    differences: tuple[MetricDifference, ...] = ()
    both_wrong: int | None = None
    only_wrong: dict[str, int] = {}
    if len(names) == 2:
        differences = _differences(task, names, results)
        both_wrong, only_wrong = _shared_mistakes(task, names, results)
    main = metrics.MAIN_METRIC[task]
    estimates = {name: result.record.estimates for name, result in results.items()}
    return ComparisonRecord(
        experiment=experiment,
        description=description,
        dataset=dataset,
        task=task,
        frameworks=names,
        main_metric=main,
        verdict=verdict(main, results, differences),
        estimates=estimates,
        differences=differences,
        both_wrong=both_wrong,
        only_wrong=only_wrong,
    )


def _differences(task: Task, names: tuple[str, ...], results: Mapping[str, Results]) -> tuple[MetricDifference, ...]:
    first, second = (results[name] for name in names)
    shared = _shared(first, second)
    if not shared:
        return ()
    values, resamples, each = [], [], []
    for result in (first, second):
        outputs = [result.outputs[number] for number in shared]
        point, draws = resampled_metrics(task, result.targets, outputs)
        values.append(point)
        resamples.append(draws)
        each.append([metrics.compute(task, result.targets, output) for output in outputs])
    return tuple(
        MetricDifference(
            metric=name,
            higher_is_better=name in metrics.HIGHER_IS_BETTER,
            first=names[0],
            second=names[1],
            samples=sample_interval(
                values[1][name] - values[0][name], resamples[1][name] - resamples[0][name], len(first.targets)
            ),
            seeds=seed_interval([b[name] - a[name] for a, b in zip(*each, strict=True)]),
        )
        for name in metrics.METRICS[task]
    )


def _shared(first: Results, second: Results) -> list[int]:
    return [number for number in first.finished if number in second.finished]


def _mean(metric: str, result: Results, replicates: Sequence[int]) -> float:
    """Return a main metric over some replicates; main metrics are averages over samples."""
    task, outputs = result.record.task, result.outputs
    return float(np.mean([metrics.compute(task, result.targets, outputs[i])[metric] for i in replicates]))


def _shared_mistakes(
    task: Task, names: tuple[str, ...], results: Mapping[str, Results]
) -> tuple[int | None, dict[str, int]]:
    if task != "classification" or any(0 in results[name].record.diverged for name in names):
        return None, {}
    wrong = [results[name].outputs[0].argmax(axis=1) != results[name].targets for name in names]
    only = {names[0]: int((wrong[0] & ~wrong[1]).sum()), names[1]: int((wrong[1] & ~wrong[0]).sum())}
    return int((wrong[0] & wrong[1]).sum()), only


def verdict(main: str, results: Mapping[str, Results], differences: Sequence[MetricDifference]) -> str:
    """Say in a sentence how the results compare by the main metric."""
    diverged = {name: result.record.diverged for name, result in results.items() if result.record.diverged}
    title = titles.METRICS[main]
    values = {name: _estimate(result.record.estimates, main) for name, result in results.items()}
    found = next((difference for difference in differences if difference.metric == main), None)
    if found is not None:
        shared = _shared(results[found.first], results[found.second])
        means = {name: _mean(main, results[name], shared) for name in (found.first, found.second)}
        over = " over the replicates that finished in both" if diverged else ""
        parts = [_verdict_of_two(found, title, values, means, over)]
    else:
        parts = [
            f"{titles.FRAMEWORKS[name]} reaches {title} {_interval(interval)} on the test rows"
            for name, interval in values.items()
            if interval.value is not None
        ]
    for name, replicates in diverged.items():
        total = len(results[name].outputs)
        parts.append(f"{titles.FRAMEWORKS[name]} diverged in {len(replicates)} of {total} replicates")
    return "; ".join(parts) + "."


def _verdict_of_two(
    found: MetricDifference, title: str, values: Mapping[str, Interval], means: Mapping[str, float], over: str
) -> str:
    """Claim a difference only where it holds over the test samples and, with replicates, over the seeds."""
    first, second = titles.FRAMEWORKS[found.first], titles.FRAMEWORKS[found.second]
    if found.samples.low == found.samples.high == 0:
        return (
            f"{first} and {second} do equally well on every test row: {title} {_interval(values[found.first])} in both"
        )
    if is_rounding(found.samples, values[found.first].value, values[found.second].value):
        return f"{first} and {second} agree to rounding: {title} {_interval(values[found.first])} in both"
    numbers = (
        f"{title} {_format(means[found.first])} in {first} and {_format(means[found.second])} in {second}{over}, "
        f"difference {_interval(found.samples)}"
    )
    if not _excludes_zero(found.samples):
        return f"No difference can be told between {first} and {second} on these test rows: {numbers}"
    higher = (found.samples.value or 0) > 0
    better, worse = (second, first) if higher == found.higher_is_better else (first, second)
    if found.seeds is None:
        return (
            f"The one {better} network does better than the one {worse} network on these test rows: {numbers}; "
            "a single seed cannot tell whether the frameworks differ"
        )
    if _excludes_zero(found.seeds):
        return f"{better} does better than {worse} on these test rows, and over seeds: {numbers}; {_seeds(found.seeds)}"
    return (
        f"These {better} networks do better than these {worse} networks on the test rows, but over seeds no difference "
        f"can be told between the frameworks: {numbers}; {_seeds(found.seeds)}"
    )


def _excludes_zero(interval: Interval) -> bool:
    return interval.low is not None and interval.high is not None and not interval.low <= 0 <= interval.high


def _seeds(interval: Interval) -> str:
    return f"over {interval.n} seeds {_format(interval.low)} to {_format(interval.high)}"


def _estimate(estimates: Sequence[MetricEstimate], metric: str) -> Interval:
    return next(estimate.samples for estimate in estimates if estimate.metric == metric)


def _format(value: float | None) -> str:
    if value is None:
        return "none"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return text.replace("-", "−")


def _interval(interval: Interval) -> str:
    percent = f"{100 * interval.level:g}\N{NO-BREAK SPACE}%"
    return (
        f"{_format(interval.value)} ({percent} interval over {interval.n:,} test samples: "
        f"{_format(interval.low)} to {_format(interval.high)})"
    )
