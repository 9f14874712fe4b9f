"""Networks as Keras models, built in functional style."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
    "layer_normalization": "layer normalisation: epsilon 1e-3",
    "lstm": "LSTM: kernels Glorot uniform and orthogonal, forget bias 1, other biases zero",
    "gru": "GRU: kernels Glorot uniform and orthogonal, biases zero",
    "embedding": "embedding: rows uniform, U(±0.05)",
    "adam": "Adam: epsilon 1e-7, beside the root of the uncorrected second moment",
    "rmsprop": "RMSprop: epsilon 1e-7, inside the root",
    "momentum": "momentum: the velocity takes the learning rate",
}
_SEED_RANGE = 2**31


def build(architecture: Architecture, *, seed: int, constants: Constants, dtype: str = "float32") -> keras.Model:
    """Build a model whose outputs are the heads' raw numbers; its ``architecture`` is kept beside it."""
    keras.utils.set_random_seed(seed % _SEED_RANGE)
    with default_type(dtype):
        model = _assemble(architecture, constants, dtype)
    model.architecture = architecture
    if constants != "native":
        load_weights(model, initial_weights(architecture, seed, constants))
    return model


@contextmanager
def default_type(dtype: str) -> Iterator[None]:
    """Have Keras take this type where none is named: an optimiser's learning rate, for instance."""
    before = keras.config.floatx()
    keras.config.set_floatx(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(before)


def _assemble(architecture: Architecture, constants: Constants, dtype: str) -> keras.Model:
    layers = {layer.name: build_layer(layer, constants, dtype) for layer in architecture.layers}
    if architecture.style == "subclassed":
        model: keras.Model = WideDeep(layers, *_wiring(architecture), name="tandem", dtype=dtype)
        model.build([(None, *part.shape) for part in architecture.parts])
    else:
        inputs = [keras.Input(part.shape, dtype=dtype, name=part.name) for part in architecture.parts]
        carried = carry(*_wiring(architecture), layers, inputs, join=_join_layer(dtype))
        model = keras.Model(inputs, [carried[head.layer.name] for head in architecture.heads], name="tandem")
    return model


Wiring = tuple[list[str], list[str], dict[str, str]]
Join = Callable[[str, list[Any]], Any]


def _wiring(architecture: Architecture) -> Wiring:
    """Return the names of the embeddings and of the body's layers, and what each head's layer takes."""
    return (
        [layer.name for layer in architecture.embeddings],
        [layer.name for layer in architecture.body],
        {head.layer.name: head.takes for head in architecture.heads},
    )


def carry(
    embeddings: list[str],
    body: list[str],
    heads: Mapping[str, str],
    layers: Mapping[str, keras.layers.Layer],
    inputs: list[Any],
    *,
    join: Join,
    training: bool | None = None,
) -> dict[str, Any]:
    """Carry inputs through the layers; return what each gives, by name in order.

    Args:
        embeddings, body: names of layers.
        heads: name → what it takes, as :class:`tandem.models.Head` says.
        layers: by name.
        inputs: (features,) or (wide, deep), then the codes of each embedding.
        join: puts tensors side by side; its first argument names the place.
        training: as Keras's layers take it.
    """
    given: dict[str, Any] = {}
    main = inputs[: len(inputs) - len(embeddings)]
    value = main[-1]
    for name, codes in zip(embeddings, inputs[len(main) :], strict=True):
        given[name] = layers[name](codes)
    if embeddings:
        value = join("deep_concatenate", [value, *(given[name][:, 0] for name in embeddings)])
    body_input = value
    for name in body:
        value = given[name] = layers[name](value, training=training) if training is not None else layers[name](value)
    joined = join("concatenate", [main[0], value]) if "wide and body" in heads.values() else None
    for name, takes in heads.items():
        given[name] = layers[name]({"body": value, "input": body_input, "wide and body": joined}[takes])
    return given


def _join_layer(dtype: str) -> Join:
    return lambda place, tensors: keras.layers.Concatenate(name=place, dtype=dtype)(tensors)


def _join(_place: str, tensors: list[Any]) -> Any:
    return keras.ops.concatenate(tensors, axis=-1)


@keras.saving.register_keras_serializable(package="tandem")
class WideDeep(keras.Model):
    """A Wide & Deep network in subclassed style: layers as attributes, the wiring in ``call``.

    Args:
        layers: by name.
        embeddings, body, heads: as :func:`carry` takes them.
    """

    def __init__(
        self,
        layers: Mapping[str, keras.layers.Layer],
        embeddings: list[str],
        body: list[str],
        heads: Mapping[str, str],
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.parts = list(layers.values())
        self._wired = (list(embeddings), list(body), dict(heads))

    def build(self, input_shape: Any) -> None:
        """Make the layers' variables by carrying one sample of zeros."""
        self.call([keras.ops.zeros((1, *shape[1:]), dtype=self.compute_dtype) for shape in _shapes(input_shape)])
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> list[Any]:
        """Map the inputs to one tensor of raw numbers a head."""
        given = self.carried(inputs, training=training)
        return [given[name] for name in self._wired[2]]

    def carried(self, inputs: Any, training: bool | None = None) -> dict[str, Any]:
        """Return what each layer gives, by name."""
        listed = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        layers = {layer.name: layer for layer in self.parts}
        return carry(*self._wired, layers, listed, join=_join, training=training)

    def get_config(self) -> dict[str, Any]:
        """Return layers and wiring."""
        embeddings, body, heads = self._wired
        layers = {layer.name: keras.saving.serialize_keras_object(layer) for layer in self.parts}
        dtype = self.dtype_policy.name
        wiring = {"embeddings": list(embeddings), "body": list(body), "heads": dict(heads)}
        return {"name": self.name, "dtype": dtype, "layers": layers, **wiring}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> WideDeep:
        """Return a model with fresh variables."""
        layers = {
            name: keras.saving.deserialize_keras_object(layer, custom_objects)
            for name, layer in config["layers"].items()
        }
        return cls(**{**config, "layers": layers})


def _shapes(given: Any) -> list[Any]:
    """Return a list of shapes from one shape or several."""
    return list(given) if isinstance(given[0], list | tuple) else [given]


def number_type(model: keras.Model) -> str:
    """Return the type of the model's numbers, "float32" or "float64"."""
    return str(model.trainable_variables[0].dtype)  # a random layer's seed is a variable, too, of whole numbers


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


def layer_outputs(model: keras.Model, features: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each layer gives, by name in order, layers in inference mode."""
    inputs = [keras.ops.convert_to_tensor(part) for part in model.architecture.inputs(np.asarray(features))]
    layers = {layer.name: model.get_layer(layer.name) for layer in model.architecture.layers}
    carried = carry(*_wiring(model.architecture), layers, inputs, join=_join, training=False)
    return {layer.name: keras.ops.convert_to_numpy(carried[layer.name]) for layer in model.architecture.layers}


def _first(outputs: Any) -> Any:
    return outputs[0] if isinstance(outputs, list) else outputs


def summarize(model: keras.Model) -> ModelSummary:
    """Return Keras's own layers with their output shapes and parameter counts."""
    resolved = {layer.name: layer.output_shape for layer in model.architecture.layers}
    rows = []
    for layer in model.layers:
        subclassed = isinstance(model, WideDeep)  # its layers belong to no graph that knows their outputs
        shape = resolved[layer.name] if subclassed else _first(layer.output).shape[1:]
        rows.append(
            LayerSummary(
                name=layer.name,
                kind=type(layer).__name__,
                output_shape=tuple(int(size) for size in shape),
                parameters=layer.count_params(),
                trainable=sum(int(np.prod(variable.shape)) for variable in layer.trainable_variables),
            )
        )
    return ModelSummary(
        layers=tuple(rows),
        parameters=sum(row.parameters for row in rows),
        trainable=sum(row.trainable for row in rows),
    )
