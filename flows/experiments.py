"""Saves a run in a copy as an experiment of DVC, which ``dvc exp show`` lists and ``dvc exp apply`` restores.

DVC's own ``dvc exp save`` is not used: it records whatever lies in the folder as the result of its parameters, and two
at once disturb one another. Here git's plumbing makes the commit, with an index of its own.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from flows.copies import IsolatedCopy
from flows.repository import RepositoryError, git
from tandem.config import load_plain_yaml

_REFERENCES = "refs/exps"
_DECLARATIONS = ("params.yaml", "runs.yaml", "dvc.yaml", "dvc.lock", ".dvcignore")


@dataclass(frozen=True)
class SavedExperiment:
    """An experiment as ``dvc exp show`` lists it."""

    name: str
    commit: str


def experiment_names(root: Path) -> frozenset[str]:
    """Return the names of the DVC experiments of a git repository, on all commits.

    Raises:
        RepositoryError: git failed.
    """
    listed = git(root, "for-each-ref", "--format=%(refname)", _REFERENCES).splitlines()
    parts = [name.removeprefix(f"{_REFERENCES}/").split("/", maxsplit=2) for name in listed]
    return frozenset(part[2] for part in parts if len(part) == 3)  # the others are DVC's own marks


def save_as_experiment(copy: IsolatedCopy, name: str, message: str) -> SavedExperiment:
    """Save a copy in which a run has completed as a DVC experiment on the commit that the copy began from.

    It holds what git tracks, ``dvc.lock`` and the declarations, and of the untracked files those that a stage in
    ``dvc.lock`` depends on; what git ignores, and so DVC's local configuration, is left out.

    Args:
        copy: every stage that was asked for must have completed in it; nothing checks that again.
        name: of the experiment; if there is one, the next free name is taken: NAME-2, NAME-3...
        message: of the commit.

    Raises:
        RepositoryError: git failed.
        StorageError: no space is left.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-") as scratch:
        index = Path(scratch) / "index"
        shutil.copyfile(copy.folder / git(copy.folder, "rev-parse", "--git-path", "index").rstrip("\n"), index)
        git(copy.folder, "add", "--update", index=index)
        names = "".join(f"{name}\0" for name in _new_files(copy))
        git(copy.folder, "update-index", "--add", "-z", "--stdin", index=index, standard_input=names)
        tree = git(copy.folder, "write-tree", index=index).strip()
    commit = git(copy.folder, "commit-tree", tree, "-p", copy.base, "-m", message).strip()
    return SavedExperiment(_refer(copy, name, commit), commit)


def _new_files(copy: IsolatedCopy) -> list[str]:
    """Return the untracked files that belong to the experiment, relative to the top of the repository."""
    prefix = copy.project.relative_to(copy.folder)
    inputs = {prefix / path for path in (*_DECLARATIONS, *_dependencies(copy.project / "dvc.lock"))}
    listed = git(copy.folder, "ls-files", "--others", "--exclude-standard", "-z").split("\0")
    untracked = [name for name in listed if name and not inputs.isdisjoint((Path(name), *Path(name).parents))]
    lock = prefix / "dvc.lock"  # the experiment is nothing without it, even where git ignores it
    return sorted({*untracked, str(lock)} if (copy.folder / lock).exists() else untracked)


def _dependencies(lock: Path) -> set[str]:
    stages = load_plain_yaml(lock)["stages"]
    return {dependency["path"] for stage in stages.values() for dependency in stage.get("deps", ())}


def _refer(copy: IsolatedCopy, name: str, commit: str) -> str:
    """Make the experiment's reference, under a name that no other has; return the name."""
    folder = f"{_REFERENCES}/{copy.base[:2]}/{copy.base[2:]}"
    for free in itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2))):
        if free in experiment_names(copy.folder):
            continue
        try:
            git(copy.folder, "update-ref", f"{folder}/{free}", commit, "")
        except RepositoryError:
            if free not in experiment_names(copy.folder):
                raise
        else:
            return free
    raise AssertionError("names do not run out")
