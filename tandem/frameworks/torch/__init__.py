"""PyTorch."""

from __future__ import annotations

import os

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic matrix products on GPUs
os.environ.setdefault("MKL_CBWR", "AUTO")  # products do not round by where in memory their matrices lie

from tandem.frameworks.torch.fit import gradients, predict, trainer
from tandem.frameworks.torch.network import (
    NATIVE_DIFFERENCES,
    build,
    layer_outputs,
    load_weights,
    summarize,
    weights,
)
from tandem.frameworks.torch.population import STACK_COSTS, populate
from tandem.frameworks.torch.save import EXPORTS, load, save
from tandem.frameworks.torch.setup import batches_at_once, device, is_out_of_memory, set_up, versions

NAME = "torch"

__all__ = [
    "EXPORTS", "NAME", "NATIVE_DIFFERENCES", "STACK_COSTS", "batches_at_once", "build", "device", "gradients",
    "is_out_of_memory", "layer_outputs", "load", "load_weights", "populate", "predict", "save", "set_up", "summarize",
    "trainer", "versions", "weights",
]  # fmt: skip
