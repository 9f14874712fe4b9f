"""Trains networks that show one case each, in one framework, and prints the diagnoses as JSON: FRAMEWORK CASE ..."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from tandem.checkpoints import Checkpoints
from tandem.config import Experiment
from tandem.datasets import Rows, read_options, source
from tandem.diagnosis import constant_baseline, diagnose_replicate
from tandem.fitdata import FitData
from tandem.frameworks import load_framework
from tandem.records import DataDescription
from tandem.training import Session, train_replicate


def fit_data(features: np.ndarray, targets: np.ndarray, rows: int, valid: int) -> FitData:
    """Take the first rows to train on and the next to validate on."""
    classes = 0 if np.issubdtype(targets.dtype, np.floating) else int(targets.max()) + 1
    features, targets = features.astype(np.float32), targets.astype(np.int32 if classes else np.float32)
    description = DataDescription(
        dataset="made", source="made", title="Made", reference="made",
        task="classification" if classes else "regression", feature_shape=features.shape[1:],
        class_names=tuple(map(str, range(classes))), target_name="y", rows={}, class_counts={},
    )  # fmt: skip
    train, held_out = slice(0, rows), slice(rows, rows + valid)
    return FitData(Rows(features[train], targets[train]), Rows(features[held_out], targets[held_out]), description)


def digits(rows: int) -> FitData:
    features, targets = load_digits(return_X_y=True)
    return fit_data(features / 16, targets, rows, 500)


def genuine(name: str) -> Rows:
    with tempfile.TemporaryDirectory() as folder:
        source(name).fetch(Path(folder), read_options(name, {}))
        return source(name).load(Path(folder))[0]


def housing() -> FitData:
    rows = genuine("california_housing")
    order = np.random.default_rng(0).permutation(len(rows))
    features, targets = rows.features[order], rows.targets[order]
    return fit_data((features - features.mean(axis=0)) / features.std(axis=0), targets.astype(np.float64), 4000, 1000)


def fashion() -> FitData:
    rows = genuine("fashion_mnist")
    return fit_data(rows.features[:4000], rows.targets[:4000], 3000, 1000)


def declare(
    loss: str, layers: list[dict], *, optimizer: str = "sgd", rate: float = 0.01, epochs: int, **training: object
) -> Experiment:
    declared = {
        "description": "made", "dataset": "made", "loss": loss, "model": {"sequential": layers},
        "optimizer": {"name": optimizer, "learning_rate": rate},
        "training": {"epochs": epochs, "batch_size": 32, **training},
    }  # fmt: skip
    return Experiment.model_validate_json(json.dumps(declared))


def relu(units: int) -> dict:
    return {"dense": {"units": units, "activation": "relu"}}


EARLY = {"monitor": "valid_loss", "patience": 5, "min_delta": 0.01}
CASES: dict[str, tuple[Callable[[], FitData], Experiment]] = {
    # M9, and M9 with a learning rate a hundred times as large
    "housing": (housing, declare("mse", [relu(30)], epochs=30, early_stopping=EARLY)),
    "large steps": (housing, declare("mse", [relu(30)], rate=1.0, epochs=20)),
    "deep sigmoid": (
        lambda: digits(1000),
        declare("cross_entropy", [{"dense": {"units": 50, "activation": "sigmoid", "repeat": 20}}], epochs=10),
    ),
    "deep relu": (
        lambda: digits(1000),
        declare("cross_entropy", [{"dense": {"units": 50, "activation": "relu", "repeat": 20}}], epochs=3),
    ),
    "dead": (lambda: digits(1000), declare("cross_entropy", [relu(30), relu(30)], rate=30.0, epochs=6)),
    # M1 and M1b: pixels from 0 to 255
    "raw pixels": (fashion, declare("cross_entropy", [{"flatten": {}}, relu(300), relu(100)], epochs=6)),
    "tiny": (lambda: digits(1000), declare("cross_entropy", [relu(1)], rate=0.1, epochs=40)),
    "memorising": (
        lambda: digits(200),
        declare("cross_entropy", [relu(300), relu(100)], optimizer="adam", rate=0.003, epochs=40),
    ),
}


def main() -> None:
    framework = load_framework(sys.argv[1], alone=True)
    framework.set_up(1)
    found = {}
    for case in sys.argv[2:]:
        load, declared = CASES[case]
        data = load()
        with tempfile.TemporaryDirectory() as folder:
            session = Session(framework, declared.architecture(data.description), declared, data)
            trained = train_replicate(session, 0, Checkpoints(Path(folder), "key"))
        baseline = constant_baseline(data.description.task, declared.loss, data.train.targets)
        diagnosis = diagnose_replicate(trained.history, trained.record, baseline)
        found[case] = {"diagnosis": diagnosis.model_dump(mode="json"), "history": trained.history.model_dump()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
