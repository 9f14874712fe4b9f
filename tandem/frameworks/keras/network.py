"""Networks as Keras models, built in functional style."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tandem.frameworks.keras.layers import build_layer, layer_variables
from tandem.models import Architecture, Constants, initial_weights
from tandem.records import LayerSummary, ModelSummary

# What `constants: native` leaves different from the other framework, by what a declaration uses.
NATIVE_DIFFERENCES = {
    "initial_weights": "initial weights: dense kernels Glorot uniform, biases zero",
    "batch_normalization": "batch normalisation: momentum 0.99, epsilon 1e-3, biased running variance",
    "adam": "Adam: epsilon 1e-7, beside the root of the uncorrected second moment",
    "rmsprop": "RMSprop: epsilon 1e-7, inside the root",
    "momentum": "momentum: the velocity takes the learning rate",
}
_SEED_RANGE = 2**31


def build(architecture: Architecture, *, seed: int, constants: Constants, dtype: str = "float32") -> keras.Model:
    """Build a model whose outputs are the heads' raw numbers; its ``architecture`` is kept beside it."""
    keras.config.set_floatx(dtype)  # the type of an optimiser's learning rate, too
    keras.utils.set_random_seed(seed % _SEED_RANGE)
    inputs, body_input, wide = _inputs(architecture, dtype)
    body = body_input
    for layer in architecture.body:
        body = build_layer(layer, constants, dtype)(body)
    outputs = []
    for head in architecture.heads:
        taken = body_input if head.takes == "input" else body
        if head.takes == "wide and body":
            taken = keras.layers.Concatenate(name="concatenate", dtype=dtype)([wide, body])
        outputs.append(build_layer(head.layer, constants, dtype)(taken))
    model = keras.Model(inputs, outputs, name="tandem")
    model.architecture = architecture
    if constants != "native":
        load_weights(model, initial_weights(architecture, seed, constants))
    return model


def _inputs(architecture: Architecture, dtype: str) -> tuple[list[Any], Any, Any]:
    """Return the inputs, the body's input and the wide part's."""
    if architecture.wide is None or architecture.deep is None:
        features = keras.Input(architecture.input_shape, dtype=dtype, name="features")
        return [features], features, features
    wide = keras.Input((len(architecture.wide),), dtype=dtype, name="wide")
    deep = keras.Input((len(architecture.deep),), dtype=dtype, name="deep")
    return [wide, deep], deep, wide


def named_variables(model: keras.Model) -> dict[str, Any]:
    """Return Keras's variables by "layer/parameter"."""
    return {
        f"{layer.name}/{name}": variable
        for layer in model.architecture.layers
        for name, variable in layer_variables(layer, model.get_layer(layer.name)).items()
    }


def weights(model: keras.Model) -> dict[str, np.ndarray]:
    """Return copies of all arrays by "layer/parameter"."""
    return {name: np.array(variable) for name, variable in named_variables(model).items()}


def load_weights(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Take arrays by "layer/parameter"."""
    for name, variable in named_variables(model).items():
        variable.assign(np.asarray(arrays[name]).astype(variable.dtype))


def summarize(model: keras.Model) -> ModelSummary:
    """Return Keras's own layers with their output shapes and parameter counts."""
    rows = []
    for layer in model.layers:
        shape = layer.output.shape if not isinstance(layer.output, list) else layer.output[0].shape
        rows.append(
            LayerSummary(
                name=layer.name,
                kind=type(layer).__name__,
                output_shape=tuple(int(size) for size in shape[1:]),
                parameters=layer.count_params(),
                trainable=sum(int(np.prod(variable.shape)) for variable in layer.trainable_variables),
            )
        )
    return ModelSummary(
        layers=tuple(rows),
        parameters=sum(row.parameters for row in rows),
        trainable=sum(row.trainable for row in rows),
    )
