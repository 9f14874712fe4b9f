"""Networks as PyTorch modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tandem.frameworks import Constants
from tandem.frameworks.torch.setup import best_device
from tandem.models import Architecture, Layer, initial_weights
from tandem.records import LayerSummary, ModelSummary

# What `constants: native` leaves different from the other framework, by what a declaration uses.
NATIVE_DIFFERENCES = {
    "initial_weights": "initial weights: dense kernels and biases uniform, U(±1/√inputs)",
    "batch_normalization": "batch normalisation: momentum 0.1 (0.9 in Keras's terms), epsilon 1e-5, "
    "unbiased running variance",
    "adam": "Adam: epsilon 1e-8, after the bias correction",
    "rmsprop": "RMSprop: epsilon 1e-8, outside the root",
    "momentum": "momentum: the step takes the learning rate, not the velocity",
}

# Keras's constants of batch normalisation, in PyTorch's terms.
_KERAS_MOMENTUM, _KERAS_EPSILON = 0.01, 1e-3
_TORCH_MOMENTUM, _TORCH_EPSILON = 0.1, 1e-5
_TENSORFLOW_ROOT_HALF = float(np.float32(0.5**0.5))

_ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}
# Keras's names of parameters → PyTorch's.
_TORCH_NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


class KerasGelu(nn.Module):
    """GELU as TensorFlow computes it: with √½ rounded to float32, in float64 too."""

    def forward(self, values: Tensor) -> Tensor:
        """Return x Φ(x)."""
        return 0.5 * values * (1.0 + torch.erf(values * _TENSORFLOW_ROOT_HALF))


class BatchNormalization(nn.Module):
    """Batch normalisation over rows, with the constants of either framework.

    ``nn.BatchNorm1d`` keeps the unbiased variance of each batch and refuses a batch of one row; Keras keeps
    the biased one and takes any batch.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, features: int, *, momentum: float, epsilon: float, unbiased: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        self.momentum, self.epsilon, self.unbiased = momentum, epsilon, unbiased

    def forward(self, rows: Tensor) -> Tensor:
        """Normalise rows (n, features)."""
        if not self.training:
            return torch.batch_norm(
                rows,
                self.weight,
                self.bias,
                self.running_mean,
                self.running_var,
                False,
                0.0,
                self.epsilon,
                False,
            )
        with torch.no_grad():
            correction = 1 if self.unbiased and len(rows) > 1 else 0
            variance, mean = torch.var_mean(rows, dim=0, correction=correction)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
        return torch.batch_norm(rows, self.weight, self.bias, None, None, True, 0.0, self.epsilon, False)


class TandemNetwork(nn.Module):
    """A sequential or Wide & Deep network; gives one tensor of raw numbers a head."""

    def __init__(self, architecture: Architecture, constants: Constants) -> None:
        super().__init__()
        self.architecture = architecture
        self.body = nn.ModuleDict({layer.name: _module(layer, constants) for layer in architecture.body})
        self.heads = nn.ModuleDict({layer.name: _module(layer, constants) for _, layer in architecture.heads})
        self._stack = tuple(self.body.values())
        self._joint = tuple(
            (architecture.is_wide_deep and name == "joint", self.heads[layer.name])
            for name, layer in architecture.heads
        )

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        """Map (features,) or (wide, deep) to the heads' outputs, each (n, units)."""
        wide = body = inputs[0]
        if len(inputs) == 2:
            body = inputs[1]
        for module in self._stack:
            body = module(body)
        return [head(torch.cat([wide, body], dim=1) if joint else body) for joint, head in self._joint]

    def module_of(self, layer: Layer) -> nn.Module:
        """Return the module of a layer."""
        return self.body[layer.name] if layer.name in self.body else self.heads[layer.name]


def build(architecture: Architecture, *, seed: int, constants: Constants, dtype: str = "float32") -> TandemNetwork:
    """Build a module on the best device there is."""
    torch.manual_seed(seed)
    network = TandemNetwork(architecture, constants).to(best_device(), getattr(torch, dtype))
    if constants == "aligned":
        load_weights(network, initial_weights(architecture, seed))
    return network


def _module(layer: Layer, constants: Constants) -> nn.Module:
    if layer.kind == "dense":
        return nn.Linear(layer.input_shape[-1], layer.output_shape[-1])
    if layer.kind == "activation" and layer.function == "gelu" and constants == "aligned":
        return KerasGelu()
    if layer.kind == "activation":
        return _ACTIVATIONS[layer.function]()
    if layer.kind == "flatten":
        return nn.Flatten()
    if layer.kind == "dropout":
        return nn.Dropout(layer.rate)
    if layer.kind == "alpha_dropout":
        return nn.AlphaDropout(layer.rate)
    aligned = constants == "aligned"
    return BatchNormalization(
        layer.input_shape[-1],
        momentum=_KERAS_MOMENTUM if aligned else _TORCH_MOMENTUM,
        epsilon=_KERAS_EPSILON if aligned else _TORCH_EPSILON,
        unbiased=not aligned,
    )


def _tensors(network: TandemNetwork) -> dict[str, Tensor]:
    """Return PyTorch's tensors by "layer/parameter" (Keras's names, PyTorch's layout)."""
    found = {}
    for layer in network.architecture.layers:
        module = network.module_of(layer)
        for parameter in layer.parameters:
            found[f"{layer.name}/{parameter.name}"] = getattr(module, _TORCH_NAMES[parameter.name])
    return found


def weights(network: TandemNetwork) -> dict[str, np.ndarray]:
    """Return copies of all arrays by "layer/parameter", in Keras's layout."""
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in _tensors(network).items()}
    return {name: np.array(array.T if name.endswith("/kernel") else array) for name, array in arrays.items()}


def load_weights(network: TandemNetwork, arrays: Mapping[str, np.ndarray]) -> None:
    """Take arrays by "layer/parameter", in Keras's layout; dense kernels are transposed."""
    with torch.no_grad():
        for name, tensor in _tensors(network).items():
            array = np.asarray(arrays[name])
            array = array.T if name.endswith("/kernel") else array
            tensor.copy_(torch.from_numpy(np.ascontiguousarray(array)))


def summarize(network: TandemNetwork) -> ModelSummary:
    """Return PyTorch's modules with their output shapes and parameter counts (running statistics included)."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda _module, _inputs, output: shapes.__setitem__(name, tuple(output.shape[1:]))

    named = [*network.body.items(), *network.heads.items()]
    hooks = [module.register_forward_hook(note(name)) for name, module in named]
    try:
        first = next(network.parameters())
        sample = np.zeros((1, *network.architecture.input_shape))
        network.eval()
        with torch.no_grad():
            network(*(torch.as_tensor(part).to(first) for part in network.architecture.inputs(sample)))
    finally:
        for hook in hooks:
            hook.remove()
    rows = tuple(
        LayerSummary(
            name=name,
            kind=type(module).__name__,
            output_shape=shapes[name],
            parameters=sum(tensor.numel() for tensor in (*module.parameters(), *module.buffers())),
            trainable=sum(tensor.numel() for tensor in module.parameters()),
        )
        for name, module in named
    )
    return ModelSummary(
        layers=rows,
        parameters=sum(row.parameters for row in rows),
        trainable=sum(row.trainable for row in rows),
    )
