"""Networks as lists of layers with arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tandem.frameworks.numpy.layers import passes
from tandem.models import Architecture, Constants, Head, Layer, initial_weights, parameter_names
from tandem.records import LayerSummary, ModelSummary

# What `constants: native` leaves different from the other frameworks, by what a declaration uses.
NATIVE_DIFFERENCES: Mapping[str, str] = {
    "initial_weights": "initial weights: NumPy has no constants of its own and takes Keras's",
}


@dataclass(frozen=True)
class NumpyNetwork:
    """An architecture with its arrays by "layer/parameter", in Keras's layout."""

    architecture: Architecture
    arrays: Mapping[str, np.ndarray]

    def of(self, layer: Layer) -> dict[str, np.ndarray]:
        """Return a layer's arrays by parameter name."""
        return {parameter.name: self.arrays[f"{layer.name}/{parameter.name}"] for parameter in layer.parameters}


@dataclass(frozen=True)
class Forward:
    """What a forward pass leaves for the backward pass.

    Attributes:
        values: what each layer of the body took, and the body's output.
        taken: what each head took.
        outputs: what each head gave, raw.
    """

    values: tuple[np.ndarray, ...]
    taken: tuple[np.ndarray, ...]
    outputs: tuple[np.ndarray, ...]


def build(architecture: Architecture, *, seed: int, constants: Constants, dtype: str = "float32") -> NumpyNetwork:
    """Build a network.

    Raises:
        KeyError: a layer is of a kind that NumPy does not have.
    """
    for layer in architecture.layers:
        passes(layer)
    drawn = initial_weights(architecture, seed, constants)
    return NumpyNetwork(architecture, {name: array.astype(dtype) for name, array in drawn.items()})


def forward(network: NumpyNetwork, inputs: Sequence[np.ndarray]) -> Forward:
    """Carry inputs, (features,) or (wide, deep), to the heads."""
    values = [inputs[-1]]
    for layer in network.architecture.body:
        values.append(passes(layer).forward(layer, network.of(layer), values[-1]))
    taken = tuple(_taken(head, inputs, values[-1]) for head in network.architecture.heads)
    outputs = tuple(
        passes(head.layer).forward(head.layer, network.of(head.layer), given)
        for head, given in zip(network.architecture.heads, taken, strict=True)
    )
    return Forward(tuple(values), taken, outputs)


def _taken(head: Head, inputs: Sequence[np.ndarray], body: np.ndarray) -> np.ndarray:
    if head.takes == "input":
        return inputs[-1]
    return np.concatenate([inputs[0], body], axis=1) if head.takes == "wide and body" else body


def backward(network: NumpyNetwork, passed: Forward, arriving: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Carry the gradients of the heads' raw outputs back; return those of the trainable arrays by "layer/parameter"."""
    found: dict[str, np.ndarray] = {}
    body = np.zeros_like(passed.values[-1])
    for head, taken, raw, arrived in zip(
        network.architecture.heads, passed.taken, passed.outputs, arriving, strict=True
    ):
        gradient, of_arrays = passes(head.layer).backward(head.layer, network.of(head.layer), taken, raw, arrived)
        found |= {f"{head.layer.name}/{name}": array for name, array in of_arrays.items()}
        if head.takes != "input":
            body += gradient[:, -body.shape[1] :] if head.takes == "wide and body" else gradient
    for number in reversed(range(len(network.architecture.body))):
        layer = network.architecture.body[number]
        body, of_arrays = passes(layer).backward(
            layer, network.of(layer), passed.values[number], passed.values[number + 1], body
        )
        found |= {f"{layer.name}/{name}": array for name, array in of_arrays.items()}
    return {name: found[name] for name, parameter in parameter_names(network.architecture) if parameter.trainable}


def weights(network: NumpyNetwork) -> dict[str, np.ndarray]:
    """Return copies of all arrays by "layer/parameter"."""
    return {name: array.copy() for name, array in network.arrays.items()}


def load_weights(network: NumpyNetwork, arrays: Mapping[str, np.ndarray]) -> None:
    """Take arrays by "layer/parameter"."""
    for name, array in network.arrays.items():
        array[...] = arrays[name]


def layer_outputs(network: NumpyNetwork, features: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each layer gives, by name in order."""
    passed = forward(network, network.architecture.inputs(np.asarray(features)))
    return dict(
        zip((layer.name for layer in network.architecture.layers), (*passed.values[1:], *passed.outputs), strict=True)
    )


def summarize(network: NumpyNetwork) -> ModelSummary:
    """Return the layers with their output shapes and parameter counts."""
    sizes = {name: array.size for name, array in network.arrays.items()}
    rows = tuple(
        LayerSummary(
            name=layer.name,
            kind=layer.kind,
            output_shape=layer.output_shape,
            parameters=sum(sizes[f"{layer.name}/{parameter.name}"] for parameter in layer.parameters),
            trainable=sum(sizes[f"{layer.name}/{p.name}"] for p in layer.parameters if p.trainable),
        )
        for layer in network.architecture.layers
    )
    return ModelSummary(
        layers=rows,
        parameters=sum(row.parameters for row in rows),
        trainable=sum(row.trainable for row in rows),
    )
