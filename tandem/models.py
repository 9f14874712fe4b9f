"""Networks as declared, and as resolved layers with shapes and parameters; free of any framework."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tandem.declared import Declared
from tandem.records import Task

ActivationName = Literal["linear", "relu", "elu", "selu", "gelu", "sigmoid", "tanh"]
LossName = Literal["mse", "mae", "cross_entropy", "binary_cross_entropy"]
HeadName = Literal["joint", "deep"]
OutputFunction = Literal["linear", "sigmoid", "softmax"]

# ---------------------------------------------------------------------------------------- declarations


class Dense(Declared):
    """Fully connected layers: ``repeat`` times units, activation and, if asked for, batch normalisation."""

    units: int = Field(gt=0, le=100_000, description="Width of the layer.")
    activation: ActivationName = Field(default="linear", description="Function applied to the sums.")
    batch_normalization: Literal["before", "after"] | None = Field(
        default=None, description="Batch normalisation before or after the activation."
    )
    repeat: int = Field(default=1, gt=0, le=1_000, description="How many such layers follow one another.")


class Activation(Declared):
    """An activation function on its own."""

    function: ActivationName


class Flatten(Declared):
    """Turns each sample into one row of numbers, last axis fastest."""


class Dropout(Declared):
    """Sets a random share of the inputs to zero while training."""

    rate: float = Field(ge=0, lt=1, description="Share of inputs that are dropped.")


class AlphaDropout(Declared):
    """Dropout that keeps mean and variance of selu networks (Klambauer et al., 2017)."""

    rate: float = Field(ge=0, lt=1, description="Share of inputs that are dropped.")


class BatchNormalization(Declared):
    """Normalises each feature over the batch (Ioffe and Szegedy, 2015)."""


def _exactly_one(model: Declared, what: str) -> None:
    given = [name for name in type(model).model_fields if getattr(model, name) is not None]
    if len(given) != 1:
        raise PydanticCustomError(
            "exactly_one",
            "{what} takes exactly one of: {allowed}",
            {"what": what, "allowed": ", ".join(sorted(type(model).model_fields))},
        )


class LayerEntry(Declared):
    """One entry of a sequential model: exactly one kind of layer with its settings."""

    dense: Dense | None = None
    activation: Activation | None = None
    flatten: Flatten | None = None
    dropout: Dropout | None = None
    alpha_dropout: AlphaDropout | None = None
    batch_normalization: BatchNormalization | None = None
    repeat: Repeat | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        _exactly_one(self, "a layer")
        return self


class Repeat(Declared):
    """A group of layers that follows itself ``times`` times."""

    times: int = Field(gt=0, le=1_000)
    layers: tuple[LayerEntry, ...] = Field(min_length=1)


Columns = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]


class WideDeep(Declared):
    """A Wide & Deep network (Cheng et al., 2016): the wide columns join the deep part's output at the head.

    Without ``wide`` and ``deep`` there is one input and both parts take all columns of it.
    """

    wide: Columns | None = Field(default=None, description="Columns of the wide input; none: all.")
    deep: Columns | None = Field(default=None, description="Columns of the deep input; none: all.")
    hidden: tuple[Annotated[int, Field(gt=0, le=100_000)], ...] = Field(
        min_length=1, description="Widths of the deep part."
    )
    activation: ActivationName = "relu"
    outputs: tuple[HeadName, ...] = Field(
        default=("joint",),
        min_length=1,
        description="Heads, the first is the main one; their losses are summed.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.wide is None) != (self.deep is None):
            raise PydanticCustomError("inconsistent", "takes both of wide and deep, or neither (one input for both)")
        for name in ("wide", "deep"):
            columns = getattr(self, name) or ()
            twice = next((column for column in columns if columns.count(column) > 1), None)
            if twice is not None:
                context = {"name": name, "twice": twice}
                raise PydanticCustomError("inconsistent", "{name} names column {twice} twice", context)
        if len(set(self.outputs)) != len(self.outputs):
            raise PydanticCustomError("inconsistent", "outputs names a head twice")
        return self


class ModelDeclaration(Declared):
    """The hidden layers of a network; the output layer follows from task and loss."""

    sequential: tuple[LayerEntry, ...] | None = Field(default=None, description="Layers, first to last.")
    wide_deep: WideDeep | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        _exactly_one(self, "a model")
        return self


class Sgd(Declared):
    """Stochastic gradient descent, with momentum if it is not zero."""

    name: Literal["sgd"]
    learning_rate: float = Field(gt=0)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    nesterov: bool = False

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise PydanticCustomError("inconsistent", "nesterov needs a momentum above 0, or leave it out")
        return self


class Adam(Declared):
    """Adam (Kingma and Ba, 2014)."""

    name: Literal["adam"]
    learning_rate: float = Field(gt=0)
    beta_1: float = Field(default=0.9, ge=0, lt=1)
    beta_2: float = Field(default=0.999, ge=0, lt=1)


class RmsProp(Declared):
    """RMSprop (Hinton, 2012): a running mean of squared gradients scales the step."""

    name: Literal["rmsprop"]
    learning_rate: float = Field(gt=0)
    rho: float = Field(default=0.9, ge=0, lt=1)


Optimizer = Annotated[Sgd | Adam | RmsProp, Field(discriminator="name")]

# ------------------------------------------------------------------------------------- resolved layers


class ArchitectureError(ValueError):
    """A declaration that fits no network; ``place`` is the key below ``model``."""

    def __init__(self, place: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message


@dataclass(frozen=True)
class Parameter:
    """One array of a layer, in Keras's layout (dense kernels are (inputs, units))."""

    name: str
    shape: tuple[int, ...]
    trainable: bool
    initial: Literal["glorot_uniform", "zeros", "ones"]


