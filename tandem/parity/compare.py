"""How far two frameworks agree, rung by rung."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tandem.errors import DataError
from tandem.parity.records import (
    DTYPES,
    RUNGS,
    Dtype,
    LadderRecord,
    LayerDifference,
    PairRecord,
    ParityRecord,
    Reason,
    Rung,
    RungRecord,
    Side,
)
from tandem.records import Number

# What two orders of the same arithmetic may differ by, relative to the largest magnitude in a layer.
TOLERANCES: Mapping[Dtype, Mapping[Rung, float]] = {
    "float64": {"weights": 0.0, "outputs": 1e-12, "gradients": 1e-12, "one_step": 1e-12, "ten_steps": 1e-12},
    "float32": {"weights": 0.0, "outputs": 1e-5, "gradients": 1e-5, "one_step": 1e-5, "ten_steps": 1e-4},
}
# A difference is no more than rounding if it is within so many times what one unit in the last place of each initial
# weight comes to: every operation rounds, not the weights alone.
_ROUNDINGS = 100.0
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Climbed:
    """What a framework handed on."""

    record: ParityRecord
    side: Side

    def arrays(self, dtype: Dtype, rung: Rung) -> Arrays:
        """Return one rung's arrays by name."""
        prefix = f"{dtype}/{rung}/"
        return {name.removeprefix(prefix): array for name, array in self.side.items() if name.startswith(prefix)}


def compare_pair(first: Climbed, second: Climbed) -> PairRecord:
    """Compare two frameworks on every rung.

    Raises:
        DataError: they climbed with different networks.
    """
    return PairRecord(
        first=first.record.framework,
        second=second.record.framework,
        differences=(first.record.differences, second.record.differences),
        rungs=tuple(_compare_rung(first, second, dtype, rung) for rung in RUNGS for dtype in DTYPES),
    )


def compare_climbs(climbs: Sequence[Climbed], witness: str = "", unwitnessed: str = "") -> LadderRecord:
    """Compare each framework with the first.

    Args:
        climbs: of all frameworks in the plan's order; the witness, if there is one, last.
        witness: name of the framework that was asked besides those of the plan.
        unwitnessed: why there is none, where one would be wanted.

    Raises:
        DataError: they climbed with different networks or batches.
    """
    first = climbs[0].record
    return LadderRecord(
        experiment=first.experiment,
        constants=first.constants,
        frameworks=tuple(climbed.record.framework for climbed in climbs if climbed.record.framework != witness),
        witness=witness,
        unwitnessed=unwitnessed,
        batch_size=first.batch_size,
        rows=first.rows,
        stilled=first.stilled,
        pairs=tuple(compare_pair(climbs[0], other) for other in climbs[1:]),
    )


def _compare_rung(first: Climbed, second: Climbed, dtype: Dtype, rung: Rung) -> RungRecord:
    one, two = first.arrays(dtype, rung), second.arrays(dtype, rung)
    shapes = [{name: array.shape for name, array in arrays.items()} for arrays in (one, two)]
    if shapes[0] != shapes[1] or not one:
        names = " and ".join(climbed.record.framework for climbed in (first, second))
        raise DataError(
            f"parity/{first.record.experiment}: {names} climbed with different networks; "
            f"run `dvc repro --force` on their parity stages"
        )
    undetermined = first.record.undetermined.get(rung, ())
    apart = {name: value for name, value in differences(one, two).items() if name not in undetermined}
    order = list(first.arrays(dtype, "outputs"))
    layers = tuple(
        LayerDifference(layer=layer, difference=_largest(found)[1])
        for layer in order
        if (found := {name: value for name, value in apart.items() if layer_of(name) == layer})
    )
    array, difference = _largest(apart)
    tolerance = TOLERANCES[dtype][rung]
    reached = difference is not None and difference <= tolerance
    rounding = first.record.rounding[dtype].get(rung)
    return RungRecord(
        rung=rung,
        dtype=dtype,
        difference=difference,
        array=array,
        tolerance=tolerance,
        reached=reached,
        parted=_parted(layers, rung, tolerance),
        layers=layers,
        rounding=rounding,
        undetermined=undetermined,
        reason="" if reached else _reason(first.record, rung, difference, rounding),
    )


def layer_of(array: str) -> str:
    """Return the layer of an array's name; "loss" and "outputs" for those that belong to none."""
    return array.partition("/")[0]


def differences(one: Side, two: Side) -> dict[str, Number]:
    """Return each array's largest difference, relative to the largest magnitude in its layer's arrays.

    A bias and a running mean are added to what the layer's other arrays scale: an error in them counts as these do.

    Args:
        one, two: arrays of the same names and shapes.

    Returns:
        By name; None where a number is not finite.
    """
    scales: dict[str, float] = {}
    for name in one:
        scales[layer_of(name)] = max(scales.get(layer_of(name), 0.0), magnitude(one[name]), magnitude(two[name]))
    return {name: _relative(array, two[name], scales[layer_of(name)]) for name, array in one.items()}


def magnitude(array: np.ndarray) -> float:
    """Return the largest magnitude in an array; 0 where it holds no finite number."""
    sizes = np.abs(np.asarray(array, dtype=np.float64))
    return float(sizes.max(initial=0.0, where=np.isfinite(sizes)))


def _relative(one: np.ndarray, two: np.ndarray, scale: float) -> Number:
    first, second = np.asarray(one, dtype=np.float64), np.asarray(two, dtype=np.float64)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return None
    apart = float(np.abs(first - second).max(initial=0.0))
    return apart / scale if apart else 0.0


def _largest(apart: Mapping[str, Number]) -> tuple[str, Number]:
    """Return the name and value of the largest difference; one that is not finite is larger than any."""
    name = max(apart, key=lambda name: float("inf") if (value := apart[name]) is None else value)
    return name, apart[name]


def _parted(layers: tuple[LayerDifference, ...], rung: Rung, tolerance: float) -> str:
    """Return the first layer beyond the tolerance; gradients, and the steps that follow them, come from the output."""
    ordered = layers[::-1] if rung in ("gradients", "one_step", "ten_steps") else layers
    beyond = (found.layer for found in ordered if found.difference is None or found.difference > tolerance)
    return next(beyond, "")


def _reason(record: ParityRecord, rung: Rung, difference: Number, rounding: Number) -> Reason:
    if difference is None:
        return "not_finite"
    if rung != "weights" and rounding is not None and difference <= _ROUNDINGS * rounding:
        return "rounding"
    return "constants" if record.constants == "native" else "unexplained"
