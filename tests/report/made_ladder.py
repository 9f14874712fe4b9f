"""A made-up parity ladder: two dense layers of arrays, which the frameworks differ in by a little noise."""

from __future__ import annotations

import numpy as np

from tandem.parity.compare import Climbed, compare_climbs
from tandem.parity.records import DTYPES, RUNGS, UNITS, LadderRecord, ParityRecord, Rung

LAYERS = ("dense_1", "output")
SHAPES = {"kernel": (4, 3), "bias": (3,)}


def names_of(rung: Rung) -> list[str]:
    """Return the arrays of a rung, in order."""
    if rung == "outputs":
        return list(LAYERS)
    arrays = [f"{layer}/{name}" for layer in LAYERS for name in SHAPES]
    return [*arrays, *{"weights": [], "gradients": ["loss"]}.get(rung, ["outputs/output"])]


def made_climb(
    experiment: str, framework: str, constants: str = "aligned", noise: float = 1.0, amplification: float = 4.0
) -> Climbed:
    """Return a climb.

    Args:
        experiment, framework, constants: named in the record.
        noise: how far the arrays are from those of no noise, in units in the last place.
        amplification: of every rung.
    """
    side = {}
    for dtype in DTYPES:
        for rung in RUNGS:
            exact, apart = np.random.default_rng(3), np.random.default_rng(4)
            for name in names_of(rung):
                shape = SHAPES.get(name.partition("/")[2], (5, 3) if name != "loss" else ())
                unit = 0.0 if rung == "weights" else noise * float(np.finfo(dtype).eps)
                values = exact.normal(size=shape) + 2
                side[f"{dtype}/{rung}/{name}"] = (values * (1 + unit * apart.uniform(0.5, 1, shape))).astype(dtype)
    record = ParityRecord(
        experiment=experiment,
        framework=framework,
        constants=constants,
        batch_size=32,
        rows=320,
        stilled=(),
        differences=("initial weights: its own",) if constants == "native" else (),
        rounding={dtype: dict.fromkeys(RUNGS[1:], amplification * UNITS[dtype]) for dtype in DTYPES},
        undetermined={},
    )
    return Climbed(record, side)


def made_ladder(experiment: str, frameworks: tuple[str, ...], constants: str = "aligned") -> LadderRecord:
    """Return the ladder of some frameworks, with NumPy as the witness unless it is among them."""
    witness = "" if "numpy" in frameworks else "numpy"
    names = [*frameworks, *([witness] if witness else [])]
    climbs = [made_climb(experiment, name, constants, noise=2.0 * place) for place, name in enumerate(names)]
    return compare_climbs(climbs, witness)