@dataclass(frozen=True)
class Layer:
    """A resolved layer.

    Attributes:
        name: unique in the network, letters, digits and underscores.
        kind: "dense", "activation", "flatten", "dropout", "alpha_dropout" or "batch_normalization".
        input_shape, output_shape: of one sample.
        function: of an activation layer.
        rate: of a dropout layer.
    """

    name: str
    kind: Literal["dense", "activation", "flatten", "dropout", "alpha_dropout", "batch_normalization"]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    function: ActivationName = "linear"
    rate: float = 0.0

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The layer's arrays, in the order in which Keras lists them."""
        if self.kind == "dense":
            kernel = (self.input_shape[-1], self.output_shape[-1])
            return (
                Parameter("kernel", kernel, trainable=True, initial="glorot_uniform"),
                Parameter("bias", kernel[1:], trainable=True, initial="zeros"),
            )
        if self.kind == "batch_normalization":
            shape = (self.input_shape[-1],)
            return (
                Parameter("gamma", shape, trainable=True, initial="ones"),
                Parameter("beta", shape, trainable=True, initial="zeros"),
                Parameter("moving_mean", shape, trainable=False, initial="zeros"),
                Parameter("moving_variance", shape, trainable=False, initial="ones"),
            )
        return ()


@dataclass(frozen=True)
class Architecture:
    """A network as both frameworks build it.

    ``body`` is the stack of hidden layers: of the whole input, or of the deep columns. Each head is a dense
    layer on the body's output; a joint head of a Wide & Deep network takes the wide columns before it.

    Attributes:
        input_shape: of one sample.
        body: hidden layers, first to last.
        heads: by name, the main one first; heads of sequential models are called "output".
        wide, deep: columns of the two inputs; None for a network with one input.
        is_wide_deep: the joint head takes the wide columns too.
        task: of the data.
        loss: as declared.
        output: what turns a head's numbers (logits) into probabilities, or "linear".
    """

    input_shape: tuple[int, ...]
    body: tuple[Layer, ...]
    heads: tuple[tuple[str, Layer], ...]
    wide: tuple[int, ...] | None
    deep: tuple[int, ...] | None
    is_wide_deep: bool
    task: Task
    loss: LossName
    output: OutputFunction

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, the heads last."""
        return self.body + tuple(layer for _, layer in self.heads)

    @property
    def output_units(self) -> int:
        """Numbers that each head gives for a sample."""
        return self.heads[0][1].output_shape[-1]

    def inputs(self, features: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the network's inputs, (wide, deep) or (features,), from features (n, *input_shape)."""
        if self.wide is None or self.deep is None:
            return (features,)
        return tuple(np.ascontiguousarray(features[:, list(columns)]) for columns in (self.wide, self.deep))


