"""Layers of many networks at once: values and arrays with a leading model axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from tandem.frameworks.torch.population.functions import activation
from tandem.layers import Layer
from tandem.layers.normalization import EPSILON
from tandem.models import Constants
from tandem.population.stack import Stack

Arrays = Mapping[str, Tensor]  # by "layer/parameter", each (members, *shape)
Apply = Callable[[Arrays, Tensor, "Noise | None"], Tensor]

# Momentum, epsilon and whether the running variance is the unbiased one: Keras's constants, and PyTorch's.
_BATCH_NORMALIZATION = {True: (0.01, 1e-3, False), False: (0.1, 1e-5, True)}
_LAYER_NORMALIZATION = {True: 1e-3, False: 1e-5}
# What alpha dropout sets a unit to (Klambauer et al., 2017): -λα of selu.
_ALPHA = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


class Noise:
    """Random numbers of the layers in one epoch: a stream for each distinct seed, in the order in which layers ask.

    Members with the same seed share their stream, as they would draw the same numbers when trained alone; what a
    member draws does not depend on the members beside it.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        distinct = sorted(set(seeds))
        self._generators = [torch.Generator(device).manual_seed(seed) for seed in distinct]
        self._of_member = torch.tensor([distinct.index(seed) for seed in seeds], device=device)

    def uniform(self, like: Tensor) -> Tensor:
        """Return numbers in [0, 1) of the shape of values (members, n, units)."""
        drawn = [
            torch.rand(like.shape[1:], generator=generator, dtype=like.dtype, device=like.device)
            for generator in self._generators
        ]
        return torch.stack(drawn).index_select(0, self._of_member)


class StackedNetwork:
    """The networks of a stack as one function of their arrays."""

    def __init__(self, stack: Stack, constants: Constants, device: torch.device, dtype: torch.dtype) -> None:
        architecture = self.architecture = stack.padded
        make = _Maker(stack, constants, device, dtype)
        self._embeddings = [make.layer(layer) for layer in architecture.embeddings]
        self._body = [make.layer(layer) for layer in architecture.body]
        self._heads = [(head.takes, make.layer(head.layer)) for head in architecture.heads]

    def forward(self, arrays: Arrays, inputs: Sequence[Tensor], noise: Noise | None = None) -> list[Tensor]:
        """Return each head's raw outputs (members, n, units).

        Args:
            arrays: of all members; running statistics are changed in place if there is noise.
            inputs: (members, n, *shape), one a part.
            noise: of a training step; None: layers are in inference mode.
        """
        main = self.architecture.main_inputs(inputs)
        wide, taken = main[0], main[-1]
        if self._embeddings:
            vectors = [
                embed(arrays, codes, noise) for embed, codes in zip(self._embeddings, inputs[len(main) :], strict=True)
            ]
            taken = torch.cat([taken, *vectors], dim=-1)
        value = taken
        for apply in self._body:
            value = apply(arrays, value, noise)
        given = {"body": value, "input": taken}
        if any(takes == "wide and body" for takes, _ in self._heads):
            given["wide and body"] = torch.cat([wide, value], dim=-1)
        return [head(arrays, given[takes], noise) for takes, head in self._heads]


