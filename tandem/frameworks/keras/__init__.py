"""Keras on TensorFlow."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # counts only before the first import
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # oneDNN's choice of kernels varies between machines
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

from tandem.frameworks.keras.quiet import held_back_stderr

with held_back_stderr():
    import tensorflow  # noqa: F401  (for its first words alone, which are held back here)

from tandem.frameworks.keras.fit import gradients, predict, trainer
from tandem.frameworks.keras.network import (
    NATIVE_DIFFERENCES,
    build,
    layer_outputs,
    load_weights,
    summarize,
    weights,
)
from tandem.frameworks.keras.population import STACK_COSTS, populate
from tandem.frameworks.keras.save import EXPORTS, load, save
from tandem.frameworks.keras.setup import batches_at_once, device, is_out_of_memory, set_up, versions

NAME = "keras"

__all__ = [
    "EXPORTS", "NAME", "NATIVE_DIFFERENCES", "STACK_COSTS", "batches_at_once", "build", "device", "gradients",
    "is_out_of_memory", "layer_outputs", "load", "load_weights", "populate", "predict", "save", "set_up", "summarize",
    "trainer", "versions", "weights",
]  # fmt: skip
