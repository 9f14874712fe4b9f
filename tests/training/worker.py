"""Trains small networks in one framework and prints what happened as JSON: FRAMEWORK."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from tandem.checkpoints import Checkpoints
from tandem.config import Experiment
from tandem.datasets import Rows
from tandem.fitdata import FitData
from tandem.frameworks import Framework, load_framework
from tandem.records import DataDescription
from tandem.training import Session, Trained, train_replicate

COLUMNS = 4


def description(task: str, classes: int) -> DataDescription:
    return DataDescription(
        dataset="made", source="made", title="Made", reference="made", task=task, feature_shape=(COLUMNS,),
        feature_names=tuple("abcd"), class_names=tuple(str(label) for label in range(classes)), target_name="y",
        rows={}, class_counts={},
    )  # fmt: skip


def data(classes: int = 0, rows: int = 201) -> FitData:
    generator = np.random.default_rng(1)
    features = generator.normal(size=(rows + 50, COLUMNS)).astype(np.float32)
    signal = features @ np.array([1, -2, 0.5, 0], dtype=np.float32)
    noise = generator.normal(size=len(signal)).astype(np.float32)
    targets = ((signal + noise) > 0).astype(np.int32) if classes else signal + noise
    parts = Rows(features[:rows], targets[:rows]), Rows(features[rows:], targets[rows:])
    return FitData(*parts, description("classification" if classes else "regression", classes))


def experiment(**changes: object) -> Experiment:
    training = {"epochs": 30, "batch_size": 16} | changes.pop("training", {})
    declared = {
        "description": "made", "dataset": "made", "loss": "mse",
        "model": {"sequential": [{"dense": {"units": 8, "activation": "relu"}}]},
        "optimizer": {"name": "sgd", "learning_rate": 0.05},
    }  # fmt: skip
    return Experiment.model_validate_json(json.dumps(declared | {"training": training} | changes))


def train(framework: Framework, declared: Experiment, given: FitData, replicate: int = 0) -> Trained:
    with tempfile.TemporaryDirectory() as folder:
        session = Session(framework, declared.architecture(given.description), declared, given)
        return train_replicate(session, replicate, Checkpoints(Path(folder), "key"))


def digest(result: Trained) -> str:
    return str(sum(float(np.abs(array).sum()) for array in result.weights.values()))


def shown(result: Trained) -> dict:
    return {
        "record": result.record.model_dump(),
        "columns": result.history.columns,
        "weights": digest(result),
    }


def main() -> None:
    framework = load_framework(sys.argv[1], alone=True)
    framework.set_up(1)
    regression, classes = data(), data(2)
    stopping = {"monitor": "valid_loss", "patience": 3, "min_delta": 0.01}
    found = {
        "stopped": shown(train(framework, experiment(training={"early_stopping": stopping}), regression)),
        "best": shown(train(framework, experiment(training={"checkpoint": "best"}), regression)),
        "last": shown(train(framework, experiment(), regression)),
        "again": shown(train(framework, experiment(), regression)),
        "second seed": shown(train(framework, experiment(), regression, replicate=1)),
        "diverged": shown(train(framework, experiment(optimizer={"name": "sgd", "learning_rate": 100.0}), regression)),
    }
    for name, optimizer in {
        "sgd": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
        "adam": {"name": "adam", "learning_rate": 0.01},
        "rmsprop": {"name": "rmsprop", "learning_rate": 0.01},
    }.items():
        for constants in ("aligned", "native"):
            declared = experiment(
                optimizer=optimizer,
                constants=constants,
                loss="binary_cross_entropy",
                model={
                    "sequential": [
                        {"dense": {"units": 8, "activation": "relu", "batch_normalization": "before"}},
                        {"dropout": {"rate": 0.2}},
                    ]
                },
                # 201 rows leave a batch of one row, which PyTorch's own batch normalisation refuses
                training={"epochs": 10, "batch_size": 20},
            )
            found[f"{name}/{constants}"] = shown(train(framework, declared, classes))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
