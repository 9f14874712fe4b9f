"""Copies of the workspace in which runs with overrides work: git worktrees that share DVC's cache.

A copy lies in ``.tandem/copies/NAME``, beside ``NAME.lock``, which the process that uses it holds by an advisory
lock: the kernel frees it after any death, so that a copy without a holder is one whose run is over.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from flows.repository import LOCAL_VARIABLES, RepositoryError, dvc, git
from tandem.errors import StorageError

COPIES = Path(".tandem/copies")
KEPT_COPIES = 3
_SUBMODULE = "160000 "
_NAMES_SHOWN = 3


@dataclass(frozen=True)
class IsolatedCopy:
    """A copy of the workspace as it was, held by this process."""

    name: str
    workspace: Path  # the project's folder that was copied
    folder: Path  # the worktree
    project: Path  # the project's folder in it
    base: str  # the commit that the workspace was on

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a command in the copy, made from ``variables``.

        Python finds the copy's own code before an installed one, and ``TANDEM_DATA`` names the same folder as in
        the workspace.
        """
        kept = {key: value for key, value in variables.items() if key not in LOCAL_VARIABLES}
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(self.project), variables.get("PYTHONPATH"))))
        if variables.get("TANDEM_DATA"):
            kept["TANDEM_DATA"] = str(self.workspace / variables["TANDEM_DATA"])
        return kept

    def remove(self) -> None:
        """Remove the copy's files; what its stages made stays in DVC's cache.

        Raises:
            StorageError: they could not be removed.
        """
        _remove_worktree(self.workspace, self.folder)


@dataclass(frozen=True)
class _Source:
    """Where a workspace's repositories begin."""

    project: Path
    top: Path  # of git's
    dvc_root: Path
    base: str


@contextmanager
def open_copy(root: Path, name: str) -> Iterator[IsolatedCopy]:
    """Copy the workspace as it is, and hold the copy until the block ends.

    It has the tracked files with their uncommitted edits, the untracked files that git does not ignore, and
    ``dvc.lock``; what DVC tracks comes from the cache, which it shares. Nested git repositories that are no part of
    this one are left out. The copy stays when the block ends, unless :meth:`IsolatedCopy.remove` was called.

    Args:
        root: the project's folder.
        name: of the copy; if an older copy has it, the next free one is taken: NAME-2, NAME-3...

    Raises:
        RepositoryError: no git or DVC repository, no commit, an unfinished merge, submodules, no git identity.
        StorageError: it could not be written; nothing of it is kept.
    """
    source = _source(root.resolve())
    with _claimed(source.project, name) as (taken, folder):
        try:
            with _explained(folder):
                _fill(source, folder)
            project = folder / source.project.relative_to(source.top)
            copy = IsolatedCopy(taken, source.project, folder, project, source.base)
        except BaseException:
            _remove_worktree(source.project, folder)
            raise
        yield copy


def copies_in_use(root: Path) -> tuple[str, ...]:
    """Return the names of the copies in which something runs."""
    return tuple(name for name in _names(root.resolve()) if _is_held(root.resolve() / COPIES, name))


def old_copies(root: Path, keep: int = KEPT_COPIES) -> tuple[Path, ...]:
    """Return the copies that :func:`remove_old_copies` would remove, oldest first."""
    folder = root.resolve() / COPIES
    over = [
        (_began_at(folder, name), folder / name)
        for name in _names(root.resolve())
        if (folder / name).exists() and not _is_held(folder, name)
    ]
    paths = [path for _, path in sorted(over)]
    return tuple(paths[: max(len(paths) - keep, 0)])


def remove_old_copies(root: Path, keep: int = KEPT_COPIES) -> tuple[Path, ...]:
    """Remove copies whose run is over, oldest first, but for the newest ``keep``; return those removed.

    A copy that is over is one of a run that failed or was killed, since the others are removed at once. Copies in
    use are never touched.

    Raises:
        StorageError: one could not be removed.
    """
    root = root.resolve()
    removed = []
    for path in old_copies(root, keep):
        with _lock(root / COPIES, path.name) as held:
            if held and path.exists():
                _remove_worktree(root, path)
                removed.append(path)
    _forget_lost_copies(root)
    return tuple(removed)


