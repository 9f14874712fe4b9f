"""Seconds per training epoch against each framework's usual loop."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.training_worker import CASES

ROUNDS = 3
# One system of the tutorials for each network and way of training → epochs a round, of which the first is left out.
SYSTEMS = {
    "fashion-mlp": 3, "fashion-deep-relu": 3, "fashion-deep-normalization-after": 3, "fashion-deep-selu": 3,
    "fashion-deep-selu-alpha-dropout": 3, "fashion-dropout-adam": 3,
    "housing-mlp": 5, "housing-wide-deep-functional": 5, "housing-wide-deep-one-input": 5,
    "housing-wide-deep-pass-through": 5, "housing-wide-deep": 5, "housing-wide-deep-two-outputs": 5,
    "five-rule": 8, "coffee-long": 3, "parabola": 30, "fifteen-columns-three-hidden-layers": 8,
    "digits-batches-of-16": 8, "shoppers-wide-deep": 8, "rank-vectors": 8, "rank-series-lstm": 8,
    "rank-series-gru": 8, "rank-images": 8, "rank-video": 8,
}  # fmt: skip
LEAST = {("M1", "keras"): 2.0, ("M11", "keras"): 2.0, ("M1", "torch"): 1.2, ("M11", "torch"): 2.0}
ALTERNATIVES = {"keras": "`fit` with defaults", "torch": "a `DataLoader` loop"}
_LOSS_TOLERANCE = 0.05  # both sides shuffle, each in its own order


@dataclass(frozen=True)
class Measured:
    """One row of the table: medians over rounds and epochs, the first epoch of each round left out."""

    case: str
    framework: str
    threads: int
    plain_seconds: float
    tandem_seconds: float
    plain_loss: float
    tandem_loss: float
    genuine: bool

    @property
    def ratio(self) -> float:
        """How many times as fast Tandem's epoch is."""
        return self.plain_seconds / self.tandem_seconds

    @property
    def equal(self) -> bool:
        """Both sides end at the same training loss, within what shuffling changes."""
        return abs(self.plain_loss - self.tandem_loss) <= _LOSS_TOLERANCE * self.plain_loss


def measure() -> list[Measured]:
    """Run every case in both frameworks, the sides in turn, with one thread and with all cores."""
    rows = []
    for threads in sorted({1, os.cpu_count() or 1}):
        for case in CASES:
            for framework in ("keras", "torch"):
                rounds = [
                    {side: _run(case, framework, side, threads) for side in ("plain", "tandem")} for _ in range(ROUNDS)
                ]
                rows.append(_median(case, framework, threads, rounds))
                print(row_text(rows[-1]), flush=True)
    return rows


def measure_systems(names: Sequence[str], rounds: int = 2) -> list[Measured]:
    """Run systems of the tutorials in both frameworks, the sides in turn, with the threads that they declare."""
    rows = []
    for name in names:
        for framework in ("keras", "torch"):
            measured = [
                {side: _run(name, framework, side, 1, SYSTEMS[name]) for side in ("plain", "tandem")}
                for _ in range(rounds)
            ]
            rows.append(_median(name, framework, 1, measured))
            print(system_text(rows[-1]), flush=True)
    return rows


@dataclass(frozen=True)
class Streamed:
    """Seconds per epoch of rows in memory and of streamed ones, medians as in :class:`Measured`."""

    case: str
    framework: str
    memory_seconds: float
    streamed_seconds: float
    equal: bool  # the training losses of all epochs, to the last bit
    genuine: bool


def measure_streaming() -> list[Streamed]:
    """Run every case in both frameworks with one thread, from memory and streamed in turn."""
    rows = []
    for case in CASES:
        for framework in ("keras", "torch"):
            rounds = [{side: _run(case, framework, side, 1) for side in ("tandem", "streamed")} for _ in range(ROUNDS)]
            memory, streamed = (
                statistics.median(second for measured in rounds for second in measured[side]["seconds"][1:])
                for side in ("tandem", "streamed")
            )
            equal = all(measured["tandem"]["losses"] == measured["streamed"]["losses"] for measured in rounds)
            rows.append(Streamed(case, framework, memory, streamed, equal, rounds[0]["tandem"]["genuine"]))
            print(streamed_text(rows[-1]), flush=True)
    return rows


def streamed_text(row: Streamed) -> str:
    """Return a row of the Markdown table of streamed input."""
    return (
        f"| {row.case} | {row.framework} | {row.memory_seconds:.4f} | {row.streamed_seconds:.4f} | "
        f"{row.streamed_seconds / row.memory_seconds:.2f}× | {'yes' if row.equal else '**no**'} |"
    )


def _run(case: str, framework: str, side: str, threads: int, epochs: int | None = None) -> dict:
    command = [sys.executable, "-m", "benchmarks.training_worker", case, framework, side, str(threads)]
    command += [] if epochs is None else [str(epochs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _median(case: str, framework: str, threads: int, rounds: list[dict]) -> Measured:
    def seconds(side: str) -> float:
        return statistics.median(second for measured in rounds for second in measured[side]["seconds"][1:])

    def loss(side: str) -> float:
        return statistics.median(measured[side]["losses"][-1] for measured in rounds)

    return Measured(
        case, framework, threads, seconds("plain"), seconds("tandem"), loss("plain"), loss("tandem"),
        rounds[0]["plain"]["genuine"],
    )  # fmt: skip


def row_text(row: Measured) -> str:
    """Return a row of the Markdown table."""
    least = LEAST[row.case, row.framework]
    verdict = "yes" if row.ratio >= least and row.equal else "**no**"
    return (
        f"| {row.case} | {row.framework} | {row.threads} | {ALTERNATIVES[row.framework]} | {row.plain_seconds:.3f} | "
        f"{row.tandem_seconds:.4f} | {row.ratio:.1f}× | {least:g}× | {verdict} | "
        f"{row.plain_loss:.4f} / {row.tandem_loss:.4f} |"
    )


def system_text(row: Measured) -> str:
    """Return a row of the Markdown table of the tutorials' systems."""
    slower = "no" if row.ratio >= 1 else "**yes**"
    return (
        f"| `{row.case}` | {row.framework} | {row.plain_seconds:.4f} | {row.tandem_seconds:.4f} | {row.ratio:.1f}× | "
        f"{slower} |"
    )


SYSTEMS_HEADER = (
    "| experiment | framework | plain code, s/epoch | Tandem, s/epoch | ratio | slower |\n|---|---|---|---|---|---|"
)
STREAMED_HEADER = (
    "| case | framework | memory, s/epoch | streamed, s/epoch | takes | equal losses |\n|---|---|---|---|---|---|"
)
HEADER = (
    "| case | framework | threads | against | its s/epoch | Tandem's s/epoch | ratio | at least | reached | "
    "training loss after the last epoch |\n|---|---|---|---|---|---|---|---|---|---|"
)
