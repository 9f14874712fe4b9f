"""Made data and settings for the tests of populations; no framework is imported here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.config import Experiment
from tandem.datasets.source import Rows
from tandem.population.stack import Member
from tandem.records import Column, DataDescription

NUMBERS, CATEGORIES = 6, 4  # columns of numbers, and categories of each of two more columns


@dataclass(frozen=True)
class MadeFold:
    """Rows as :class:`tandem.population.training.Fold` has them."""

    train: Rows
    watch: Rows
    score: Rows


def describe(classes: int, shape: tuple[int, ...]) -> DataDescription:
    """Return what is known of made data; of a table with two categorical columns where the shape is a row's."""
    table = shape == (NUMBERS + 2,)
    columns = tuple(Column(name=f"x{number}") for number in range(NUMBERS))
    codes = tuple(str(code) for code in range(CATEGORIES))
    columns += tuple(Column(name=name, kind="categorical", categories=codes) for name in ("town", "season"))
    return DataDescription(
        dataset="made", source="made", title="Made", reference="made",
        task="classification" if classes else "regression", feature_shape=shape,
        feature_names=tuple(f"x{number}" for number in range(shape[-1])),
        class_names=tuple(str(label) for label in range(classes)), target_name="y", rows={}, class_counts={},
        columns=columns if table else (),
    )  # fmt: skip


def made_rows(rows: int, seed: int, classes: int, shape: tuple[int, ...], dtype: str) -> Rows:
    """Return rows that can be learnt from."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(rows, *shape))
    signal = np.tanh(features.reshape(rows, -1) @ np.linspace(-1, 1, int(np.prod(shape))))
    signal = signal + 0.3 * generator.normal(size=rows)
    if shape == (NUMBERS + 2,):
        features[:, NUMBERS:] = generator.integers(0, CATEGORIES, (rows, 2))
    if not classes:
        return Rows(features.astype(dtype), signal.astype(dtype))
    labels = np.digitize(signal, np.linspace(-1, 1, classes + 1)[1:-1])
    return Rows(features.astype(dtype), labels.astype(np.int32))


def made_fold(
    number: int, rows: int, classes: int = 0, shape: tuple[int, ...] = (NUMBERS,), dtype: str = "float32",
    watched: int = 40,
) -> MadeFold:  # fmt: skip
    """Return a fold's rows; folds with other numbers have others."""
    train, watch, score = (
        made_rows(size, 10 * number + part, classes, shape, dtype) for part, size in enumerate((rows, watched, 50))
    )
    return MadeFold(train, watch, score)


def made_experiment(**changes: Any) -> Experiment:
    """Return an experiment; ``training`` and ``optimizer`` are added to what is declared."""
    declared = {
        "description": "made", "dataset": "made", "loss": "mse",
        "model": {"sequential": [{"dense": {"units": 8, "activation": "relu"}}]},
    }  # fmt: skip
    changes["training"] = {"epochs": 5, "batch_size": 16} | changes.get("training", {})
    changes["optimizer"] = {"name": "sgd", "learning_rate": 0.05} | changes.get("optimizer", {})
    return Experiment.model_validate_json(json.dumps(declared | changes))


def made_member(experiment: Experiment, description: DataDescription, fold: int = 0) -> Member:
    """Return the member that an experiment's first replicate is."""
    return Member(experiment, experiment.architecture(description), experiment.training.seed, fold)