def resolve(
    declaration: ModelDeclaration, feature_shape: tuple[int, ...], task: Task, loss: LossName, classes: int
) -> Architecture:
    """Turn a declaration into layers with shapes.

    Args:
        declaration: the hidden layers.
        feature_shape: of one sample.
        task: classification or regression.
        loss: decides the output layer: one sigmoid unit for two classes with binary cross-entropy or squared
            error, else a softmax unit for each class; one linear unit for regression.
        classes: number of classes; 0 for regression.

    Raises:
        ArchitectureError: columns out of range, or a layer that does not take its input's shape.
    """
    output, units = _output(task, loss, classes)
    if declaration.wide_deep is not None:
        return _resolve_wide_deep(declaration.wide_deep, feature_shape, task, loss, output, units)
    stack = _Stack(feature_shape)
    for position, entry in enumerate(declaration.sequential or ()):
        stack.add(entry, ("sequential", position))
    head = stack.dense_layer("output", units, ("sequential",))
    return Architecture(feature_shape, tuple(stack.layers), (("output", head),), None, None, False, task, loss, output)


def _output(task: Task, loss: LossName, classes: int) -> tuple[OutputFunction, int]:
    if task == "regression":
        return "linear", 1
    if classes == 2 and loss in ("binary_cross_entropy", "mse"):
        return "sigmoid", 1
    return "softmax", classes


def allowed_losses(task: Task, classes: int) -> tuple[LossName, ...]:
    """Return the losses that fit a task."""
    if task == "regression":
        return ("mse", "mae")
    return ("cross_entropy", "binary_cross_entropy", "mse") if classes == 2 else ("cross_entropy", "mse")


