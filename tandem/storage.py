"""Writing that is all or nothing: a fresh temporary place, then a rename.

A process that is killed leaves at most a ``*.partial-*`` entry, which the next write of the same path sweeps.
"""

from __future__ import annotations

import errno
import glob
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tandem.errors import DataError, StorageError


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Yield an empty directory that becomes ``path`` when the block ends without an error.

    Raises:
        StorageError: nothing could be written; ``path`` is as it was before.
    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        partial = Path(tempfile.mkdtemp(prefix=f"{path.name}.partial-", dir=path.parent))
        try:
            partial.chmod(0o755)
            yield partial
            _exchange(partial, path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _exchange(partial: Path, path: Path) -> None:
    """Put a finished directory in the place of the old one, which comes back if that fails."""
    old = path.with_name(f"{path.name}.partial-old-{os.getpid()}")
    if path.exists():
        path.rename(old)
    try:
        partial.replace(path)
    except BaseException:
        if old.exists():
            old.rename(path)
        raise
    if old.is_dir() and not old.is_symlink():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.unlink(missing_ok=True)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path`` that replaces it when the block ends without an error.

    The name keeps the suffix, since some writers look at it.

    Raises:
        StorageError: nothing could be written; ``path`` is as it was before.
    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        partial = path.with_name(f"{path.stem}.partial-{os.getpid()}{path.suffix}")
        try:
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically.

    Raises:
        StorageError: nothing could be written; ``path`` is as it was before.
    """
    with new_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def append_line(path: Path, line: str) -> None:
    """Add a line to a UTF-8 file that is made if need be; on disk when this returns.

    A process that is killed meanwhile leaves at most a beginning of the line, without its end.

    Raises:
        StorageError: it could not be written; the file is as it was before.
    """
    text = f"{line}\n".encode()
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            before = os.fstat(descriptor).st_size
            try:
                if os.write(descriptor, text) < len(text):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically; refuses NaN."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an ``.npy`` file; unlike ``numpy.save``, says why if it cannot (numpy loses the error's number)."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    path.write_bytes(buffer.getbuffer())


def load_array(path: Path) -> np.ndarray:
    """Open an ``.npy`` file memory-mapped and read-only.

    Raises:
        DataError: the file is missing, cut short or holds pickled objects.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: missing; run `dvc repro` to make it") from None
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path}: damaged ({error}); delete it and run `dvc repro`") from None


def _sweep(path: Path) -> None:
    """Remove what killed writers of ``path`` left."""
    name, stem, suffix = (glob.escape(part) for part in (path.name, path.stem, path.suffix))
    for pattern in (f"{name}.partial-*", f"{stem}.partial-*{suffix}"):
        for left in path.parent.glob(pattern):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


_NOT_WRITABLE = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EFBIG,
    errno.EIO,
}  # fmt: skip


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn the operating system's errors while writing into one clear line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"{path}: no space left on the device; nothing was kept of it; free some space "
                "(`tandem clean` removes old runs) and run again"
            ) from error
        if error.errno in _NOT_WRITABLE:
            raise StorageError(
                f"{path}: cannot be written ({error.strerror}); nothing was kept of it; "
                "make the folder writable and run again"
            ) from error
        raise