class _Maker:
    """Makes the function of each layer of a stack."""

    def __init__(self, stack: Stack, constants: Constants, device: torch.device, dtype: torch.dtype) -> None:
        self._stack, self._constants, self._device, self._dtype = stack, constants, device, dtype

    def layer(self, layer: Layer) -> Apply:
        """Return the function, followed by the mask of what padding would change."""
        apply: Apply = getattr(self, f"_{layer.kind}")(layer)
        mask = self._stack.mask(layer.name)
        if mask is None:
            return apply
        own = torch.from_numpy(mask).to(self._device)[:, None]
        if layer.settings.get("function") == "softmax":
            return lambda arrays, values, noise: apply(arrays, values.masked_fill(~own, -torch.inf), noise)
        kept = own.to(self._dtype)
        return lambda arrays, values, noise: apply(arrays, values, noise) * kept

    def _per_member(self, layer: Layer, setting: str) -> Tensor:
        found = torch.from_numpy(self._stack.per_member(layer.name, setting))
        return found.to(self._device, self._dtype)[:, None, None]

    def _dense(self, layer: Layer) -> Apply:
        kernel, bias = f"{layer.name}/kernel", f"{layer.name}/bias"
        if not layer.settings["bias"]:
            return lambda arrays, values, _: torch.bmm(values, arrays[kernel])
        return lambda arrays, values, _: torch.baddbmm(arrays[bias][:, None], values, arrays[kernel])

    def _activation(self, layer: Layer) -> Apply:
        function = activation(layer, self._constants)
        return lambda _arrays, values, _noise: function(values)

    def _flatten(self, _layer: Layer) -> Apply:
        return lambda _arrays, values, _noise: values.flatten(2)

    def _powers(self, layer: Layer) -> Apply:
        exponents = tuple(layer.settings["exponents"])

        def apply(_arrays: Arrays, values: Tensor, _noise: Noise | None) -> Tensor:
            products = [torch.stack([values] * exponent).prod(0) for exponent in exponents]
            return torch.cat(products, dim=-1)

        return apply

    def _normalization(self, layer: Layer) -> Apply:
        def apply(arrays: Arrays, values: Tensor, _noise: Noise | None) -> Tensor:
            mean, variance = arrays[f"{layer.name}/mean"], arrays[f"{layer.name}/variance"]
            shape = (len(mean), 1, -1)
            return (values - mean.reshape(shape)) / variance.reshape(shape).sqrt().clamp(min=EPSILON)

        return apply

    def _embedding(self, layer: Layer) -> Apply:
        def apply(arrays: Arrays, codes: Tensor, _noise: Noise | None) -> Tensor:
            rows = arrays[f"{layer.name}/embeddings"]
            chosen = codes.long().expand(-1, -1, rows.shape[-1])  # (members, n, 1) before
            return rows.gather(1, chosen)

        return apply

    def _dropout(self, layer: Layer) -> Apply:
        rate = self._per_member(layer, "rate")

        def apply(_arrays: Arrays, values: Tensor, noise: Noise | None) -> Tensor:
            return values if noise is None else values * (noise.uniform(values) >= rate) / (1 - rate)

        return apply

    def _alpha_dropout(self, layer: Layer) -> Apply:
        rate = self._per_member(layer, "rate")
        scale = ((1 - rate) * (1 + rate * _ALPHA**2)) ** -0.5
        shift = -scale * _ALPHA * rate

        def apply(_arrays: Arrays, values: Tensor, noise: Noise | None) -> Tensor:
            if noise is None:
                return values
            return torch.where(noise.uniform(values) >= rate, values, _ALPHA) * scale + shift

        return apply

    def _batch_normalization(self, layer: Layer) -> Apply:
        momentum, epsilon, unbiased = _BATCH_NORMALIZATION[self._constants == "aligned"]
        name = layer.name

        def apply(arrays: Arrays, values: Tensor, noise: Noise | None) -> Tensor:
            scale, shift = arrays[f"{name}/gamma"][:, None], arrays[f"{name}/beta"][:, None]
            running_mean, running_variance = arrays[f"{name}/moving_mean"], arrays[f"{name}/moving_variance"]
            if noise is None:
                mean, variance = running_mean[:, None], running_variance[:, None]
            else:
                mean, variance = values.mean(1, keepdim=True), values.var(1, correction=0, keepdim=True)
                rows = values.shape[1]
                kept = variance.detach()[:, 0] * (rows / max(rows - 1, 1) if unbiased else 1)
                running_mean.lerp_(mean.detach()[:, 0], momentum)
                running_variance.lerp_(kept, momentum)
            return (values - mean) * torch.rsqrt(variance + epsilon) * scale + shift

        return apply

    def _layer_normalization(self, layer: Layer) -> Apply:
        epsilon = _LAYER_NORMALIZATION[self._constants == "aligned"]
        units = torch.from_numpy(self._stack.units(layer.name)).to(self._device, self._dtype)[:, None, None]
        own = torch.arange(layer.output_shape[-1], device=self._device) < units

        def apply(arrays: Arrays, values: Tensor, _noise: Noise | None) -> Tensor:
            scale, shift = arrays[f"{layer.name}/gamma"][:, None], arrays[f"{layer.name}/beta"][:, None]
            centred = (values - values.sum(-1, keepdim=True) / units) * own
            variance = centred.square().sum(-1, keepdim=True) / units
            return centred * torch.rsqrt(variance + epsilon) * scale + shift

        return apply
