"""Resamples images, and trains on resampled ones, in one framework: FRAMEWORK FILE."""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from tandem.augmentation import Augmentation, draw_transforms
from tandem.checkpoints import Checkpoints
from tandem.config import Experiment
from tandem.datasets import Rows
from tandem.fitdata import FitData
from tandem.frameworks import Framework, load_framework
from tandem.records import DataDescription, History
from tandem.training import Session, train_replicate

AUGMENTATION = Augmentation(flip="both", rotation=15.0)
SHAPES = {"grey": (9, 6), "colour": (6, 7, 3)}
ROWS = 53  # the last batch is not full


def images(shape: tuple[int, ...], rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(rows, *shape))


def labels(rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 3, rows).astype(np.int32)


def experiment(learning_rate: float = 0.1, **training: object) -> Experiment:
    declared = {
        "description": "made", "dataset": "made", "loss": "cross_entropy",
        "model": {"sequential": [{"flatten": {}}, {"dense": {"units": 7, "activation": "relu"}}]},
        "optimizer": {"name": "sgd", "learning_rate": learning_rate},
        "training": {"epochs": 2, "batch_size": 8, **training},
    }  # fmt: skip
    return Experiment.model_validate_json(json.dumps(declared))


def description(shape: tuple[int, ...]) -> DataDescription:
    return DataDescription(
        dataset="made", source="made", title="Made", reference="made", task="classification", feature_shape=shape,
        class_names=("a", "b", "c"), target_name="y", rows={}, class_counts={},
    )  # fmt: skip


def resampled(name: str, given: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    function = importlib.import_module(f"tandem.frameworks.{name}.augmentation").transform_images
    if name == "torch":
        import torch

        return function(torch.from_numpy(given), torch.from_numpy(transforms).to(torch.from_numpy(given).dtype)).numpy()
    if name == "keras":
        import tensorflow as tf

        return function(tf.constant(given), tf.constant(transforms, dtype=given.dtype)).numpy()
    return function(given, transforms)


def trained(framework: Framework, shape: tuple[int, ...], transforms: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return the weights, loss and metric after an epoch in float64."""
    declared = experiment()
    architecture = declared.architecture(description(shape))
    network = framework.build(architecture, seed=3, constants="aligned", dtype="float64")
    rows = Rows(images(shape), labels())
    trainer = framework.trainer(network, rows, declared.optimizer, constants="aligned")
    order = np.random.default_rng(4).permutation(ROWS).astype(np.int32)
    totals = trainer.train_epoch(order, 8, np.full(7, 0.1), 0, transforms)
    return {**framework.weights(network), "totals": np.array(totals)}


def history(framework: Framework, **training: object) -> History:
    """Return what is recorded where no step changes a weight."""
    given = Rows(images((9, 6)).astype(np.float32), labels())
    data = FitData(given, given, description((9, 6)))
    declared = experiment(1e-30, **training)
    session = Session(framework, declared.architecture(data.description), declared, data)
    with tempfile.TemporaryDirectory() as folder:
        return train_replicate(session, 0, Checkpoints(Path(folder), "key")).history


def main() -> None:
    name, file = sys.argv[1:]
    framework = load_framework(name, alone=True)
    framework.set_up(1)
    found = {}
    for kind, shape in SHAPES.items():
        transforms = draw_transforms(AUGMENTATION, ROWS, 1)
        for dtype in ("float64", "float32"):
            found[f"{kind}/{dtype}"] = resampled(name, images(shape).astype(dtype), transforms)
        found |= {f"{kind}/trained/{key}": array for key, array in trained(framework, shape, transforms).items()}
        found |= {f"{kind}/plain/{key}": array for key, array in trained(framework, shape, None).items()}
    declared = AUGMENTATION.model_dump()
    for key, record in {"augmented": history(framework, augmentation=declared), "plain": history(framework)}.items():
        found |= {f"{key}/{column}": np.array(values) for column, values in record.columns.items()}
        found |= {f"{key}/gradient of {layer}": np.array(norms) for layer, norms in record.gradient_norms.items()}
    np.savez(file, allow_pickle=False, **found)


if __name__ == "__main__":
    main()
