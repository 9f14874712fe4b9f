"""The interpreter that runs, and others that have Tandem installed."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from tandem.doctor.facts import Installation, Interpreter
from tandem.doctor.packages import OWN_NAME, installed_source

_PYTHONS = ("python3", "python")


def gather_interpreter(variables: Mapping[str, str]) -> Interpreter:
    """Return what is known of the Python that runs."""
    return Interpreter(
        executable=sys.executable,
        version=(sys.version_info[0], sys.version_info[1], sys.version_info[2]),
        prefix=sys.prefix,
        base_prefix=sys.base_prefix,
        virtual_env=variables.get("VIRTUAL_ENV", ""),
        conda_prefix=variables.get("CONDA_PREFIX", ""),
        python_path=variables.get("PYTHONPATH", ""),
        python_on_path=shutil.which("python", path=variables.get("PATH", "")) or "",
        has_pip=find_spec("pip") is not None,
    )


def gather_installation(source: Path, workspace: Path, variables: Mapping[str, str]) -> Installation:
    """Return where Tandem is installed.

    Args:
        source: folder of the ``tandem`` package that runs (its parent).
        workspace: the project's folder, of which the environment is often a subfolder.
        variables: environment variables.
    """
    version, editable = installed_source(source)
    return Installation(
        source=str(source),
        installed=version,
        editable=editable,
        elsewhere=tuple(other_interpreters(workspace, source, variables)),
    )


def other_interpreters(workspace: Path, source: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """Return interpreters that have Tandem installed, this one left out; none of them is started."""
    seen = {Path(sys.prefix).resolve()}
    for prefix in _prefixes(workspace, source, variables):
        if prefix.resolve() in seen:
            continue
        seen.add(prefix.resolve())
        python = next((prefix / "bin" / name for name in _PYTHONS if (prefix / "bin" / name).exists()), None)
        if python and any(prefix.glob(f"lib/python3*/site-packages/{OWN_NAME}-*.dist-info")):
            yield str(python)


def _prefixes(workspace: Path, source: Path, variables: Mapping[str, str]) -> Iterator[Path]:
    """Return the folders of environments that a user may have meant."""
    for folder in (workspace, source):
        yield from (folder / ".venv", folder / "venv")
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if variables.get(name):
            yield Path(variables[name])
    for entry in variables.get("PATH", "").split(os.pathsep):
        folder = Path(entry or ".")
        yield folder.absolute().parent
        yield from _interpreter_of(folder / OWN_NAME)


def _interpreter_of(script: Path) -> Iterator[Path]:
    """Return the environment that a script's first line names, as pip writes it."""
    with contextlib.suppress(OSError), script.open(encoding="utf-8", errors="replace") as file:
        line = file.readline().strip()
        if line.startswith("#!/") and " " not in line:
            yield Path(line[2:]).parent.parent
