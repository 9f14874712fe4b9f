"""Members of one family, padded to common shapes, so that their arrays have a leading model axis.

What a member learns must not depend on the members beside it: padded shapes follow from the member alone (its width
class, see :func:`width_class`), never from who else is in the batch.

Padding is by zeros, and stays zero: a padded unit's outgoing weights are zero, hence its gradient, and its incoming
weights see none. Activations that do not map zero to zero are masked after them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from tandem.config import Experiment
from tandem.layers import Layer
from tandem.models import Architecture, initial_weights, parameter_names
from tandem.optimizers import Sgd
from tandem.population.costs import Work

BATCHED_KINDS = frozenset(
    {
        "activation", "alpha_dropout", "batch_normalization", "dense", "dropout", "embedding", "flatten",
        "layer_normalization", "normalization", "powers",
    }
)  # fmt: skip
# Layers that map a padded unit's zero to something else.
_MASKED_FUNCTIONS = ("sigmoid", "softmax")
_MASKED_KINDS = ("alpha_dropout", "layer_normalization")
_ON_INPUTS = ("powers", "normalization", "flatten")  # layers that padding would confuse
_PER_MEMBER = ("rate",)  # settings of layers that may differ within a family
_PREDICTED_NUMBERS, _PREDICTED_ROWS = 4_000_000, 1024  # of the widest layer's outputs, and rows, at a time
_PADS = {"gamma": 1.0, "moving_variance": 1.0, "variance": 1.0}  # what fills up arrays that are divided by


@dataclass(frozen=True)
class Member:
    """One network to be trained.

    Attributes:
        experiment: its settings.
        architecture: the network.
        seed: of its initial weights, order of rows and random layers.
        fold: position of its rows among those given.
    """

    experiment: Experiment
    architecture: Architecture
    seed: int
    fold: int = 0


def width_class(units: int) -> int:
    """Return to how many units a hidden width is padded: multiples of 16 are fastest to multiply.

    The steps grow with the width, so that little more than a third of a product is padding.
    """
    step = 16 if units <= 64 else 32 if units <= 128 else 2 ** (math.ceil(math.log2(units)) - 2)
    return math.ceil(units / step) * step


def why_alone(member: Member) -> str | None:
    """Return why a network cannot be trained as one of many, in words; None: it can."""
    training, architecture = member.experiment.training, member.architecture
    for layer in (*architecture.embeddings, *architecture.body):
        if layer.kind not in BATCHED_KINDS:
            return f"{layer.kind} layers are trained one network at a time"
    widened = False
    for layer in architecture.body:
        if layer.kind == "embedding" or (len(layer.input_shape) > 1 and layer.kind != "flatten"):
            return f"{layer.kind} layers on samples of rank {len(layer.input_shape)} are trained one network at a time"
        if widened and layer.kind in _ON_INPUTS:
            return f"{layer.kind} layers behind dense ones are trained one network at a time"
        widened |= layer.kind == "dense"
    if member.experiment.constants == "native":
        return "networks with the framework's own constants (native) are trained one at a time"
    if training.augmentation is not None:
        return "augmented images are trained one network at a time"
    if training.devices > 1:
        return "networks on several devices are trained one at a time"
    if training.input == "streamed":
        return "streamed rows are trained one network at a time"
    if training.batch_size == "auto":
        return "batch_size: auto is found for one network at a time"
    return None


def family(member: Member, rows: int) -> tuple[Any, ...]:
    """Return what members must have in common to be trained at once.

    Args:
        member: one for which :func:`why_alone` has no reason.
        rows: that it is shown in an epoch.
    """
    experiment, architecture = member.experiment, member.architecture
    optimizer = experiment.optimizer
    return (
        rows,
        experiment.training.batch_size,
        experiment.constants,
        optimizer.name,
        optimizer.clip_norm is not None,
        isinstance(optimizer, Sgd) and (optimizer.momentum > 0, optimizer.nesterov),
        architecture.loss,
        architecture.output,
        architecture.task,
        architecture.parts,
        tuple((head.name, head.takes, head.weight, _structure(head.layer)) for head in architecture.heads),
        tuple((_structure(layer), layer.output_shape) for layer in architecture.embeddings),
        tuple(_structure(layer) for layer in architecture.body),
        padded_widths(architecture),
    )


def work_of(member: Member, networks: int, programs: int, rows: int) -> Work:
    """Return what it takes to train so many networks like one.

    Args:
        member: one for which :func:`why_alone` has no reason.
        networks, programs: see :class:`tandem.population.costs.Work`.
        rows: to train on.
    """
    training = member.experiment.training
    assert isinstance(training.batch_size, int)  # noqa: S101  (auto is trained alone)
    weights = sum(math.prod(parameter.shape) for _, parameter in parameter_names(member.architecture))
    steps = math.ceil(rows * training.repeat / training.batch_size) * training.epochs
    return Work(networks, programs, weights, training.batch_size, steps)


def _structure(layer: Layer) -> tuple[Any, ...]:
    settings = tuple(sorted((name, value) for name, value in layer.settings.items() if name not in _PER_MEMBER))
    return layer.name, layer.kind, settings, layer.regularization is not None


def padded_widths(architecture: Architecture) -> tuple[int, ...]:
    """Return the width that each layer of the body is padded to, of its last axis."""
    widths, own, given = [], 0, 0
    for position, layer in enumerate(architecture.body):
        before, own = own, layer.output_shape[-1]
        if layer.kind == "dense":
            pieces = _pieces_after(architecture, position)
            given = pieces * width_class(own // pieces)
        elif before == 0 or given == before:  # nothing is padded yet
            given = own
        elif _is_maxout(layer):
            given //= layer.settings["pieces"]
        widths.append(given)
    return tuple(widths)


def _is_maxout(layer: Layer) -> bool:
    return layer.kind == "activation" and layer.settings["function"] == "maxout"


def _pieces_after(architecture: Architecture, position: int) -> int:
    """Return of how many neighbours the maxouts that belong to a dense layer take the largest; 1 without any."""
    pieces = 1
    for layer in architecture.body[position + 1 :]:
        if layer.kind == "dense":
            break
        if _is_maxout(layer):
            pieces *= int(layer.settings["pieces"])
    return pieces


@dataclass(frozen=True)
class Stack:
    """Members of one family.

    Attributes:
        members: along the leading axis.
        padded: the network that all are padded to.
    """

    members: tuple[Member, ...]
    padded: Architecture

    @classmethod
    def of(cls, members: Sequence[Member]) -> Stack:
        """Stack members of one family."""
        return cls(tuple(members), _pad(members[0].architecture))

    def keep(self, positions: Iterable[int]) -> Stack:
        """Return the stack of some of the members."""
        return replace(self, members=tuple(self.members[position] for position in positions))

    def __len__(self) -> int:
        return len(self.members)

    @property
    def predicted_rows(self) -> int:
        """Rows that are predicted at a time: by the widest layer alone, as products of other sizes round otherwise."""
        return max(1, min(_PREDICTED_ROWS, _PREDICTED_NUMBERS // self._widest))

    @property
    def predicted_members(self) -> int:
        """How many members predict so many rows at once, at least two."""
        return max(2, _PREDICTED_NUMBERS // (self._widest * self.predicted_rows))

    @property
    def _widest(self) -> int:
        return max(layer.output_shape[-1] for layer in self.padded.layers)

    @cached_property
    def layers(self) -> Mapping[str, tuple[Layer, ...]]:
        """Each layer of the members, by name."""
        stacked = [[*member.architecture.layers] for member in self.members]
        return {layer.name: tuple(of[position] for of in stacked) for position, layer in enumerate(stacked[0])}

    def per_member(self, layer: str, setting: str) -> np.ndarray:
        """Return a layer's setting of each member, float64 (members,)."""
        return np.array([float(of.settings[setting]) for of in self.layers[layer]])

    def regularization(self, layer: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a layer's l1 and l2 of each member, float64 (members,) each."""
        found = [of.regularization for of in self.layers[layer]]
        declared = [one for one in found if one is not None]  # all: a family has a penalty on a layer or has none
        return np.array([one.l1 for one in declared]), np.array([one.l2 for one in declared])

    def units(self, layer: str) -> np.ndarray:
        """Return a layer's own output width of each member, int64 (members,)."""
        return np.array([of.output_shape[-1] for of in self.layers[layer]], dtype=np.int64)

    def mask(self, layer: str) -> np.ndarray | None:
        """Return which of a layer's padded outputs are a member's own, bool (members, units).

        None where the layer leaves padding at zero. There is a mask even if nobody is padded: with others beside them
        members would otherwise be computed in another way.
        """
        first = self.layers[layer][0]
        masked = first.kind in _MASKED_KINDS or (
            first.kind == "activation" and first.settings["function"] in _MASKED_FUNCTIONS
        )
        width = next(of for of in self.padded.layers if of.name == layer).output_shape[-1]
        return np.arange(width) < self.units(layer)[:, None] if masked else None

    def pack(self, arrays: Sequence[Mapping[str, np.ndarray]], dtype: str) -> dict[str, np.ndarray]:
        """Return arrays (members, *padded shape) by "layer/parameter", from each member's own."""
        packed = {}
        for name, parameter in parameter_names(self.padded):
            stacked = np.full((len(arrays), *parameter.shape), _PADS.get(parameter.name, 0.0), dtype=dtype)
            for position, own in enumerate(arrays):
                array = np.asarray(own[name])
                stacked[position, ...][_corner(array.shape)] = array
            packed[name] = stacked
        return packed

    def unpack(self, position: int, packed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return copies of one member's own arrays from those of all members."""
        own = {name: parameter.shape for name, parameter in parameter_names(self.members[position].architecture)}
        return {name: packed[name][position, ...][_corner(shape)].copy() for name, shape in own.items()}

    def initial_weights(self) -> list[dict[str, np.ndarray]]:
        """Draw each member's initial weights, float64, as :func:`tandem.models.initial_weights` does."""
        return [
            dict(initial_weights(member.architecture, member.seed, member.experiment.constants))
            for member in self.members
        ]


def _corner(shape: tuple[int, ...]) -> Any:
    """Return the index of a member's own numbers in a padded array; of a single number, the array itself."""
    return tuple(slice(size) for size in shape) or ...


def _pad(architecture: Architecture) -> Architecture:
    """Return a network with all hidden layers at their padded widths."""
    body: list[Layer] = []
    own = given = architecture.body[0].input_shape if architecture.body else ()
    for layer, width in zip(architecture.body, padded_widths(architecture), strict=True):
        body.append(_resized(layer, given, (*layer.output_shape[:-1], width), given[-1] - own[-1]))
        own, given = layer.output_shape, body[-1].output_shape
    more = given[-1] - own[-1] if architecture.body else 0
    heads = tuple(
        head
        if head.takes == "input"
        else replace(
            head,
            layer=_resized(head.layer, (head.layer.input_shape[0] + more,), head.layer.output_shape, more),
        )
        for head in architecture.heads
    )
    return replace(architecture, body=tuple(body), heads=heads)


def _resized(layer: Layer, given: tuple[int, ...], output: tuple[int, ...], more: int) -> Layer:
    """Return a layer with other shapes; ``more`` is by how much its input is wider than its own."""
    wider = output[-1] - layer.output_shape[-1]
    parameters = tuple(
        replace(
            parameter,
            shape=(parameter.shape[0] + more, parameter.shape[1] + wider)
            if parameter.name == "kernel"
            else (*parameter.shape[:-1], parameter.shape[-1] + wider)
            if wider
            else parameter.shape,
        )
        for parameter in layer.parameters
    )
    return replace(layer, input_shape=given, output_shape=output, parameters=parameters)
