"""Training each setting by itself, fold after fold: the way for what cannot share a batch with other settings."""

from __future__ import annotations

import copy
import math
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tandem import metrics
from tandem.checkpoints import Checkpoint
from tandem.config import Experiment, MetricName
from tandem.errors import ModelError
from tandem.fitdata import FitData
from tandem.frameworks import Framework
from tandem.searches.evaluator import Result, Setting
from tandem.searches.folds import SearchFolds
from tandem.searches.records import FoldScore
from tandem.training import Progress, Session, Trained, train_replicate

_SHOWN = 200  # letters of an error
_OF_A_SETTING = (ModelError, MemoryError, ArithmeticError, RuntimeError, ValueError)  # what a training may raise


class AloneEvaluator:
    """Trains settings one after another, as an experiment of its own each; an Evaluator.

    Args:
        framework: that trains; it has been set up.
        metric: that scores.
        folds: the rows.
    """

    def __init__(self, framework: Framework, metric: MetricName, folds: SearchFolds) -> None:
        self.folds = folds.rows
        self._framework, self._metric, self._data = framework, metric, folds
        self._held: dict[tuple[int, int], _Held] = {}

    def train(
        self,
        settings: Sequence[Setting],
        epochs: int,
        on_result: Callable[[Result], None],
        on_epochs: Callable[[int], None] | None = None,
    ) -> None:
        """Train settings up to ``epochs`` epochs in all; see :class:`tandem.searches.evaluator.Evaluator`."""
        for setting in settings:
            began, failure = time.perf_counter(), ""
            scores: tuple[FoldScore, ...] = ()
            try:
                scores = tuple(self._train_fold(setting, fold, epochs, on_epochs) for fold in range(len(self.folds)))
            except Exception as error:
                if not (isinstance(error, _OF_A_SETTING) or self._framework.is_out_of_memory(error)):
                    raise  # no setting could be trained
                traceback.print_exc()
                failure = describe_failure(error)
            on_result(Result(setting.number, scores, "alone", time.perf_counter() - began, failure))

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget the state of settings that do not go on."""
        for number in numbers:
            for fold in range(len(self.folds)):
                self._held.pop((number, fold), None)

    def _train_fold(
        self, setting: Setting, fold: int, epochs: int, on_epochs: Callable[[int], None] | None
    ) -> FoldScore:
        held = self._held.setdefault((setting.number, fold), _Held())
        if held.ended is not None:
            return held.ended
        data, reached = self._data.load(fold), held.epochs
        experiment = with_epochs(setting.experiment, epochs)
        architecture = experiment.architecture(self._data.description)
        fit = FitData(data.train, data.watch, self._data.description)
        session = Session(self._framework, architecture, experiment, fit)

        def tell(progress: Progress) -> None:
            if on_epochs is not None and progress.epoch > reached:
                on_epochs(1)

        held.epochs, held.goes_on = epochs, epochs < setting.experiment.training.epochs
        trained = train_replicate(session, 0, held, on_epoch=tell)
        value = None
        if trained.record.outcome != "diverged":
            value = self._score(session, trained, data.score.features, data.score.targets)
        record = trained.record
        score = FoldScore(value=value, epochs=record.epochs, kept_epoch=record.kept_epoch, outcome=record.outcome)
        if record.outcome != "finished":
            held.ended = score
        return score

    def _score(self, session: Session, trained: Trained, features: np.ndarray, targets: np.ndarray) -> float | None:
        self._framework.load_weights(session.network, trained.weights)
        values = metrics.main_values(session.architecture, self._framework.predict(session.network, features))
        value = metrics.compute(session.architecture.task, targets, values)[self._metric]
        return value if math.isfinite(value) else None


def describe_failure(error: BaseException) -> str:
    """Return why a training failed, in a line."""
    text = " ".join(str(error).split())
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"
    return f"training failed: {type(error).__name__}{': ' if shown else ''}{shown}"


def with_epochs(experiment: Experiment, epochs: int) -> Experiment:
    """Return an experiment of one replicate with so many epochs."""
    training = experiment.training.model_copy(update={"epochs": epochs, "replicates": 1})
    return experiment.model_copy(update={"training": training})


class _Held:
    """A setting's state on one fold, in memory, from which it can go on to more epochs.

    What ``train_replicate`` keeps it keeps for a training that was killed, so there is none of the last epoch: it is
    the state of the epoch before that is held, and the last one is trained again.

    Attributes:
        epochs: that it was last trained to.
        goes_on: whether it may be trained to more.
        ended: its score, where more epochs would change nothing.
    """

    def __init__(self) -> None:
        self.epochs, self.goes_on = 0, False
        self.ended: FoldScore | None = None
        self._state: Checkpoint | None = None

    def load(self, replicate: int) -> Checkpoint | None:
        """Return the state that is held, to be gone on from."""
        del replicate
        return copy.deepcopy(self._state)

    def save(self, replicate: int, facts: Mapping[str, Any], arrays: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """Hold the state of the epoch before the last; ``arrays`` may be the network's own and are copied."""
        del replicate
        if self.goes_on and facts["epoch"] == self.epochs - 1:
            self._state = copy.deepcopy(Checkpoint(dict(facts), dict(arrays())))
