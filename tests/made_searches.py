"""Searches made by a formula: what the stage would have written, with known noise between folds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tandem.records import FoldRows
from tandem.searches.records import FoldScore, Rung, SearchedParameter, SearchRecord, Trial

REPEAT, UNITS, RATE = (
    "model.sequential.0.dense.repeat",
    "model.sequential.0.dense.units",
    "optimizer.learning_rate",
)
GRID = (
    SearchedParameter(name=REPEAT, kind="choice", choices=(1, 2, 3, 4, 5)),
    SearchedParameter(name=UNITS, kind="choice", choices=(5, 10, 15, 20, 25, 30)),
    SearchedParameter(name=RATE, kind="choice", choices=(1e-4, 2e-3, 1e-3, 2e-2, 1e-5)),
)
RANDOM = (
    SearchedParameter(name=REPEAT, kind="integer", low=1, high=4),
    SearchedParameter(name=UNITS, kind="integer", low=1, high=99),
    SearchedParameter(name=RATE, kind="uniform", low=1e-4, high=1e-1, log=True),
    SearchedParameter(name="optimizer.momentum", kind="uniform", low=0.0, high=0.9, when={"optimizer.name": ("sgd",)}),
    SearchedParameter(name="optimizer.name", kind="choice", choices=("sgd", "adam")),
)
ROWS = tuple(FoldRows(repeat=0, train=80, valid=20) for _ in range(5))

Formula = Callable[[Mapping[str, Any]], float | None]


def r2_of(parameters: Mapping[str, Any], best_rate: float = 2e-3) -> float | None:
    """Return a made R²: best with 2 layers of 15 units; high rates with many layers diverge."""
    rate, repeat, units = parameters[RATE], parameters[REPEAT], parameters[UNITS]
    if rate >= 2e-2 and repeat >= 3:
        return None
    off = abs(np.log10(rate / best_rate))
    return float(0.6 - 0.16 * off**2 - 0.012 * abs(repeat - 2) - 0.0012 * abs(units - 15))


def grid(space: Sequence[SearchedParameter] = GRID) -> list[dict[str, Any]]:
    """Return every setting of a grid."""
    names = [entry.name for entry in space]
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*(entry.choices for entry in space))]


def drawn(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return settings drawn of RANDOM; momentum belongs to plain gradient descent alone."""
    generator = np.random.default_rng(seed)
    settings = []
    for _ in range(count):
        found: dict[str, Any] = {
            REPEAT: int(generator.integers(1, 5)),
            UNITS: int(generator.integers(1, 100)),
            RATE: float(10 ** generator.uniform(-4, -1)),
            "optimizer.name": str(generator.choice(["sgd", "adam"])),
        }
        if found["optimizer.name"] == "sgd":
            found["optimizer.momentum"] = float(generator.uniform(0, 0.9))
        settings.append(found)
    return settings


def made_search(
    settings: Iterable[Mapping[str, Any]],
    formula: Formula = r2_of,
    *,
    framework: str = "keras",
    space: Sequence[SearchedParameter] = GRID,
    noise: float = 0.01,
    folds: Sequence[FoldRows] = ROWS,
    seed: int = 0,
    epochs: int = 5,
    **changed: Any,
) -> SearchRecord:
    """Return a search whose values are a formula's, plus a fold's own level and noise of a setting on a fold.

    Args:
        settings: in the order proposed.
        formula: the mean that a setting would reach; None: it diverges.
        framework, space, folds: of the record.
        noise: standard deviation of a setting on a fold.
        seed: of the noise.
        epochs: of each training.
        changed: fields of the record.
    """
    generator = np.random.default_rng(seed)
    levels = generator.normal(0, 0.02, len(folds))
    trials = []
    for number, parameters in enumerate(settings):
        mean = formula(parameters)
        jitter = generator.normal(0, noise, len(folds))
        if mean is None:
            outcome = FoldScore(value=None, epochs=2, kept_epoch=0, outcome="diverged")
            trials.append(
                Trial(
                    number=number, batch=0, parameters=dict(parameters), state="diverged",
                    folds=(outcome,) * len(folds), epochs=2 * len(folds), limit=epochs, way="batched",
                    explanation=f"the loss is not finite in epoch {number % 3 + 1} on fold 0",
                )
            )  # fmt: skip
            continue
        scores = [float(mean + level + off) for level, off in zip(levels, jitter, strict=True)]
        trials.append(
            Trial(
                number=number, batch=0, parameters=dict(parameters), state="finished", value=float(np.mean(scores)),
                folds=tuple(FoldScore(value=v, epochs=epochs, kept_epoch=epochs, outcome="finished") for v in scores),
                epochs=epochs * len(folds), limit=epochs, way="batched",
            )
        )  # fmt: skip
    return as_record(trials, framework=framework, space=space, folds=folds, **changed)


def as_record(trials: Sequence[Trial], **changed: Any) -> SearchRecord:
    """Return a record of trials, the best of which wins."""
    given: dict[str, Any] = {
        "search": "housing-grid",
        "description": "Which depth, width and rate.",
        "experiment": "housing-mlp",
        "framework": "keras",
        "strategy": "grid",
        "metric": "r2",
        "higher_is_better": True,
        "protocol": "5-fold cross-validation of the training rows, shuffled",
        "folds": ROWS,
        "budget": None,
        "space": GRID,
        **changed,
    }
    sign = 1 if given["higher_is_better"] else -1
    finished = [trial for trial in trials if trial.state == "finished" and trial.value is not None]
    best = max(finished, key=lambda trial: sign * (trial.value or 0.0)).number if finished else None
    return SearchRecord(trials=tuple(trials), **{"best": best, **given})


def halved(count: int = 27, framework: str = "keras", seed: int = 0) -> SearchRecord:
    """Return a search by successive halving: rungs after 1, 3 and 9 epochs, a third goes on."""
    record = made_search(drawn(count, seed), framework=framework, space=RANDOM, seed=seed, epochs=9, noise=0.005)
    alive = list(record.trials)
    done: dict[int, Trial] = {}
    for rung in (1, 3, 9):
        scored = [trial for trial in alive if trial.state == "finished"]
        scored.sort(key=lambda trial: -(trial.value or 0.0))
        keep = len(scored) if rung == 9 else max(1, len(scored) // 3)
        for place, trial in enumerate(scored):
            passed = Rung(epochs=rung, value=(trial.value or 0.0) - 0.1 / rung)
            changed: dict[str, Any] = {"rungs": (*done.get(trial.number, trial).rungs, passed)}
            if place >= keep:
                changed |= {"state": "pruned", "epochs": rung * len(ROWS), "limit": rung, "value": passed.value}
                changed["explanation"] = f"pruned after {rung} epochs: not among the best third"
            done[trial.number] = done.get(trial.number, trial).model_copy(update=changed)
        alive = [trial for trial in alive if trial in scored[:keep]]
    trials = [done.get(trial.number, trial) for trial in record.trials]
    return as_record(trials, framework=framework, space=RANDOM, strategy="hyperband", search="housing-hyperband")