# ------------------------------------------------------------------------------------------------ locks


@contextmanager
def _claimed(root: Path, name: str) -> Iterator[tuple[str, Path]]:
    """Hold a name that no copy has; yield it and its folder."""
    copies = root / COPIES
    with _explained(copies):
        copies.mkdir(parents=True, exist_ok=True)
        ignore = copies.parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")  # the same from whoever writes it at the same moment
    for taken in _free_names(name):
        with _lock(copies, taken) as held:
            if held and not (copies / taken).exists():
                yield taken, copies / taken
                return


def _free_names(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in itertools.count(2))


@contextmanager
def _lock(copies: Path, name: str) -> Iterator[bool]:
    """Try to hold the lock of a copy; its file goes away with the copy."""
    path = copies / f"{name}.lock"
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        if not path.exists() or path.stat().st_ino != os.fstat(file.fileno()).st_ino:
            yield False  # another process has just removed the copy together with this file
            return
        try:
            yield True
        finally:
            if not (copies / name).exists():
                path.unlink()


@contextmanager
def _one_at_a_time(copies: Path) -> Iterator[None]:
    """Keep others from adding or removing copies: git then reads the files of all, also of one half added."""
    copies.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(copies, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_held(copies: Path, name: str) -> bool:
    try:
        with (copies / f"{name}.lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _names(root: Path) -> list[str]:
    copies = root / COPIES
    entries = sorted(copies.iterdir()) if copies.is_dir() else []
    return list(dict.fromkeys(entry.name.removesuffix(".lock") for entry in entries))


def _began_at(copies: Path, name: str) -> float:
    """Return when a copy was made, in seconds since 1970; 0 if it has just gone."""
    for path in (copies / f"{name}.lock", copies / name):
        with suppress(FileNotFoundError):
            return path.stat().st_mtime
    return 0.0


# --------------------------------------------------------------------------------------------- copying


def _source(project: Path) -> _Source:
    """Find the repositories around the project, and refuse what cannot be copied truly."""
    needed = "a run with overrides works in a copy that git makes"
    try:
        top = Path(git(project, "rev-parse", "--show-toplevel").rstrip("\n"))
    except RepositoryError as error:
        if "not a git repository" not in str(error):
            raise
        raise RepositoryError(
            f"{project}: no git repository; {needed}: run `git init`, `git add -A` and `git commit`"
        ) from None
    try:
        base = git(project, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").strip()
    except RepositoryError:
        raise RepositoryError(
            f"{top}: the git repository has no commit; {needed}: run `git add -A` and `git commit`"
        ) from None
    unmerged = sorted({line.partition("\t")[2] for line in _entries(git(top, "ls-files", "-u", "-z"))})
    if unmerged or _has(top, "MERGE_HEAD"):
        files = f" ({_some(unmerged)})" if unmerged else ""
        raise RepositoryError(
            f"{top}: a merge is not finished{files}; finish it with `git commit` or leave it with `git merge --abort`"
        )
    entries = _entries(git(top, "ls-files", "-s", "-z"))
    submodules = [line.partition("\t")[2] for line in entries if line.startswith(_SUBMODULE)]
    if submodules:
        raise RepositoryError(
            f"{top}: submodules ({_some(submodules)}) are not copied; change the parameters in params.yaml itself"
        )
    try:
        git(top, "var", "GIT_COMMITTER_IDENT")
    except RepositoryError:
        raise RepositoryError(
            f"{top}: git does not know who you are, and cannot save the run; set `git config user.name` and user.email"
        ) from None
    dvc_root = next((folder for folder in (project, *project.parents) if (folder / ".dvc").is_dir()), None)
    if dvc_root is None or not dvc_root.is_relative_to(top):
        raise RepositoryError(f"{project}: no DVC repository; run `dvc init`")
    return _Source(project, top, dvc_root, base)


def _has(top: Path, revision: str) -> bool:
    try:
        git(top, "rev-parse", "--verify", "--quiet", revision)
    except RepositoryError:
        return False
    return True


def _entries(text: str) -> list[str]:
    return [entry for entry in text.split("\0") if entry]


def _some(names: list[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _fill(source: _Source, folder: Path) -> None:
    tree = _tracked_tree(source.top)
    with _one_at_a_time(folder.parent):
        git(source.top, "worktree", "add", "--detach", "--no-checkout", str(folder), source.base)
    git(folder, "read-tree", "--reset", "-u", tree)
    untracked = _entries(git(source.top, "ls-files", "--others", "--exclude-standard", "-z"))
    lock = (source.project / "dvc.lock").relative_to(source.top)
    for name in (*untracked, str(lock)):
        _copy_file(source.top / name, folder / name)
    config = folder / source.dvc_root.relative_to(source.top) / ".dvc" / "config.local"
    config.touch(mode=0o600)  # it may hold the secrets of a remote
    config.write_text(_local_config(source.dvc_root, config.parent), encoding="utf-8")


def _tracked_tree(top: Path) -> str:
    """Return a tree of the tracked files as they lie in the workspace, by an index of its own."""
    with tempfile.TemporaryDirectory(prefix="tandem-") as scratch:
        index = Path(scratch) / "index"
        shutil.copyfile(top / git(top, "rev-parse", "--git-path", "index").rstrip("\n"), index)
        git(top, "add", "--update", index=index)
        return git(top, "write-tree", index=index).strip()


def _copy_file(source: Path, target: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        return  # a git repository of its own
    target.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):  # there is none, or it has just been removed
        shutil.copy2(source, target, follow_symlinks=False)


def _local_config(dvc_root: Path, folder: Path) -> str:
    """Return DVC's local configuration for the copy: the workspace's with whole paths, and its cache."""
    sections: dict[str, dict[str, str]] = {}
    cache = str(dvc_root / ".dvc" / "cache")
    for line in dvc(dvc_root, "config", "--list", "--show-origin").splitlines():  # the last level counts
        origin, _, entry = line.partition("\t")
        key, _, value = entry.partition("=")
        section, _, rest = key.partition(".")
        name, _, option = rest.rpartition(".")
        if key == "cache.dir":
            cache = value
        elif key == "cache.type":
            value = ",".join(re.findall(r"\w+", value))  # listed as ['copy'] where the file has no quotation marks
        if Path(origin).name == "config.local" or section == "remote":
            sections.setdefault(f"'{section} \"{name}\"'" if name else section, {})[option] = value
    sections.setdefault("cache", {})["dir"] = cache
    sections.setdefault("core", {})["site_cache_dir"] = str(folder / "tmp" / "site")  # goes away with the copy
    lines = []
    for section, options in sections.items():
        lines += [f"[{section}]", *(f"    {option} = {_quoted(value)}" for option, value in options.items())]
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    mark = "'" if '"' in value else '"'
    return f"{mark}{value}{mark}"


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{folder}: the copy of the workspace cannot be written ({error.strerror}); nothing was kept of it; "
            "free some space (`tandem clean` removes old runs and copies) or make the folder writable, and run again"
        ) from error


# -------------------------------------------------------------------------------------------- removing


def _remove_worktree(root: Path, folder: Path) -> None:
    try:
        with suppress(RepositoryError), _one_at_a_time(folder.parent):  # git does not know it, or no longer
            git(root, "worktree", "remove", "--force", "--force", str(folder))
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be removed ({error.strerror}); make its folder writable") from None


def _forget_lost_copies(root: Path) -> None:
    """Make git forget the copies whose folders somebody removed, and remove the locks that nobody holds."""
    copies = root / COPIES
    for name in _names(root):
        with _lock(copies, name) as held:
            if held and not (copies / name).exists():
                _remove_worktree(root, copies / name)
