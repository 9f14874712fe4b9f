"""The section on a search: which settings are best, by how much, and whether the frameworks prefer the same.

Records first; :mod:`tandem.report.search_words` has the sentences and :mod:`tandem.report.search_figures` draws.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np

from tandem.records import Interval, Number, Significance
from tandem.report.search_axes import ParameterAxis, parameter_axes, write_value
from tandem.searches.importance import Importances, cut_values, parameter_importance, worst_shown
from tandem.searches.ranking import Agreement, Ranking, compare_preferences, rank_settings
from tandem.searches.records import SearchRecord, Trial, TrialState
from tandem.searches.regions import Region, RungCount, ending_regions, rung_counts

BEST_SHOWN = 10
STATES: dict[TrialState, str] = {
    "finished": "finished",
    "pruned": "pruned",
    "diverged": "diverged",
    "failed": "failed",
    "invalid": "cannot be built",
}
_FINISHED: tuple[TrialState, ...] = ("finished",)
_TRAINED: tuple[TrialState, ...] = ("finished", "pruned")
_LOG_RATIO = 5.0  # of the largest error to the least, from which their axis is logarithmic
_REASONS_SHOWN = 4  # a framework and state
_CONTOUR_TRIALS = 12  # settings below which nothing is interpolated
_CONTOUR_CELLS = 40  # of the grid that is drawn, along each parameter
_CONTOUR_LEVELS = 7
_NEAR = 0.35  # weight of the settings nearby, one at the very place counting 1, below which nothing is drawn


@dataclass(frozen=True)
class SearchInputs:
    """All that the section rests on; dictionaries are by framework, in the order compared."""

    records: Mapping[str, SearchRecord]
    seconds: Mapping[str, Mapping[int, float]] = field(default_factory=dict)  # number of a trial → wall time


@dataclass(frozen=True)
class SettingRow:
    """One of the best settings."""

    trial: Trial
    values: tuple[str | None, ...]  # of each parameter, as written; None: it has no such parameter
    sorts: tuple[float | None, ...]  # numbers by which the columns sort; None: by their text
    interval: Interval | None  # of the mean, or the mean alone
    difference: Interval | None  # from the winner
    test: Significance | None  # that the difference is 0
    told_apart: bool | None  # None: nothing is known, or it is the winner
    is_winner: bool
    seconds: Number


@dataclass(frozen=True)
class EndingRow:
    """Settings that ended alike before their last epoch, or were never trained."""

    framework: str
    state: TrialState
    count: int
    explanation: str  # of the first of them
    numbers: tuple[int, ...]  # of the first few


@dataclass(frozen=True)
class RegionRow:
    """Where settings of one framework end badly."""

    framework: str
    state: TrialState
    region: Region
    rule: str  # "learning_rate ≥ 0.02"


@dataclass(frozen=True)
class PreferenceRow:
    """One parameter in the winners, and among the settings that the folds cannot tell from them."""

    axis: ParameterAxis
    winners: dict[str, str]  # by framework
    ranges: dict[str, str]  # "5 to 30", or "relu, selu"; empty with a single fold
    shares: dict[str, Number]  # importance; None where it is not known


@dataclass(frozen=True)
class FrameworkSearch:
    """The search in one framework."""

    framework: str
    record: SearchRecord
    counts: dict[TrialState, int]
    epochs: int  # trained, over all trials and folds
    seconds: Number  # of all trials
    batched: int  # trials that were trained as some of many
    ranking: Ranking | None
    importance: Importances
    best: tuple[SettingRow, ...]
    rungs: tuple[RungCount, ...]


@dataclass(frozen=True)
class HistoryLine:
    """One framework's trials in the order in which they were proposed."""

    framework: str
    places: tuple[float, ...]  # number of the trial from 1, or epochs trained up to its end
    values: tuple[Number, ...]  # of the trials that finished
    best: tuple[Number, ...]  # so far


@dataclass(frozen=True)
class HistoryPlot:
    """The best value so far."""

    metric: str
    higher_is_better: bool
    along: str  # what the axis counts
    lines: tuple[HistoryLine, ...]
    limits: tuple[float, float]
    log: bool  # the metric's axis is logarithmic


