"""Runs the contract in each framework; `python tests/frameworks/comparing.py` prints how far they part."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from contract import FRAMEWORKS, Case, cases

FOLDER = Path(__file__).parent
# What is compared, by the beginning of its key: number type, then what.
STEPS = ("one step", "totals", "ten steps")
RUNGS = ("output", "layer", "loss", "gradient", *STEPS)


@dataclass(frozen=True, repr=False)
class Side:
    """What one framework computed: arrays by case and key, and the names in its tables."""

    arrays: Mapping[str, Mapping[str, np.ndarray]]
    tables: Mapping[str, list[str]]

    def of(self, case: str, what: str) -> dict[str, np.ndarray]:
        """Return a case's arrays whose keys begin with ``what``, by the rest of the key."""
        found = self.arrays[case]
        return {key.removeprefix(what).strip(): array for key, array in found.items() if key.startswith(what)}


def run_contract(folder: Path) -> dict[str, Side]:
    """Run every case in every framework, each in a process of its own, one after the other."""
    environment = dict(os.environ) | {"PYTHONPATH": str(FOLDER.parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
    sides = {}
    for framework in FRAMEWORKS:
        file = folder / f"{framework}.npz"
        command = [sys.executable, str(FOLDER / "contract_worker.py"), framework, str(file)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(done.stderr[-4000:])
        sides[framework] = read_side(file)
    return sides


def read_side(file: Path) -> Side:
    """Read what a worker wrote: all numbers in one vector, and an index of them."""
    with np.load(file, allow_pickle=False) as held:
        values, index = held["values"], json.loads(str(held["index"]))
    arrays: dict[str, dict[str, np.ndarray]] = {}
    start = 0
    for case, key, shape in index["arrays"]:
        size = math.prod(shape)
        arrays.setdefault(case, {})[key] = values[start : start + size].reshape(shape)
        start += size
    return Side(arrays, index["tables"])


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference relative to the largest number of both; infinite for other shapes or no numbers."""
    if one.shape != other.shape or not (np.isfinite(one).all() and np.isfinite(other).all()):
        return float("inf")
    largest = max(np.abs(one).max(initial=0.0), np.abs(other).max(initial=0.0))
    return float(np.abs(one.astype(np.float64) - other).max(initial=0.0) / largest) if largest else 0.0


def differences(sides: Mapping[str, Side], case: Case, dtype: str, rung: str) -> Iterator[tuple[str, str, float]]:
    """Yield (framework, array, difference to the first framework) for what a case's frameworks computed on a rung."""
    if dtype not in case.dtypes or (rung in STEPS and case.random):
        return  # each framework draws its own random numbers
    if rung in STEPS and case.steps < (1 if rung == "one step" else 10):
        return
    first, *others = case.frameworks
    reference = sides[first].of(case.name, f"{dtype} {rung}")
    assert reference or rung == "gradient", f"{case.name} has no {rung}"
    for framework in others:
        found = sides[framework].of(case.name, f"{dtype} {rung}")
        assert found.keys() == reference.keys(), f"{case.name}: {framework} has other arrays than {first} on {rung!r}"
        for key, array in reference.items():
            yield framework, key, difference(array, found[key])


def main() -> None:
    """Print the largest difference of each group of cases on each rung."""
    with tempfile.TemporaryDirectory() as folder:
        sides = run_contract(Path(folder))
    columns = [("float64", rung) for rung in RUNGS] + [("float32", "output"), ("float32", "one step")]
    print("| " + " | ".join(["", *(f"{dtype}: {rung}" for dtype, rung in columns)]) + " |")
    print("|" + "---|" * (1 + len(columns)))
    groups: dict[str, dict[tuple[str, str], list[float]]] = {}
    for case in cases().values():
        group = groups.setdefault(case.name.split("/")[0], {column: [] for column in columns})
        for column in columns:
            group[column] += [value for _, _, value in differences(sides, case, *column)]
    for name, group in groups.items():
        cells = [f"{max(values):.0e}" if values else "" for values in group.values()]
        print("| " + " | ".join([name, *cells]) + " |")


if __name__ == "__main__":
    main()
