"""Trains one case on one side in this process and prints seconds and losses of each epoch as JSON.

Run as ``python -m benchmarks.training_worker CASE FRAMEWORK SIDE THREADS [EPOCHS]``; CASE is one of :data:`CASES`, or
with EPOCHS any experiment; SIDE is "tandem", "streamed" (the same with ``input: streamed``) or "plain": Keras's
``fit`` with its defaults, or PyTorch's ``DataLoader`` loop as tutorials write it.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tandem import datasets
from tandem.config import Dataset, Experiment, read_dataset, read_experiment
from tandem.datasets import Rows
from tandem.frameworks import load_framework
from tandem.models import Architecture, resolve
from tandem.optimizers import Sgd
from tandem.records import Description
from tandem.scaling import Scaler, fit_scaler
from tandem.splits import divide
from tandem.storage import save_array
from tandem.streaming import StreamedFeatures, StreamedRows
from tandem.training import epoch_order

CASES = {"M1": ("fashion-mlp", 5), "M11": ("housing-wide-deep-one-input", 12)}  # experiment, epochs
DOWNLOADED = {"fashion_mnist": 55_000, "california_housing": 11_610}  # source → training rows
SEED = 0


def main() -> None:
    """Train and print."""
    case, framework, side, threads, *given = sys.argv[1:]
    os.environ["OMP_NUM_THREADS"] = threads
    name, epochs = (case, int(given[0])) if given else CASES[case]
    experiment = read_experiment(Path("params.yaml"), name)
    load_framework(framework).set_up(int(threads))
    with tempfile.TemporaryDirectory() as folder:
        seconds, losses, genuine = measure(experiment, framework, side, epochs, Path(folder))
    print(json.dumps({"seconds": seconds, "losses": losses, "genuine": genuine}))


def measure(
    experiment: Experiment, framework: str, side: str, epochs: int, folder: Path
) -> tuple[list[float], list[float], bool]:
    """Return seconds and training losses of each epoch, and whether the data is genuine; ``folder`` is for rows."""
    rows, architecture, genuine = load_rows(experiment, folder if side == "streamed" else None)
    epoch: Callable[[int], float] = {
        ("keras", "tandem"): tandem_epochs,
        ("torch", "tandem"): tandem_epochs,
        ("keras", "streamed"): tandem_epochs,
        ("torch", "streamed"): tandem_epochs,
        ("keras", "plain"): keras_fit,
        ("torch", "plain"): torch_loop,
    }[framework, side](framework, experiment, architecture, rows)
    seconds, losses = [], []
    for number in range(epochs):
        start = time.perf_counter()
        losses.append(epoch(number))
        seconds.append(time.perf_counter() - start)
    return seconds, losses, genuine


def load_rows(experiment: Experiment, streamed: Path | None) -> tuple[Rows, Architecture, bool]:
    """Return the scaled training rows: noise of the same shape where files would have to be downloaded.

    ``streamed`` is a folder for those that stay on disk; None: they are in memory.
    """
    dataset = read_dataset(Path("params.yaml"), experiment.dataset)
    data = dataset.describe()
    architecture = resolve(
        experiment.model, data.feature_shape, data.task, experiment.loss, len(data.class_names), data.columns
    )
    genuine = dataset.source.name not in DOWNLOADED or "TANDEM_DATA" in os.environ
    given = _genuine_rows(dataset, data) if genuine else _noise(DOWNLOADED[dataset.source.name], data)
    targets = given.targets.astype(np.int32 if data.task == "classification" else np.float32)
    if streamed is None:
        return Rows(given.scaler.transform(given.features), targets), architecture, genuine
    save_array(streamed / "features.npy", given.features)
    features: Any = StreamedFeatures.open(streamed / "features.npy", np.arange(len(targets)), given.scaler, "float32")
    return StreamedRows(features, targets), architecture, genuine


@dataclass(frozen=True)
class RawRows:
    """Training rows in raw units, and what scales them."""

    features: np.ndarray
    targets: np.ndarray
    scaler: Scaler


def _genuine_rows(dataset: Dataset, data: Description) -> RawRows:
    source = datasets.source(dataset.source.name)
    options = datasets.read_options(dataset.source.name, dataset.source.options)
    with tempfile.TemporaryDirectory() as folder:
        source.fetch(Path(folder), options)
        parts = divide(*source.load(Path(folder)), dataset.split)
    train = parts.folds[0].train
    scaler = fit_scaler(parts.fit.features, train, dataset.standardize, data.categorical)
    return RawRows(parts.fit.features[train], parts.fit.targets[train], scaler)


def _noise(count: int, data: Description) -> RawRows:
    generator = np.random.default_rng(SEED)
    features = generator.standard_normal((count, *data.feature_shape), dtype=np.float32)
    classes = len(data.class_names)
    targets = generator.integers(0, classes, count) if classes else generator.standard_normal(count)
    return RawRows(features, targets, Scaler(method="none", per="all", center=(0.0,), scale=(1.0,)))


def tandem_epochs(
    framework: str, experiment: Experiment, architecture: Architecture, rows: Rows
) -> Callable[[int], float]:
    """Train as the product does."""
    loaded = load_framework(framework)
    network = loaded.build(architecture, seed=SEED, constants=experiment.constants)
    trainer = loaded.trainer(network, rows, experiment.optimizer, constants=experiment.constants)
    training, rate = experiment.training, experiment.optimizer.learning_rate
    assert isinstance(training.batch_size, int), "a benchmark needs a declared batch size"
    size = training.batch_size

    def epoch(number: int) -> float:
        order = epoch_order(len(rows), training.repeat, SEED, number, shuffle=training.shuffle)
        return trainer.train_epoch(order, size, np.full(math.ceil(len(order) / size), rate), number)[0]

    return epoch


def keras_fit(_name: str, experiment: Experiment, architecture: Architecture, rows: Rows) -> Callable[[int], float]:
    """Train with ``Model.fit`` and its defaults."""
    import keras

    network = load_framework("keras").build(architecture, seed=SEED, constants=experiment.constants)
    inputs, targets = _repeated(experiment, architecture, rows)
    classes = len(np.unique(targets)) if architecture.task == "classification" else 0
    losses: dict[str, Any] = {
        "cross_entropy": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "categorical_cross_entropy": keras.losses.CategoricalCrossentropy(from_logits=True),
        "binary_cross_entropy": keras.losses.BinaryCrossentropy(from_logits=True),
        "mse": "mse",
    }
    wanted: Any = targets
    if experiment.loss == "categorical_cross_entropy":
        wanted = keras.utils.to_categorical(targets, classes)
    elif experiment.loss != "cross_entropy":
        wanted = targets.astype(np.float32)[:, None]
    if architecture.task == "classification" and experiment.loss == "mse":
        assert architecture.output == "sigmoid", "the squared error on several classes has no plain side here"
        network = keras.Model(network.inputs, [keras.layers.Activation("sigmoid")(raw) for raw in network.outputs])
    heads = len(architecture.heads)
    metric = "accuracy" if classes else "mae"
    network.compile(
        loss=[losses[experiment.loss]] * heads,
        optimizer=_keras_optimizer(experiment),
        metrics=[[metric]] * heads,
    )
    targets_of_heads = [wanted] * heads if heads > 1 else wanted

    def epoch(_number: int) -> float:
        history = network.fit(
            inputs if len(inputs) > 1 else inputs[0],
            targets_of_heads,
            batch_size=experiment.training.batch_size,
            shuffle=experiment.training.shuffle,
            verbose=0,
        )
        return float(history.history["loss"][0])

    return epoch


def _keras_optimizer(experiment: Experiment) -> Any:
    import keras

    declared = experiment.optimizer
    if isinstance(declared, Sgd):
        return keras.optimizers.SGD(declared.learning_rate, momentum=declared.momentum)
    return keras.optimizers.Adam(declared.learning_rate)


def _repeated(experiment: Experiment, architecture: Architecture, rows: Rows) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the network's inputs and the targets, tiled as the tutorials tile them."""
    repeat = experiment.training.repeat
    inputs = [np.concatenate([part] * repeat) for part in architecture.inputs(rows.features)]
    return inputs, np.tile(rows.targets, repeat)


