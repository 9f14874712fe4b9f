"""The tutorials' grid of 750 trainings (H2) against scikeras with GridSearchCV, and Optuna with a plain loop."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search_quality import workspace

SETTINGS, FOLDS = 150, 5
DRAWN = {"scikeras": 13, "optuna": 13}  # the slow sides run each so many-th setting, scaled up
ROUNDS, SEEDS = 2, 9
LEAST, LEAST_R2, DRAWS = 100, 0.59, 10_000
HEADER = (
    "| side | trainings run | seconds for 750 | times as fast as scikeras | as Optuna | times the arithmetic limit "
    "| best mean R² |\n|---|---|---|---|---|---|---|"
)
_NAMES = {
    "keras": "Tandem, Keras",
    "torch": "Tandem, PyTorch",
    "scikeras": "scikeras + GridSearchCV",
    "optuna": "Optuna + `DataLoader` loop, 2 processes",
}


@dataclass(frozen=True)
class Side:
    """One side: seconds for all 750 trainings (scaled up where a part was run), and mean R² by setting."""

    name: str
    fits: int
    seconds: float
    scores: tuple[float | None, ...]
    operations: float = 0.0


@dataclass(frozen=True)
class Agreement:
    """How scikeras's scores, of a setting on a fold each, lie among those of our seeds.

    Attributes:
        inside: how many of them lie within the range of ours.
        scores: how many there are; what diverged there or in one of our seeds is left out.
        seeds: of ours.
        shift: median of how far a score of scikeras's lies above the mean of ours, in standard deviations between
            our seeds.
        low, high: its 95 % interval, by bootstrap over the settings.
    """

    inside: int
    scores: int
    seeds: int
    shift: float
    low: float
    high: float

    @property
    def expected(self) -> float:
        """The share inside, if both sides have the same distribution."""
        return 1 - 2 / (self.seeds + 1)

    @property
    def is_equal(self) -> bool:
        """Whether the shift is shown to be less than the spread between seeds."""
        return self.low > -1 and self.high < 1


@dataclass(frozen=True)
class Result:
    """All sides, and how far ours agree with scikeras."""

    sides: dict[str, Side]
    rate: float  # operations a second in large matrix products
    agreement: dict[str, Agreement]

    @property
    def reached(self) -> bool:
        """Both frameworks are at least so many times as fast, at scores within the spread between seeds."""
        slow = self.sides["scikeras"].seconds
        fast = all(slow / self.sides[name].seconds >= LEAST for name in ("keras", "torch"))
        best = all(max(filter(None, self.sides[name].scores)) >= LEAST_R2 for name in ("keras", "torch"))
        return fast and best and all(one.is_equal for one in self.agreement.values())


def measure() -> Result:
    """Run all sides; Tandem's take turns with parts of the others."""
    threads = os.cpu_count() or 1
    with workspace() as folder:
        timed: dict[str, list[dict[str, Any]]] = {"keras": [], "torch": []}
        slow = {}
        for number in range(ROUNDS):
            for name, found in timed.items():
                found.append(_run(name, folder, threads, 1))
                print(name, round(found[-1]["seconds"], 2), flush=True)
            for side in list(DRAWN)[number : number + 1]:
                slow[side] = _run(side, folder, threads, DRAWN[side])
                print(side, round(slow[side]["seconds"], 1), flush=True)
        agreement = {name: _agreement(name, folder, threads, slow["scikeras"]["folds"]) for name in timed}
    sides = {
        name: Side(
            name,
            SETTINGS * FOLDS,
            statistics.median(one["seconds"] for one in found),
            tuple(found[0]["scores"]),
            found[0]["operations"],
        )
        for name, found in timed.items()
    }
    for side, one in slow.items():
        sides[side] = Side(
            side, len(one["scores"]) * FOLDS, one["seconds"] * SETTINGS / len(one["scores"]), tuple(one["scores"])
        )
    return Result(sides, _product_rate(threads), agreement)


def _agreement(name: str, folder: Path, threads: int, scikeras: list[list[float | None]]) -> Agreement:
    every = DRAWN["scikeras"]
    own = np.array([_run(name, folder, threads, every, seed)["folds"] for seed in range(SEEDS)], dtype=float)
    slow = np.array(scikeras, dtype=float)
    known = np.isfinite(own).all(0) & np.isfinite(slow)
    inside = (own.min(0) <= slow) & (slow <= own.max(0)) & known
    shifts = np.where(known, (slow - own.mean(0)) / own.std(0, ddof=1), np.nan)
    settings = np.random.default_rng(0).integers(len(slow), size=(DRAWS, len(slow)))
    medians = np.nanmedian(shifts[settings].reshape(DRAWS, -1), axis=1)
    low, high = np.quantile(medians, (0.025, 0.975))
    return Agreement(int(inside.sum()), int(known.sum()), SEEDS, float(np.nanmedian(shifts)), float(low), float(high))


def _run(side: str, folder: Path, threads: int, every: int, seed: int = 0) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.search_speed_worker",
        side,
        str(folder),
        str(threads),
        str(every),
        str(seed),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "3"}
    if side == "optuna":
        environment["OMP_NUM_THREADS"] = "1"
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        hint = "; `pip install -e .[bench]` installs scikeras" if "scikeras" in done.stderr else ""
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-1500:]}{hint}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _product_rate(threads: int) -> float:
    """Return floating-point operations a second in products of 1 024 × 1 024 matrices, the best of several."""
    code = (
        f"import torch, time; torch.set_num_threads({threads}); a = torch.rand(1024, 1024); b = a @ a; best = 9e9\n"
        "for _ in range(30):\n"
        "    t = time.perf_counter(); torch.mm(a, a, out=b); best = min(best, time.perf_counter() - t)\n"
        "print(2 * 1024**3 / best)"
    )
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def row_text(result: Result, name: str) -> str:
    """Return a side's line of the table."""
    side = result.sides[name]
    own = name in ("keras", "torch")
    ratios = [f"{result.sides[other].seconds / side.seconds:.0f}×" if own else "—" for other in ("scikeras", "optuna")]
    limit = f"{side.seconds / (side.operations / result.rate):.1f}×" if own else "—"
    known = [score for score in side.scores if score is not None]
    best = f"{max(known):.4f}" if own else f"{max(known):.4f} of those run"
    return f"| {_NAMES[name]} | {side.fits} | {side.seconds:.1f} | {ratios[0]} | {ratios[1]} | {limit} | {best} |"
