"""A search over convolutions on small images: the rows on disk, and settings.

As a program, ``FOLDER FRAMEWORK`` prints what :func:`follow` finds where settings are trained in its own process;
``FOLDER FRAMEWORK long`` trains dense layers in two processes for a very long time, and prints each epoch.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tandem.config import Experiment, ScoredFolds, ScoredHoldout, Standardize
from tandem.records import DataDescription, write_record
from tandem.scaling import fit_scaler
from tandem.searches.evaluator import Evaluator, Result, Setting
from tandem.searches.folds import load_folds
from tandem.searches.processes import ProcessesEvaluator, Work, training_alone
from tandem.storage import save_array

RATES = (0.05, 0.02, 0.01, 0.1)
FOLDS = 2
HOLDOUT = ScoredHoldout(method="holdout")
CONVOLUTIONS = (
    {"convolution_2d": {"filters": 3, "kernel_size": 3, "activation": "relu"}},
    {"dropout": {"rate": 0.1}},
    {"flatten": {}},
)
DENSE = ({"flatten": {}}, {"dense": {"units": 3, "activation": "relu"}})  # which the framework in NumPy trains, too


def write_rows(folder: Path) -> None:
    """Write what the stages ``split`` and ``standardize`` write: 60 images of which a corner says the class."""
    generator = np.random.default_rng(5)
    images, labels = generator.normal(size=(60, 6, 6, 1)), np.arange(60) % 2
    images[labels == 1, :3, :3] += 0.8
    description = DataDescription(
        dataset="made", source="made", title="Made", reference="made", task="classification",
        feature_shape=(6, 6, 1), class_names=("plain", "corner"), target_name="kind", rows={}, class_counts={},
    )  # fmt: skip
    fit, scaler = folder / "fit", folder / "scale"
    for path in (fit / "folds/0", scaler):
        path.mkdir(parents=True)
    save_array(fit / "features.npy", images)
    save_array(fit / "targets.npy", labels)
    save_array(fit / "folds/0/train.npy", np.arange(48))
    save_array(fit / "folds/0/valid.npy", np.arange(48, 60))
    write_record(description, fit / "description.json")
    write_record(fit_scaler(images, np.arange(48), Standardize(method="zscore", per="all")), scaler / "fold-0.json")


def work(folder: Path, framework: str, **changes: Any) -> Work:
    """Return what processes are told of the search."""
    known: dict[str, Any] = {"framework": framework, "threads": 1, "metric": "log_loss"}
    known |= {"fit": folder / "fit", "scaler": folder / "scale"}
    known["protocol"] = ScoredFolds(method="k-fold", folds=FOLDS, seed=1)
    return Work(**known | changes)


def settings(*numbers: int, layers: Sequence[Mapping[str, Any]] = CONVOLUTIONS) -> list[Setting]:
    """Return settings by their numbers."""
    found = []
    for number in numbers:
        declared = {
            "description": "made", "dataset": "made", "loss": "cross_entropy",
            "model": {"sequential": list(layers)},
            "optimizer": {"name": "sgd", "learning_rate": RATES[number % len(RATES)], "momentum": 0.9},
            "training": {"epochs": 4, "batch_size": 8},
        }  # fmt: skip
        found.append(Setting(number, Experiment.model_validate_json(json.dumps(declared))))
    return found


def follow(evaluator: Evaluator) -> dict[str, Any]:
    """Train four settings, go on with two of them, then with those that were dropped; return what they reached."""
    found: dict[str, Any] = {}
    for step, (numbers, epochs, dropped) in enumerate((((0, 1, 2, 3), 2, (0, 1)), ((3, 2), 4, ()), ((0, 1), 4, ()))):
        told: list[int] = []
        results: list[Result] = []
        evaluator.train(settings(*numbers), epochs, results.append, told.append)
        evaluator.drop(dropped)
        scores = {
            str(result.number): [score.model_dump(mode="json") for score in result.folds]
            for result in sorted(results, key=lambda result: result.number)
        }
        assert all(result.way == "alone" and result.seconds > 0 for result in results)
        found[str(step)] = {"scores": scores, "epochs told": sum(told)}
    return found


def main(folder: Path, framework: str) -> None:
    """Print what is found where no other process trains."""
    from tandem.frameworks import load_framework

    loaded = load_framework(framework, alone=True)
    loaded.set_up(1)
    given = work(folder, framework)
    folds = load_folds(given.fit, given.scaler, given.protocol)
    with training_alone(loaded, given, folds, 1) as evaluator:
        print(json.dumps(follow(evaluator)))


def train_long(folder: Path, framework: str) -> None:
    """Train until somebody ends it."""
    with ProcessesEvaluator(work(folder, framework, protocol=HOLDOUT), (), 2) as evaluator:
        evaluator.train(settings(0, 1, layers=DENSE), 1_000_000, print, lambda _: print("epoch", flush=True))


if __name__ == "__main__":
    (train_long if sys.argv[3:] == ["long"] else main)(Path(sys.argv[1]), sys.argv[2])
