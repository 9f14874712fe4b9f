"""Where in its space a search's settings diverged, were pruned or could not be built, and what became of rungs."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import betaln, logsumexp

from tandem.correction import ALPHA
from tandem.searches.records import SearchedParameter, SearchRecord, Trial
from tandem.searches.values import is_ordered, value_key

_FEWEST_HITS = 3
_BOUNDS = 25  # of a parameter that are tried in each direction, evenly among its values


@dataclass(frozen=True)
class Region:
    """A half-space of one parameter in which settings end in some way far more often than elsewhere.

    Attributes:
        parameter: its name.
        relation, bound: the rule, for instance "≥" and 0.02.
        inside, hits: settings for which the rule holds, and those of them that ended so.
        outside, outside_hits: the same of the other settings that have the parameter.
        p: Fisher's exact one-sided p-value, times the number of rules that were tried.
    """

    parameter: str
    relation: Literal["≥", "≤", "="]
    bound: Any
    inside: int
    hits: int
    outside: int
    outside_hits: int
    p: float


@dataclass(frozen=True)
class RungCount:
    """What became of the settings that reached a rung.

    Attributes:
        epochs: after which the strategy decided.
        reached: settings that were trained so long.
        went_on: those of them that were trained further, or had finished there.
        pruned, diverged: those that ended here.
        best, median: of the metric at the rung.
    """

    epochs: int
    reached: int
    went_on: int
    pruned: int
    diverged: int
    best: float | None
    median: float | None


def ending_regions(record: SearchRecord, states: Collection[str], most: int = 2) -> tuple[Region, ...]:
    """Return the rules that best say which settings ended in ``states``, the clearest first, one a parameter.

    Args:
        record: the search in one framework.
        states: of trials, for instance {"diverged"}.
        most: rules to return.
    """
    if sum(trial.state in states for trial in record.trials) < _FEWEST_HITS:
        return ()
    found = []
    tried = sum(len(list(_rules(entry, record.trials))) for entry in record.space)
    for entry in record.space:
        having = [trial for trial in record.trials if entry.name in trial.parameters]
        regions = [_region(entry, rule, having, states, tried) for rule in _rules(entry, record.trials)]
        clear = [region for region in regions if region.hits >= _FEWEST_HITS and region.p <= ALPHA]
        found += sorted(clear, key=lambda region: region.p)[:1]
    return tuple(sorted(found, key=lambda region: region.p)[:most])


def _rules(entry: SearchedParameter, trials: tuple[Trial, ...]) -> Iterator[tuple[Literal["≥", "≤", "="], Any]]:
    """Yield the rules that divide the settings which have the parameter."""
    values = [trial.parameters[entry.name] for trial in trials if entry.name in trial.parameters]
    if not is_ordered(entry):
        distinct = {value_key(value): value for value in values}
        yield from (("=", value) for value in (distinct.values() if len(distinct) > 1 else ()))
        return
    distinct_values = sorted(set(values))
    kept = np.unique(np.linspace(0, len(distinct_values) - 1, min(len(distinct_values), _BOUNDS)).round().astype(int))
    ordered = [distinct_values[place] for place in kept]
    if len(ordered) > 1:
        yield from (("=", value) for value in (ordered[0], ordered[-1]))
        yield from (("≥", value) for value in ordered[1:-1])
        yield from (("≤", value) for value in ordered[1:-1])


def _region(
    entry: SearchedParameter,
    rule: tuple[Literal["≥", "≤", "="], Any],
    having: list[Trial],
    states: Collection[str],
    tried: int,
) -> Region:
    relation, bound = rule
    inside = [trial for trial in having if _holds(relation, trial.parameters[entry.name], bound)]
    hits = sum(trial.state in states for trial in inside)
    all_hits = sum(trial.state in states for trial in having)
    return Region(
        parameter=entry.name,
        relation=relation,
        bound=bound,
        inside=len(inside),
        hits=hits,
        outside=len(having) - len(inside),
        outside_hits=all_hits - hits,
        p=min(1.0, tried * fisher_p(len(having), all_hits, len(inside), hits)),
    )


def _holds(relation: str, value: Any, bound: Any) -> bool:
    if relation == "=":
        return value_key(value) == value_key(bound)
    return bool(value >= bound) if relation == "≥" else bool(value <= bound)


def fisher_p(count: int, hits: int, inside: int, hits_inside: int) -> float:
    """Return the chance that ``inside`` of ``count`` hold ``hits_inside`` or more of ``hits`` (Fisher, 1935)."""
    drawn = np.arange(hits_inside, min(hits, inside) + 1)
    if not len(drawn):
        return 1.0
    logs = _log_choose(hits, drawn) + _log_choose(count - hits, inside - drawn) - _log_choose(count, inside)
    return float(min(1.0, np.exp(logsumexp(logs[np.isfinite(logs)])))) if np.isfinite(logs).any() else 1.0


def _log_choose(n: int, k: Any) -> Any:
    """Return the logarithm of n over k; minus infinity where there is no such choice."""
    chosen = np.asarray(k, dtype=np.float64)
    possible = (chosen >= 0) & (chosen <= n)
    safe = np.where(possible, chosen, 0)
    return np.where(possible, -np.log(n + 1.0) - betaln(n - safe + 1, safe + 1), -np.inf)


def rung_counts(record: SearchRecord) -> tuple[RungCount, ...]:
    """Return what became of the settings at each rung, the earliest first; none where a strategy has none."""
    reached: dict[int, list[tuple[Trial, float | None]]] = {}
    for trial in record.trials:
        for rung in trial.rungs:
            reached.setdefault(rung.epochs, []).append((trial, rung.value))
    return tuple(_rung_count(epochs, reached[epochs], record.higher_is_better) for epochs in sorted(reached))


def _rung_count(epochs: int, here: list[tuple[Trial, float | None]], higher_is_better: bool) -> RungCount:
    last = [trial.state for trial, _ in here if trial.rungs[-1].epochs == epochs]
    pruned, diverged, failed = (last.count(state) for state in ("pruned", "diverged", "failed"))
    values = [value for _, value in here if value is not None]
    best = max if higher_is_better else min
    return RungCount(
        epochs=epochs,
        reached=len(here),
        went_on=len(here) - pruned - diverged - failed,
        pruned=pruned,
        diverged=diverged,
        best=best(values) if values else None,
        median=statistics.median(values) if values else None,
    )
