"""Lock files in a folder that several users share: opened without following links, locked by flock.

A lock belongs to the open file and not to a process: it ends when the last descriptor of it is closed, by whatever
process inherited it, however that process ends.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from dvcgraph.errors import GraphError

FOLDER_VARIABLE = "TANDEM_LEASES"
_ANOTHER = f"or name another folder, the same for all runs, in {FOLDER_VARIABLE}"
_FOLDER_MODE = 0o1777  # every user may add files; none may remove another's
_SHARED_MODE = 0o1666  # every user may lock it; the sticky bit keeps systemd-tmpfiles from removing it by age
_OWN_MODE = 0o644
_YOUNG_SECONDS = 2.0  # a file may not have its mode, or its lock, yet
_LONGEST_TEXT = 16384  # bytes that are read of a file, since any user may write it
_NEW = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LockFolder:
    """An open folder of lock files; see :func:`open_folder`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def names(self, suffix: str) -> list[str]:
        """Return the names of the files that end in ``suffix``, sorted."""
        return sorted(name for name in os.listdir(self._descriptor) if name.endswith(suffix))  # noqa: PTH208

    def lock_shared(self, name: str) -> int | None:
        """Lock a file that every user may lock, made if need be; None if somebody has it.

        Raises:
            GraphError: the file cannot be opened, or is no lock file.
        """
        descriptor = self._open_shared(name)
        if descriptor is None:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._is_in_place(descriptor, name):  # or somebody removed it after we opened it
                _locked.add(descriptor)
                return descriptor
        except BlockingIOError:
            pass
        except OSError as error:
            os.close(descriptor)
            raise GraphError(
                f"{self.path / name}: cannot be locked: {error.strerror}; name a folder on a local file system in "
                f"{FOLDER_VARIABLE}"
            ) from None
        os.close(descriptor)
        return None

    def lock_new(self, name: str) -> int:
        """Make a file of our own, whose name nobody knows yet, and lock it.

        Raises:
            GraphError: the file cannot be made.
        """
        descriptor = self._make(name)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise self._cannot_make(name, error) from None
        _locked.add(descriptor)
        return descriptor

    def holds(self, descriptor: int, name: str) -> bool:
        """Say whether a file of ours that is locked still lies in the folder."""
        return self._is_in_place(descriptor, name)

    def make(self, name: str, text: bytes) -> None:
        """Make a file of our own.

        Raises:
            GraphError: the file cannot be made.
        """
        descriptor = self._make(name)
        write(descriptor, text)
        os.close(descriptor)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there and ours to remove."""
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self._descriptor)

    def is_locked(self, name: str) -> bool:
        """Say whether somebody holds the lock of a file."""
        try:
            descriptor = os.open(name, os.O_RDONLY | _OLD, dir_fd=self._descriptor)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return False

    def read(self, name: str) -> bytes:
        """Return the text of a file, or nothing if it cannot be read."""
        try:
            descriptor = os.open(name, os.O_RDONLY | _OLD, dir_fd=self._descriptor)
        except OSError:
            return b""
        try:
            return os.pread(descriptor, _LONGEST_TEXT, 0)
        except OSError:
            return b""
        finally:
            os.close(descriptor)

    def mark(self, name: str, *, past: bool = False) -> None:
        """Set a file's time to now, or far into the past.

        Raises:
            FileNotFoundError: it is not there.
        """
        os.utime(name, (0, 0) if past else None, dir_fd=self._descriptor, follow_symlinks=False)

    def age(self, name: str) -> float:
        """Return the seconds since a file's time, infinite if it is not there; a future time counts as past."""
        try:
            return abs(time.time() - os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_mtime)
        except OSError:
            return float("inf")

    def is_young(self, name: str) -> bool:
        """Say whether whoever made a file may still be busy with it."""
        return self.age(name) < _YOUNG_SECONDS

    def _make(self, name: str) -> int:
        try:
            descriptor = os.open(name, _NEW, _OWN_MODE, dir_fd=self._descriptor)
        except OSError as error:
            raise self._cannot_make(name, error) from None
        os.fchmod(descriptor, _OWN_MODE)  # whatever the umask
        return descriptor

    def _open_shared(self, name: str) -> int | None:
        try:
            try:
                descriptor = os.open(name, os.O_RDWR | _OLD, dir_fd=self._descriptor)
            except FileNotFoundError:
                # Not one call that opens or makes: Linux may refuse that for another user's file in a sticky folder.
                descriptor = os.open(name, _NEW, 0o666, dir_fd=self._descriptor)
        except FileExistsError:  # another run was faster; it is there the next time
            return None
        except PermissionError as error:
            if self.is_young(name):
                return None
            raise GraphError(
                f"{self.path / name}: {error.strerror}; it belongs to {self._owner(name)}: ask them to remove it "
                f"while no run uses the device, {_ANOTHER}"
            ) from None
        except OSError as error:
            raise self._cannot_make(name, error) from None
        status = os.fstat(descriptor)
        # A second name: another user may have linked a file of ours here, for us to write over.
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            os.close(descriptor)
            raise GraphError(f"{self.path / name}: is no lock file; remove it while no run uses the device")
        if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) != _SHARED_MODE:
            os.fchmod(descriptor, _SHARED_MODE)
        return descriptor

    def _is_in_place(self, descriptor: int, name: str) -> bool:
        try:
            there = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(os.fstat(descriptor), there)

    def _owner(self, name: str) -> str:
        try:
            return user_name(os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_uid)
        except OSError:
            return "another user"

    def _cannot_make(self, name: str, error: OSError) -> GraphError:
        return GraphError(f"{self.path / name}: cannot be written or locked: {error.strerror}; mend that, {_ANOTHER}")


