"""How the frameworks' results on the same test rows compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np

from tandem import metrics
from tandem.config import MARGINS
from tandem.correction import ALPHA, holm
from tandem.folds import fold_differences
from tandem.hypotheses import (
    difference_p,
    equivalence_p,
    mcnemar,
    replicates_needed,
    resampled_p,
)
from tandem.records import (
    ComparisonRecord,
    EquivalenceTest,
    EvaluationRecord,
    Margin,
    McNemarTest,
    MetricDifference,
    Record,
    Significance,
    Task,
)
from tandem.rounding import rounding_reach
from tandem.statistics import (
    crossed_interval,
    resampled_differences,
    resampled_metrics,
    sample_interval,
    seed_interval,
)
from tandem.verdict import ENOUGH_REPLICATES, Standing, cautions, findings, verdict

Tested = TypeVar("Tested", bound=Record)


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


def compare(
    *,
    experiment: str,
    description: str,
    dataset: str,
    results: Mapping[str, Results],
    margins: Mapping[str, Margin] | None = None,
    overlap: float | None = None,
) -> ComparisonRecord:
    """Compare the results of any number of frameworks, each with every other.

    Differences are later framework minus earlier, over the replicates that finished in both: over test samples by a
    bootstrap that draws the same rows for both, over seeds by Student's t on the paired differences, over both by
    a bootstrap of rows and replicates. p-values are corrected for all comparisons of their kind: all metrics and
    pairs.

    Args:
        experiment, description, dataset: what is compared.
        results: by framework, in the order of the suite.
        margins: metric → what counts as equivalent; those left out are as in :data:`tandem.config.MARGINS`.
        overlap: of the replicates' training rows, see :func:`tandem.statistics.variance_factor`; None: that of the
            folds on which they were trained, 0 without folds.
    """
    names = tuple(results)
    task = results[names[0]].record.task
    allowed: Mapping[str, Margin] = {**MARGINS, **(margins or {})}
    pairs = list(combinations(names, 2))
    if overlap is None:
        folds = results[names[0]].record.folds
        overlap = 0.0 if folds is None else folds.overlap
    samples = _Samples(task, results)
    differences = [difference for pair in pairs for difference in _differences(pair, samples, allowed, overlap=overlap)]
    differences = _corrected(differences, "seeds_test")
    differences = _corrected(differences, "both_test")
    differences = _corrected_equivalence(differences)
    labels = [test for pair in pairs if (test := _labels(task, pair, results)) is not None]
    all_wrong, only_wrong = _shared_mistakes(task, names, results) if pairs else (None, {})
    main = metrics.MAIN_METRIC[task]
    found = [difference for difference in differences if difference.metric == main]
    standings = {name: _standing(result, main) for name, result in results.items()}
    return ComparisonRecord(
        experiment=experiment,
        description=description,
        dataset=dataset,
        task=task,
        frameworks=names,
        main_metric=main,
        verdict=verdict(main, standings, found),
        estimates={name: result.record.estimates for name, result in results.items()},
        differences=tuple(differences),
        fold_differences=fold_differences({name: result.record.folds for name, result in results.items()}),
        all_wrong=all_wrong,
        only_wrong=only_wrong,
        mcnemar=tuple(_corrected(labels, "test")),
        cautions=cautions(standings, found),
        findings=findings(found),
    )


def _standing(result: Results, metric: str) -> Standing:
    estimate = next(estimate for estimate in result.record.estimates if estimate.metric == metric)
    return Standing(estimate.samples, len(result.outputs), len(result.record.diverged))


class _Samples:
    """The frameworks' metrics on bootstrap resamples of the test rows, worked out once for all pairs."""

    def __init__(self, task: Task, results: Mapping[str, Results]) -> None:
        self.task = task
        self.results = results
        self._known: dict[tuple[str, tuple[int, ...]], tuple[dict[str, float], dict[str, np.ndarray]]] = {}

    def __call__(self, name: str, replicates: Sequence[int]) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        key = name, tuple(replicates)
        if key not in self._known:
            result = self.results[name]
            outputs = [result.outputs[number] for number in replicates]
            self._known[key] = resampled_metrics(self.task, result.targets, outputs)
        return self._known[key]


