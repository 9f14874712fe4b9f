"""What a layer is: declared, resolved to shapes and arrays, free of any framework.

A kind of layer is one module of this folder, found by scanning. It defines

- ``Declaration``: its settings in params.yaml, a :class:`tandem.declared.Declared`;
- ``resolve(declared, shape, place)``: the :class:`Draft` layers that it stands for, first to last;
- ``EXAMPLES``: declarations with the shape of their samples, for the tests that every kind must pass;
- ``STILL``, if it draws random numbers in training: the settings of the layer with which it draws none;
- ``FIRST_ONLY``, if it must be a network's first layer: why;
- ``adapt(layer, features)``, if a first layer takes arrays from the training rows, or checks them: those arrays.

``tandem/frameworks/<framework>/layers/<kind>.py`` builds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from pydantic import Field

from tandem.declared import Declared

Place = tuple[str | int, ...]
Shape = tuple[int, ...]


class ArchitectureError(ValueError):
    """A declaration that fits no network; ``place`` is the key below ``model``."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message


@dataclass(frozen=True)
class Initial:
    """How an array begins.

    Attributes:
        kind: "constant" (``value``), "uniform" (between -``value`` and ``value``), "normal" (standard deviation
            ``value``), "orthogonal" (Saxe et al., 2013) or "blocks": equal parts of the last axis, each a constant
            of ``blocks``.
    """

    kind: Literal["constant", "uniform", "normal", "orthogonal", "blocks"]
    value: float = 0.0
    blocks: tuple[float, ...] = ()

    def draw(self, generator: np.random.Generator, shape: Shape) -> np.ndarray:
        """Return a float64 array."""
        if self.kind == "uniform":
            return generator.uniform(-self.value, self.value, shape)
        if self.kind == "normal":
            return generator.normal(0.0, self.value, shape)
        if self.kind == "orthogonal":
            return _orthogonal(generator, shape)
        if self.kind == "blocks":
            return np.broadcast_to(np.repeat(self.blocks, shape[-1] // len(self.blocks)), shape).copy()
        return np.full(shape, self.value)


ZEROS, ONES = Initial("constant", 0.0), Initial("constant", 1.0)


def glorot_uniform(fan_in: int, fan_out: int) -> Initial:
    """U(-l, l) with l = √(6 / (inputs + outputs)) (Glorot and Bengio, 2010); Keras's default."""
    return Initial("uniform", float(np.sqrt(6.0 / (fan_in + fan_out))))


def torch_uniform(fan_in: int) -> Initial:
    """U(±1/√inputs), PyTorch's default for kernels and biases of linear and convolution layers."""
    return Initial("uniform", 1.0 / float(np.sqrt(fan_in)))


def _orthogonal(generator: np.random.Generator, shape: Shape) -> np.ndarray:
    """Return a matrix whose shorter side is orthonormal, signs fixed so that it is uniformly drawn."""
    rows, columns = int(np.prod(shape[:-1])), shape[-1]
    normal = generator.normal(size=(max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q = q * np.sign(np.diag(r))
    return (q.T if rows < columns else q).reshape(shape)


@dataclass(frozen=True)
class Parameter:
    """One array of a layer, in Keras's layout (dense kernels are (inputs, units)).

    Attributes:
        name: as Keras calls it.
        shape: of the array.
        initial: with Keras's constants.
        torch_initial: with PyTorch's constants; None: the same.
        trainable: an optimiser moves it.
        regularized: the layer's penalty takes it in.
    """

    name: str
    shape: Shape
    initial: Initial
    torch_initial: Initial | None = None
    trainable: bool = True
    regularized: bool = False


class Regularization(Declared):
    """A penalty on a layer's kernels that is added to the loss: l1 Σ|w| + l2 Σw² (no factor ½)."""

    l1: float = Field(default=0.0, ge=0)
    l2: float = Field(default=0.0, ge=0)


@dataclass(frozen=True)
class Draft:
    """A resolved layer that has no name yet; settings as in :class:`Layer`."""

    kind: str
    output_shape: Shape
    settings: Mapping[str, Any] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    regularization: Regularization | None = None


@dataclass(frozen=True)
class Layer:
    """A resolved layer.

    Attributes:
        name: unique in the network, letters, digits and underscores.
        kind: the module under ``layers`` that builds it.
        input_shape, output_shape: of one sample.
        settings: what else the framework needs to build it, plain values.
        parameters: its arrays, in the order in which Keras lists them.
        regularization: penalty on its kernels; None: none.
    """

    name: str
    kind: str
    input_shape: Shape
    output_shape: Shape
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    parameters: tuple[Parameter, ...] = ()
    regularization: Regularization | None = None

    @classmethod
    def from_draft(cls, name: str, draft: Draft, input_shape: Shape) -> Layer:
        """Name a draft."""
        return cls(
            name,
            draft.kind,
            input_shape,
            draft.output_shape,
            MappingProxyType(dict(draft.settings)),
            draft.parameters,
            draft.regularization,
        )

    @property
    def function(self) -> str:
        """Name of the function of an activation layer."""
        return str(self.settings["function"])


@dataclass(frozen=True)
class Example:
    """A declaration for the tests that every kind of layer must pass.

    Attributes:
        declared: settings as in params.yaml.
        shape: of one sample.
        integers: the samples are whole numbers from 0 below this (for embeddings); None: real numbers.
    """

    declared: Mapping[str, Any]
    shape: Shape
    integers: int | None = None


def need_rank(kind: str, shape: Shape, rank: int, place: Place) -> None:
    """Check the rank of a layer's samples.

    Raises:
        ArchitectureError: it is another; says what was expected.
    """
    if len(shape) == rank:
        return
    hint = "put '- flatten: {}' before it" if rank == 1 else f"expected {RANKS[rank]}"
    if len(shape) == rank - 1:
        hint += f"; put '- reshape: {{shape: {[*shape, 1]}}}' before it"
    raise ArchitectureError(place, f"{kind} takes samples of rank {rank}, here they have shape {shape}; {hint}")


RANKS: Mapping[int, str] = {
    1: "(features)",
    2: "(timesteps, features)",
    3: "(height, width, channels)",
    4: "(frames, height, width, channels)",
}
