"""The Python that runs: its version and its environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tandem.doctor.facts import Facts, Interpreter
from tandem.doctor.findings import Finding, SectionTitle
from tandem.doctor.remedies import new_environment, shown

SECTION: SectionTitle = "Interpreter"
ORDER = 1
LOWEST, HIGHEST = (3, 11), (3, 13)


def check(facts: Facts) -> Iterator[Finding]:
    """Look at version, environment, and what the word ``python`` starts."""
    interpreter = facts.interpreter
    version = ".".join(map(str, interpreter.version))
    if LOWEST <= interpreter.version[:2] <= HIGHEST:
        yield Finding("ok", "Python", f"{version}, {interpreter.executable}")
    else:
        yield Finding(
            "problem",
            "Python",
            f"{version}, {interpreter.executable}; supported: {_dotted(LOWEST)} to {_dotted(HIGHEST)}",
            f"Install Python {_dotted(HIGHEST)} and make the environment anew with it:",
            new_environment(_dotted(HIGHEST)),
        )
    yield _environment(interpreter)
    yield from _activation(facts)
    if interpreter.python_path:
        yield Finding(
            "note", "PYTHONPATH", f"{interpreter.python_path}: its folders come before the installed packages"
        )


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _environment(interpreter: Interpreter) -> Finding:
    if interpreter.prefix != interpreter.base_prefix:
        return Finding("ok", "environment", f"{interpreter.prefix}, a virtual environment")
    if interpreter.conda_prefix and _same(interpreter.conda_prefix, interpreter.prefix):
        return Finding("ok", "environment", f"{interpreter.prefix}, a conda environment")
    return Finding(
        "note",
        "environment",
        f"{interpreter.prefix}, no virtual environment: other programs' packages can disturb Tandem's",
        "Give Tandem an environment of its own:",
        "make install",
    )


def _activation(facts: Facts) -> Iterator[Finding]:
    """Compare with the active environment and with the `python` that DVC's commands start."""
    interpreter = facts.interpreter
    activate = Path(interpreter.prefix) / "bin" / "activate"
    remedy = ("Activate the environment in this shell:", f"source {shown(str(activate), facts)}")
    if interpreter.virtual_env and not _same(interpreter.virtual_env, interpreter.prefix):
        found = f"{interpreter.virtual_env} is active in this shell, but {interpreter.executable} runs"
        yield Finding("warning", "active", found, *remedy)
    elif interpreter.prefix == interpreter.base_prefix:
        return
    elif not interpreter.python_on_path:
        found = "PATH has no `python`, so `dvc repro` cannot run the stages; `tandem run` can"
        yield Finding("warning", "active", found, *remedy)
    elif not _same(str(Path(interpreter.python_on_path).parent), str(Path(interpreter.executable).parent)):
        found = f"`dvc repro` runs the stages with {interpreter.python_on_path}, another interpreter; "
        yield Finding("warning", "active", found + "`tandem run` takes this one", *remedy)


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
