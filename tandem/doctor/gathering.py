"""Gathers the facts of the environment that is there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tandem.doctor.facts import (
    ComputeDevice,
    DataState,
    Facts,
    Framework,
    Gpu,
    Nvml,
    Probe,
    Program,
    Project,
)
from tandem.doctor.interpreters import gather_installation, gather_interpreter
from tandem.doctor.machine import gather_machine
from tandem.doctor.packages import gather_packages
from tandem.doctor.probing import Outcome, probe_names, run_probes
from tandem.doctor.workspaces import gather_ports, gather_workspace

Answer = TypeVar("Answer")
SOURCE = Path(__file__).resolve().parents[2]
VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "KERAS_BACKEND", "LD_LIBRARY_PATH", "TANDEM_DATA", "TANDEM_DEVICES", "TF_USE_LEGACY_KERAS",
)  # fmt: skip
_NO_FRAMEWORK = ("dvc", "nvml", "prefect", "project")


@dataclass(frozen=True)
class Places:
    """Where things lie in a project, relative to its folder, and the ports that its pages use."""

    params: str = "params.yaml"
    runs: str = "runs.yaml"
    raw: str = "data/raw"
    constraints: str = "constraints.txt"
    expected: tuple[str, ...] = ("params.yaml", "dvc.yaml", ".dvc")
    ports: tuple[tuple[int, str, str], ...] = (
        (4200, "Prefect's pages", "--port"),
        (4201, "the reports", "--reports-port"),
    )


def framework_names() -> tuple[str, ...]:
    """Return the names of the frameworks that there is a probe for."""
    return tuple(name for name in probe_names() if name not in _NO_FRAMEWORK)


def gather(root: Path, environment: Mapping[str, str], limit: float, places: Places | None = None) -> Facts:
    """Return all facts.

    Args:
        root: the project's folder.
        environment: environment variables.
        limit: seconds that each child is given.
        places: where things lie in the project; none: as Tandem's own project has them.
    """
    places = places or Places()
    requests: dict[str, dict[str, str]] = {name: {} for name in probe_names()}
    requests["project"] = {
        "source": str(SOURCE), "params": places.params, "runs": places.runs, "raw": places.raw,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as home:  # importing these two writes into their homes
        homes = {"KERAS_HOME": home, "PREFECT_HOME": home}
        outcomes = run_probes(requests, root, {**environment, **homes}, limit)
    constraints = next(
        (folder / places.constraints for folder in (root, SOURCE) if (folder / places.constraints).exists()),
        root / places.constraints,
    )
    return Facts(
        interpreter=gather_interpreter(environment),
        installation=gather_installation(SOURCE, root, environment),
        machine=gather_machine(),
        nvml=_typed(outcomes["nvml"], _nvml),
        frameworks={name: _typed(outcomes[name], _framework) for name in framework_names()},
        packages=gather_packages(SOURCE, constraints),
        workspace=gather_workspace(root, places.expected, environment),
        project=_typed(outcomes["project"], _project),
        dvc=_typed(outcomes["dvc"], _program),
        prefect=_typed(outcomes["prefect"], _program),
        ports=gather_ports(places.ports),
        variables={name: environment[name] for name in VARIABLES if name in environment},
    )


def _typed(outcome: Outcome, read: Callable[[Mapping[str, Any]], Answer]) -> Probe[Answer]:
    if outcome.answer is None:
        return Probe(failure=outcome.failure)
    return Probe(answer=read(outcome.answer))


def read_cuda(version: Any) -> tuple[int, int] | None:
    """Return (12, 5) for "12.5.1" or [12, 5]; None for nothing."""
    if not version:
        return None
    parts = str(version).split(".") if isinstance(version, str) else list(version)
    return int(parts[0]), int(parts[1]) if len(parts) > 1 else 0


def _nvml(answer: Mapping[str, Any]) -> Nvml:
    gpus = tuple(Gpu(**gpu) for gpu in answer.get("gpus", ()))
    return Nvml(
        absent=answer.get("absent", ""),
        kind=answer.get("kind", ""),
        driver=answer.get("driver", ""),
        cuda=read_cuda(answer.get("cuda")),
        gpus=gpus,
    )


def _framework(answer: Mapping[str, Any]) -> Framework:
    return Framework(
        versions=answer["versions"],
        origin=answer["origin"],
        devices=tuple(ComputeDevice(**device) for device in answer["devices"]),
        cuda=read_cuda(answer.get("cuda")),
        backend=answer.get("backend", ""),
        warnings=tuple(answer.get("warnings", ())),
    )


def _project(answer: Mapping[str, Any]) -> Project:
    return Project(
        mistakes=answer.get("mistakes", ""),
        experiments=tuple(answer.get("experiments", ())),
        frameworks=tuple(answer.get("frameworks", ())),
        plan_error=answer.get("plan_error", ""),
        data=tuple(DataState(**state) for state in answer.get("data", ())),
    )


def _program(answer: Mapping[str, Any]) -> Program:
    return Program(version=answer["version"])
