"""Where a site of published runs is kept: a folder of this machine, or an object store that fsspec reaches.

Both keep the same layout: ``index.html``, and for each run ``runs/<id>/`` with its pages and ``run.json``.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from tandem.errors import StorageError, TandemError
from tandem.report.site import MARK

INDEX = "index.html"
RUNS = "runs"
RECORD = "run.json"
ABANDONED_AFTER = timedelta(hours=24)  # a publish into an object store that began longer ago is dead
_LOCK = ".publishing.lock"
_PARTIAL = ".publishing-"
_REPLACED = ".replaced-"
_BEGUN = "publishing.json"
_RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]*")
_AT_FDCWD = -100  # linux/fcntl.h
_RENAME_EXCHANGE = 2  # linux/fs.h
_RENAMED_INTO_PLACE = {"sftp", "ssh"}  # a file is written there bit by bit, but renamed at once


class Store(Protocol):
    """A place that keeps a site."""

    address: str  # of the index, without credentials

    def open_for_writing(self) -> contextlib.AbstractContextManager[None]:
        """Prepare for writing, keep other writers out where that can be done, and explain what goes wrong.

        Raises:
            StorageError: it cannot be written.
        """

    def records(self) -> dict[str, bytes | None]:
        """Return each run's ``run.json``; None: it cannot be read."""

    def put_run(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Write or replace a run; interrupted, it leaves the run as it was, or leaves none."""

    def remove_run(self, run_id: str) -> None:
        """Remove a run that the index no longer names."""

    def index(self) -> bytes | None:
        """Return the index; None: there is none."""

    def put_index(self, page: bytes) -> None:
        """Replace the index."""


def open_store(target: str | Path) -> Store:
    """Return the store that a folder's path or a URL names; nothing is written yet.

    Raises:
        StorageError: a URL of a kind that is not known, or whose driver is not installed.
    """
    text = str(target)
    if not text.strip():
        raise StorageError("no target to publish to: name a folder, or a URL such as s3://BUCKET/FOLDER")
    if isinstance(target, Path) or "://" not in text:
        if isinstance(target, str) and re.match(r"[a-z][a-z0-9+.-]+:", text):
            raise StorageError(f"{text}: neither a folder nor a URL; write PROTOCOL://PLACE/FOLDER, or ./{text}")
        return FolderStore(Path(target))
    if urlsplit(text).scheme in ("file", "local"):
        return FolderStore(Path(_file_path(text)))
    return RemoteStore(text)


class FolderStore:
    """A folder of this machine. A run is put in place by one rename; a lock keeps other writers waiting."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().absolute()
        self.address = (self.folder / INDEX).as_uri()
        self._runs = self.folder / RUNS

    @contextmanager
    def open_for_writing(self) -> Iterator[None]:
        """Create the folder, wait for other writers, and clear what interrupted ones left."""
        try:
            _refuse_foreign(self.index(), str(self.folder / INDEX))
            self._runs.mkdir(parents=True, exist_ok=True)
            with (self.folder / _LOCK).open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # freed by the kernel when this process ends, however it does
                self._sweep()
                yield
        except OSError as error:
            place = f" ({error.filename})" if error.filename else ""
            raise StorageError(
                f"{self.folder}: nothing can be published there: {error.strerror or error}{place}; "
                "name a folder that you may write to, on a disk with space left"
            ) from error

    def _sweep(self) -> None:
        for old in self._runs.glob(f"{_REPLACED}*"):
            run = self._runs / old.name.removeprefix(_REPLACED)
            if run.exists():
                shutil.rmtree(old, ignore_errors=True)
            else:
                old.rename(run)
        for left in self._runs.glob(f"{_PARTIAL}*"):
            shutil.rmtree(left, ignore_errors=True)
        for file in self.folder.glob(f"{_PARTIAL}*"):
            file.unlink(missing_ok=True)

    def records(self) -> dict[str, bytes | None]:
        """Return each run's ``run.json``; None: it cannot be read."""
        found: dict[str, bytes | None] = {}
        if not self._runs.is_dir():
            return found
        for folder in sorted(self._runs.iterdir()):
            if not _RUN_ID.fullmatch(folder.name) or not folder.is_dir():
                continue
            try:
                found[folder.name] = (folder / RECORD).read_bytes()
            except OSError:
                found[folder.name] = None
        return found

    def read(self, run_id: str, name: str) -> bytes:
        """Return a file of a run.

        Raises:
            OSError: it cannot be read.
        """
        return (self._runs / run_id / name).read_bytes()

    def put_run(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Write a run under a temporary name, then put it in place by one rename."""
        partial = self._runs / f"{_PARTIAL}{run_id}"
        partial.mkdir()
        try:
            for name, content in files.items():
                (partial / name).write_bytes(content)
            _put_in_place(partial, self._runs / run_id)
        finally:
            shutil.rmtree(partial, ignore_errors=True)  # what was there before, or what could not be finished

    def remove_run(self, run_id: str) -> None:
        """Remove a run: out of the way by one rename, then its files."""
        partial = self._runs / f"{_PARTIAL}{run_id}"
        (self._runs / run_id).rename(partial)
        shutil.rmtree(partial, ignore_errors=True)

    def index(self) -> bytes | None:
        """Return the index; None: there is none."""
        index = self.folder / INDEX
        return index.read_bytes() if index.exists() else None

    def put_index(self, page: bytes) -> None:
        """Replace the index by one rename."""
        partial = self.folder / f"{_PARTIAL}{INDEX}"
        try:
            partial.write_bytes(page)
            partial.replace(self.folder / INDEX)
        finally:
            partial.unlink(missing_ok=True)


class RemoteStore:
    """What a URL names, by fsspec.

    Object stores have neither a rename nor a lock: a run's ``run.json`` is written last, and a run without one
    is not shown.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.address = f"{without_credentials(url).rstrip('/')}/{INDEX}"
        self._name = without_credentials(url)
        self._files, self._root = self._connect()

    def _connect(self) -> tuple[Any, str]:
        import fsspec

        scheme = self._url.partition("://")[0]
        if not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
            raise StorageError(f"{self._name}: no URL that can be published to; write it as PROTOCOL://PLACE/FOLDER")
        try:
            fsspec.get_filesystem_class(scheme)
        except ImportError as error:
            raise StorageError(
                f"{self._name}: the driver of '{scheme}' is not installed: {self._told(error)}"
            ) from None
        except ValueError:
            raise StorageError(
                f"{self._name}: '{scheme}' is no protocol that fsspec knows; "
                "name a folder, or a URL such as s3://BUCKET/FOLDER or gs://BUCKET/FOLDER"
            ) from None
        try:
            files, root = fsspec.core.url_to_fs(self._url)
        except Exception as error:  # each driver raises what it likes
            raise self._explained(error) from None
        if re.search(r"[*?\[\]]", str(root)):  # fsspec would take them for patterns
            raise StorageError(f"{self._name}: '*', '?', '[' and ']' may not stand in it; name a folder without them")
        return files, str(root).rstrip("/")

    @contextmanager
    def open_for_writing(self) -> Iterator[None]:
        """Clear what interrupted publishes left a day or more ago."""
        try:
            _refuse_foreign(self.index(), self.address)
            self._sweep()
            yield
        except TandemError:
            raise
        except Exception as error:  # each driver raises what it likes
            raise self._explained(error) from None

    def _listed(self) -> dict[str, set[str]]:
        """Return the names of each run's files."""
        self._files.invalidate_cache()
        top = f"{self._root}/{RUNS}/"
        found: dict[str, set[str]] = {}
        try:
            paths = self._files.find(top)
        except FileNotFoundError:
            return found
        for path in paths:
            run_id, _, name = str(path).rpartition(f"/{RUNS}/")[2].partition("/")
            if name and "/" not in name and _RUN_ID.fullmatch(run_id):
                found.setdefault(run_id, set()).add(name)
        return found

    def _sweep(self) -> None:
        for run_id, names in self._listed().items():
            if _BEGUN not in names or not self._is_abandoned(run_id):
                continue
            if RECORD in names:
                self._files.rm_file(self._path(run_id, _BEGUN))
            else:
                self._remove(run_id, names)

    def _is_abandoned(self, run_id: str) -> bool:
        try:
            begun = datetime.fromisoformat(json.loads(self._files.cat_file(self._path(run_id, _BEGUN)))["begun"])
            return datetime.now(UTC) - begun > ABANDONED_AFTER
        except FileNotFoundError:
            return False  # it has just been finished
        except (ValueError, TypeError, KeyError):
            return True

    def records(self) -> dict[str, bytes | None]:
        """Return each finished run's ``run.json``; None: it cannot be read."""
        runs = sorted(run_id for run_id, names in self._listed().items() if RECORD in names)
        if not runs:
            return {}
        contents = self._files.cat([self._path(run_id, RECORD) for run_id in runs], on_error="return")
        by_run = {str(path).rsplit("/", 2)[-2]: content for path, content in contents.items()}
        return {
            run_id: by_run.get(run_id) if isinstance(by_run.get(run_id), bytes) else None
            for run_id in runs
            if not isinstance(by_run.get(run_id), FileNotFoundError)  # removed meanwhile
        }

    def put_run(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Write a run's files, ``run.json`` last, and remove those it no longer has."""
        begun = json.dumps({"begun": datetime.now(UTC).isoformat()}).encode()
        self._put(self._path(run_id, _BEGUN), begun)
        for name, content in files.items():
            if name != RECORD:
                self._put(self._path(run_id, name), content)
        self._put(self._path(run_id, RECORD), files[RECORD])
        for name in self._listed().get(run_id, set()) - set(files):
            self._files.rm_file(self._path(run_id, name))

    def remove_run(self, run_id: str) -> None:
        """Remove a run: ``run.json`` first, so that no index shows what is half there."""
        self._remove(run_id, self._listed().get(run_id, set()))

    def _remove(self, run_id: str, names: set[str]) -> None:
        """Remove files, the mark of the beginning last: what is left of an interruption is then cleared later."""
        for name in sorted(names, key=lambda name: (name != RECORD, name == _BEGUN)):
            with contextlib.suppress(FileNotFoundError):
                self._files.rm_file(self._path(run_id, name))
        with contextlib.suppress(Exception):  # object stores have no folders
            self._files.rmdir(f"{self._root}/{RUNS}/{run_id}")

    def index(self) -> bytes | None:
        """Return the index; None: there is none."""
        try:
            content: bytes = self._files.cat_file(f"{self._root}/{INDEX}")
        except FileNotFoundError:
            return None
        return content

    def put_index(self, page: bytes) -> None:
        """Replace the index."""
        self._put(f"{self._root}/{INDEX}", page)

    def _put(self, path: str, content: bytes) -> None:
        protocols = {self._files.protocol} if isinstance(self._files.protocol, str) else set(self._files.protocol)
        renamed = bool(protocols & _RENAMED_INTO_PLACE)
        place = f"{path}.partial" if renamed else path
        try:
            self._files.pipe_file(place, content)
        except FileNotFoundError:  # not on object stores, which need no folders
            self._make_folders(path)
            self._files.pipe_file(place, content)
        if renamed:
            self._files.mv(place, path)

    def _make_folders(self, path: str) -> None:
        """Make the folders of a path, but not its first part: that may be a bucket, for its owner to make."""
        parts = path.split("/")
        for end in range(2, len(parts)):
            with contextlib.suppress(Exception):  # it is there; or writing into it will say what is wrong
                self._files.mkdir("/".join(parts[:end]), create_parents=False)

    def _path(self, run_id: str, name: str) -> str:
        return f"{self._root}/{RUNS}/{run_id}/{name}"

    def _explained(self, error: Exception) -> StorageError:
        if isinstance(error, NotImplementedError):
            return StorageError(
                f"{self._name}: its protocol can only be read; name a folder or a store to write to, as s3://BUCKET"
            )
        return StorageError(
            f"{self._name}: nothing can be published there: {self._told(error)}; "
            "check the address, the credentials and the permission to write, then publish again"
        )

    def _told(self, error: Exception) -> str:
        """Return a driver's message in one line, or only its kind where it would tell a credential."""
        text = " ".join(str(error).split())
        if not text or any(secret in text for secret in _secrets(self._url)):
            return type(error).__name__
        return text


def without_credentials(url: str) -> str:
    """Return a URL without user, password, query and fragment, to be shown.

    An unescaped "/" or "@" in a password does not bring it to light.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    user, found, place = _split_user(rest)
    return f"{scheme}://{'***@' if found and user else ''}{re.split('[?#]', place)[0]}"


def _secrets(url: str) -> set[str]:
    """Return what of a URL a message must not repeat, as written and decoded."""
    rest = url.partition("://")[2]
    user, _, place = _split_user(rest)
    query = re.split("[?#]", place, maxsplit=1)[1:]
    values = [pair.partition("=")[2] for text in query for pair in text.split("&")]
    parts = {user, user.partition(":")[2], *query, *values}  # a user's name may be told, a token in its place not
    return {form for part in parts for form in (part, unquote(part)) if form}


def _split_user(rest: str) -> tuple[str, str, str]:
    """Split what follows "://" at the "@" that ends its user and password."""
    user, found, place = rest.rpartition("@")
    if "/" in user and ":" not in user:  # the "@" stands in the path
        user, found, place = "", "", rest
    return user, found, place


def _file_path(url: str) -> str:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise StorageError(f"{without_credentials(url)}: names another machine; write file:///FOLDER with three '/'")
    return unquote(parts.path)


def _refuse_foreign(index: bytes | None, place: str) -> None:
    if index is not None and MARK.encode() not in index:
        raise StorageError(
            f"{place}: is a page of something else and would be overwritten; name another folder, or move it away"
        )


def _put_in_place(partial: Path, path: Path) -> None:
    """Rename a folder to ``path``; if that is there, the two change places at once, so that it is never missing."""
    if not path.exists():
        partial.rename(path)
    elif not _exchange(partial, path):
        old = path.with_name(f"{_REPLACED}{path.name}")  # killed between the renames, the next writer takes it back
        path.rename(old)
        partial.rename(path)
        shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths change places by Linux's renameat2, which Python does not offer; False: it is not to be had."""
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "renameat2"):
        return False
    done = library.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    if done == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):  # this file system cannot
        return False
    raise OSError(number, os.strerror(number), str(other))
