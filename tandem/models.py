"""Networks as declared, and as resolved layers with shapes and parameters; free of any framework."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError, create_model, model_validator
from pydantic_core import PydanticCustomError

from tandem.activations import ActivationName
from tandem.columns import ColumnEntry, Embedded, Encoding, InputPart, encode_column, encode_part, has_categories
from tandem.declared import Declared
from tandem.errors import DataError, ModelError
from tandem.layers import dense, layer_kind, layer_kinds, refused_row, resolve_layer, takes_any_row
from tandem.layers.layer import (
    ArchitectureError,
    Draft,
    Layer,
    Parameter,
    Place,
    Regularization,
    Shape,
    need_rank,
)
from tandem.losses import LossName, OutputFunction, output_layer, probabilities_of
from tandem.records import Column, Task

HeadName = Literal["joint", "deep", "pass_through"]
Constants = Literal["aligned", "aligned-torch", "native"]
ARCHITECTURE_FILE = "architecture.json"

# ---------------------------------------------------------------------------------------- declarations


def _exactly_one(model: Declared, what: str, keys: tuple[str, ...]) -> None:
    given = [name for name in keys if getattr(model, name) is not None]
    if len(given) != 1:
        raise PydanticCustomError(
            "exactly_one", "{what} takes exactly one of: {allowed}", {"what": what, "allowed": ", ".join(sorted(keys))}
        )


class Entry(Declared):
    """One entry of a sequential model: exactly one kind of layer with its settings."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        _exactly_one(self, "a layer", tuple(type(self).model_fields))
        return self

    @property
    def kind(self) -> str:
        """The kind of layer, or "repeat"."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)


class Repeat(Declared):
    """A group of layers that follows itself ``times`` times."""

    times: int = Field(gt=0, le=1_000)
    layers: tuple[LayerEntry, ...] = Field(min_length=1)


if TYPE_CHECKING:
    LayerEntry = Entry
else:
    LayerEntry = create_model(
        "LayerEntry",
        __base__=Entry,
        __module__=__name__,
        **{kind: (layer_kind(kind).Declaration | None, None) for kind in layer_kinds()},
        repeat=(Repeat | None, None),
    )
    LayerEntry.__doc__ = Entry.__doc__
    Repeat.model_rebuild()


Columns = Annotated[tuple[ColumnEntry, ...], Field(min_length=1)]


class WideDeep(Declared):
    """A Wide & Deep network (Cheng et al., 2016): the wide columns join the deep part's output at the head.

    Without ``wide`` and ``deep`` there is one input and both parts take all columns of it.
    """

    wide: Columns | None = Field(
        default=None, description="Columns of the wide input, by position or name, or crossed; none: all."
    )
    deep: Columns | None = Field(
        default=None, description="Columns of the deep input, by position or name, or embedded; none: all."
    )
    hidden: tuple[Annotated[int, Field(gt=0, le=100_000)], ...] = Field(
        min_length=1, description="Widths of the deep part."
    )
    activation: ActivationName = "relu"
    style: Literal["functional", "subclassed"] = Field(
        default="functional", description="How Keras's model is written; it computes the same."
    )
    outputs: tuple[HeadName, ...] = Field(
        default=("joint",),
        min_length=1,
        description="Heads, the first is the main one; pass_through hands the deep input on untouched.",
    )
    loss_weights: tuple[Annotated[float, Field(ge=0)], ...] | None = Field(
        default=None, description="Weight of each head's loss in the sum; none: 1 each."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.wide is not None and self.deep is None:
            raise PydanticCustomError("inconsistent", "takes both of wide and deep, or neither (one input for both)")
        if self.wide is None and self.deep is not None and "joint" in self.outputs:
            raise PydanticCustomError("inconsistent", "deep alone has no joint head: take wide too, or outputs: [deep]")
        if len(set(self.outputs)) != len(self.outputs):
            raise PydanticCustomError("inconsistent", "outputs names a head twice")
        if self.outputs[0] == "pass_through":
            raise PydanticCustomError("inconsistent", "outputs begins with a head that learns: joint or deep")
        if self.loss_weights is not None and len(self.loss_weights) != len(self.outputs):
            raise PydanticCustomError("inconsistent", "loss_weights takes one number for each of outputs")
        return self


class OutputLayer(Declared):
    """Settings of the dense output layer, whose width follows from task and loss."""

    bias: bool = Field(default=True, description="Whether a bias is added to the sums.")
    regularization: Regularization | None = Field(default=None, description="Penalty on the kernel.")


class ModelDeclaration(Declared):
    """The hidden layers of a network; the output layer follows from task and loss."""

    sequential: tuple[LayerEntry, ...] | None = Field(default=None, description="Layers, first to last.")
    wide_deep: WideDeep | None = None
    output: OutputLayer = Field(default=OutputLayer(), description="The output layer.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        _exactly_one(self, "a model", ("sequential", "wide_deep"))
        return self


# ------------------------------------------------------------------------------------- resolved layers


@dataclass(frozen=True)
class Head:
    """An output of a network.

    Attributes:
        name: "output" in sequential models, else as declared.
        layer: maps what the head takes to raw numbers.
        takes: the body's output; that with the wide input before it; or the body's own input.
        weight: of its loss in the sum over heads.
    """

    name: str
    layer: Layer
    takes: Literal["body", "wide and body", "input"] = "body"
    weight: float = 1.0


@dataclass(frozen=True)
class Architecture:
    """A network as every framework builds it.

    ``body`` is the stack of hidden layers: of the whole input, or of the deep columns with the embeddings after them.

    Attributes:
        input_shape: of one sample.
        parts: the inputs: (features,), or (wide, deep), and after them the codes of each embedded column.
        embeddings: layers of the embedded columns, in their order; each takes its codes (n, 1).
        body: hidden layers, first to last.
        heads: the main one first.
        style: how Keras's model is written.
        task: of the data.
        loss: as declared.
        output: what turns a head's numbers (logits) into probabilities, or "linear".
    """

    input_shape: Shape
    parts: tuple[InputPart, ...]
    embeddings: tuple[Layer, ...]
    body: tuple[Layer, ...]
    heads: tuple[Head, ...]
    style: Literal["functional", "subclassed"]
    task: Task
    loss: LossName
    output: OutputFunction

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, the heads last."""
        return self.embeddings + self.body + tuple(head.layer for head in self.heads)

    @property
    def output_units(self) -> int:
        """Numbers that the main head gives for a sample."""
        return self.heads[0].layer.output_shape[-1]

    def inputs(self, features: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the network's inputs, one array a part, from features (n, *input_shape)."""
        return tuple(part.take(features) for part in self.parts)

    def check_rows(self, features: np.ndarray, part: str = "") -> None:
        """Check that the network takes the values of features (n, *input_shape), scaled.

        Args:
            features: may be streamed.
            part: of which data set they are, for people; "" names the row by its number.

        Raises:
            DataError: its first layer refuses a row.
        """
        if not self.body or not len(features) or takes_any_row(self.body[0]):
            return
        refused = refused_row(self.body[0], self.inputs(features[:])[-1])  # of streamed features, [:] reads all rows
        if refused is not None:
            row, reason = refused
            which = f"a {part} row" if part else f"row {row + 1}"
            raise DataError(
                f"{which} holds {reason}; correct the data, the layer's size, or the data set's standardize "
                "(method: none leaves whole numbers as they are)"
            )

    def main_inputs(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """Return the inputs without the codes of embedded columns: (features,) or (wide, deep)."""
        return inputs[: len(self.parts) - len(self.embeddings)]


def resolve(
    declaration: ModelDeclaration,
    feature_shape: Shape,
    task: Task,
    loss: LossName,
    classes: int,
    columns: Sequence[Column] = (),
) -> Architecture:
    """Turn a declaration into layers with shapes.

    Args:
        declaration: the hidden layers.
        feature_shape: of one sample.
        task: classification or regression.
        loss: decides the output layer; see :func:`tandem.losses.output_layer`.
        classes: number of classes; 0 for regression.
        columns: of a table; categorical ones are taken one-hot unless a Wide & Deep network says otherwise.

    Raises:
        ArchitectureError: columns out of range, or a layer that does not take its input's shape.
    """
    output, units = output_layer(task, loss, classes)
    if declaration.wide_deep is not None:
        return _resolve_wide_deep(
            declaration, declaration.wide_deep, feature_shape, columns, (task, loss, output, units)
        )
    features = _whole_input("features", feature_shape, columns)
    stack = _Stack(features.shape)
    for position, entry in enumerate(declaration.sequential or ()):
        stack.add(entry, ("sequential", position))
    head = _dense_head("output", stack.shape, units, declaration.output, ("sequential",))
    return Architecture(
        feature_shape,
        (features,),
        (),
        tuple(stack.layers),
        (Head("output", head),),
        "functional",
        task,
        loss,
        output,
    )


def _whole_input(name: str, feature_shape: Shape, columns: Sequence[Column]) -> InputPart:
    if not has_categories(columns):
        return InputPart(name, None, feature_shape)
    encodings = tuple(encode_column(position, columns) for position in range(len(columns)))
    return InputPart(name, encodings, (sum(encoding.width for encoding in encodings),))


def _dense_head(name: str, shape: Shape, units: int, declared: OutputLayer, place: Place) -> Layer:
    need_rank("dense", shape, 1, place)
    draft = dense.draft(shape[0], units, bias=declared.bias, regularization=declared.regularization)
    return Layer.from_draft(name, draft, shape)


class _Stack:
    """Layers put on one another, with unique names and shapes that follow."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.layers: list[Layer] = []
        self._counts: dict[str, int] = {}

    def add(self, entry: Entry, place: Place) -> None:
        kind = entry.kind
        declared: Any = getattr(entry, kind)
        if kind == "repeat":
            for _ in range(declared.times):
                for position, inner in enumerate(declared.layers):
                    self.add(inner, (*place, "repeat", "layers", position))
            return
        for draft in resolve_layer(kind, declared, self.shape, (*place, kind), first=not self.layers):
            self._push(draft)

    def _push(self, draft: Draft) -> None:
        self._counts[draft.kind] = self._counts.get(draft.kind, 0) + 1
        self.layers.append(Layer.from_draft(f"{draft.kind}_{self._counts[draft.kind]}", draft, self.shape))
        self.shape = draft.output_shape


def _resolve_wide_deep(
    declaration: ModelDeclaration,
    declared: WideDeep,
    feature_shape: Shape,
    columns: Sequence[Column],
    target: tuple[Task, LossName, OutputFunction, int],
) -> Architecture:
    task, loss, output, units = target
    if len(feature_shape) != 1:
        raise ArchitectureError(
            ("wide_deep",), f"takes samples of rank 1 (columns), here they have shape {feature_shape}"
        )
    main, embedded = _wide_deep_inputs(declared, feature_shape, columns)
    codes = tuple(InputPart(f"code_{one.column}", (Encoding("code", (one.column,)),), (1,)) for one in embedded)
    embeddings = tuple(_embedding(one, number) for number, one in enumerate(embedded, 1))
    deep_shape = (main[-1].shape[0] + sum(one.units for one in embedded),)
    stack = _Stack(deep_shape)
    for width in declared.hidden:
        entry = LayerEntry.model_validate({"dense": {"units": width, "activation": declared.activation}})
        stack.add(entry, ("wide_deep", "hidden"))
    shapes = {"joint": (main[0].shape[0] + stack.shape[0],), "deep": stack.shape}
    weights = declared.loss_weights or (1.0,) * len(declared.outputs)
    heads = []
    for name, weight in zip(declared.outputs, weights, strict=True):
        if name == "pass_through":
            draft = Draft("activation", deep_shape, {"function": "linear"})
            heads.append(Head(name, Layer.from_draft(f"{name}_output", draft, deep_shape), "input", weight))
        else:
            layer = _dense_head(f"{name}_output", shapes[name], units, declaration.output, ("wide_deep", "outputs"))
            heads.append(Head(name, layer, "wide and body" if name == "joint" else "body", weight))
    return Architecture(
        feature_shape,
        (*main, *codes),
        embeddings,
        tuple(stack.layers),
        tuple(heads),
        declared.style,
        task,
        loss,
        output,
    )


def _wide_deep_inputs(
    declared: WideDeep, feature_shape: Shape, columns: Sequence[Column]
) -> tuple[tuple[InputPart, ...], tuple[Embedded, ...]]:
    """Return (features,) or (wide, deep), and the columns that are embedded beside the deep ones."""
    if declared.deep is None:
        return (_whole_input("features", feature_shape, columns),), ()
    count = feature_shape[0]
    deep, embedded = encode_part("deep", declared.deep, columns, count, ("wide_deep", "deep"))
    if declared.wide is None:
        return (deep,), embedded
    wide, wrong = encode_part("wide", declared.wide, columns, count, ("wide_deep", "wide"))
    if wrong:
        raise ArchitectureError(("wide_deep", "wide"), "embed belongs to the deep columns; move it to deep")
    return (wide, deep), embedded


def _embedding(embedded: Embedded, number: int) -> Layer:
    kind = layer_kind("embedding")
    declared = kind.Declaration(size=embedded.size, units=embedded.units)
    (draft,) = kind.resolve(declared, (1,), ("wide_deep", "deep"))
    return Layer.from_draft(f"embedding_{number}", draft, (1,))


# ----------------------------------------------------------------------------------------------- JSON


def write_architecture(architecture: Architecture) -> str:
    """Return an architecture as JSON, with layers, shapes and how each array begins; no weights."""
    adapter = TypeAdapter(Architecture)
    # Settings are read-only mappings, of which pydantic would warn.
    return adapter.dump_json(architecture, indent=2, fallback=dict, warnings=False).decode() + "\n"


def read_architecture(text: str) -> Architecture:
    """Read what :func:`write_architecture` wrote.

    Raises:
        ModelError: it is no architecture.
    """
    try:
        read: Architecture = TypeAdapter(Architecture).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(f"{ARCHITECTURE_FILE}: {place}: {first['msg']}; export it again") from None
    return replace(
        read,
        embeddings=tuple(map(_frozen, read.embeddings)),
        body=tuple(map(_frozen, read.body)),
        heads=tuple(replace(head, layer=_frozen(head.layer)) for head in read.heads),
    )


def _frozen(layer: Layer) -> Layer:
    """Return a layer whose settings are read-only, lists as tuples: JSON has no tuples."""
    settings: Mapping[str, Any] = {key: _tuples(value) for key, value in layer.settings.items()}
    return replace(layer, settings=MappingProxyType(settings))


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


# --------------------------------------------------------------------------------------------- weights


def parameter_names(architecture: Architecture) -> Iterator[tuple[str, Parameter]]:
    """Yield ("layer/parameter", parameter) for every array of a network, in order."""
    for layer in architecture.layers:
        for parameter in layer.parameters:
            yield f"{layer.name}/{parameter.name}", parameter


def initial_weights(
    architecture: Architecture, seed: int, constants: Constants = "aligned"
) -> Mapping[str, np.ndarray]:
    """Draw the initial weights that all frameworks load: float64 arrays by "layer/parameter".

    Each array has a random stream of its own, keyed by the seed and its position in the network; "aligned-torch"
    draws from PyTorch's distributions, anything else from Keras's.
    """
    weights = {}
    for position, (name, parameter) in enumerate(parameter_names(architecture)):
        of_torch = constants == "aligned-torch" and parameter.torch_initial is not None
        initial = parameter.torch_initial if of_torch else parameter.initial
        assert initial is not None  # noqa: S101  (narrows the type)
        weights[name] = initial.draw(np.random.default_rng([seed, position]), parameter.shape)
    return weights


def penalties(architecture: Architecture) -> Mapping[str, Regularization]:
    """Return the penalty of each regularised array by "layer/parameter"."""
    return {
        f"{layer.name}/{parameter.name}": layer.regularization
        for layer in architecture.layers
        for parameter in layer.parameters
        if parameter.regularized and layer.regularization is not None
    }


def output_values(architecture: Architecture, raw: np.ndarray) -> np.ndarray:
    """Turn a head's raw numbers (n, units) into values, or into probabilities (n, classes), in float64."""
    return probabilities_of(raw, architecture.output)
