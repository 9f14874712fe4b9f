"""The loop of a search: batches of settings, the budget, and going on after a kill.

The budget counts trained epochs over all trials and folds. A batch holds as many settings as would fit if none
stopped early; what early stopping saves is there for later batches. What a batch proposes follows from the trials of
earlier batches alone, so neither the order of results nor a kill changes a search.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tandem.config import Experiment, Search
from tandem.errors import DataError, ParameterError
from tandem.metrics import HIGHER_IS_BETTER
from tandem.records import DataDescription, Number
from tandem.searches.evaluator import Evaluator, Result, Setting
from tandem.searches.journal import BatchEntry, Journal, RungEntry, TrialEntry
from tandem.searches.records import Rung, SearchRecord, Trial
from tandem.searches.space import InvalidSettingError, Values, base_experiment, make_space, vary
from tandem.searches.strategies import Circumstances, make_strategy
from tandem.searches.values import setting_key

_FRUITLESS = 100  # settings in a row that cannot be built end a search: they cost nothing of a budget in epochs


@dataclass(frozen=True)
class Found:
    """What a search came to.

    Attributes:
        record: its trials.
        seconds: of wall time, one number a trial.
    """

    record: SearchRecord
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Declaration:
    """What is searched.

    Attributes:
        name: of the search in params.yaml.
        search: as declared.
        experiment: that it varies, as declared.
        framework: that trains.
        data: of the experiment.
    """

    name: str
    search: Search
    experiment: Experiment
    framework: str
    data: DataDescription


OnTrial = Callable[[Trial, float], None]
OnEpochs = Callable[[int], None]


def run_search(
    declaration: Declaration,
    evaluator: Evaluator,
    folder: Path,
    on_trial: OnTrial | None = None,
    on_epochs: OnEpochs | None = None,
) -> Found:
    """Search, or go on with a search that was killed.

    Args:
        declaration: what is searched.
        evaluator: trains and scores settings.
        folder: for what is kept while the search runs; whoever calls removes it at the end. It belongs to this
            declaration, these data and this code alone.
        on_trial: told of each trial and its seconds as soon as it is on disk, first of those recorded before a kill.
        on_epochs: told of trained epochs, for display.

    Raises:
        ParameterError: no setting could be trained to the end.
        DataError: what was kept is damaged.
        StorageError: the disk is full, or the folder cannot be written.
    """
    run = _Run(declaration, evaluator, Journal(folder), on_trial, on_epochs)
    run.resume()
    run.search()
    return run.result()


def describe_protocol(search: Search) -> str:
    """Return how settings are scored, in words."""
    protocol = search.protocol
    if protocol.method == "holdout":
        return "trained on the training rows, scored on the validation rows"
    drawn = f"drawn with seed {protocol.seed}" if protocol.shuffle else "rows in their order"
    shares = ", classes' shares kept" if protocol.stratify else ""
    return f"{protocol.folds} folds of the training rows ({drawn}{shares}), each held out once"


@dataclass
class _Run:
    """A search that runs."""

    declaration: Declaration
    evaluator: Evaluator
    journal: Journal
    on_trial: OnTrial | None
    on_epochs: OnEpochs | None
    _planned: dict[int, tuple[Values, ...]] = field(default_factory=dict)
    _trials: dict[int, Trial] = field(default_factory=dict)
    _seconds: dict[int, float] = field(default_factory=dict)
    _results: dict[tuple[int, int], Result] = field(default_factory=dict)  # by number and rung

    def __post_init__(self) -> None:
        search = self.declaration.search
        self._higher = search.metric in HIGHER_IS_BETTER
        self._space = make_space(search.space)
        self._experiment = base_experiment(search, self.declaration.experiment)
        circumstances = Circumstances(
            space=self._space,
            seed=search.seed,
            epochs=search.epochs_of(self.declaration.experiment),
            higher_is_better=self._higher,
            batch=search.batch,
        )
        self._strategy = make_strategy(search.strategy.name, search.strategy.settings, circumstances)

    # ------------------------------------------------------------------------------------------ resuming

    def resume(self) -> None:
        """Take over what is recorded."""
        for entry in self.journal.read():
            if isinstance(entry, BatchEntry):
                self._planned[entry.batch] = tuple(dict(values) for values in entry.settings)
            elif isinstance(entry, RungEntry):
                result = Result(entry.number, entry.folds, entry.way, entry.seconds, entry.failure)
                self._results[entry.number, entry.epochs] = result
            else:
                self._take(entry.trial, entry.seconds)
        planned = [values for batch in sorted(self._planned) for values in self._planned[batch]]
        keys = dict(enumerate(map(setting_key, planned)))
        if any(setting_key(trial.parameters) != keys.get(number) for number, trial in self._trials.items()):
            raise DataError(f"{self.journal.path}: trials of another search; delete it to begin anew")
        state = self.journal.read_state(len(self._planned))
        if state:
            self._strategy.restore(state)

    def _take(self, trial: Trial, seconds: float) -> None:
        self._trials[trial.number], self._seconds[trial.number] = trial, seconds
        if self.on_trial is not None:
            self.on_trial(trial, seconds)

    # ----------------------------------------------------------------------------------------- searching

    def search(self) -> None:
        """Propose and train batches until the budget is spent, or nothing new is proposed."""
        batch, first = 0, 0
        while not self._is_fruitless(first):
            settings = self._planned.get(batch) or self._propose(batch)
            if not settings:
                return
            self._train(_Batch(batch, dict(enumerate(settings, start=first))))
            batch, first = batch + 1, first + len(settings)

    def _is_fruitless(self, trials: int) -> bool:
        last = [self._trials[number].state for number in range(max(0, trials - _FRUITLESS), trials)]
        return len(last) == _FRUITLESS and set(last) <= {"invalid", "failed"}

    def _propose(self, batch: int) -> tuple[Values, ...]:
        count = self._affordable(batch)
        if count == 0:
            return ()
        settings = tuple(self._strategy.propose(batch, count, self._history()))
        self.journal.keep_state(batch, self._strategy.state())
        if settings:
            self.journal.append(BatchEntry(batch=batch, settings=settings))
        return settings

    def _history(self) -> list[Trial]:
        return [self._trials[number] for number in sorted(self._trials)]

    def _affordable(self, batch: int) -> int:
        """Return how many settings of a batch fit into what is left of the budget, even if none stops early."""
        count, budget = self._strategy.batch_size(batch), self.declaration.search.budget
        if budget is not None and budget.trials is not None:
            count = min(count, budget.trials - len(self._trials))
        if budget is not None and budget.epochs is not None:
            left = budget.epochs - sum(trial.epochs for trial in self._trials.values())
            while count > 0 and self._most_epochs(batch, count) > left:
                count -= 1
        return max(0, count)

    def _most_epochs(self, batch: int, count: int) -> int:
        """Return the epochs of a batch of so many settings, over all folds, if none stops early."""
        epochs, before = 0, 0
        for rung in self._strategy.rungs(batch):
            epochs += count * (rung - before)
            count, before = self._strategy.most_survivors(count), rung
        return epochs * len(self.evaluator.folds)

    # ------------------------------------------------------------------------------------------ training

    def _train(self, batch: _Batch) -> None:
        """Train a batch from rung to rung."""
        ready = self._build(batch)
        standing = sorted(ready)
        *rungs, last = self._strategy.rungs(batch.number)
        for rung in rungs:
            missing = [ready[number] for number in standing if (number, rung) not in self._results]
            self._train_to(rung, missing, lambda result, rung=rung: self._record_rung(result, rung))  # type: ignore[misc]
            standing = self._thin(batch, rung, standing)
        missing = [ready[number] for number in standing if number not in self._trials]
        self._train_to(last, missing, lambda result: self._record_end(batch, result, last))
        self.evaluator.drop(standing)

    def _build(self, batch: _Batch) -> dict[int, Setting]:
        """Return the settings that can be trained, by number; the others become trials that are invalid."""
        data = self.declaration.data
        ready: dict[int, Setting] = {}
        for number, values in batch.settings.items():
            try:
                varied = vary(self._experiment, values, data, valid_rows=data.rows.get("valid", 0) > 0)
            except InvalidSettingError as error:
                trial = Trial(
                    number=number, batch=batch.number, parameters=values, state="invalid", explanation=str(error)
                )
                self._record(trial, 0.0)
            else:
                ready[number] = Setting(number, varied)
        return ready

    def _train_to(self, epochs: int, settings: Sequence[Setting], on_result: Callable[[Result], None]) -> None:
        if not settings:
            return
        awaited = {setting.number for setting in settings}

        def take(result: Result) -> None:
            awaited.remove(result.number)
            on_result(_finite(result))

        self.evaluator.train(settings, epochs, take, self.on_epochs)
        if awaited:
            raise RuntimeError(f"the evaluator gave no result for the trials {sorted(awaited)}")

    def _thin(self, batch: _Batch, rung: int, standing: Sequence[int]) -> list[int]:
        """Have the strategy decide who goes on, and record those who do not; return who does."""
        values = {number: _mean(self._results[number, rung]) for number in standing}
        kept = self._strategy.survivors(rung, values)
        for number in standing:
            if number not in kept:
                self._record_end(batch, self._results[number, rung], rung, pruned=_rank(number, values, self._higher))
        self.evaluator.drop([number for number in standing if number not in kept])
        return [number for number in standing if number in kept]

    # ----------------------------------------------------------------------------------------- recording

    def _record_rung(self, result: Result, rung: int) -> None:
        entry = RungEntry(
            number=result.number,
            epochs=rung,
            folds=result.folds,
            way=result.way,
            seconds=result.seconds,
            failure=result.failure,
        )
        self.journal.append(entry)
        self._results[result.number, rung] = result

    def _record_end(self, batch: _Batch, result: Result, epochs: int, pruned: str = "") -> None:
        """Record a trial that is over, at its last epoch or because the strategy ends it."""
        rungs = tuple(
            Rung(epochs=rung, value=_mean(self._results[result.number, rung]))
            for rung in self._strategy.rungs(batch.number)
            if (result.number, rung) in self._results
        )
        diverged = _divergence(result)
        trial = Trial(
            number=result.number,
            batch=batch.number,
            parameters=batch.settings[result.number],
            state="failed" if result.failure else "diverged" if diverged else "pruned" if pruned else "finished",
            value=_mean(result),
            folds=result.folds,
            epochs=sum(fold.epochs for fold in result.folds),
            limit=epochs,
            rungs=rungs,
            way=result.way,
            explanation=result.failure or diverged or (f"{pruned} after {epochs} epochs" if pruned else ""),
        )
        earlier = [self._results[trial.number, rung.epochs].seconds for rung in rungs if rung.epochs < epochs]
        self._record(trial, result.seconds + sum(earlier))

    def _record(self, trial: Trial, seconds: float) -> None:
        if trial.number not in self._trials:
            self.journal.append(TrialEntry(trial=trial, seconds=seconds))
            self._take(trial, seconds)

    # ------------------------------------------------------------------------------------------- result

    def result(self) -> Found:
        """Return the trials, by number, and the winner.

        Raises:
            ParameterError: no trial was finished.
        """
        search, trials = self.declaration.search, self._history()
        finished = [trial for trial in trials if trial.state == "finished" and trial.value is not None]
        if not finished:
            raise ParameterError(_nothing_finished(self.declaration.name, trials))
        sign = -1 if self._higher else 1
        best = min(finished, key=lambda trial: (sign * (trial.value or 0.0), trial.number))
        record = SearchRecord(
            search=self.declaration.name,
            description=search.description,
            experiment=search.experiment,
            framework=self.declaration.framework,
            strategy=search.strategy.name,
            metric=search.metric,
            higher_is_better=self._higher,
            protocol=describe_protocol(search),
            folds=tuple(self.evaluator.folds),
            budget=search.budget.epochs if search.budget is not None else None,
            space=self._space.parameters,
            trials=tuple(trials),
            best=best.number,
        )
        return Found(record, tuple(self._seconds[trial.number] for trial in trials))


@dataclass(frozen=True)
class _Batch:
    """Settings that were proposed at once, by the numbers of their trials."""

    number: int
    settings: dict[int, Values]


def _finite(result: Result) -> Result:
    """Take a score that is no number for none."""
    folds = tuple(
        fold.model_copy(update={"value": None}) if fold.value is not None and not math.isfinite(fold.value) else fold
        for fold in result.folds
    )
    return replace(result, folds=folds)


def _mean(result: Result) -> Number:
    values = [fold.value for fold in result.folds if fold.value is not None]
    return math.fsum(values) / len(values) if values and len(values) == len(result.folds) else None


def _divergence(result: Result) -> str:
    """Say on which fold training diverged first; "" if on none."""
    folds = len(result.folds)
    for place, fold in enumerate(result.folds, start=1):
        if fold.outcome == "diverged" or fold.value is None:
            where = f" on fold {place} of {folds}" if folds > 1 else ""
            return f"training diverged{where} in epoch {fold.epochs}"
    return ""


def _rank(number: int, values: Mapping[int, Number], higher_is_better: bool) -> str:
    """Say how a trial stands among others, equal ones in the order of their numbers."""
    sign = -1 if higher_is_better else 1
    known = sorted((sign * value, other) for other, value in values.items() if value is not None)
    place = next((place for place, (_, other) in enumerate(known, start=1) if other == number), len(values))
    return f"number {place} of {len(values)}"


def _nothing_finished(name: str, trials: Sequence[Trial]) -> str:
    """Say why a search has no winner."""
    states: Counter[str] = Counter(trial.state for trial in trials)
    words = {
        "diverged": "diverged",
        "failed": "failed",
        "invalid": "cannot be built",
        "pruned": "were ended before their last epoch",
    }
    counted = ", ".join(f"{states[state]} {text}" for state, text in words.items() if states[state])
    reasons = Counter(_reason(trial) for trial in trials)
    example = next((trial for trial in trials if _reason(trial) == reasons.most_common(1)[0][0]), None)
    if example is None:
        return f"searches.{name}: no setting was tried; raise the budget"
    shown = ", ".join(f"{path} {json.dumps(value)}" for path, value in example.parameters.items())
    step = "lower the learning rates" if example.state == "diverged" else "change the space"
    return (
        f"searches.{name}: none of {len(trials)} settings was trained to its end ({counted}); most often: "
        f"{example.explanation} (trial {example.number}: {shown}); {step} in params.yaml and run again"
    )


def _reason(trial: Trial) -> str:
    """Return why a trial has ended, without the numbers in which such reasons differ."""
    return re.sub(r"\d[\d.e+-]*", "#", trial.explanation)
