"""Activation functions by name, with their derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import erf, expit

Values = np.ndarray
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al., 2017
_ROOT_HALF = float(np.float32(0.5**0.5))  # as TensorFlow rounds it


@dataclass(frozen=True)
class Activation:
    """A function along the last axis.

    Attributes:
        forward: values → outputs; further settings by name.
        backward: gradient, values, outputs → gradient with respect to the values.
    """

    forward: Callable[..., Values]
    backward: Callable[..., Values]


def _elu(values: Values, alpha: float = 1.0) -> Values:
    return np.where(values > 0, values, alpha * np.expm1(np.minimum(values, 0)))


def _elu_backward(gradient: Values, values: Values, outputs: Values, alpha: float = 1.0) -> Values:
    return gradient * np.where(values > 0, 1, outputs + alpha)


def _selu_backward(gradient: Values, values: Values, outputs: Values) -> Values:
    return gradient * np.where(values > 0, _SELU_SCALE, outputs + _SELU_SCALE * _SELU_ALPHA)


def _gelu_backward(gradient: Values, values: Values, outputs: Values) -> Values:
    del outputs
    density = np.exp(-np.square(values * _ROOT_HALF)) * (_ROOT_HALF / np.sqrt(np.pi))
    return gradient * ((1 + erf(values * _ROOT_HALF)) / 2 + values * density)


def _softmax(values: Values) -> Values:
    shifted = np.exp(values - values.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def _softmax_backward(gradient: Values, values: Values, outputs: Values) -> Values:
    del values
    return outputs * (gradient - (gradient * outputs).sum(axis=-1, keepdims=True))


def _pieces(values: Values, pieces: int) -> Values:
    return values.reshape(*values.shape[:-1], -1, pieces)


def _maxout_backward(gradient: Values, values: Values, outputs: Values, pieces: int) -> Values:
    """Pass the gradient to the largest piece; equal ones share it."""
    largest = _pieces(values, pieces) == outputs[..., None]
    shared = largest / largest.sum(axis=-1, keepdims=True)
    return (gradient[..., None] * shared).reshape(values.shape).astype(gradient.dtype)


ACTIVATIONS: Mapping[str, Activation] = {
    "linear": Activation(lambda values: values, lambda gradient, _values, _outputs: gradient),
    "relu": Activation(
        lambda values: np.maximum(values, 0), lambda gradient, values, _outputs: gradient * (values > 0)
    ),
    "leaky_relu": Activation(
        lambda values, slope: np.where(values > 0, values, slope * values),
        lambda gradient, values, _outputs, slope: gradient * np.where(values > 0, 1, slope),
    ),
    "elu": Activation(_elu, _elu_backward),
    "selu": Activation(lambda values: _SELU_SCALE * _elu(values, _SELU_ALPHA), _selu_backward),
    "gelu": Activation(lambda values: values * (1 + erf(values * _ROOT_HALF)) / 2, _gelu_backward),
    "sigmoid": Activation(expit, lambda gradient, _values, outputs: gradient * outputs * (1 - outputs)),
    "tanh": Activation(np.tanh, lambda gradient, _values, outputs: gradient * (1 - np.square(outputs))),
    "softmax": Activation(_softmax, _softmax_backward),
    "maxout": Activation(lambda values, pieces: _pieces(values, pieces).max(axis=-1), _maxout_backward),
}
