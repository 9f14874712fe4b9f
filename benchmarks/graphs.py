"""Scratch projects for the measurements of the runner: the same commands for DVC, Snakemake and make."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.hermetic import REPOSITORY, hermetic_environment

LAYERS = 5
_TIMED = {"timings", "logs", "reports"}  # hold or depend on wall-clock times; see docs/tests.md


class UnequalError(AssertionError):
    """The two sides of a ratio did not come to the same result."""


@dataclass(frozen=True)
class Job:
    """A trivial stage: one file written together from others."""

    name: str
    inputs: tuple[str, ...]
    output: str

    @property
    def command(self) -> str:
        """Return the shell command, the same for every program."""
        return f"cat {' '.join(self.inputs)} > {self.output}"


@dataclass(frozen=True)
class Scratch:
    """A folder with an environment of its own."""

    path: Path
    environment: Mapping[str, str]

    def seconds(self, *command: str, **more: str) -> float:
        """Run a command that must succeed; return its wall time."""
        start = time.perf_counter()
        self.run(*command, **more)
        return time.perf_counter() - start

    def run(self, *command: str, **more: str) -> str:
        """Run a command that must succeed; return its output."""
        done = subprocess.run(
            command, cwd=self.path, env={**self.environment, **more}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} in {self.path}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def module(self, name: str, *arguments: str) -> tuple[str, ...]:
        """Return the command line of ``python -m``."""
        return (sys.executable, "-m", name, *arguments)

    def lock(self) -> Any:
        """Return what dvc.lock holds."""
        return YAML(typ="safe").load(self.path / "dvc.lock")

    def require_clean(self) -> None:
        """Raise if ``dvc status`` finds anything to do.

        Raises:
            UnequalError: it does.
        """
        status = self.run(*self.module("dvc", "status"))
        if "up to date" not in status:
            raise UnequalError(f"dvc status in {self.path}: {status[-2000:]}")


def require_equal(ours: Scratch, theirs: Scratch, *, timed: bool = False) -> None:
    """Raise unless both have the same dvc.lock, as data, and nothing to do.

    Args:
        ours: the runner's project.
        theirs: DVC's.
        timed: leave out what holds wall-clock times.

    Raises:
        UnequalError: they differ.
    """
    locks = [_untimed(side.lock()) if timed else side.lock() for side in (ours, theirs)]
    if locks[0] != locks[1]:
        names = [name for name in locks[1]["stages"] if locks[0]["stages"].get(name) != locks[1]["stages"][name]]
        raise UnequalError(f"dvc.lock differs from DVC's in {len(names)} stages, such as {names[:3]}")
    for side in (ours, theirs):
        side.require_clean()


def _untimed(lock: dict[str, Any]) -> dict[str, Any]:
    def kept(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [part for part in parts if part["path"].split("/")[0] not in _TIMED]

    stages = {
        name: entry | {kind: kept(entry[kind]) for kind in ("deps", "outs") if kind in entry}
        for name, entry in lock["stages"].items()
    }
    return lock | {"stages": stages}


def layered_jobs(count: int) -> list[Job]:
    """Return ``count`` jobs in LAYERS layers; each reads one job of the layer before, and a file of its own."""
    width = count // LAYERS
    jobs = []
    for layer in range(LAYERS):
        for number in range(width):
            before = [f"out/{layer - 1}-{number}"] if layer else []
            jobs.append(Job(f"s{layer}-{number}", (*before, f"in/{layer}-{number}"), f"out/{layer}-{number}"))
    return jobs


def changed_inputs(count: int) -> list[str]:
    """Return a tenth as many inputs as there are jobs, of the last layer: each changes one job only."""
    return [f"in/{LAYERS - 1}-{number}" for number in range(count // 10)]


def scratch(path: Path) -> Scratch:
    """Make a folder with an environment of its own."""
    path.mkdir(parents=True)
    return Scratch(path, hermetic_environment(path.with_name(f"{path.name}-home")))


def write_inputs(project: Scratch, jobs: Sequence[Job]) -> None:
    """Write the files that no job makes."""
    (project.path / "in").mkdir()
    (project.path / "out").mkdir()
    for job in jobs:
        for name in job.inputs:
            if name.startswith("in/"):
                (project.path / name).write_text(f"{name}\n", encoding="utf-8")


def dvc_project(path: Path, jobs: Sequence[Job]) -> Scratch:
    """Make a git and DVC project of the jobs."""
    stages = {job.name: {"cmd": job.command, "deps": list(job.inputs), "outs": [job.output]} for job in jobs}
    project = empty_dvc_project(path, stages)
    write_inputs(project, jobs)
    return project


def empty_dvc_project(path: Path, stages: Mapping[str, Any]) -> Scratch:
    """Make a git and DVC project of stages as dvc.yaml declares them."""
    project = scratch(path)
    project.run("git", "init", "-q")
    project.run(*project.module("dvc", "init", "-q"))
    with (path / "dvc.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump({"stages": dict(stages)}, file)
    return project


def clone(path: Path) -> Scratch:
    """Clone this repository; Python then imports the clone's packages."""
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(REPOSITORY), str(path)], check=True)
    home = path.with_name(f"{path.name}-home")
    return Scratch(path, hermetic_environment(home) | {"PYTHONPATH": str(path), "PREFECT_HOME": str(home / "prefect")})


def make_project(path: Path, jobs: Sequence[Job]) -> Scratch:
    """Make a folder with a Makefile of the jobs."""
    project = scratch(path)
    write_inputs(project, jobs)
    rules = [f"{job.output}: {' '.join(job.inputs)}\n\t{job.command}\n" for job in jobs]
    everything = " ".join(job.output for job in jobs)
    (path / "Makefile").write_text(f"all: {everything}\n\n" + "\n".join(rules), encoding="utf-8")
    return project


def snakemake_project(path: Path, jobs: Sequence[Job]) -> Scratch:
    """Make a folder with a Snakefile of the jobs."""
    project = scratch(path)
    write_inputs(project, jobs)
    (path / "Snakefile").write_text("\n".join(_snakemake_rules(jobs)), encoding="utf-8")
    return project


def _snakemake_rules(jobs: Sequence[Job]) -> Iterator[str]:
    yield f"rule all:\n    input: {', '.join(repr(job.output) for job in jobs)}\n"
    for job in jobs:
        inputs = ", ".join(repr(name) for name in job.inputs)
        name = job.name.replace("-", "_")
        yield f"rule {name}:\n    input: {inputs}\n    output: {job.output!r}\n    shell: {job.command!r}\n"


def install_snakemake(folder: Path) -> tuple[Path | None, str]:
    """Install Snakemake into an environment of its own.

    Returns:
        The program and its version, or nothing and why it cannot be had.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(folder / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "snakemake"],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            return None, f"it cannot be installed: {done.stderr.strip().splitlines()[-1][:200]}"
    program = folder / "bin/snakemake"
    version = subprocess.run([program, "--version"], env=environment, capture_output=True, text=True, check=True)
    return program, version.stdout.strip()


def make_version() -> str | None:
    """Return the version of make, or nothing if it is not there."""
    if shutil.which("make") is None:
        return None
    return subprocess.run(["make", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