def torch_loop(_name: str, experiment: Experiment, architecture: Architecture, rows: Rows) -> Callable[[int], float]:
    """Train with a ``DataLoader``, ``zero_grad``, ``backward`` and ``step``."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from tandem.frameworks.torch.losses import batch_loss

    network = load_framework("torch").build(architecture, seed=SEED, constants=experiment.constants)
    inputs, values = _repeated(experiment, architecture, rows)
    targets = torch.from_numpy(values)
    targets = targets.long() if architecture.task == "classification" else targets
    data = TensorDataset(*(torch.from_numpy(part) for part in inputs), targets)
    training, declared = experiment.training, experiment.optimizer
    loader = DataLoader(data, batch_size=training.batch_size, shuffle=training.shuffle)
    optimizer: Any
    if isinstance(declared, Sgd):
        optimizer = torch.optim.SGD(network.parameters(), lr=declared.learning_rate, momentum=declared.momentum)
    else:
        optimizer = torch.optim.Adam(network.parameters(), lr=declared.learning_rate)

    def losses() -> Iterator[float]:
        network.train()
        for *features, wanted in loader:
            optimizer.zero_grad()
            loss = batch_loss(architecture, network(*features), wanted)
            loss.backward()
            optimizer.step()
            yield loss.item() * len(wanted)

    return lambda _number: sum(losses()) / len(values)


if __name__ == "__main__":
    main()
