"""Trains settings one by one in one framework and prints what they reached as JSON: FRAMEWORK."""

from __future__ import annotations

import json
import sys

import numpy as np

from tandem import metrics
from tandem.config import Experiment, Standardize
from tandem.datasets import Rows
from tandem.fitdata import FitData
from tandem.frameworks import Framework, load_framework
from tandem.records import DataDescription
from tandem.scaling import fit_scaler
from tandem.searches.alone import AloneEvaluator
from tandem.searches.evaluator import Result, Setting
from tandem.searches.folds import SearchFolds
from tandem.splits import Fold
from tandem.training import Session, train_replicate

RATES = {0: 0.05, 1: 0.02, 2: 100.0}
STOPPING = {"monitor": "valid_loss", "patience": 1, "min_delta": 0.5}


def folds() -> SearchFolds:
    generator = np.random.default_rng(3)
    features = generator.normal(5, 2, (150, 3))
    targets = features @ np.array([1.0, -2.0, 0.5]) + generator.normal(size=150)
    train, valid = Rows(features[:120], targets[:120]), Rows(features[120:], targets[120:])
    parts = np.array_split(np.arange(120), 2)
    divided = (Fold(train=parts[1], valid=parts[0]), Fold(train=parts[0], valid=parts[1]))
    description = DataDescription(
        dataset="made", source="made", title="Made", reference="made", task="regression", feature_shape=(3,),
        feature_names=tuple("abc"), target_name="y", rows={}, class_counts={},
    )  # fmt: skip
    scaler = fit_scaler(train.features, np.arange(120), Standardize(method="zscore"))
    return SearchFolds(description, divided, train, valid, scaler)


def experiment(rate: float, **training: object) -> Experiment:
    declared = {
        "description": "made", "dataset": "made", "loss": "mse",
        "model": {"sequential": [{"dense": {"units": 6, "activation": "relu"}}, {"dropout": {"rate": 0.1}}]},
        "optimizer": {"name": "sgd", "learning_rate": rate, "momentum": 0.9},
        "training": {"epochs": 1, "batch_size": 16, "replicates": 3, "checkpoint": "best", **training},
    }  # fmt: skip
    return Experiment.model_validate_json(json.dumps(declared))


def train(evaluator: AloneEvaluator, numbers: tuple[int, ...], epochs: int, **training: object) -> dict[str, object]:
    found: dict[str, object] = {}
    counted: list[int] = []

    def take(result: Result) -> None:
        found[str(result.number)] = [score.model_dump() for score in result.folds]

    settings = [Setting(number, experiment(RATES[number], **training)) for number in numbers]
    evaluator.train(settings, epochs, take, counted.append)
    return found | {"epochs told": sum(counted)}


def by_hand(framework: Framework, data: SearchFolds, rate: float, epochs: int) -> list[float]:
    """Return what a plain training of the experiment scores on each fold."""
    values = []
    declared = experiment(rate, epochs=epochs, replicates=1)
    for number in range(2):
        rows = data.load(number)
        fit = FitData(rows.train, rows.watch, data.description)
        session = Session(framework, declared.architecture(data.description), declared, fit)
        trained = train_replicate(session, 0, _Nothing())
        framework.load_weights(session.network, trained.weights)
        (raw,) = framework.predict(session.network, rows.score.features)
        values.append(metrics.compute("regression", rows.score.targets, raw[:, 0].astype(np.float64))["r2"])
    return values


class _Nothing:
    """Keeps no state of a training."""

    def load(self, *_: object) -> None:
        return None

    def save(self, *_: object) -> None:
        return None


def main() -> None:
    framework = load_framework(sys.argv[1], alone=True)
    framework.set_up(1)
    data = folds()
    gradual = AloneEvaluator(framework, "r2", data)
    first = train(gradual, (0, 1), 2)
    again = train(gradual, (0,), 2)
    gradual.drop([1])
    stopping = AloneEvaluator(framework, "r2", data)
    found = {
        "first": first,
        "again": again,
        "gone on": train(gradual, (0, 1), 5),  # 1 was forgotten and begins anew
        "at once": train(AloneEvaluator(framework, "r2", data), (1, 0), 5),
        "by hand": by_hand(framework, data, RATES[0], 5),
        "stopped": train(stopping, (1,), 30, early_stopping=STOPPING),
        "stopped again": train(stopping, (1,), 60, early_stopping=STOPPING),
        "diverged": train(AloneEvaluator(framework, "r2", data), (2,), 5),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
