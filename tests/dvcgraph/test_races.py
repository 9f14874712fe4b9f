"""Five runs at once share two pretended GPUs: never two stages on one, and none idle while a stage waits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from dvc_project import Project

RUNS = 5
STAGES = 8  # of each run; none depends on another, so that all wait from the start
SECONDS = 0.4  # that each stage takes
DEVICES = ("gpu:0", "gpu:1")
IDLE_SECONDS = 1.0  # that a device may be idle while a stage waits for it
LOADED_SECONDS = 1.5  # that noting the end of a stage and starting a shell may take on a loaded machine of two cores


@dataclass(frozen=True)
class Use:
    """A stage on its device, in seconds since the epoch, as the stage itself wrote them down."""

    run: str
    stage: str
    device: str
    begin: float
    end: float


@pytest.mark.slow
def test_five_runs_on_two_devices(project: Project, tmp_path: Path) -> None:
    command = (
        "begin=$(date +%s.%N) && sleep {seconds} && "
        "echo $WORKSPACE {name} $CUDA_VISIBLE_DEVICES $begin $(date +%s.%N) >> $LEDGER && echo {name} > {name}"
    )
    stages = "".join(
        f"  s{i}: {{cmd: {command.format(name=f's{i}', seconds=SECONDS)!r}, outs: [s{i}], meta: {{device: gpu}}}}\n"
        for i in range(STAGES)
    )
    project.write("dvc.yaml", f"stages:\n{stages}")
    workspaces = [project.twin(f"run-{number}") for number in range(RUNS)]
    shared = {
        "LEDGER": str(tmp_path / "ledger"),
        "TANDEM_DEVICES": ",".join(DEVICES),
        "TANDEM_LEASES": str(tmp_path / "leases"),
    }
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "dvcgraph", "repro", "-j", "2"],
            cwd=workspace.path, env=os.environ | shared | {"WORKSPACE": workspace.path.name},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for workspace in workspaces
    ]  # fmt: skip
    outputs = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0] * RUNS, "\n".join(outputs)
    uses = read(tmp_path / "ledger")
    assert {(use.run, use.stage) for use in uses} == {(f"run-{i}", f"s{j}") for i in range(RUNS) for j in range(STAGES)}
    assert len(uses) == RUNS * STAGES
    assert {use.device for use in uses} == {name.removeprefix("gpu:") for name in DEVICES}
    assert double_uses(uses) == []
    assert [idle for idle in idle_seconds(uses) if idle > IDLE_SECONDS + LOADED_SECONDS] == []


def read(ledger: Path) -> list[Use]:
    lines = [line.split() for line in ledger.read_text(encoding="utf-8").splitlines()]
    return [Use(run, stage, device, float(begin), float(end)) for run, stage, device, begin, end in lines]


def double_uses(uses: Sequence[Use]) -> list[tuple[Use, Use]]:
    """Return pairs of stages that had one device at the same time."""
    return [
        (one, two) for of_device in by_device(uses).values() for one, two in pairwise(of_device) if two.begin < one.end
    ]


def idle_seconds(uses: Sequence[Use]) -> list[float]:
    """Return how long a device was idle, each time, while a stage waited.

    From its first stage to its last, a run has stages that wait for any device: a device that is free
    between the first stage of a run and the begin of a later one could have been used by it.
    """
    starts = {use.run: min(other.begin for other in uses if other.run == use.run) for use in uses}
    idle = []
    for of_device in by_device(uses).values():
        for number, use in enumerate(of_device):
            following = of_device[number + 1].begin if number + 1 < len(of_device) else float("inf")
            waited_until = [other.begin for other in uses if starts[other.run] <= use.end < other.begin]
            if waited_until:
                idle.append(min(following, max(waited_until)) - use.end)
    return idle


def by_device(uses: Sequence[Use]) -> dict[str, list[Use]]:
    devices: dict[str, list[Use]] = defaultdict(list)
    for use in sorted(uses, key=lambda use: use.begin):
        devices[use.device].append(use)
    return devices


def test_the_evaluation_finds_what_is_wrong() -> None:
    """A device used twice, and one that is idle while a stage waits for the other."""
    right = [
        Use("a", "s0", "0", 0, 1),
        Use("a", "s1", "1", 0, 1),
        Use("b", "s0", "0", 1.1, 2),
        Use("a", "s2", "1", 1.2, 2),
    ]
    assert double_uses(right) == []
    assert max(idle_seconds(right)) == pytest.approx(0.2)
    twice = [*right, Use("b", "s1", "1", 1.9, 3)]
    assert len(double_uses(twice)) == 1
    idle = [Use("a", "s0", "0", 0, 1), Use("a", "s1", "1", 0, 9), Use("a", "s2", "1", 9.1, 10)]
    assert max(idle_seconds(idle)) == pytest.approx(8.1)
