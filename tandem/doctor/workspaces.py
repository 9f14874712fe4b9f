"""The project's folder: what is in it, whether it can be written, what is free, and git."""

from __future__ import annotations

import configparser
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tandem.doctor.facts import Disk, Port, Workspace

_GIT_SECONDS = 10
_LOOPBACK = "127.0.0.1"
# Packages that the stages import: a file of the same name in the workspace would come first.
_IMPORTED = (
    "dvc", "jinja2", "keras", "matplotlib", "numpy", "pandas", "pooch", "prefect", "pydantic", "requests", "scipy",
    "sklearn", "tensorboard", "tensorflow", "torch", "tqdm", "typing", "random", "types", "copy", "json", "logging",
)  # fmt: skip


def gather_workspace(root: Path, expected: tuple[str, ...], variables: Mapping[str, str]) -> Workspace:
    """Return what is known of the project's folder.

    Args:
        root: the folder.
        expected: files that a project has.
        variables: environment variables.
    """
    git, git_error = _ask_git(root, variables)
    return Workspace(
        root=str(root),
        missing=tuple(name for name in expected if not (root / name).exists()),
        write_error=write_error(root),
        locked=tuple(locked_folders(root)),
        disks=(
            look_at_disk("workspace", root),
            look_at_disk("DVC's cache", cache_folder(root)),
            look_at_disk("temporary files", Path(tempfile.gettempdir())),
        ),
        git=git,
        git_error=git_error,
        shadows=tuple(shadowing_files(root)),
    )


def write_error(folder: Path) -> str:
    """Return why no file can be written into a folder, tried with one that has no name or goes at once."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def locked_folders(root: Path) -> Iterator[str]:
    """Return the folders directly below the workspace that this user may not write into."""
    with contextlib.suppress(OSError):
        for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False) and not os.access(entry.path, os.W_OK | os.X_OK):
                yield entry.name


def cache_folder(root: Path) -> Path:
    """Return DVC's cache as .dvc/config.local or .dvc/config places it (https://dvc.org/doc/user-guide/config)."""
    for name in ("config.local", "config"):
        parser = configparser.RawConfigParser(strict=False)
        with contextlib.suppress(OSError, configparser.Error, UnicodeDecodeError):
            parser.read_string((root / ".dvc" / name).read_text(encoding="utf-8"))
        placed = parser.get("cache", "dir", fallback="").strip()
        if placed:
            return Path(os.path.normpath(root / ".dvc" / Path(placed).expanduser()))
    return root / ".dvc" / "cache"


def look_at_disk(purpose: str, folder: Path) -> Disk:
    """Return what this user may still write below a folder, which need not exist yet."""
    for existing in (folder, *folder.absolute().parents):
        try:
            return Disk(purpose, str(folder), shutil.disk_usage(existing).free, existing.stat().st_dev)
        except FileNotFoundError:
            continue
        except OSError:
            break
    return Disk(purpose, str(folder), None)


def shadowing_files(root: Path) -> Iterator[str]:
    """Return files and packages in the workspace that hide an installed package from the stages."""
    for name in _IMPORTED:
        if (root / f"{name}.py").is_file():
            yield f"{name}.py"
        if (root / name / "__init__.py").is_file():
            yield name


def gather_ports(wanted: tuple[tuple[int, str, str], ...]) -> tuple[Port, ...]:
    """Return whether ports (number, purpose, option that names another) of this machine are taken."""
    return tuple(Port(number, purpose, option, _is_taken(number)) for number, purpose, option in wanted)


def _is_taken(number: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that has just been closed is free
        try:
            tried.bind((_LOOPBACK, number))
        except OSError:
            return True
    return False


def _ask_git(root: Path, variables: Mapping[str, str]) -> tuple[str, str]:
    """Return git's version, and why it does not take the folder for a repository."""
    program = shutil.which("git", path=variables.get("PATH", ""))
    if program is None:
        return "", "git is not installed"
    version, _ = _call_git([program, "--version"], root, variables)
    _, error = _call_git([program, "rev-parse", "--git-dir"], root, variables)
    return version.removeprefix("git version ") or "?", error


def _call_git(command: list[str], root: Path, variables: Mapping[str, str]) -> tuple[str, str]:
    try:
        done = subprocess.run(
            command, cwd=root, env=dict(variables) | {"LC_ALL": "C"}, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, timeout=_GIT_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", " ".join(str(error).split())
    lines = done.stderr.strip().splitlines()
    return done.stdout.strip(), (lines[0] if lines else f"exit status {done.returncode}") if done.returncode else ""
