"""Reads the defaults of one installed framework in a process of its own: FRAMEWORK; prints JSON."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tandem.parity.defaults import DEFAULTS

_SIGNATURE = re.compile(r"([a-z_]+(?:\.\w+)+)\((\w+)\)")


def main() -> None:
    framework = sys.argv[1]
    probes = {"keras": keras_probes, "torch": torch_probes}[framework]()
    found: dict[str, Any] = {}
    for row in DEFAULTS:
        for reading in getattr(row, f"{framework}_readings"):
            try:
                found[reading] = read(reading, probes)
            except Exception as error:  # whatever went wrong, the row is named
                found[reading] = f"{type(error).__name__}: {error}"
    print(json.dumps(found))


def read(reading: str, probes: Mapping[str, Callable[[], Any]]) -> Any:
    signature = _SIGNATURE.fullmatch(reading)
    if signature is None:
        return plain(probes[reading]())
    place, parameter = signature.groups()
    return plain(inspect.signature(find(place)).parameters[parameter].default)


def find(place: str) -> Any:
    """Return what a dotted name stands for."""
    parts = place.split(".")
    found = importlib.import_module(parts[0])
    for number, part in enumerate(parts[1:], 2):
        if not hasattr(found, part):
            importlib.import_module(".".join(parts[:number]))
        found = getattr(found, part)
    return found


def plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    return float(value) if isinstance(value, np.floating) else value


def three(value: Any) -> float:
    """Round to three significant digits."""
    return float(f"{float(value):.3g}")


def keras_probes() -> dict[str, Callable[[], Any]]:
    from tandem.frameworks import load_framework

    load_framework("keras").set_up(1)
    import keras
    import tensorflow as tf

    def kernel(layer: Any, shape: tuple[int | None, ...]) -> list[int]:
        layer.build(shape)
        return list(layer.kernel.shape)

    def seeded() -> bool:
        initializer = keras.initializers.GlorotUniform(seed=1)
        return bool(np.array_equal(initializer((3, 3)), initializer((3, 3))))

    def running_variance() -> float:
        layer = keras.layers.BatchNormalization(momentum=0.0)
        layer(np.array([[0.0], [2.0]], np.float32), training=True)
        return float(layer.moving_variance[0])

    def stepped(optimizer: Any, gradients: list[float], rates: list[float], start: float = 0.0) -> float:
        variable = keras.Variable(np.float64(start), dtype="float64")
        for gradient, rate in zip(gradients, rates, strict=True):
            optimizer.learning_rate = rate
            optimizer.apply([tf.constant(gradient, tf.float64)], [variable])
        return float(variable)

    def adam_is_exact() -> bool:
        keras.config.set_floatx("float64")
        try:
            optimizer = keras.optimizers.Adam(1.0, epsilon=0.0)
            return abs(stepped(optimizer, [1.0], [1.0]) + 1) < 1e-12
        finally:
            keras.config.set_floatx("float32")

    def lstm_places() -> list[int]:
        return [place_of(lambda bias: lstm(bias)[1], 3.0), place_of(lambda bias: lstm(bias)[0], np.tanh(1.5))]

    def lstm(bias: np.ndarray) -> tuple[float, float]:
        layer = keras.layers.LSTM(1, return_state=True)
        start = [np.full((1, 1), 3.0, np.float32)] * 2
        layer(np.zeros((1, 1, 1), np.float32), initial_state=start)
        layer.set_weights([np.zeros((1, 4)), np.zeros((1, 4)), bias])
        _, state, cell = layer(np.zeros((1, 1, 1), np.float32), initial_state=start)
        return float(state[0, 0]), float(cell[0, 0])

    def gru_place() -> int:
        def run(bias: np.ndarray) -> float:
            layer = keras.layers.GRU(1)
            start = np.full((1, 1), 3.0, np.float32)
            layer(np.zeros((1, 1, 1), np.float32), initial_state=start)
            layer.set_weights([np.zeros((1, 3)), np.zeros((1, 3)), np.stack([bias, np.zeros(3)])])
            return float(layer(np.zeros((1, 1, 1), np.float32), initial_state=start)[0, 0])

        return place_of(run, 3.0, 3)

    def sums_of_three() -> list[float]:
        layer = keras.layers.Conv1D(1, 3, strides=2, padding="same", kernel_initializer="ones")
        return np.ravel(layer(np.arange(1, 5, dtype=np.float32).reshape(1, 4, 1))).tolist()

    def means_of_two() -> list[float]:
        layer = keras.layers.AveragePooling1D(2, padding="same")
        return np.ravel(layer(np.arange(1, 4, dtype=np.float32).reshape(1, 3, 1))).tolist()

    def clipped() -> list[float]:
        optimizer = keras.optimizers.SGD(1.0, clipnorm=1.0)
        variables = [keras.Variable(0.0), keras.Variable(0.0)]
        optimizer.apply([tf.constant(3.0), tf.constant(4.0)], variables)
        return [three(-float(variable)) for variable in variables]

    def epoch_loss() -> float:
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
        model.compile(loss="mse")
        return three(model.evaluate(np.zeros((3, 1)), np.array([0.0, 0.0, 3.0]), batch_size=2, verbose=0))

    return {
        "shape of a dense kernel of 4 inputs and 3 units": lambda: kernel(keras.layers.Dense(3), (None, 4)),
        "a seeded initialiser gives the same values twice": seeded,
        "running variance of a batch of 0 and 2": running_variance,
        "a batch of one row is normalised": lambda: bool(
            np.isfinite(keras.layers.BatchNormalization()(np.ones((1, 2), np.float32), training=True)).all()
        ),
        "weight after two steps of momentum 0.5 at rates 1 and 0.1": lambda: three(
            stepped(keras.optimizers.SGD(1.0, momentum=0.5), [1.0, 1.0], [1.0, 0.1])
        ),
        "Adam's first step with ε as large as the gradient": lambda: three(
            -stepped(keras.optimizers.Adam(1.0, epsilon=1e-3), [1e-3], [1.0])
        ),
        "Adam's first step in float64 is exact": adam_is_exact,
        "RMSprop's first step without memory, gradient 1, ε 3": lambda: three(
            -stepped(keras.optimizers.RMSprop(1.0, rho=0.0, epsilon=3.0), [1.0], [1.0])
        ),
        "weight after Adam without gradient, decay and rate 0.1": lambda: three(
            stepped(keras.optimizers.Adam(0.1, weight_decay=0.1), [0.0], [0.1], 1.0)
        ),
        "L2 penalty of 0.1 on a weight of 2": lambda: three(keras.regularizers.L2(0.1)(tf.constant([2.0]))),
        "parameters of an LSTM": lambda: counted(keras.layers.LSTM(4), (None, 2, 3)),
        "places of an LSTM's forget and output gates": lstm_places,
        "place of a GRU's update gate": gru_place,
        "bound of an embedding's initial values": lambda: round(
            float(np.abs(embedded(keras.layers.Embedding(100, 100))).max()), 2
        ),
        "shape of a 2 × 3 convolution's kernel, 4 to 5 channels": lambda: kernel(
            keras.layers.Conv2D(5, (2, 3)), (None, 8, 8, 4)
        ),
        "layout of images": keras.config.image_data_format,
        "sums of three with stride 2, padding 'same', over 1 to 4": sums_of_three,
        "means of two, padding 'same', over 1 to 3": means_of_two,
        "gradients 3 and 4 of two variables, clipped to norm 1": clipped,
        "a dropout layer has a generator of its own": lambda: hasattr(keras.layers.Dropout(0.5), "seed_generator"),
        "cross-entropy of a probability of 0": lambda: round(
            float(keras.losses.SparseCategoricalCrossentropy()(np.array([0]), np.array([[0.0, 1.0]]))), 3
        ),
        "mean of errors 0, 0 and 9 in batches of two": epoch_loss,
    }


def counted(layer: Any, shape: tuple[int | None, ...]) -> int:
    layer.build(shape)
    return int(layer.count_params())


def embedded(layer: Any) -> np.ndarray:
    layer.build()
    return np.asarray(layer.embeddings)


def place_of(run: Callable[[np.ndarray], float], wanted: float, gates: int = 4) -> int:
    """Return the place of the gate that, open by its bias alone, brings about a value."""
    reached = [run(np.where(np.arange(gates) == gate, 50.0, 0.0).astype(np.float32)) for gate in range(gates)]
    (place,) = (gate for gate, value in enumerate(reached) if abs(value - wanted) < 1e-6)
    return place


def torch_probes() -> dict[str, Callable[[], Any]]:
    import torch
    from torch import nn

    torch.manual_seed(0)

    def bounds() -> list[float]:
        layer = nn.Linear(100, 5000)
        return [round(float(array.detach().abs().max()) * 10, 2) for array in (layer.weight, layer.bias)]

    def seeded() -> bool:
        generator = torch.Generator().manual_seed(1)
        one, two = (nn.init.uniform_(torch.empty(3), generator=generator) for _ in range(2))
        return bool(torch.equal(one, two))

    def running_variance() -> float:
        layer = nn.BatchNorm1d(1, momentum=1.0)
        layer(torch.tensor([[0.0], [2.0]]))
        return float(layer.running_var[0])

    def takes_one_row() -> bool:
        try:
            nn.BatchNorm1d(2)(torch.ones(1, 2))
        except ValueError:
            return False
        return True

    def stepped(kind: Any, gradients: list[float], rates: list[float], start: float = 0.0, **settings: Any) -> float:
        parameter = nn.Parameter(torch.tensor(start, dtype=torch.float64))
        optimizer = kind([parameter], lr=rates[0], **settings)
        for gradient, rate in zip(gradients, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate
            parameter.grad = torch.tensor(gradient, dtype=torch.float64)
            optimizer.step()
        return float(parameter.detach())

    def lstm(bias: np.ndarray) -> tuple[float, float]:
        layer = nn.LSTM(1, 1)
        with torch.no_grad():
            for array in layer.parameters():
                array.zero_()
            layer.bias_ih_l0.copy_(torch.from_numpy(bias))
            _, (state, cell) = layer(torch.zeros(1, 1, 1), (torch.full((1, 1, 1), 3.0),) * 2)
        return float(state), float(cell)

    def gru(bias: np.ndarray) -> float:
        layer = nn.GRU(1, 1)
        with torch.no_grad():
            for array in layer.parameters():
                array.zero_()
            layer.bias_ih_l0.copy_(torch.from_numpy(bias))
            return float(layer(torch.zeros(1, 1, 1), torch.full((1, 1, 1), 3.0))[1])

    def takes_same_padding() -> bool:
        try:
            nn.Conv1d(1, 1, 3, stride=2, padding="same")
        except ValueError:
            return False
        return True

    def clipped() -> list[float]:
        parameters = [nn.Parameter(torch.tensor(0.0)) for _ in range(2)]
        for parameter, gradient in zip(parameters, (3.0, 4.0), strict=True):
            parameter.grad = torch.tensor(gradient)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        return [three(parameter.grad) for parameter in parameters]

    def follows_global_seed() -> bool:
        drops = []
        for _ in range(2):
            torch.manual_seed(3)
            drops.append(nn.Dropout(0.5)(torch.ones(50)))
        return bool(torch.equal(*drops))

    return {
        "bound of a linear layer's initial weights and bias, times √inputs": bounds,
        "shape of a linear layer's weight of 4 inputs and 3 units": lambda: list(nn.Linear(4, 3).weight.shape),
        "a seeded generator gives the same values twice": seeded,
        "running variance of a batch of 0 and 2": running_variance,
        "a batch of one row is normalised": takes_one_row,
        "weight after two steps of momentum 0.5 at rates 1 and 0.1": lambda: three(
            stepped(torch.optim.SGD, [1.0, 1.0], [1.0, 0.1], momentum=0.5)
        ),
        "Adam's first step with ε as large as the gradient": lambda: three(
            -stepped(torch.optim.Adam, [1e-3], [1.0], eps=1e-3)
        ),
        "Adam's first step in float64 is exact": lambda: (
            abs(stepped(torch.optim.Adam, [1.0], [1.0], eps=0.0) + 1) < 1e-12
        ),
        "RMSprop's first step without memory, gradient 1, ε 3": lambda: three(
            -stepped(torch.optim.RMSprop, [1.0], [1.0], alpha=0.0, eps=3.0)
        ),
        "weight after Adam without gradient, decay and rate 0.1": lambda: three(
            stepped(torch.optim.Adam, [0.0], [0.1], 1.0, weight_decay=0.1)
        ),
        "weight after AdamW without gradient, decay and rate 0.1": lambda: three(
            stepped(torch.optim.AdamW, [0.0], [0.1], 1.0, weight_decay=0.1)
        ),
        "weight of 2 after SGD at rate 1, decay 0.1": lambda: three(
            stepped(torch.optim.SGD, [0.0], [1.0], 2.0, weight_decay=0.1)
        ),
        "parameters of an LSTM": lambda: sum(array.numel() for array in nn.LSTM(3, 4).parameters()),
        "an LSTM's forget bias begins at": lambda: abs(
            round(float(nn.LSTM(3, 2000).bias_ih_l0.detach()[2000:4000].mean()), 2)
        ),
        "places of an LSTM's forget and output gates": lambda: [
            place_of(lambda bias: lstm(bias)[1], 3.0),
            place_of(lambda bias: lstm(bias)[0], np.tanh(1.5)),
        ],
        "place of a GRU's update gate": lambda: place_of(gru, 3.0, 3),
        "bound of an LSTM's recurrent weights, times √units": lambda: round(
            float(nn.LSTM(1, 100).weight_hh_l0.detach().abs().max()) * 10, 2
        ),
        "standard deviation of an embedding's initial values": lambda: round(
            float(nn.Embedding(500, 500).weight.detach().std()), 1
        ),
        "shape of a 2 × 3 convolution's kernel, 4 to 5 channels": lambda: list(nn.Conv2d(4, 5, (2, 3)).weight.shape),
        "a convolution takes padding 'same' with stride 2": takes_same_padding,
        "gradients 3 and 4 of two variables, clipped to norm 1": clipped,
        "a dropout layer follows the global seed": follows_global_seed,
        "cross-entropy of two raw outputs of 0": lambda: three(
            nn.functional.cross_entropy(torch.zeros(1, 2), torch.tensor([0]))
        ),
    }


if __name__ == "__main__":
    main()
