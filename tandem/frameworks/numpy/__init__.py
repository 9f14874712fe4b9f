"""Plain NumPy: dense networks with the backward pass written by hand; slow, short and the witness of the others."""

from __future__ import annotations

from tandem.frameworks.numpy.fit import gradients, predict, trainer
from tandem.frameworks.numpy.network import (
    NATIVE_DIFFERENCES,
    build,
    layer_outputs,
    load_weights,
    summarize,
    weights,
)
from tandem.frameworks.numpy.population import STACK_COSTS, populate
from tandem.frameworks.numpy.save import EXPORTS, load, save
from tandem.frameworks.numpy.setup import batches_at_once, device, is_out_of_memory, set_up, versions

NAME = "numpy"

__all__ = [
    "EXPORTS", "NAME", "NATIVE_DIFFERENCES", "STACK_COSTS", "batches_at_once", "build", "device", "gradients",
    "is_out_of_memory", "layer_outputs", "load", "load_weights", "populate", "predict", "save", "set_up", "summarize",
    "trainer", "versions", "weights",
]  # fmt: skip
