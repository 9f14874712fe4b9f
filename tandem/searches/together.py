"""Training settings together: those of one structure as one batch of matrices, over all folds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem import metrics
from tandem.config import MetricName
from tandem.frameworks import Framework
from tandem.population.costs import pays_together
from tandem.population.side_by_side import train_side_by_side
from tandem.population.stack import Member, why_alone, work_of
from tandem.population.training import (
    Batch,
    Candidate,
    Held,
    Left,
    OnEpochs,
    batch_work,
    make_batches,
    train_batch,
)
from tandem.searches.alone import describe_failure, with_epochs
from tandem.searches.evaluator import Evaluator, Result, Setting
from tandem.searches.folds import FoldData, SearchFolds
from tandem.searches.records import FoldScore

TYPICAL = 30  # networks that share a batch, where it is decided whether to have one
_Name = tuple[int, int]  # a setting's number, and a fold


@dataclass(frozen=True)
class _Failed:
    candidate: Candidate
    failure: str


_OnLeft = Callable[[Left | _Failed], None]


class TogetherEvaluator:
    """Trains settings of one structure at once, on all folds, and hands over what cannot be; an Evaluator.

    Args:
        framework: that trains; it has been set up.
        metric: that scores.
        folds: the rows.
        megabytes: memory for what is trained at once.
        alone: trains what cannot share a batch.
    """

    def __init__(
        self, framework: Framework, metric: MetricName, folds: SearchFolds, megabytes: int, alone: Evaluator
    ) -> None:
        self.folds = folds.rows
        self._framework, self._metric, self._data = framework, metric, folds
        self._megabytes, self._alone = megabytes, alone
        self._loaded: list[FoldData] = []
        self._held: dict[_Name, tuple[Held | None, FoldScore]] = {}  # no state where more epochs change nothing

    def train(
        self,
        settings: Sequence[Setting],
        epochs: int,
        on_result: Callable[[Result], None],
        on_epochs: Callable[[int], None] | None = None,
    ) -> None:
        """Train settings up to ``epochs`` epochs in all; see :class:`tandem.searches.evaluator.Evaluator`."""
        members = {setting.number: self._members(setting) for setting in settings}
        apart = [setting for setting in settings if not self._is_together(members[setting.number][0])]
        lone = {setting.number for setting in apart}
        collected = _Collected(len(self.folds), on_result)
        candidates = []
        for setting in settings:
            if setting.number not in lone:
                candidates += self._candidates(setting.number, members[setting.number], collected)
        if candidates and not self._loaded:
            self._loaded = [self._data.load(fold) for fold in range(len(self.folds))]
        self._train(candidates, epochs, lambda left: self._take(left, collected, epochs), on_epochs)
        if apart:
            self._alone.train(apart, epochs, on_result, on_epochs)

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget the state of settings that do not go on."""
        numbers = list(numbers)
        self._alone.drop(numbers)
        for number in numbers:
            for fold in range(len(self.folds)):
                self._held.pop((number, fold), None)

    def _train(
        self, candidates: Sequence[Candidate], epochs: int, on_left: _OnLeft, on_epochs: OnEpochs | None
    ) -> None:
        def train(batch: Batch, on_left: _OnLeft, on_epochs: OnEpochs | None) -> None:
            self._train_or_halve(batch, epochs, on_left, on_epochs)

        at_once = self._framework.batches_at_once()
        if at_once == 1:
            for batch in make_batches(candidates, self._loaded, self._megabytes):
                train(batch, on_left, on_epochs)
            return
        batches = list(make_batches(candidates, self._loaded, self._megabytes / at_once, at_once))
        batches.sort(key=batch_work, reverse=True)  # so that no long one is left at the end
        train_side_by_side(train, batches, on_left, on_epochs, at_once)

    def _train_or_halve(self, batch: Batch, epochs: int, on_left: _OnLeft, on_epochs: OnEpochs | None) -> None:
        """Train a batch; its halves where memory does not suffice, down to networks for which it never does."""
        left = set()

        def take(one: Left) -> None:
            left.add(one.candidate.name)
            on_left(one)

        try:
            train_batch(self._framework, batch, self._loaded, epochs, take, on_epochs)
            return
        except Exception as error:
            if not self._framework.is_out_of_memory(error):
                raise
            failure = describe_failure(error)
        rest = tuple(candidate for candidate in batch if candidate.name not in left)
        if len(rest) < 2:
            for candidate in rest:
                on_left(_Failed(candidate, failure))
            return
        middle = len(rest) // 2
        for half in (rest[:middle], rest[middle:]):
            self._train_or_halve(half, epochs, on_left, on_epochs)

    def _is_together(self, member: Member) -> bool:
        """Return whether a setting is trained with others; that hangs on the setting alone, not on who they are."""
        costs = self._framework.STACK_COSTS
        if costs is None or why_alone(member) is not None:
            return False
        return pays_together(costs, work_of(member, TYPICAL, TYPICAL, self.folds[member.fold].train))

    def _members(self, setting: Setting) -> list[Member]:
        experiment = with_epochs(setting.experiment, setting.experiment.training.epochs)
        architecture = experiment.architecture(self._data.description)
        return [Member(experiment, architecture, experiment.training.seed, fold) for fold in range(len(self.folds))]

    def _candidates(self, number: int, members: Sequence[Member], collected: _Collected) -> list[Candidate]:
        """Return what is to be trained of a setting; folds on which it has stopped already are done."""
        found = []
        for fold, member in enumerate(members):
            held, score = self._held.get((number, fold), (None, None))
            if score is not None and held is None:
                collected.add((number, fold), score, 0.0)
            else:
                found.append(Candidate((number, fold), member, held))
        return found

    def _take(self, left: Left | _Failed, collected: _Collected, epochs: int) -> None:
        if isinstance(left, _Failed):
            collected.fail(left.candidate.name, left.failure)
            return
        name: Any = left.candidate.name
        run, member = left.held.run, left.candidate.member
        outcome: Any = run.outcome
        best = member.experiment.training.checkpoint == "best"
        score = FoldScore(
            value=None if run.outcome == "diverged" else self._score(member, left.outputs),
            epochs=run.epoch,
            kept_epoch=run.best_epoch if best or run.outcome == "diverged" else run.epoch,
            outcome=outcome,
        )
        if epochs < member.experiment.training.epochs:  # there may be a next rung
            self._held[name] = (None if run.stopped else left.held), score
        collected.add(name, score, left.seconds / self._framework.batches_at_once())

    def _score(self, member: Member, outputs: Sequence[np.ndarray]) -> float | None:
        targets = self._loaded[member.fold].score.targets
        with np.errstate(all="ignore"):  # what has diverged gives infinities, which are told as such
            values = metrics.main_values(member.architecture, outputs)
            value = metrics.compute(member.architecture.task, targets, values)[self._metric]
        return value if math.isfinite(value) else None


class _Collected:
    """Scores of settings, each told when it is known on all folds, or when training has failed on one."""

    def __init__(self, folds: int, on_result: Callable[[Result], None]) -> None:
        self._folds, self._on_result = folds, on_result
        self._failed: set[int] = set()
        self._scores: dict[int, dict[int, tuple[FoldScore, float]]] = {}

    def fail(self, name: Any, failure: str) -> None:
        """Note that a setting's training failed; what it reaches on other folds does not count."""
        number, _fold = name
        if number not in self._failed:
            self._failed.add(number)
            self._on_result(Result(number, (), "batched", 0.0, failure))

    def add(self, name: _Name, score: FoldScore, seconds: float) -> None:
        """Note a setting's score on a fold."""
        number, fold = name
        if number in self._failed:
            return
        found = self._scores.setdefault(number, {})
        found[fold] = score, seconds
        if len(found) == self._folds:
            scores = tuple(found[position][0] for position in range(self._folds))
            self._on_result(Result(number, scores, "batched", sum(seconds for _, seconds in found.values())))