@dataclass(frozen=True)
class ParallelPlot:
    """One framework's finished settings as lines through the parameters' axes, the metric's last."""

    framework: str
    metric: str
    axes: tuple[ParameterAxis, ...]
    places: np.ndarray  # (settings, parameters) in 0..1; NaN: without the parameter
    values: np.ndarray  # (settings,) cut at the limits, best first
    limits: tuple[float, float]
    log: bool  # the metric's axis is logarithmic
    higher_is_better: bool
    winner: str  # the setting in words


@dataclass(frozen=True)
class ImportancePlot:
    """Each parameter's share of the variance."""

    metric: str
    labels: tuple[str, ...]  # the most important first
    shares: dict[str, tuple[Number, ...]]  # by framework


@dataclass(frozen=True)
class SlicePoints:
    """One framework's settings along one parameter."""

    places: np.ndarray  # of the settings that finished
    values: np.ndarray  # cut at the limits
    pruned: np.ndarray  # (pruned settings, 2): places, and last values cut at the limits
    lost: np.ndarray  # places of those that diverged or cannot be built
    winner: tuple[float, float] | None
    middles: tuple[Number, ...]  # median of each level; none on an axis of numbers


@dataclass(frozen=True)
class SlicePlot:
    """The metric against one parameter."""

    metric: str
    higher_is_better: bool
    axis: ParameterAxis
    points: dict[str, SlicePoints]  # by framework
    limits: tuple[float, float]
    log: bool  # the metric's axis is logarithmic


@dataclass(frozen=True)
class ContourPlot:
    """The metric over two parameters in one framework: a heat map where both have levels, else smoothed."""

    framework: str
    metric: str
    higher_is_better: bool
    axes: tuple[ParameterAxis, ParameterAxis]  # across, up
    edges: tuple[float, ...]  # of the shades; the same in all frameworks
    cells: np.ndarray  # (up, across) means; NaN: no setting is there, or near
    counts: np.ndarray | None  # settings in each cell of a heat map; None: cells are points of a fine grid
    places: np.ndarray  # (settings, 2) of the settings
    winner: tuple[float, float]


@dataclass(frozen=True)
class SearchSection:
    """The whole section."""

    search: str
    description: str
    experiment: str
    strategy: str
    metric: str
    higher_is_better: bool
    protocol: str
    folds: int
    budget: int | None
    axes: tuple[ParameterAxis, ...]
    frameworks: tuple[FrameworkSearch, ...]
    agreements: tuple[Agreement, ...]
    preferences: tuple[PreferenceRow, ...]
    endings: tuple[EndingRow, ...]
    regions: tuple[RegionRow, ...]
    histories: tuple[HistoryPlot, ...]
    parallels: tuple[ParallelPlot, ...]
    importance: ImportancePlot | None
    slices: tuple[SlicePlot, ...]
    contours: tuple[ContourPlot, ...]
    beyond: int  # settings that finished, but beyond what the figures show
    worst_shown: float

    @property
    def lost(self) -> bool:
        """Whether a setting diverged, failed or could not be built."""
        return any(found.counts[state] for found in self.frameworks for state in ("diverged", "failed", "invalid"))

    @property
    def pruned(self) -> bool:
        """Whether a setting was pruned."""
        return any(found.counts["pruned"] for found in self.frameworks)

    @property
    def rungs(self) -> bool:
        """Whether the strategy decided at rungs."""
        return any(found.rungs for found in self.frameworks)


