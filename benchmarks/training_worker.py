"""Trains one case on one side in this process and prints seconds and losses of each epoch as JSON.

Run as ``python -m benchmarks.training_worker CASE FRAMEWORK SIDE THREADS``; SIDE is "tandem" or "plain": Keras's
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
from pathlib import Path
from typing import Any

import numpy as np

from tandem import datasets
from tandem.config import Experiment, read_dataset, read_experiment
from tandem.datasets import Rows
from tandem.frameworks import load_framework
from tandem.models import Architecture, resolve
from tandem.scaling import fit_scaler
from tandem.splits import divide
from tandem.training import epoch_order

CASES = {"M1": ("fashion-mlp", 5), "M11": ("housing-wide-deep-one-input", 12)}  # experiment, epochs
SEED = 0


def main() -> None:
    """Train and print."""
    case, framework, side, threads = sys.argv[1:]
    os.environ["OMP_NUM_THREADS"] = threads
    name, epochs = CASES[case]
    experiment = read_experiment(Path("params.yaml"), name)
    rows, architecture, genuine = load_rows(experiment)
    load_framework(framework).set_up(int(threads))
    epoch: Callable[[int], float] = {
        ("keras", "tandem"): tandem_epochs,
        ("torch", "tandem"): tandem_epochs,
        ("keras", "plain"): keras_fit,
        ("torch", "plain"): torch_loop,
    }[framework, side](framework, experiment, architecture, rows)
    seconds, losses = [], []
    for number in range(epochs):
        start = time.perf_counter()
        losses.append(epoch(number))
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": seconds, "losses": losses, "genuine": genuine}))


def load_rows(experiment: Experiment) -> tuple[Rows, Architecture, bool]:
    """Return the scaled training rows, genuine where TANDEM_DATA names them, else noise of the same shape."""
    dataset = read_dataset(Path("params.yaml"), experiment.dataset)
    source = datasets.source(dataset.source.name)
    architecture = resolve(
        experiment.model, source.feature_shape, source.task, experiment.loss, len(source.class_names)
    )
    if "TANDEM_DATA" in os.environ:
        with tempfile.TemporaryDirectory() as folder:
            source.fetch(Path(folder), source.options())
            parts = divide(*source.load(Path(folder)), dataset.split)
        train = parts.folds[0].train
        features = fit_scaler(parts.fit.features, train, dataset.standardize).transform(parts.fit.features[train])
        targets = parts.fit.targets[train]
    else:
        count = {"fashion_mnist": 55_000, "california_housing": 11_610}[dataset.source.name]
        generator = np.random.default_rng(SEED)
        features = generator.standard_normal((count, *source.feature_shape), dtype=np.float32)
        classes = len(source.class_names)
        targets = generator.integers(0, classes, count) if classes else generator.standard_normal(count)
    kind = np.int32 if source.task == "classification" else np.float32
    return Rows(features, targets.astype(kind)), architecture, "TANDEM_DATA" in os.environ


def tandem_epochs(
    framework: str, experiment: Experiment, architecture: Architecture, rows: Rows
) -> Callable[[int], float]:
    """Train as the product does."""
    loaded = load_framework(framework)
    network = loaded.build(architecture, seed=SEED, constants="aligned")
    trainer = loaded.trainer(network, rows, experiment.optimizer, constants="aligned")
    size, rate = experiment.training.batch_size, experiment.optimizer.learning_rate

    def epoch(number: int) -> float:
        rates = np.full(math.ceil(len(rows) / size), rate)
        return trainer.train_epoch(epoch_order(len(rows), 1, SEED, number), size, rates, number)[0]

    return epoch


def keras_fit(_name: str, experiment: Experiment, architecture: Architecture, rows: Rows) -> Callable[[int], float]:
    """Train with ``Model.fit`` and its defaults."""
    import keras

    classes = architecture.task == "classification"
    network = load_framework("keras").build(architecture, seed=SEED, constants="aligned")
    loss: Any = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if classes else "mse"
    network.compile(
        loss=loss,
        optimizer=keras.optimizers.SGD(experiment.optimizer.learning_rate),
        metrics=["accuracy"] if classes else ["mae"],
    )

    def epoch(_number: int) -> float:
        history = network.fit(rows.features, rows.targets, batch_size=experiment.training.batch_size, verbose=0)
        return float(history.history["loss"][0])

    return epoch


def torch_loop(_name: str, experiment: Experiment, architecture: Architecture, rows: Rows) -> Callable[[int], float]:
    """Train with a ``DataLoader``, ``zero_grad``, ``backward`` and ``step``."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    classes = architecture.task == "classification"
    network = load_framework("torch").build(architecture, seed=SEED, constants="aligned")
    targets = torch.from_numpy(rows.targets)
    data = TensorDataset(torch.from_numpy(rows.features), targets.long() if classes else targets[:, None])
    loader = DataLoader(data, batch_size=experiment.training.batch_size, shuffle=True)
    loss_function = torch.nn.CrossEntropyLoss() if classes else torch.nn.MSELoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=experiment.optimizer.learning_rate)

    def losses() -> Iterator[float]:
        network.train()
        for features, wanted in loader:
            optimizer.zero_grad()
            loss = loss_function(network(features)[0], wanted)
            loss.backward()
            optimizer.step()
            yield loss.item() * len(wanted)

    return lambda _number: sum(losses()) / len(rows)


if __name__ == "__main__":
    main()
