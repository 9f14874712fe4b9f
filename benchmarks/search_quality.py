"""What strategies find at an equal budget of trained epochs, against random draws; and what ten draws give (H3)."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np

from tandem.statistics import seed_interval

SEEDS, DRAW_SEEDS = 10, 5
BUDGET, EPOCHS = 800, 20  # trained epochs in all, and of a training at most
STRATEGIES = ("random", "tpe", "genetic", "halving", "hyperband", "controller")
EXPERIMENT, DATASET = "housing-mlp", "housing"
_SPACE = {
    "model.sequential.0.dense.repeat": {"integer": [1, 4]},
    "model.sequential.0.dense.units": {"integer": [1, 99]},
    "optimizer.learning_rate": {"log_uniform": [1e-4, 1e-2]},
}
_COMMON = {"description": "a benchmark", "experiment": EXPERIMENT, "space": _SPACE, "metric": "mse"}
HEADER = (
    "| strategy | lowest validation MSE found, mean over seeds | minus random's, same seed | test MSE | settings tried "
    "| trained epochs |\n|---|---|---|---|---|---|"
)
DRAWS_HEADER = "| framework | test MSE of the winner, by search seed | median | at most 0.38 |\n|---|---|---|---|"


@dataclass(frozen=True)
class Searched:
    """What a strategy found, one value a seed."""

    strategy: str
    best: tuple[float, ...]
    test: tuple[float, ...]
    trials: tuple[int, ...]
    epochs: tuple[int, ...]


@contextmanager
def workspace() -> Iterator[Path]:
    """Yield a folder with the data set as the stages leave it; TANDEM_DATA spares the download."""
    repository = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copyfile(repository / "params.yaml", folder / "params.yaml")
        environment = {**os.environ, "PYTHONPATH": str(repository)}
        for stage in ("fetch", "split", "standardize"):
            subprocess.run([sys.executable, "-m", f"stages.{stage}", DATASET], cwd=folder, env=environment, check=True)
        yield folder


def compare_strategies() -> list[Searched]:
    """Run every strategy with every seed in PyTorch."""
    declared = {
        "budget": {"epochs": BUDGET},
        "epochs": EPOCHS,
        "protocol": {"method": "holdout"},
    }
    rows = []
    with workspace() as folder:
        for strategy in STRATEGIES:
            found = _run("torch", folder, SEEDS, {**_COMMON, **declared, "strategy": strategy})
            rows.append(
                Searched(
                    strategy,
                    *(tuple(one[fact] for one in found) for fact in ("best", "test", "trials", "epochs")),
                )
            )
            print(row_text(rows[-1], rows[0]), flush=True)
    return rows


def draw_ten() -> dict[str, tuple[float, ...]]:
    """Return, by framework, the test errors of ten draws' winner, one a search seed (H3)."""
    declared = {
        **_COMMON,
        "strategy": "random",
        "budget": {"trials": 10},
        "protocol": {"method": "k-fold", "folds": 3},
        "epochs": 100,
    }
    rows = {}
    with workspace() as folder:
        for framework in ("keras", "torch"):
            rows[framework] = tuple(one["test"] for one in _run(framework, folder, DRAW_SEEDS, declared))
            print(draws_text(framework, rows[framework]), flush=True)
    return rows


def _run(framework: str, folder: Path, seeds: int, search: dict[str, Any]) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks.search_quality_worker", framework, str(folder), str(seeds)]
    done = subprocess.run(command, input=json.dumps(search), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")
    found: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def row_text(row: Searched, random: Searched) -> str:
    """Return a strategy's line of the table."""
    differences = np.subtract(row.best, random.best)
    against = "—" if row is random else _with_interval(differences)
    return (
        f"| {row.strategy} | {_with_interval(row.best)} | {against} | {statistics.fmean(row.test):.4f} "
        f"| {statistics.fmean(row.trials):.0f} | {statistics.fmean(row.epochs):.0f} |"
    )


def draws_text(framework: str, errors: Sequence[float]) -> str:
    """Return a framework's line of the table."""
    shown = ", ".join(f"{error:.3f}" for error in errors)
    median = statistics.median(errors)
    return f"| {framework} | {shown} | {median:.3f} | {'yes' if median <= 0.38 else '**no**'} |"


def _with_interval(values: Sequence[float] | np.ndarray) -> str:
    interval = seed_interval(list(values))
    mean = statistics.fmean(values)
    return f"{mean:.4f}" if interval is None else f"{mean:.4f} ({interval.low:.4f} to {interval.high:.4f})"
