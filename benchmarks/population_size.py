"""What training networks together costs as their number, the rows and the widths grow, against one after another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

BASE = (100, 10_000, 32)  # networks, rows, width
AXES: dict[str, tuple[int, ...]] = {
    "networks": (10, 100, 1_000, 10_000),
    "rows": (1_000, 10_000, 100_000, 1_000_000),
    "width": (8, 32, 128, 512),
}
HEADER = (
    "| framework | networks | rows | width | together, s/epoch | batches | memory, MB | one after another, s/epoch "
    "| ratio | settings go | replicates go |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Point:
    """One point: seconds of processor time of an epoch of all networks, the first epoch left out."""

    framework: str
    networks: int
    rows: int
    width: int
    together: float
    batches: int
    megabytes: float
    alone: float
    settings: bool  # are trained together, by the rule that the product follows
    replicates: bool  # the same of networks that share a program


def measure() -> list[Point]:
    """Measure each axis by itself around the base point, in both frameworks."""
    points = []
    for framework in ("keras", "torch"):
        for axis, values in enumerate(AXES.values()):
            for value in values:
                at = tuple(value if position == axis else size for position, size in enumerate(BASE))
                if at == BASE and axis:
                    continue
                together = _run(framework, "together", at)
                alone = _run(framework, "alone", (1, *at[1:]))
                points.append(
                    Point(
                        framework,
                        *at,
                        together["seconds"],
                        together["batches"],
                        together["memory"] / 1e6,
                        alone["seconds"] * at[0],
                        together["settings"],
                        together["replicates"],
                    )
                )
                print(row_text(points[-1]), flush=True)
    return points


def _run(framework: str, way: str, at: tuple[int, ...]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.population_worker", framework, way, *map(str, at)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-1500:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def row_text(point: Point) -> str:
    """Return a point's line of the table."""
    return (
        f"| {point.framework} | {point.networks:,} | {point.rows:,} | {point.width} | {point.together:.3g} "
        f"| {point.batches} | {point.megabytes:.0f} | {point.alone:.3g} | {point.alone / point.together:.2g}× "
        f"| {'together' if point.settings else 'alone'} | {'together' if point.replicates else 'alone'} |"
    ).replace(",", " ")