@contextlib.contextmanager
def open_folder(path: Path) -> Iterator[LockFolder]:
    """Open the shared folder, made if need be. Open it anew for each use, since it may be removed meanwhile.

    Raises:
        GraphError: it cannot be made or used, or several users cannot share it safely.
    """
    descriptor = _descriptor_of(path)
    for _ in range(3):
        if descriptor is not None:
            break
        _make_folder(path)
        descriptor = _descriptor_of(path)
    if descriptor is None:
        raise GraphError(f"{path}: is removed again and again; find out by what, {_ANOTHER}")
    try:
        if not os.access(path, os.W_OK | os.X_OK):
            raise GraphError(f"{path}: Permission denied; {_ask_owner(path)}, {_ANOTHER}")
        yield LockFolder(path, descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def look_into_folder(path: Path) -> Iterator[LockFolder | None]:
    """Open the shared folder to read it; None if it is not there.

    Raises:
        GraphError: it cannot be read, or several users cannot share it safely.
    """
    descriptor = _descriptor_of(path)
    try:
        yield None if descriptor is None else LockFolder(path, descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def write(descriptor: int, text: bytes) -> None:
    """Replace a file's text, which is only for people: on a full disk it stays empty, and the lock counts."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text, 0)


def user_name(number: int) -> str:
    """Return the name of a user."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _descriptor_of(path: Path) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            kind = "a symbolic link" if path.is_symlink() else "no folder"
            raise GraphError(f"{path}: is {kind}; remove it, {_ANOTHER}") from None
        step = _ask_owner(path) if isinstance(error, PermissionError) else "mend that"
        raise GraphError(f"{path}: {error.strerror}; {step}, {_ANOTHER}") from None
    mode = os.fstat(descriptor).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        os.close(descriptor)
        raise GraphError(f"{path}: any user may remove another's locks there; {_ask_owner(path)}, {_ANOTHER}")
    return descriptor


def _make_folder(path: Path) -> None:
    """Make the folder under another name and rename it, so that it has its mode when others find it."""
    fresh = path.with_name(f".{path.name}-{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
        fresh.chmod(_FOLDER_MODE)
    except OSError as error:
        raise GraphError(f"{path}: cannot be made: {error.strerror}; mend that, {_ANOTHER}") from None
    try:
        fresh.rename(path)
    except OSError:  # another run was faster
        fresh.rmdir()


def _ask_owner(path: Path) -> str:
    try:
        owner = path.lstat().st_uid
    except OSError:
        return "ask its owner to open it to you"
    call = f"`chmod 1777 {path}`"
    return f"call {call}" if owner == os.geteuid() else f"it belongs to {user_name(owner)}: ask them for {call}"


_locked: set[int] = set()  # descriptors of this process's locks


def close_lock(descriptor: int) -> None:
    """Close a locked file; the lock stays with any other process that inherited it.

    It is not unlocked, since that would take the lock from those processes, too.
    """
    if descriptor in _locked:
        _locked.discard(descriptor)
        os.close(descriptor)


def _close_locks_of_parent() -> None:
    """Close, in a forked Python process, its parent's locks: it would keep them beyond the parent's death."""
    for descriptor in list(_locked):
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _locked.clear()


os.register_at_fork(after_in_child=_close_locks_of_parent)
