"""Networks as PyTorch modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tandem.frameworks.torch.layers import build_layer, layer_arrays
from tandem.frameworks.torch.layers.array import Array
from tandem.frameworks.torch.setup import best_device
from tandem.models import Architecture, Constants, Layer, initial_weights
from tandem.records import LayerSummary, ModelSummary

# What `constants: native` leaves different from the other framework, by what a declaration uses.
NATIVE_DIFFERENCES = {
    "initial_weights": "initial weights: dense kernels and biases uniform, U(±1/√inputs)",
    "batch_normalization": "batch normalisation: momentum 0.1 (0.9 in Keras's terms), epsilon 1e-5, "
    "unbiased running variance",
    "layer_normalization": "layer normalisation: epsilon 1e-5",
    "lstm": "LSTM: everything uniform, U(±1/√units); one bias, the sum of PyTorch's two",
    "gru": "GRU: everything uniform, U(±1/√units)",
    "embedding": "embedding: rows normal, N(0, 1)",
    "adam": "Adam: epsilon 1e-8, after the bias correction",
    "rmsprop": "RMSprop: epsilon 1e-8, outside the root",
    "momentum": "momentum: the step takes the learning rate, not the velocity",
}


class TandemNetwork(nn.Module):
    """A sequential or Wide & Deep network; gives one tensor of raw numbers a head."""

    def __init__(self, architecture: Architecture, constants: Constants) -> None:
        super().__init__()
        self.architecture = architecture
        self.body = nn.ModuleDict({layer.name: build_layer(layer, constants) for layer in architecture.body})
        self.heads = nn.ModuleDict({head.layer.name: build_layer(head.layer, constants) for head in architecture.heads})
        self.embeddings = nn.ModuleDict(
            {layer.name: build_layer(layer, constants) for layer in architecture.embeddings}
        )
        self._stack = tuple(self.body.values())
        self._embeddings = tuple(self.embeddings.values())
        self._outputs = tuple((head.takes, self.heads[head.layer.name]) for head in architecture.heads)

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        """Map (features,) or (wide, deep), then the codes of each embedding, to the heads' outputs, each (n, units)."""
        main = self.architecture.main_inputs(inputs)
        wide, body_input = main[0], main[-1]
        if self._embeddings:
            vectors = [embed(codes)[:, 0] for embed, codes in zip(self._embeddings, inputs[len(main) :], strict=True)]
            body_input = torch.cat([body_input, *vectors], dim=1)
        body = body_input
        for module in self._stack:
            body = module(body)
        return [
            head(body if takes == "body" else body_input if takes == "input" else torch.cat([wide, body], dim=1))
            for takes, head in self._outputs
        ]

    def module_of(self, layer: Layer) -> nn.Module:
        """Return the module of a layer."""
        held = next(held for held in (self.embeddings, self.body, self.heads) if layer.name in held)
        return held[layer.name]


def build(architecture: Architecture, *, seed: int, constants: Constants, dtype: str = "float32") -> TandemNetwork:
    """Build a module on the best device there is."""
    torch.manual_seed(seed)
    network = TandemNetwork(architecture, constants).to(best_device(), getattr(torch, dtype))
    if constants != "native":
        load_weights(network, initial_weights(architecture, seed, constants))
    return network


def named_arrays(network: TandemNetwork) -> dict[str, Array]:
    """Return all arrays by "layer/parameter" (Keras's names), in order."""
    found: dict[str, Array] = {}
    for layer in network.architecture.layers:
        arrays = layer_arrays(layer, network.module_of(layer))
        found |= {f"{layer.name}/{parameter.name}": arrays[parameter.name] for parameter in layer.parameters}
    return found


def weights(network: TandemNetwork) -> dict[str, np.ndarray]:
    """Return copies of all arrays by "layer/parameter", in Keras's layout."""
    return {name: array.read() for name, array in named_arrays(network).items()}


def load_weights(network: TandemNetwork, arrays: Mapping[str, np.ndarray]) -> None:
    """Take arrays by "layer/parameter", in Keras's layout."""
    for name, array in named_arrays(network).items():
        array.write(np.asarray(arrays[name]))


def input_tensors(network: TandemNetwork, features: np.ndarray) -> list[Tensor]:
    """Return the network's inputs on its device."""
    device = device_of(network)
    return [torch.from_numpy(part).to(device) for part in network.architecture.inputs(np.asarray(features))]


def device_of(network: TandemNetwork) -> torch.device:
    """Return where the network's arrays lie."""
    first = next(network.parameters(), None)
    return best_device() if first is None else first.device


def layer_outputs(network: TandemNetwork, features: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each layer gives, by name in order, layers in inference mode."""
    network.eval()
    with torch.no_grad():
        found = _forward_noting(network, input_tensors(network, features))
    return {name: output.cpu().numpy() for name, output in found.items()}


def _forward_noting(network: TandemNetwork, inputs: list[Tensor]) -> dict[str, Tensor]:
    """Run the network; return each module's output by name."""
    outputs: dict[str, Tensor] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda _module, _inputs, output: outputs.__setitem__(name, output)

    named = [*network.embeddings.items(), *network.body.items(), *network.heads.items()]
    hooks = [module.register_forward_hook(note(name)) for name, module in named]
    try:
        network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return outputs


def summarize(network: TandemNetwork) -> ModelSummary:
    """Return PyTorch's modules with their output shapes and parameter counts (running statistics included)."""
    first = next(network.parameters())
    sample = np.zeros((1, *network.architecture.input_shape))
    network.eval()
    with torch.no_grad():
        outputs = _forward_noting(network, [part.to(first) for part in input_tensors(network, sample)])
    rows = tuple(
        LayerSummary(
            name=name,
            kind=type(module).__name__,
            output_shape=tuple(outputs[name].shape[1:]),
            parameters=sum(tensor.numel() for tensor in module.state_dict().values()),
            trainable=sum(tensor.numel() for tensor in module.parameters() if tensor.requires_grad),
        )
        for name, module in [*network.embeddings.items(), *network.body.items(), *network.heads.items()]
    )
    return ModelSummary(
        layers=rows,
        parameters=sum(row.parameters for row in rows),
        trainable=sum(row.trainable for row in rows),
    )
