"""Trains small networks on one device and on several, in one framework: FRAMEWORK DEVICES FILE CASE ..."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from tandem.augmentation import Augmentation, draw_transforms
from tandem.datasets import Rows
from tandem.frameworks import Framework, Trainer, load_framework
from tandem.models import Architecture, Constants, ModelDeclaration, resolve
from tandem.optimizers import AnyOptimizer, Optimizer
from tandem.training import epoch_order

ROWS, BATCH = 33, 8  # four batches, and one of a single row
RATE = 0.02
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A network with what trains it."""

    layers: list[dict[str, Any]]
    optimizer: dict[str, Any]
    shape: tuple[int, ...] = (6,)
    loss: str = "cross_entropy"
    constants: Constants = "aligned"
    augmented: bool = False

    @property
    def architecture(self) -> Architecture:
        declared = ModelDeclaration.model_validate_json(json.dumps({"sequential": self.layers}))
        task, classes = ("regression", 0) if self.loss == "squared_error_sum" else ("classification", 3)
        return resolve(declared, self.shape, task, self.loss, classes)

    @property
    def declared(self) -> AnyOptimizer:
        return TypeAdapter(Optimizer).validate_json(json.dumps({"learning_rate": RATE} | self.optimizer))

    def rows(self, dtype: str) -> Rows:
        generator = np.random.default_rng(2)
        features = generator.normal(size=(ROWS, *self.shape)).astype(dtype)
        if self.architecture.task == "regression":
            return Rows(features, generator.normal(size=ROWS).astype(dtype))
        return Rows(features, generator.integers(0, 3, ROWS).astype(np.int32))


DENSE = {"dense": {"units": 8, "activation": "relu", "regularization": {"l1": 0.001, "l2": 0.01}}}
CONVOLUTION = {"convolution_2d": {"filters": 3, "kernel_size": 3, "activation": "relu"}}
SGD = {"name": "sgd", "momentum": 0.9, "nesterov": True}
CASES: Mapping[str, Case] = {
    "dense": Case([DENSE], {"name": "adam", "clip_norm": 0.5}),
    "convolution": Case([CONVOLUTION, {"max_pooling_2d": {}}, {"flatten": {}}], SGD, (6, 6, 1)),
    "augmented": Case([{"flatten": {}}, DENSE], SGD, (6, 6), augmented=True),
    "sum": Case([DENSE], SGD | {"learning_rate": 0.002}, loss="squared_error_sum"),
    "recurrent": Case([{"lstm": {"units": 4}}], {"name": "rmsprop"}, (4, 3), constants="aligned-torch"),
    "native": Case([DENSE], {"name": "adam"}, constants="native"),
    "dropout": Case([DENSE, {"dropout": {"rate": 0.3}}], {"name": "adam"}),
}


def train(trainer: Trainer, case: Case, epochs: range) -> tuple[float, float]:
    found = (0.0, 0.0)
    for epoch in epochs:
        order = epoch_order(ROWS, 1, 5, epoch)
        rates = np.full(-(-ROWS // BATCH), case.declared.learning_rate)
        turned = Augmentation(flip="horizontal", rotation=10.0)
        transforms = draw_transforms(turned, ROWS, epoch) if case.augmented else None
        found = trainer.train_epoch(order, BATCH, rates, epoch, transforms)
    return found


def run(framework: Framework, case: Case, dtype: str, devices: int) -> Arrays:
    """Train two epochs on one device and on several; and once more from the state in between."""
    arrays: Arrays = {}
    rows = case.rows(dtype)

    def put_together(count: int) -> tuple[Any, Trainer]:
        network = framework.build(case.architecture, seed=3, constants=case.constants, dtype=dtype)
        return network, framework.trainer(network, rows, case.declared, constants=case.constants, devices=count)

    initial = {}
    for name, count in (("one", 1), ("several", devices)):
        network, trainer = put_together(count)
        initial = initial or framework.weights(network)
        if case is CASES["dense"]:
            trainer.take_rows(Rows(rows.features[::-1].copy(), rows.targets))
        train(trainer, case, range(1))  # a restart forgets it
        trainer.take_rows(rows)
        trainer.restart(initial)
        first = train(trainer, case, range(1))
        between = trainer.state()
        second = train(trainer, case, range(1, 2))
        arrays[f"{name}/epochs"] = np.array([first, second])
        arrays |= {f"{name}/{key}": array for key, array in framework.weights(network).items()}
        del trainer
    network, trainer = put_together(devices)
    trainer.load_state(between)
    train(trainer, case, range(1, 2))
    return arrays | {f"resumed/{key}": array for key, array in framework.weights(network).items()}


def masks(framework: Framework, devices: int) -> Arrays:
    """Show each device the same row; the kernel of the step's network adds up what dropout left of it."""
    columns = 200
    case = Case([{"dropout": {"rate": 0.5}}], {"name": "sgd"}, (columns,), "squared_error_sum")
    network = framework.build(case.architecture, seed=0, constants="aligned")
    rows = Rows(np.ones((devices, columns), np.float32), np.ones(devices, np.float32))
    trainer = framework.trainer(network, rows, case.declared, constants="aligned", devices=devices)
    trainer.restart({name: np.zeros_like(array) for name, array in framework.weights(network).items()})
    trainer.train_epoch(np.arange(devices, dtype=np.int32), devices, np.ones(1), 0)
    return {"kernel": framework.weights(network)["output/kernel"]}


def check_imports(framework: Framework) -> None:
    """One device needs nothing of what several need, which takes time to import."""
    case = CASES["dense"]
    network = framework.build(case.architecture, seed=0, constants="aligned")
    framework.trainer(network, case.rows("float32"), case.declared, constants="aligned")
    assert f"tandem.frameworks.{framework.NAME}.several_devices" not in sys.modules


def main() -> None:
    name, count, file, *chosen = sys.argv[1:]
    devices = int(count)
    framework = load_framework(name, alone=True)
    framework.set_up(1, devices)
    check_imports(framework)
    arrays: Arrays = {}
    for listed in chosen:
        case, _, dtype = listed.partition("/")
        found = masks(framework, devices) if case == "masks" else run(framework, CASES[case], dtype, devices)
        arrays |= {f"{listed}/{key}": array for key, array in found.items()}
    np.savez(Path(file), allow_pickle=False, **arrays)
    print(framework.device(devices))


if __name__ == "__main__":
    main()
