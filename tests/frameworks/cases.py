"""Whole models that the frameworks must agree on, and optimisers; no framework is imported here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tandem.losses import LossName
from tandem.models import Architecture, ModelDeclaration, resolve
from tandem.optimizers import Adam, Optimizer, RmsProp, Sgd
from tandem.records import Task

COLUMNS = 20


def sequential(*layers: dict) -> ModelDeclaration:
    return ModelDeclaration.model_validate_json(json.dumps({"sequential": layers}))


@dataclass(frozen=True)
class Kind:
    """A model kind: its declaration and the task and loss that it is trained with."""

    model: ModelDeclaration
    task: Task
    loss: LossName
    classes: int
    shape: tuple[int, ...] = (COLUMNS,)
    learning_rate: float = 0.1

    @property
    def architecture(self) -> Architecture:
        return resolve(self.model, self.shape, self.task, self.loss, self.classes)


def _dense(**settings: object) -> dict:
    return {"dense": settings}


def _wide_deep(**settings: object) -> ModelDeclaration:
    return ModelDeclaration.model_validate_json(json.dumps({"wide_deep": settings}))


KINDS: Mapping[str, Kind] = {
    "dense-relu": Kind(
        sequential(_dense(units=50, activation="relu", repeat=2)), "classification", "cross_entropy", 10
    ),
    "dense-selu-deep": Kind(
        sequential(_dense(units=20, activation="selu", repeat=20)),
        "classification", "cross_entropy", 10, learning_rate=0.01,  # the tutorials' own; at 0.1 it is chaotic
    ),
    "dense-tanh-squared-error": Kind(
        sequential(_dense(units=30, activation="tanh")), "classification", "mse", 10
    ),
    "dense-sigmoid-binary": Kind(
        sequential(_dense(units=3, activation="sigmoid")), "classification", "binary_cross_entropy", 2
    ),
    "linear-squared-error-binary": Kind(sequential(), "classification", "mse", 2),
    "two-classes-softmax": Kind(sequential(_dense(units=8, activation="elu")), "classification", "cross_entropy", 2),
    "dense-gelu-absolute-error": Kind(sequential(_dense(units=20, activation="gelu")), "regression", "mae", 0),
    "flatten-and-activation": Kind(
        sequential({"flatten": {}}, _dense(units=12), {"activation": {"function": "relu"}}),
        "classification", "cross_entropy", 4, (4, 5),
    ),
    "batch-normalisation-before": Kind(
        sequential(_dense(units=30, activation="relu", batch_normalization="before", repeat=2)),
        "classification", "cross_entropy", 10,
    ),
    "batch-normalisation-after": Kind(
        sequential(_dense(units=30, activation="relu", batch_normalization="after", repeat=2)),
        "classification", "cross_entropy", 10,
    ),
    "batch-normalisation-alone": Kind(
        sequential({"batch_normalization": {}}, _dense(units=10, activation="tanh")), "regression", "mse", 0
    ),
    "repeat": Kind(
        sequential({"repeat": {"times": 3, "layers": [_dense(units=9, activation="relu")]}}), "regression", "mse", 0
    ),
    "wide-deep-one-input": Kind(_wide_deep(hidden=(30, 30)), "regression", "mse", 0),
    "wide-deep-two-inputs": Kind(
        _wide_deep(wide=(0, 1, 2, 3, 4), deep=(2, 3, 4, 5, 6, 7), hidden=(30, 30)), "regression", "mse", 0
    ),
    "wide-deep-two-outputs": Kind(
        _wide_deep(wide=(0, 1, 2, 3, 4), deep=(2, 3, 4, 5, 6, 7), hidden=(30, 30), outputs=("joint", "deep")),
        "regression", "mse", 0,
    ),
    "wide-deep-classes": Kind(_wide_deep(hidden=(10,)), "classification", "cross_entropy", 3),
}  # fmt: skip

OPTIMIZERS: Mapping[str, Optimizer] = {
    "momentum": Sgd(name="sgd", learning_rate=0.05, momentum=0.9),
    "nesterov": Sgd(name="sgd", learning_rate=0.05, momentum=0.9, nesterov=True),
    "adam": Adam(name="adam", learning_rate=0.01),
    "rmsprop": RmsProp(name="rmsprop", learning_rate=0.001),
}

DEEPLY = ("dense-relu", "wide-deep-two-outputs")  # compiled, saved and loaded
NORMALISED = "batch-normalisation-before"  # with every optimiser