def search_section(inputs: SearchInputs | None) -> SearchSection | None:
    """Return what the section shows; None where the page is not a search's."""
    if inputs is None or not inputs.records:
        return None
    first = next(iter(inputs.records.values()))
    axes = parameter_axes(first.space)
    found = tuple(_framework(name, record, axes, inputs) for name, record in inputs.records.items())
    scale = _Scale(found)
    return SearchSection(
        search=first.search,
        description=first.description,
        experiment=first.experiment,
        strategy=first.strategy,
        metric=first.metric,
        higher_is_better=first.higher_is_better,
        protocol=first.protocol,
        folds=len(first.folds),
        budget=first.budget,
        axes=axes,
        frameworks=found,
        agreements=compare_preferences(inputs.records),
        preferences=_preferences(axes, found),
        endings=tuple(row for each in found for row in _endings(each)),
        regions=tuple(row for each in found for row in _regions(each, axes)),
        histories=_histories(found, scale),
        parallels=tuple(_parallel(each, axes, scale) for each in found if _has(each, 2)),
        importance=_importance_plot(axes, found),
        slices=_slices(axes, found, _Scale(found, _TRAINED)),
        contours=_contours(axes, found),
        beyond=scale.beyond,
        worst_shown=scale.worst,
    )


def _has(found: FrameworkSearch, fewest: int) -> bool:
    return found.counts["finished"] >= fewest


def _valued(found: FrameworkSearch, states: Collection[TrialState]) -> list[Trial]:
    return [trial for trial in found.record.trials if trial.state in states and trial.value is not None]


def _finished(found: FrameworkSearch) -> list[Trial]:
    return _valued(found, _FINISHED)


class _Scale:
    """The axis of the metric, the same in all frameworks: from the best value to the worst that is worth showing."""

    def __init__(self, frameworks: Sequence[FrameworkSearch], states: Collection[TrialState] = _FINISHED) -> None:
        higher_is_better = frameworks[0].record.higher_is_better
        values = [trial.value or 0.0 for found in frameworks for trial in _valued(found, states)]
        self.worst = worst_shown(values, higher_is_better) if values else float("-inf" if higher_is_better else "inf")
        kept = [value for value in values if (value >= self.worst if higher_is_better else value <= self.worst)]
        self.beyond = len(values) - len(kept)
        low, high = (min(kept), max(kept)) if kept else (0.0, 1.0)
        self.log = not higher_is_better and low > 0 and high / low >= _LOG_RATIO
        pad = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
        wider = (high / low) ** 0.06 if self.log else 1.0
        self.limits = (low / wider, high * wider) if self.log else (low - pad, high + pad)

    def cut(self, values: Sequence[Number]) -> np.ndarray:
        return np.clip(np.asarray(values, dtype=np.float64), *self.limits)


def _framework(name: str, record: SearchRecord, axes: Sequence[ParameterAxis], inputs: SearchInputs) -> FrameworkSearch:
    seconds = inputs.seconds.get(name, {})
    ranking = rank_settings(record)
    return FrameworkSearch(
        framework=name,
        record=record,
        counts={state: sum(trial.state == state for trial in record.trials) for state in STATES},
        epochs=sum(trial.epochs for trial in record.trials),
        seconds=sum(seconds.values()) if seconds else None,
        batched=sum(trial.way == "batched" for trial in record.trials),
        ranking=ranking,
        importance=parameter_importance(record),
        best=_best_rows(record, ranking, axes, seconds),
        rungs=rung_counts(record),
    )


def _best_rows(
    record: SearchRecord, ranking: Ranking | None, axes: Sequence[ParameterAxis], seconds: Mapping[int, float]
) -> tuple[SettingRow, ...]:
    """Return the best settings that finished, and after them the best of those that did not."""
    ranked = () if ranking is None else ranking.settings[:BEST_SHOWN]
    rows = [
        _setting_row(each.trial, axes, seconds, each.interval, each.difference, each.test, place == 0)
        for place, each in enumerate(ranked)
    ]
    sign = -1 if record.higher_is_better else 1
    others = [trial for trial in record.trials if trial.state != "finished" and trial.value is not None]
    others.sort(key=lambda trial: sign * (trial.value or 0.0))
    rows += [_setting_row(trial, axes, seconds) for trial in others[: BEST_SHOWN - len(rows)]]
    return tuple(rows)