class _Stack:
    """Layers put on one another, with unique names and shapes that follow."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.layers: list[Layer] = []
        self._counts: dict[str, int] = {}

    def add(self, entry: LayerEntry, place: tuple[str | int, ...]) -> None:
        if entry.dense is not None:
            for _ in range(entry.dense.repeat):
                self._add_dense(entry.dense, (*place, "dense"))
        elif entry.activation is not None:
            self._push("activation", function=entry.activation.function)
        elif entry.flatten is not None:
            self._push("flatten", output=(int(np.prod(self.shape)),))
        elif entry.dropout is not None:
            self._push("dropout", rate=entry.dropout.rate)
        elif entry.alpha_dropout is not None:
            self._push("alpha_dropout", rate=entry.alpha_dropout.rate)
        elif entry.batch_normalization is not None:
            self._need_rows("batch_normalization", (*place, "batch_normalization"))
            self._push("batch_normalization")
        elif entry.repeat is not None:
            for _ in range(entry.repeat.times):
                for position, inner in enumerate(entry.repeat.layers):
                    self.add(inner, (*place, "repeat", "layers", position))

    def dense_layer(self, name: str, units: int, place: tuple[str | int, ...]) -> Layer:
        self._need_rows("dense", place)
        return Layer(name, "dense", self.shape, (units,))

    def _add_dense(self, dense: Dense, place: tuple[str | int, ...]) -> None:
        self._need_rows("dense", place)
        self._push("dense", output=(dense.units,))
        if dense.batch_normalization == "before":
            self._push("batch_normalization")
        if dense.activation != "linear":
            self._push("activation", function=dense.activation)
        if dense.batch_normalization == "after":
            self._push("batch_normalization")

    def _need_rows(self, kind: str, place: tuple[str | int, ...]) -> None:
        if len(self.shape) != 1:
            raise ArchitectureError(
                place,
                f"{kind} takes samples of rank 1, here they have shape {self.shape}; put '- flatten: {{}}' before it",
            )

    def _push(
        self,
        kind: Literal["dense", "activation", "flatten", "dropout", "alpha_dropout", "batch_normalization"],
        output: tuple[int, ...] | None = None,
        function: ActivationName = "linear",
        rate: float = 0.0,
    ) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        shape = output if output is not None else self.shape
        self.layers.append(Layer(f"{kind}_{self._counts[kind]}", kind, self.shape, shape, function, rate))
        self.shape = shape


def _resolve_wide_deep(
    declared: WideDeep,
    feature_shape: tuple[int, ...],
    task: Task,
    loss: LossName,
    output: OutputFunction,
    units: int,
) -> Architecture:
    if len(feature_shape) != 1:
        raise ArchitectureError(
            ("wide_deep",), f"takes samples of rank 1 (columns), here they have shape {feature_shape}"
        )
    columns = feature_shape[0]
    for name in ("wide", "deep"):
        for position, column in enumerate(getattr(declared, name) or ()):
            if column >= columns:
                raise ArchitectureError(
                    ("wide_deep", name, position),
                    f"column {column} is out of range; allowed: 0 to {columns - 1}",
                )
    wide_width = len(declared.wide) if declared.wide is not None else columns
    stack = _Stack((len(declared.deep) if declared.deep is not None else columns,))
    for width in declared.hidden:
        stack.add(LayerEntry(dense=Dense(units=width, activation=declared.activation)), ("wide_deep", "hidden"))
    inputs = {"joint": wide_width + stack.shape[0], "deep": stack.shape[0]}
    heads = tuple((name, Layer(f"{name}_output", "dense", (inputs[name],), (units,))) for name in declared.outputs)
    return Architecture(
        feature_shape, tuple(stack.layers), heads, declared.wide, declared.deep, True, task, loss, output
    )


# --------------------------------------------------------------------------------------------- weights


def parameter_names(architecture: Architecture) -> Iterator[tuple[str, Parameter]]:
    """Yield ("layer/parameter", parameter) for every array of a network, in order."""
    for layer in architecture.layers:
        for parameter in layer.parameters:
            yield f"{layer.name}/{parameter.name}", parameter


def initial_weights(architecture: Architecture, seed: int) -> Mapping[str, np.ndarray]:
    """Draw the initial weights that all frameworks load: float64 arrays by "layer/parameter".

    Dense kernels are Glorot uniform, U(-l, l) with l = √(6 / (inputs + units)) (Glorot and Bengio, 2010);
    each array has a random stream of its own, keyed by the seed and its position in the network.
    """
    weights = {}
    for position, (name, parameter) in enumerate(parameter_names(architecture)):
        if parameter.initial == "glorot_uniform":
            limit = np.sqrt(6.0 / sum(parameter.shape))
            generator = np.random.default_rng([seed, position])
            weights[name] = generator.uniform(-limit, limit, parameter.shape)
        else:
            weights[name] = np.full(parameter.shape, float(parameter.initial == "ones"))
    return weights


def output_values(architecture: Architecture, raw: np.ndarray) -> np.ndarray:
    """Turn a head's raw numbers (n, units) into values, or into probabilities (n, classes), in float64."""
    raw = np.asarray(raw, dtype=np.float64)
    if architecture.output == "linear":
        return raw
    if architecture.output == "sigmoid":
        rarer = np.exp(-np.abs(raw))  # neither overflows, nor is a small probability rounded to 0
        likelier, rarer = 1 / (1 + rarer), rarer / (1 + rarer)
        positive = raw >= 0
        return np.concatenate([np.where(positive, rarer, likelier), np.where(positive, likelier, rarer)], axis=1)
    shifted = np.exp(raw - raw.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
