"""Threads, determinism, versions and devices of TensorFlow."""

from __future__ import annotations

import logging

import keras
import tensorflow as tf


def set_up(threads: int) -> None:
    """Fix the number of threads and switch deterministic operations on; before anything else."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(0)
    tf.get_logger().addFilter(_is_worth_telling)


def _is_worth_telling(record: logging.LogRecord) -> bool:
    """Drop TensorFlow's warning of many traces: each network that is evaluated has a function of its own."""
    return "triggered tf.function retracing" not in record.getMessage()


def versions() -> dict[str, str]:
    """Return the versions of Keras and TensorFlow."""
    return {"keras": keras.__version__, "tensorflow": tf.__version__}


def device() -> str:
    """Return what computes, in words."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU"
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that the device's memory did not suffice."""
    return isinstance(error, tf.errors.ResourceExhaustedError)
