"""``batch_size: auto``: the largest power of two whose training step fits the device's memory.

On a CPU it is computed: a stated share of the memory that the process may use, over the bytes that a row takes in a
step. All memory counts, not what happens to be free, so that one machine always gives the same size, to every
framework. On a GPU a step is tried, and the size halved while memory runs out. Either way results depend on the
machine.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from tandem.augmentation import draw_transforms
from tandem.config import Experiment
from tandem.datasets.source import Rows
from tandem.errors import TandemError
from tandem.frameworks import Framework
from tandem.models import Architecture, parameter_names

LARGEST = 2**16  # above it a step gains nothing and training takes too few of them
SHARE = 1 / 8  # of the memory; the rest is for the data set, the libraries' own buffers and other trainings
_PARAMETER_COPIES = 4  # the arrays, their gradients, and up to two of the optimiser's
_RESAMPLING_COPIES = 16  # places, weights and neighbours of each pixel of augmented images
_NO_LIMIT = 2**60  # control groups, version 1: a number near 2**63 says "no limit"


def choose_batch_size(framework: Framework, architecture: Architecture, experiment: Experiment, rows: Rows) -> int:
    """Return the declared batch size, or for ``auto`` the largest that fits, at most the training rows.

    Args:
        framework: which trains, set up.
        architecture: the network.
        experiment: its settings.
        rows: to train on, scaled.

    Raises:
        TandemError: not even one row fits.
    """
    declared = experiment.training.batch_size
    if declared != "auto":
        return declared
    highest = power_of_two(min(len(rows), LARGEST))
    if framework.device() != "CPU":
        return try_batch_sizes(framework, architecture, experiment, rows, highest)
    augmented = experiment.training.augmentation is not None
    itemsize = np.asarray(rows.features[:0]).dtype.itemsize
    free = int(usable_memory() * SHARE) - _PARAMETER_COPIES * itemsize * _parameters(architecture)
    fitting = free // (itemsize * numbers_in_a_step(architecture, augmented=augmented))
    if fitting < 1:
        raise TandemError(
            f"batch_size: auto: a step on one row does not fit {SHARE:.3g} of the memory of this machine; "
            "declare a smaller network, or a number"
        )
    return min(highest, power_of_two(fitting))


def power_of_two(at_most: int) -> int:
    """Return the largest power of two that is not above a positive number."""
    return 1 << (at_most.bit_length() - 1)


def numbers_in_a_step(architecture: Architecture, *, augmented: bool) -> int:
    """Return how many numbers a row takes in a step: inputs, and each layer's outputs with their gradients."""
    inputs = sum(math.prod(part.shape) for part in architecture.parts)
    outputs = sum(math.prod(layer.output_shape) for layer in architecture.layers)
    return inputs * (_RESAMPLING_COPIES if augmented else 1) + 2 * outputs


def try_batch_sizes(
    framework: Framework, architecture: Architecture, experiment: Experiment, rows: Rows, highest: int
) -> int:
    """Halve the batch size until a training step does not run out of memory; return it.

    Raises:
        TandemError: not even a step on one row fits.
    """
    size = highest
    while size:
        if _fits(framework, architecture, experiment, rows, size):
            return size
        gc.collect()  # what the failed step held
        size //= 2
    raise TandemError(
        f"batch_size: auto: a step on one row does not fit the memory of {framework.device()}; "
        "declare a smaller network"
    )


def _fits(framework: Framework, architecture: Architecture, experiment: Experiment, rows: Rows, size: int) -> bool:
    augmentation = experiment.training.augmentation
    transforms = None if augmentation is None else draw_transforms(augmentation, size, 0)
    try:
        network = framework.build(architecture, seed=0, constants=experiment.constants)
        trainer = framework.trainer(network, rows, experiment.optimizer, constants=experiment.constants)
        trainer.train_epoch(np.arange(size, dtype=np.int32), size, np.array([0.0]), 0, transforms)
    except Exception as error:
        if not framework.is_out_of_memory(error):
            raise
        return False
    return True


def _parameters(architecture: Architecture) -> int:
    return sum(math.prod(parameter.shape) for _, parameter in parameter_names(architecture))


def usable_memory(root: Path = Path("/")) -> int:
    """Return the bytes of memory that this process may use: the machine's, or the least that its control groups allow.

    ``root`` is where /proc and /sys are looked for; https://docs.kernel.org/admin-guide/cgroup-v2.html.
    """
    return min([psutil.virtual_memory().total, *_group_limits(root)])


def _group_limits(root: Path) -> Iterator[int]:
    """Yield the memory limits of the control groups that this process is in, versions 1 and 2."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / controllers
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        # A container often sees its own group as the topmost one, while /proc names the path outside.
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            text = _read(folder / name).strip()
            if text.isdigit() and int(text) < _NO_LIMIT:
                yield int(text)
            if folder == top:
                break


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
