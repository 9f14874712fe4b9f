"""What the parity ladder hands on: one framework's arrays, and the differences of two."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from tandem.errors import DataError
from tandem.records import Number, Record

Dtype = Literal["float64", "float32"]
Rung = Literal["weights", "outputs", "gradients", "one_step", "ten_steps"]
Reason = Literal["", "constants", "rounding", "not_finite", "unexplained"]
DTYPES: tuple[Dtype, ...] = ("float64", "float32")
RUNGS: tuple[Rung, ...] = ("weights", "outputs", "gradients", "one_step", "ten_steps")
STEPS = 10
UNITS: Mapping[Dtype, float] = {"float64": 2.0**-52, "float32": 2.0**-23}  # in the last place, relative

Side = Mapping[str, np.ndarray]  # by "dtype/rung/array"; arrays are "layer/parameter", "layer" (outputs) or "loss"


class ParityRecord(Record):
    """How one framework climbed.

    Attributes:
        batch_size: rows of the largest batch.
        rows: different training rows in all batches.
        stilled: layers that would draw random numbers, and did not.
        differences: of the framework's own constants, in words; only if constants are native.
        rounding: what one unit in the last place, added to or taken from each initial weight, comes to: the
            largest relative change of a few tries.
        undetermined: arrays that the training leaves to rounding: that unit changes them altogether, and the
            outputs not at all (a bias before batch normalisation, whose gradient is zero but for rounding).
    """

    experiment: str
    framework: str
    constants: str
    batch_size: int
    rows: int
    stilled: tuple[str, ...]
    differences: tuple[str, ...]
    rounding: dict[Dtype, dict[Rung, Number]]
    undetermined: dict[Rung, tuple[str, ...]]


class LayerDifference(Record):
    """How far two frameworks lie apart in one layer."""

    layer: str
    difference: Number  # None: not finite in one of the two


class RungRecord(Record):
    """One rung in one number type.

    Attributes:
        difference: the largest of all arrays, relative to the largest magnitude in the layer; None: not finite.
        array: where it is: "layer/parameter", or "layer" for outputs.
        tolerance: what the difference may be; 0: equal bit for bit.
        parted: the first layer, in the order of computation, that is beyond the tolerance; empty: none.
        layers: every layer's largest difference, from input to output.
        rounding: what a change of each initial weight by one unit in the last place comes to here.
        undetermined: arrays left out, see :class:`ParityRecord`.
        reason: why the rung is not reached; empty: it is.
    """

    rung: Rung
    dtype: Dtype
    difference: Number
    array: str
    tolerance: float
    reached: bool
    parted: str
    layers: tuple[LayerDifference, ...]
    rounding: Number
    undetermined: tuple[str, ...]
    reason: Reason


class PairRecord(Record):
    """The ladder of two frameworks."""

    first: str
    second: str
    differences: tuple[tuple[str, ...], tuple[str, ...]]  # of their own constants, in words; only if native
    rungs: tuple[RungRecord, ...]


class LadderRecord(Record):
    """The parity ladder of one experiment: each framework against the first."""

    experiment: str
    constants: str
    frameworks: tuple[str, ...]  # those of the plan
    witness: str  # the framework that was asked besides; empty: none
    unwitnessed: str  # why there is no witness; empty: there is, or the plan names it
    batch_size: int
    rows: int
    stilled: tuple[str, ...]
    pairs: tuple[PairRecord, ...]


def save_side(path: Path, side: Side) -> None:
    """Write one framework's arrays as an ``.npz`` archive, the same bytes for the same arrays."""
    np.savez(path, allow_pickle=False, **side)


def load_side(path: Path) -> dict[str, np.ndarray]:
    """Read what :func:`save_side` wrote.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except FileNotFoundError:
        raise DataError(f"{path}: missing; run `dvc repro` to make it") from None
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: damaged ({error}); delete it and run `dvc repro`") from None
