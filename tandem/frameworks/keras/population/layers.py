"""Layers of many networks at once: values and arrays with a leading model axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tandem.frameworks.keras.activations import make_activation
from tandem.layers import Layer
from tandem.layers.normalization import EPSILON
from tandem.models import Constants
from tandem.population.stack import Stack

Arrays = Mapping[str, Any]  # by "layer/parameter", each (members, *shape)
Apply = Callable[[Arrays, Any, "Noise | None"], Any]

# Momentum, epsilon and whether the running variance is the unbiased one: Keras's constants, and PyTorch's.
_BATCH_NORMALIZATION = {False: (0.01, 1e-3, False), True: (0.1, 1e-5, True)}
_TINY = 1e-30
_LAYER_NORMALIZATION = {False: 1e-3, True: 1e-5}
# What alpha dropout sets a unit to (Klambauer et al., 2017): -λα of selu.
_ALPHA = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


class Noise:
    """Random numbers of the layers in one step: a stream for each distinct seed, in the order in which layers ask.

    Members with the same seed share their stream, as they would draw the same numbers when trained alone; what a
    member draws does not depend on the members beside it.

    Args:
        seeds: (distinct,) of the epoch.
        of_member: (members,) positions among the seeds.
        step: of the epoch.
    """

    def __init__(self, seeds: Any, of_member: Any, step: Any) -> None:
        self._seeds, self._of_member, self._step, self._asked = seeds, of_member, step, 0

    def uniform(self, like: Any) -> Any:
        """Return numbers in [0, 1) of the shape of values (members, n, units)."""
        shape, asked = tf.shape(like)[1:], self._asked
        self._asked += 1

        def draw(seed: Any) -> Any:
            mixed = tf.random.experimental.stateless_fold_in(tf.stack([seed, asked]), self._step)
            return tf.random.stateless_uniform(shape, mixed, dtype=like.dtype)

        drawn = tf.map_fn(draw, self._seeds, fn_output_signature=like.dtype)
        return tf.gather(drawn, self._of_member)


def member_numbers(stack: Stack) -> dict[str, Any]:
    """Return what layers need of each member besides its arrays, by "layer/name", with a leading model axis."""
    found: dict[str, Any] = {}
    for layer in stack.padded.layers:
        mask = stack.mask(layer.name)
        if mask is not None:
            found[f"{layer.name}/mask"] = mask[:, None]
        if "rate" in layer.settings:
            rate = stack.per_member(layer.name, "rate")[:, None, None]
            alpha = layer.kind == "alpha_dropout"
            scale = ((1 - rate) * (1 + rate * _ALPHA**2)) ** -0.5 if alpha else 1 / (1 - rate)
            found |= {f"{layer.name}/rate": rate, f"{layer.name}/scale": scale}
            if alpha:
                found[f"{layer.name}/shift"] = -scale * _ALPHA * rate
        if layer.kind == "layer_normalization":
            found[f"{layer.name}/units"] = stack.units(layer.name).astype(float)[:, None, None]
    return found


def pad_rows(values: Any) -> Any:
    """Append zeros to an array's first axis until it is a multiple of 16 long.

    TensorFlow computes some functions (exp, log, sigmoid, powers) up to 16 numbers at a time, and what is left over at
    an array's end one by one, by formulas that round otherwise. What a member learns would then depend on how many
    members are beside it.
    """
    more = -tf.shape(values)[0] % 16
    return tf.pad(values, [[0, more]] + [[0, 0]] * (values.shape.rank - 1))


def root(values: Any) -> Any:
    """Return the root of positive numbers, to be divided by.

    TensorFlow rewrites a division by a bare root as a product with rsqrt, which is one of the functions that
    :func:`pad_rows` tells of.
    """
    return tf.maximum(tf.sqrt(values), values.dtype.as_numpy_dtype(_TINY))


@tf.custom_gradient
def inverse_root(values: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return 1 / √x; its gradient is a product, as the gradient of a root rounds by where in the array a number is."""
    flat = 1 / root(pad_rows(tf.reshape(values, [-1])))
    output = tf.reshape(flat[: tf.size(values)], tf.shape(values))
    return output, lambda gradient: -0.5 * gradient * output * output * output


