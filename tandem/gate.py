"""The quality gate: bounds under ``gate`` in params.yaml that the metrics of a run must keep."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tandem.config import FRAMEWORKS, Gate, MetricName, Params

Metrics = Mapping[str, Any]  # what metrics/<experiment>/<framework>.json holds


@dataclass(frozen=True)
class GateResult:
    """One bound held against one run."""

    experiment: str
    framework: str
    metric: MetricName
    value: float | None  # on the test rows; None where there is none
    passed: bool
    text: str  # one line that says so


def check_gate(params: Params, metrics: Mapping[tuple[str, str], Metrics | None]) -> list[GateResult]:
    """Hold each bound of the gate against the runs that it is about, in the order of params.yaml.

    Args:
        params: with the gate.
        metrics: by (experiment, framework), of the runs that took place and no others; None for a run that left
            no metrics, which fails its bounds.
    """
    return [
        _judge(bound, framework, metrics[bound.experiment, framework])
        for bound in params.gate
        for framework in _frameworks(bound)
        if (bound.experiment, framework) in metrics
    ]


def _frameworks(bound: Gate) -> Iterator[str]:
    yield from FRAMEWORKS if bound.framework is None else (bound.framework,)


def _judge(bound: Gate, framework: str, metrics: Metrics | None) -> GateResult:
    value = _number((metrics or {}).get(f"test_{bound.metric}"))
    diverged = (metrics or {}).get("diverged", 0)
    passed = False
    if metrics is None:
        found = f"{bound.metric} is missing, the run left no metrics"
    elif diverged:
        found = f"{diverged} of {metrics.get('replicates', '?')} replicates diverged"
    elif value is None:
        found = f"{bound.metric} is missing or not finite"
    else:
        passed, relation, limit = _compare(bound, value)
        found = f"{bound.metric} {_shown(value, limit)} is {relation} {limit!r}"
    text = f"gate: {bound.experiment} in {framework}: {found}"
    if not passed:
        text += " (params.yaml, gate)"
    return GateResult(bound.experiment, framework, bound.metric, value, passed, text)


def _compare(bound: Gate, value: float) -> tuple[bool, str, float]:
    if bound.at_least is not None:
        passed = value >= bound.at_least
        return passed, "at least" if passed else "below", bound.at_least
    if bound.at_most is not None:
        passed = value <= bound.at_most
        return passed, "at most" if passed else "above", bound.at_most
    raise AssertionError("a gate has a bound")


def _number(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None


def _shown(value: float, limit: float) -> str:
    """Round to four digits, unless that would hide a difference from the limit."""
    rounded = f"{value:.4g}"
    return rounded if float(rounded) != limit or value == limit else repr(value)