def _setting_row(
    trial: Trial,
    axes: Sequence[ParameterAxis],
    seconds: Mapping[int, float],
    interval: Interval | None = None,
    difference: Interval | None = None,
    test: Significance | None = None,
    is_winner: bool = False,
) -> SettingRow:
    given = [trial.parameters.get(axis.name) if axis.name in trial.parameters else _ABSENT for axis in axes]
    bare = Interval(value=trial.value, low=None, high=None, over="folds", n=max(1, len(trial.folds)))
    return SettingRow(
        trial=trial,
        values=tuple(None if value is _ABSENT else write_value(value) for value in given),
        sorts=tuple(_number(value) for value in given),
        interval=interval or bare,
        difference=difference,
        test=test,
        told_apart=None if test is None else difference is not None and test.adjusted <= 0.05,
        is_winner=is_winner,
        seconds=seconds.get(trial.number),
    )


_ABSENT = object()


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _preferences(axes: Sequence[ParameterAxis], frameworks: Sequence[FrameworkSearch]) -> tuple[PreferenceRow, ...]:
    rows = []
    for axis in axes:
        winners, ranges, shares = {}, {}, {}
        for found in frameworks:
            shares[found.framework] = next(
                entry.share for entry in found.importance.parameters if entry.parameter == axis.name
            )
            if found.ranking is None:
                continue
            chosen = found.ranking.winner.trial.parameters
            winners[found.framework] = write_value(chosen[axis.name]) if axis.name in chosen else "–"
            if found.ranking.folds > 1:
                alike = (found.ranking.winner, *found.ranking.equals)
                ranges[found.framework] = _write_range(axis, [ranked.trial.parameters for ranked in alike])
        rows.append(PreferenceRow(axis, winners, ranges, shares))
    return tuple(rows)


def _write_range(axis: ParameterAxis, settings: Sequence[Mapping[str, Any]]) -> str:
    values = [parameters[axis.name] for parameters in settings if axis.name in parameters]
    if not values:
        return "–"
    if axis.ordered:
        low, high = min(values), max(values)
        return write_value(low) if low == high else f"{write_value(low)} to {write_value(high)}"
    return ", ".join(dict.fromkeys(write_value(value) for value in values))


def _endings(found: FrameworkSearch) -> tuple[EndingRow, ...]:
    """Return settings that did not finish by why, those that differ in numbers alone together."""
    rows = []
    for state in list(STATES)[1:]:
        groups: dict[str, list[Trial]] = {}
        for trial in found.record.trials:
            if trial.state == state:
                groups.setdefault(re.sub(r"\d[\d.,e+-]*", "0", trial.explanation), []).append(trial)
        ordered = sorted(groups.values(), key=lambda group: -len(group))
        rows += [_ending(found.framework, state, group, group[0].explanation) for group in ordered[:_REASONS_SHOWN]]
        rest = [trial for group in ordered[_REASONS_SHOWN:] for trial in group]
        if rest:
            rows.append(_ending(found.framework, state, rest, f"{len(ordered) - _REASONS_SHOWN} other reasons"))
    return tuple(rows)


def _ending(framework: str, state: TrialState, trials: Sequence[Trial], explanation: str) -> EndingRow:
    return EndingRow(framework, state, len(trials), explanation, tuple(trial.number for trial in trials[:5]))


def _regions(found: FrameworkSearch, axes: Sequence[ParameterAxis]) -> tuple[RegionRow, ...]:
    labels = {axis.name: axis.label for axis in axes}
    return tuple(
        RegionRow(
            found.framework,
            state,
            region,
            f"{labels[region.parameter]} {region.relation} {write_value(region.bound)}",
        )
        for state in list(STATES)[1:]
        for region in ending_regions(found.record, {state})
    )


def _histories(frameworks: Sequence[FrameworkSearch], scale: _Scale) -> tuple[HistoryPlot, ...]:
    shown = [found for found in frameworks if _has(found, 1)]
    if not shown:
        return ()
    better = shown[0].record.higher_is_better
    return tuple(
        HistoryPlot(
            metric=shown[0].record.metric,
            higher_is_better=better,
            along=along,
            lines=tuple(_history_line(found, along, better) for found in shown),
            limits=scale.limits,
            log=scale.log,
        )
        for along in ("settings tried", "epochs trained, over all settings and folds")
    )