# TensorFlow's own gradients of products and sums first find out, in every step, along which axes it has broadcast.
@tf.custom_gradient
def _product(values: Any, kernel: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return values (members, n, inputs) times kernels (members, inputs, units)."""
    return tf.matmul(values, kernel), lambda gradient: _product_gradients(values, kernel, gradient)


@tf.custom_gradient
def _dense(values: Any, kernel: Any, bias: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return the product with biases (members, units) added."""

    def gradients(gradient: Any) -> tuple[Any, ...]:
        return *_product_gradients(values, kernel, gradient), tf.reduce_sum(gradient, 1)

    return tf.matmul(values, kernel) + bias[:, None], gradients


def _product_gradients(values: Any, kernel: Any, gradient: Any) -> tuple[Any, Any]:
    return tf.matmul(gradient, kernel, transpose_b=True), tf.matmul(values, gradient, transpose_a=True)


class StackedNetwork:
    """The networks of a stack as one function of their arrays.

    Args:
        stack: any with the structure; neither its members nor their widths count.
        constants: those of the experiments.
        dtype: number type.
    """

    def __init__(self, stack: Stack, constants: Constants, dtype: str) -> None:
        architecture = self._architecture = stack.padded
        make = _Maker(constants, dtype)
        self._embeddings = [make.layer(layer) for layer in architecture.embeddings]
        self._body = [make.layer(layer) for layer in architecture.body]
        self._heads = [(head.takes, make.layer(head.layer)) for head in architecture.heads]

    def forward(self, arrays: Arrays, inputs: Sequence[Any], noise: Noise | None = None) -> list[Any]:
        """Return each head's raw outputs (members, n, units).

        Args:
            arrays: of all members, and their numbers (:func:`member_numbers`); in training, running statistics are
                replaced in this mapping.
            inputs: (members, n, *shape), one a part.
            noise: of a training step; None: layers are in inference mode.
        """
        main = self._architecture.main_inputs(inputs)
        wide, taken = main[0], main[-1]
        if self._embeddings:
            vectors = [
                embed(arrays, codes, noise) for embed, codes in zip(self._embeddings, inputs[len(main) :], strict=True)
            ]
            taken = tf.concat([taken, *vectors], axis=-1)
        value = taken
        for apply in self._body:
            value = apply(arrays, value, noise)
        given = {"body": value, "input": taken}
        if any(takes == "wide and body" for takes, _ in self._heads):
            given["wide and body"] = tf.concat([wide, value], axis=-1)
        return [head(arrays, given[takes], noise) for takes, head in self._heads]


class _Maker:
    """Makes the function of each layer."""

    def __init__(self, constants: Constants, dtype: str) -> None:
        self._of_torch, self._dtype = constants == "aligned-torch", dtype

    def layer(self, layer: Layer) -> Apply:
        """Return the function, followed by the mask of what padding would change."""
        apply: Apply = getattr(self, f"_{layer.kind}")(layer)
        mask = f"{layer.name}/mask"
        if layer.settings.get("function") == "softmax":
            return lambda arrays, values, noise: apply(
                arrays, tf.where(arrays[mask], values, values.dtype.min) if mask in arrays else values, noise
            )

        def masked(arrays: Arrays, values: Any, noise: Noise | None) -> Any:
            given = apply(arrays, values, noise)
            return given * tf.cast(arrays[mask], given.dtype) if mask in arrays else given

        return masked

    def _dense(self, layer: Layer) -> Apply:
        kernel, bias = f"{layer.name}/kernel", f"{layer.name}/bias"
        if not layer.settings["bias"]:
            return lambda arrays, values, _: _product(values, arrays[kernel])
        return lambda arrays, values, _: _dense(values, arrays[kernel], arrays[bias])

    def _activation(self, layer: Layer) -> Apply:
        if layer.settings["function"] == "maxout":
            pieces = layer.settings["pieces"]

            def maxout(_arrays: Arrays, values: Any, _noise: Noise | None) -> Any:
                shape = tf.shape(values)
                return tf.reduce_max(tf.reshape(values, [shape[0], shape[1], -1, pieces]), axis=-1)

            return maxout
        function = make_activation(layer.settings, dtype=self._dtype)
        return lambda _arrays, values, _noise: function(values)

    def _flatten(self, _layer: Layer) -> Apply:
        return lambda _arrays, values, _noise: tf.reshape(values, [*tf.unstack(tf.shape(values)[:2]), -1])

    def _powers(self, layer: Layer) -> Apply:
        exponents = tuple(layer.settings["exponents"])
        return lambda _arrays, values, _noise: tf.concat([_power(values, exponent) for exponent in exponents], axis=-1)

    def _normalization(self, layer: Layer) -> Apply:
        def apply(arrays: Arrays, values: Any, _noise: Noise | None) -> Any:
            mean, variance = (
                tf.reshape(arrays[f"{layer.name}/{name}"], [tf.shape(values)[0], 1, -1])
                for name in ("mean", "variance")
            )
            return (values - mean) / tf.maximum(tf.sqrt(variance), EPSILON)

        return apply

    def _embedding(self, layer: Layer) -> Apply:
        def apply(arrays: Arrays, codes: Any, _noise: Noise | None) -> Any:
            return tf.gather(arrays[f"{layer.name}/embeddings"], tf.cast(codes[..., 0], tf.int32), batch_dims=1)

        return apply

    def _dropout(self, layer: Layer) -> Apply:
        def apply(arrays: Arrays, values: Any, noise: Noise | None) -> Any:
            if noise is None:
                return values
            kept = tf.cast(noise.uniform(values) >= arrays[f"{layer.name}/rate"], values.dtype)
            return values * (kept * arrays[f"{layer.name}/scale"])

        return apply

    def _alpha_dropout(self, layer: Layer) -> Apply:
        def apply(arrays: Arrays, values: Any, noise: Noise | None) -> Any:
            if noise is None:
                return values
            rate, scale, shift = (arrays[f"{layer.name}/{name}"] for name in ("rate", "scale", "shift"))
            kept = tf.where(noise.uniform(values) >= rate, values, tf.constant(_ALPHA, values.dtype))
            return kept * scale + shift

        return apply

    def _batch_normalization(self, layer: Layer) -> Apply:
        momentum, epsilon, unbiased = _BATCH_NORMALIZATION[self._of_torch]
        name = layer.name

        def apply(arrays: Any, values: Any, noise: Noise | None) -> Any:
            scale, shift = arrays[f"{name}/gamma"][:, None], arrays[f"{name}/beta"][:, None]
            running_mean, running_variance = arrays[f"{name}/moving_mean"], arrays[f"{name}/moving_variance"]
            if noise is None:
                mean, variance = running_mean[:, None], running_variance[:, None]
            else:
                mean = tf.reduce_mean(values, 1, keepdims=True)
                variance = tf.reduce_mean(tf.square(values - tf.stop_gradient(mean)), 1, keepdims=True)
                rows = tf.cast(tf.shape(values)[1], values.dtype)
                kept = variance[:, 0] * (rows / tf.maximum(rows - 1, 1) if unbiased else 1)
                arrays[f"{name}/moving_mean"] = running_mean + (mean[:, 0] - running_mean) * momentum
                arrays[f"{name}/moving_variance"] = running_variance + (kept - running_variance) * momentum
            return (values - mean) * inverse_root(variance + epsilon) * scale + shift

        return apply

    def _layer_normalization(self, layer: Layer) -> Apply:
        epsilon = _LAYER_NORMALIZATION[self._of_torch]

        def apply(arrays: Arrays, values: Any, _noise: Noise | None) -> Any:
            scale, shift = arrays[f"{layer.name}/gamma"][:, None], arrays[f"{layer.name}/beta"][:, None]
            units = arrays[f"{layer.name}/units"]
            own = tf.cast(tf.cast(tf.range(tf.shape(values)[-1]), values.dtype) < units, values.dtype)
            values *= own  # so that padding is given no gradient
            centred = (values - tf.reduce_sum(values, -1, keepdims=True) / units) * own
            variance = tf.reduce_sum(tf.square(centred), -1, keepdims=True) / units
            return centred * inverse_root(variance + epsilon) * scale + shift

        return apply


def _power(values: Any, exponent: int) -> Any:
    """Multiply out, which rounds alike everywhere."""
    product = tf.ones_like(values)
    for _ in range(exponent):
        product *= values
    return product
