"""The commands that remedies name, spelled for the environment at hand."""

from __future__ import annotations

import os
import shlex

from tandem.doctor.facts import Facts

FRAMEWORK_PACKAGES = {"keras": ("tensorflow", "keras"), "torch": ("torch",), "numpy": ("numpy",)}
FRAMEWORK_TITLES = {"keras": "Keras", "torch": "PyTorch", "numpy": "NumPy"}


def python(facts: Facts) -> str:
    """Return how to call the interpreter that runs, in this shell and in the workspace."""
    on_path = facts.interpreter.python_on_path
    if on_path and os.path.dirname(on_path) == os.path.dirname(facts.interpreter.executable):  # noqa: PTH120
        return "python"
    return shown(facts.interpreter.executable, facts)


def shown(path: str, facts: Facts) -> str:
    """Return a path for a shell in the workspace, relative where it lies inside."""
    root = facts.workspace.root.rstrip(os.sep) + os.sep
    return shlex.quote(path[len(root) :] if path.startswith(root) else path)


def install(facts: Facts, *packages: str, options: str = "") -> str:
    """Return the command that installs packages in their pinned versions; none: all that Tandem needs."""
    constraints = "-c constraints.txt " if facts.packages.pins else ""
    what = " ".join(shlex.quote(package) for package in packages) or "-e '.[dev]'"
    return f"{_pip(facts)} install {options and options + ' '}{constraints}{what}"


def install_missing(facts: Facts, *packages: str) -> tuple[str, str]:
    """Return remedy and command for packages that are not there.

    Where Tandem itself is not, this may be the wrong interpreter, and nothing should be installed one by one.
    """
    if not facts.installation.installed:
        return "It comes with the installation; see Interpreter.", ""
    return "Install it:", install(facts, *packages)


def uninstall(facts: Facts, *packages: str) -> str:
    """Return the command that removes packages."""
    return f"{_pip(facts)} uninstall -y {' '.join(packages)}"


def new_environment(version: str) -> str:
    """Return the command that makes the environment anew with a Python of that version."""
    return f"make clean-venv install PYTHON=python{version}"


def _pip(facts: Facts) -> str:
    bring_pip = "" if facts.interpreter.has_pip else f"{python(facts)} -m ensurepip && "
    return f"{bring_pip}{python(facts)} -m pip"


def size(number: int) -> str:
    """Return bytes as "16 GiB", "79.6 GiB" or "12 MiB"."""
    unit, name = (2**30, "GiB") if number >= 2**30 else (2**20, "MiB")
    return f"{number / unit:.1f} {name}".replace(".0 ", " ")
