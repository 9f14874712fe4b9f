"""A search over a formula instead of a network."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tandem.config import Experiment, Search
from tandem.records import DataDescription, FoldRows
from tandem.searches.evaluator import Result, Setting
from tandem.searches.loop import Declaration
from tandem.searches.records import FoldScore

EXPERIMENT = {
    "description": "Varied.",
    "dataset": "numbers",
    "model": {"sequential": [{"dense": {"units": 8, "activation": "relu"}}]},
    "loss": "mse",
    "optimizer": {"name": "sgd", "learning_rate": 0.01},
    "training": {"epochs": 9, "batch_size": 4},
}
UNITS, REPEAT = "model.sequential.0.dense.units", "model.sequential.0.dense.repeat"
RATE, OPTIMIZER = "optimizer.learning_rate", "optimizer.name"
MOMENTUM, NESTEROV = "optimizer.momentum", "optimizer.nesterov"
# With momentum 0 and nesterov no experiment can be built; Adam has neither.
CONDITIONS: dict[str, Any] = {
    OPTIMIZER: {"choices": ["sgd", "adam"]},
    MOMENTUM: {"choices": [0.0, 0.5, 0.9], "when": {OPTIMIZER: ["sgd"]}},
    NESTEROV: {"choices": [False, True], "when": {OPTIMIZER: ["sgd"]}},
}
RANGES: dict[str, Any] = {
    REPEAT: {"integer": [1, 4]},
    UNITS: {"log_integer": [1, 64]},
    RATE: {"log_uniform": [1e-4, 1e-1]},
    "model.output.regularization": {"choices": [None, {"l2": 0.01}]},
    **CONDITIONS,
}
LISTS: dict[str, Any] = {REPEAT: {"integer": [1, 2]}, UNITS: {"choices": [4, 8, 7]}, **CONDITIONS}
DATA = DataDescription(
    dataset="numbers",
    source="listed",
    title="Numbers",
    reference="made",
    task="regression",
    feature_shape=(3,),
    target_name="y",
    rows={"train": 40, "valid": 10, "test": 10},
    class_counts={},
)


def declare(strategy: str | dict[str, Any], **changes: Any) -> Declaration:
    """Declare a search of two folds over ``RANGES``, or over ``LISTS`` for a grid."""
    name = strategy if isinstance(strategy, str) else strategy["name"]
    declared = {
        "description": "Found.",
        "experiment": "varied",
        "strategy": strategy,
        "space": LISTS if name == "grid" else RANGES,
        "budget": {"trials": 30},
        "protocol": {"method": "k-fold", "folds": 2},
        "metric": "mse",
        **changes,
    }
    search = Search.model_validate_json(json.dumps(declared))
    return Declaration("found", search, Experiment.model_validate_json(json.dumps(EXPERIMENT)), "torch", DATA)


def formula(experiment: Experiment, epochs: int) -> float:
    """Return the error of a setting: lowest at two layers of 20 units and a rate of 0.01; NaN for 7 units."""
    assert experiment.model.sequential is not None
    layer, rate = experiment.model.sequential[0].dense, experiment.optimizer.learning_rate
    if layer.units % 7 == 0:
        return math.nan
    size = (math.log(layer.units / 20)) ** 2 + (layer.repeat - 2) ** 2 / 4
    return size + math.log10(rate / 0.01) ** 2 + getattr(experiment.optimizer, "momentum", 0.3) / 10 + 1 / epochs


class FakeEvaluator:
    """Scores settings by :func:`formula`.

    Attributes:
        folds: two.
        trained: (trial, epochs) of each training, in order.
        dropped: trials whose state need not be held any more.
    """

    folds = (FoldRows(repeat=0, train=20, valid=20),) * 2

    def __init__(
        self,
        error: Callable[[Experiment, int], float] = formula,
        *,
        last_first: bool = False,
        stop_after: int | None = None,
        early: bool = False,
        fails: Callable[[Experiment], bool] = lambda _: False,
        seconds: float = 0.0,
        log: Path | None = None,
    ) -> None:
        self.trained: list[tuple[int, int]] = []
        self.dropped: set[int] = set()
        self._error, self._last_first, self._stop_after = error, last_first, stop_after
        self._fails = fails
        self._early, self._seconds, self._log = early, seconds, log

    def train(
        self,
        settings: Sequence[Setting],
        epochs: int,
        on_result: Callable[[Result], None],
        on_epochs: Callable[[int], None] | None = None,
    ) -> None:
        for setting in sorted(settings, key=lambda one: one.number, reverse=self._last_first):
            if self._stop_after == len(self.trained):
                raise KeyboardInterrupt
            time.sleep(self._seconds)
            self.trained.append((setting.number, epochs))
            if self._log is not None:
                with self._log.open("a", encoding="utf-8") as file:
                    file.write(f"{setting.number} {epochs}\n")
            if on_epochs is not None:
                on_epochs(epochs * len(self.folds))
            failure = "training failed: MemoryError: short" if self._fails(setting.experiment) else ""
            folds = () if failure else self._scores(setting, epochs)
            on_result(Result(setting.number, folds, "batched", 0.25, failure))

    def _scores(self, setting: Setting, epochs: int) -> tuple[FoldScore, ...]:
        taken = min(epochs, 1 + setting.number % epochs) if self._early else epochs
        error = self._error(setting.experiment, epochs)
        outcome = "diverged" if math.isnan(error) else "stopped early" if taken < epochs else "finished"
        return tuple(
            FoldScore(value=error + fold / 100, epochs=taken, kept_epoch=taken, outcome=outcome)  # type: ignore[arg-type]
            for fold in range(len(self.folds))
        )

    def drop(self, numbers: Iterable[int]) -> None:
        self.dropped |= set(numbers)