def _history_line(found: FrameworkSearch, along: str, higher_is_better: bool) -> HistoryLine:
    trials = found.record.trials
    epochs = list(accumulate(trial.epochs for trial in trials))
    values = [trial.value if trial.state == "finished" else None for trial in trials]
    best: list[Number] = []
    for value in values:
        so_far = best[-1] if best else None
        known = [each for each in (so_far, value) if each is not None]
        best.append((max(known) if higher_is_better else min(known)) if known else None)
    places = [float(trial.number + 1) for trial in trials] if along.startswith("settings") else map(float, epochs)
    return HistoryLine(found.framework, tuple(places), tuple(values), tuple(best))


def _parallel(found: FrameworkSearch, axes: Sequence[ParameterAxis], scale: _Scale) -> ParallelPlot:
    sign = -1 if found.record.higher_is_better else 1
    trials = sorted(_finished(found), key=lambda t: (t.number != found.record.best, sign * (t.value or 0.0), t.number))
    return ParallelPlot(
        framework=found.framework,
        metric=found.record.metric,
        axes=tuple(axes),
        places=np.array([[_place(axis, trial) for axis in axes] for trial in trials]),
        values=scale.cut([trial.value for trial in trials]),
        limits=scale.limits,
        log=scale.log,
        higher_is_better=found.record.higher_is_better,
        winner=", ".join(
            f"{axis.label} {write_value(trials[0].parameters[axis.name])}"
            for axis in axes
            if axis.name in trials[0].parameters
        ),
    )


def _place(axis: ParameterAxis, trial: Trial) -> float:
    return axis.place(trial.parameters[axis.name]) if axis.name in trial.parameters else float("nan")


def _importance_plot(axes: Sequence[ParameterAxis], frameworks: Sequence[FrameworkSearch]) -> ImportancePlot | None:
    shares = {
        found.framework: {entry.parameter: entry.share for entry in found.importance.parameters}
        for found in frameworks
        if found.importance.known
    }
    if not shares:
        return None
    told = [axis for axis in axes if any(known[axis.name] is not None for known in shares.values())]
    told.sort(key=lambda axis: -_mean_share(axis, frameworks))
    return ImportancePlot(
        metric=frameworks[0].record.metric,
        labels=tuple(axis.label for axis in told),
        shares={name: tuple(known[axis.name] for axis in told) for name, known in shares.items()},
    )


def _mean_share(axis: ParameterAxis, frameworks: Sequence[FrameworkSearch]) -> float:
    shares = [
        entry.share
        for found in frameworks
        for entry in found.importance.parameters
        if entry.parameter == axis.name and entry.share is not None
    ]
    return float(np.mean(shares)) if shares else -1.0


def _slices(
    axes: Sequence[ParameterAxis], frameworks: Sequence[FrameworkSearch], scale: _Scale
) -> tuple[SlicePlot, ...]:
    if not any(_has(found, 2) for found in frameworks):
        return ()
    record = frameworks[0].record
    ordered = sorted(axes, key=lambda axis: -_mean_share(axis, frameworks))
    return tuple(
        SlicePlot(
            metric=record.metric,
            higher_is_better=record.higher_is_better,
            axis=axis,
            points={found.framework: _slice_points(found, axis, scale) for found in frameworks},
            limits=scale.limits,
            log=scale.log,
        )
        for axis in ordered
        if len(axis.levels) != 1 and (axis.levels or axis.low < axis.high)
    )


def _slice_points(found: FrameworkSearch, axis: ParameterAxis, scale: _Scale) -> SlicePoints:
    having = [trial for trial in found.record.trials if axis.name in trial.parameters]
    finished = [trial for trial in having if trial.state == "finished" and trial.value is not None]
    pruned = [trial for trial in having if trial.state == "pruned" and trial.value is not None]
    values = scale.cut([trial.value for trial in finished])
    levels = np.array([axis.level(trial.parameters[axis.name]) for trial in finished] if axis.levels else [])
    middles = [np.median(values[levels == level]) for level in range(len(axis.levels)) if (levels == level).any()]
    present = iter(middles)
    best = next((place for place, trial in enumerate(finished) if trial.number == found.record.best), None)
    places = np.array([_place(axis, trial) for trial in finished])
    return SlicePoints(
        places=places,
        values=values,
        pruned=np.array(
            [[_place(axis, t), v] for t, v in zip(pruned, scale.cut([t.value for t in pruned]), strict=True)]
        )
        if pruned
        else np.empty((0, 2)),
        lost=np.array([_place(axis, trial) for trial in having if trial.state in ("diverged", "invalid")]),
        winner=None if best is None else (float(places[best]), float(values[best])),
        middles=tuple(float(next(present)) if (levels == level).any() else None for level in range(len(axis.levels))),
    )