def _differences(
    pair: tuple[str, str], samples: _Samples, margins: Mapping[str, Margin], *, overlap: float
) -> list[MetricDifference]:
    task, (first, second) = samples.task, (samples.results[name] for name in pair)
    shared = _shared(first, second)
    if not shared:
        return []
    outputs = [[result.outputs[number] for number in shared] for result in (first, second)]
    points, resamples = zip(*(samples(name, shared) for name in pair), strict=True)
    each = [[metrics.compute(task, first.targets, output) for output in given] for given in outputs]
    crossed = resampled_differences(task, first.targets, *outputs) if len(shared) >= ENOUGH_REPLICATES else None
    rows, made = len(first.targets), []
    for name in metrics.METRICS[task]:
        paired = [b[name] - a[name] for a, b in zip(*each, strict=True)]
        value = points[1][name] - points[0][name]
        seeds = seed_interval(paired, overlap=overlap)
        if seeds is not None and overlap:
            seeds = seeds.model_copy(update={"over": "folds"})
        made.append(
            MetricDifference(
                metric=name,
                higher_is_better=name in metrics.HIGHER_IS_BETTER,
                first=pair[0],
                second=pair[1],
                samples=sample_interval(value, resamples[1][name] - resamples[0][name], rows),
                seeds=seeds,
                both=None if crossed is None else crossed_interval(value, crossed[name], rows),
                values=(points[0][name], points[1][name]),
                rounding=rounding_reach(name, (points[0][name], points[1][name]), first.targets),
                each=dict(zip(shared, paired, strict=True)),
                deviation=None if seeds is None else float(np.std(paired, ddof=1)),
                seeds_test=_alone(difference_p(paired, overlap=overlap)),
                both_test=_alone(resampled_p(crossed[name])) if crossed is not None and np.isfinite(value) else None,
                equivalence=_equivalence(paired, margins[name], [a[name] for a in each[0]], overlap=overlap),
                overlap=overlap,
            )
        )
    return made


def _equivalence(
    paired: Sequence[float], margin: Margin, first: Sequence[float], *, overlap: float
) -> EquivalenceTest | None:
    """Test equivalence; a relative margin is a share of the first framework's mean over the same replicates."""
    reach = margin.size * abs(float(np.mean(first))) if margin.relative else margin.size
    p = equivalence_p(paired, reach, overlap=overlap)
    interval = seed_interval(paired, level=1 - 2 * ALPHA, overlap=overlap)
    if p is None or interval is None:
        return None
    deviation = float(np.std(paired, ddof=1))
    needed = None if p < ALPHA else replicates_needed(float(np.mean(paired)), deviation, reach, overlap=overlap)
    test = Significance(p=p, adjusted=p, comparisons=1)
    return EquivalenceTest(margin=margin, reach=reach, interval=interval, test=test, needed=needed)


def _alone(p: float | None) -> Significance | None:
    return None if p is None else Significance(p=p, adjusted=p, comparisons=1)


def _corrected(records: Sequence[Tested], field: str) -> list[Tested]:
    """Correct one kind of p-value for all records that have it."""
    tests: list[Significance | None] = [getattr(record, field) for record in records]
    corrected = iter(holm([test.p for test in tests if test is not None]))
    return [
        record if test is None else record.model_copy(update={field: next(corrected)})
        for record, test in zip(records, tests, strict=True)
    ]


def _corrected_equivalence(differences: Sequence[MetricDifference]) -> list[MetricDifference]:
    tests = [difference.equivalence for difference in differences]
    corrected = iter(_corrected([test for test in tests if test is not None], "test"))
    return [
        difference if test is None else difference.model_copy(update={"equivalence": next(corrected)})
        for difference, test in zip(differences, tests, strict=True)
    ]


def _shared(first: Results, second: Results) -> list[int]:
    return [number for number in first.finished if number in second.finished]


def _right(result: Results, replicates: Sequence[int]) -> np.ndarray:
    """Return (replicates, n): whether the most probable class is the label."""
    return np.asarray(result.outputs[list(replicates)].argmax(axis=2) == result.targets)


def _labels(task: Task, pair: tuple[str, str], results: Mapping[str, Results]) -> McNemarTest | None:
    first, second = (results[name] for name in pair)
    shared = _shared(first, second)
    if task != "classification" or not shared:
        return None
    return mcnemar(*pair, shared, _right(first, shared), _right(second, shared))


def _shared_mistakes(
    task: Task, names: tuple[str, ...], results: Mapping[str, Results]
) -> tuple[int | None, dict[str, int]]:
    if task != "classification" or any(0 in results[name].record.diverged for name in names):
        return None, {}
    wrong = {name: ~_right(results[name], [0])[0] for name in names}
    together = np.stack(list(wrong.values())).sum(axis=0)
    only = {name: int((mistaken & (together == 1)).sum()) for name, mistaken in wrong.items()}
    return int((together == len(names)).sum()), only
