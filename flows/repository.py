"""Calls of git and of DVC's command line, with their failures as one clear line."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tandem.errors import StorageError, TandemError

# Set inside git's own hooks; they would lead every call to another repository or index.
LOCAL_VARIABLES = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE", "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_WORK_TREE",
    }
)  # fmt: skip
_FULL_DISK = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))


class RepositoryError(TandemError):
    """What git or DVC refuse, or what a repository lacks."""


def git(folder: Path, *arguments: str, index: Path | None = None, standard_input: str | None = None) -> str:
    """Run git in ``folder`` without its hooks and return what it prints.

    Args:
        folder: in the repository.
        arguments: of git.
        index: the index file to use instead of the repository's own.
        standard_input: what git reads.

    Raises:
        RepositoryError: git failed, or is not installed.
        StorageError: no space is left.
    """
    more = {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"} | ({} if index is None else {"GIT_INDEX_FILE": str(index)})
    command = ["git", "-c", f"core.hooksPath={os.devnull}", *arguments]
    return _call(command, folder, more, f"git {arguments[0]}", standard_input)


def dvc(folder: Path, *arguments: str) -> str:
    """Run DVC's command line in ``folder`` and return what it prints.

    Raises:
        RepositoryError: it failed.
        StorageError: no space is left.
    """
    return _call([sys.executable, "-m", "dvc", *arguments], folder, {}, f"dvc {arguments[0]}", None)


def _call(command: Sequence[str], folder: Path, more: Mapping[str, str], name: str, standard_input: str | None) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in LOCAL_VARIABLES} | dict(more)
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            input=standard_input,
            stdin=subprocess.DEVNULL if standard_input is None else None,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",  # file names may hold any byte
            check=False,
        )
    except FileNotFoundError:
        raise RepositoryError(f"{name}: {command[0]} is not installed; install it and run again") from None
    if done.returncode == 0:
        return done.stdout
    said = " ".join((done.stderr or done.stdout).split()) or f"exit status {done.returncode}"
    if any(text in said for text in _FULL_DISK):
        raise StorageError(
            f"{folder}: no space left on the device for a copy of the workspace; nothing was kept of it; free some "
            "space (`tandem clean` removes old runs and copies) and run again"
        )
    raise RepositoryError(f"{name} failed in {folder}: {said}")
