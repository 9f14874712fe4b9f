"""Threads, determinism, versions and devices of TensorFlow."""

from __future__ import annotations

import logging

import keras
import tensorflow as tf

_at_once = 1  # batches


def set_up(threads: int, devices: int = 1, batches: int = 1) -> None:
    """Fix the number of threads of each device and switch deterministic operations on; before anything else."""
    global _at_once
    _at_once = batches
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads * devices * batches)
    if devices > 1 and device_names(devices)[0] == "CPU:0":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(0)
    tf.get_logger().addFilter(_is_worth_telling)


def _is_worth_telling(record: logging.LogRecord) -> bool:
    """Drop TensorFlow's warning of many traces: each network that is evaluated has a function of its own."""
    return "triggered tf.function retracing" not in record.getMessage()


def batches_at_once() -> int:
    """Return how many batches of networks are to be trained side by side: small operations gain little from threads."""
    return 1 if tf.config.list_physical_devices("GPU") else _at_once


def versions() -> dict[str, str]:
    """Return the versions of Keras and TensorFlow."""
    return {"keras": keras.__version__, "tensorflow": tf.__version__}


def device_names(devices: int) -> list[str]:
    """Return the names of the devices that train: GPUs if so many are visible, else logical devices of the CPU."""
    kind = "GPU" if len(tf.config.list_physical_devices("GPU")) >= devices else "CPU"
    return [f"{kind}:{number}" for number in range(devices)]


def device(devices: int = 1) -> str:
    """Return what computes, in words."""
    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) < devices:
        name = "CPU"
    else:
        name = str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))
    return name if devices == 1 else f"{devices} × {name} (MirroredStrategy)"


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that the device's memory did not suffice."""
    return isinstance(error, tf.errors.ResourceExhaustedError)