def _contours(axes: Sequence[ParameterAxis], frameworks: Sequence[FrameworkSearch]) -> tuple[ContourPlot, ...]:
    """Return the metric over the two most important parameters whose values are numbers."""
    fit = [
        axis
        for axis in axes
        if axis.ordered and not axis.conditional and (len(axis.levels) > 1 or axis.low < axis.high)
    ]
    fit.sort(key=lambda axis: -_mean_share(axis, frameworks))
    shown = [found for found in frameworks if _has(found, _CONTOUR_TRIALS)]
    if len(fit) < 2 or not shown:
        return ()
    pair = (fit[0], fit[1])
    made = []
    for found in shown:
        trials = _finished(found)
        places = np.array([[_place(axis, trial) for axis in pair] for trial in trials])
        values = cut_values([trial.value or 0.0 for trial in trials], found.record.higher_is_better)
        cells, counts = _heat(pair, places, values) if all(axis.levels for axis in pair) else _smooth(places, values)
        best = next((place for place, t in enumerate(trials) if t.number == found.record.best), 0)
        made.append((found, cells, counts, places, (float(places[best][0]), float(places[best][1]))))
    edges = _level_edges(np.concatenate([cells.ravel() for _, cells, *_ in made]))
    if not edges:
        return ()
    return tuple(
        ContourPlot(
            framework=found.framework,
            metric=found.record.metric,
            higher_is_better=found.record.higher_is_better,
            axes=pair,
            edges=edges,
            cells=cells,
            counts=counts,
            places=places,
            winner=winner,
        )
        for found, cells, counts, places, winner in made
    )


def _heat(
    pair: tuple[ParameterAxis, ParameterAxis], places: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the count of the settings in each cell, (up, across)."""
    shape = len(pair[1].levels), len(pair[0].levels)
    rows, columns = (np.floor(places[:, 1 - which] * shape[which]).astype(int) for which in (0, 1))
    sums, counts = np.zeros(shape), np.zeros(shape, dtype=int)
    np.add.at(sums, (rows, columns), values)
    np.add.at(counts, (rows, columns), 1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan), counts


def _smooth(places: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, None]:
    """Return the mean of the settings around each point of a grid, weighted by a Gaussian of their distance.

    Its width is Scott's rule (1992) for two dimensions. NaN where no setting is near.
    """
    grid = np.linspace(0, 1, _CONTOUR_CELLS)
    across, up = np.meshgrid(grid, grid)
    widths = np.maximum(places.std(axis=0), 0.05) * len(places) ** (-1 / 6)
    nearby = ((across[..., None] - places[:, 0]) / widths[0]) ** 2 + ((up[..., None] - places[:, 1]) / widths[1]) ** 2
    weights = np.exp(-nearby / 2)
    total = weights.sum(axis=-1)
    return np.where(total >= _NEAR, weights @ values / np.maximum(total, 1e-300), np.nan), None


def _level_edges(cells: np.ndarray) -> tuple[float, ...]:
    """Return round numbers around all cells; none where they do not differ."""
    known = cells[np.isfinite(cells)]
    if not len(known) or np.ptp(known) == 0:
        return ()
    low, high = float(known.min()), float(known.max())
    power = 10.0 ** np.floor(np.log10((high - low) / _CONTOUR_LEVELS))
    step = next(float(s * power) for s in (1, 2, 2.5, 5, 10, 20) if (high - low) / (s * power) <= _CONTOUR_LEVELS)
    first, last = int(np.floor(low / step)), int(np.ceil(high / step))
    return tuple(round(number * step, 12) for number in range(first, last + 1))
