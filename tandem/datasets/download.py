"""Fetching files by address with a checked digest, or from a folder that already holds them."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from tandem.errors import DataError

MIRROR_VARIABLE = "TANDEM_DATA"
_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_TRIES = 3


class DownloadError(DataError):
    """A download failed in a way that may pass; the command's exit status says "try again later"."""

    exit_status = 75  # EX_TEMPFAIL of sysexits.h


@dataclass(frozen=True)
class RemoteFile:
    """A file on the internet.

    Attributes:
        name: path below the mirror folder, as ``folder/file``.
        addresses: official addresses, tried in order.
        sha256: of the file.
    """

    name: str
    addresses: tuple[str, ...]
    sha256: str


def sha256(path: Path) -> str:
    """Return a file's digest as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_file(remote: RemoteFile, directory: Path) -> Path:
    """Put a file into ``directory`` under its base name, its digest checked.

    Where the environment names a mirror folder (TANDEM_DATA), the file is copied from there and no
    network is touched.

    Raises:
        DataError: the mirror lacks the file, or a digest is wrong.
        DownloadError: no address answered.
    """
    target = directory / Path(remote.name).name
    mirror = os.environ.get(MIRROR_VARIABLE)
    if mirror:
        kept = Path(mirror) / remote.name
        if not kept.is_file():
            raise DataError(
                f"{kept}: missing; {MIRROR_VARIABLE} names a folder without it; put the file there "
                f"(sha256 {remote.sha256}), or unset {MIRROR_VARIABLE} to download it"
            )
        _check(kept, remote.sha256)
        shutil.copyfile(kept, target)
        return target
    return _download(remote, target)


def _check(path: Path, expected: str) -> None:
    found = sha256(path)
    if found != expected:
        raise DataError(
            f"{path}: wrong sha256 {found}, expected {expected}; the file is damaged or cut short "
            f"({path.stat().st_size} bytes); delete it and fetch it again"
        )


def _download(remote: RemoteFile, target: Path) -> Path:
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.WARNING)
    failures = []
    wrong: DataError | None = None
    for address in remote.addresses:
        downloader = pooch.HTTPDownloader(progressbar=True, timeout=(_CONNECT_SECONDS, _READ_SECONDS))
        for attempt in range(_TRIES):
            try:
                pooch.retrieve(address, known_hash=None, fname=target.name, path=target.parent, downloader=downloader)
            except (requests.exceptions.RequestException, OSError) as error:
                failures.append(f"{address} ({type(error).__name__})")
                target.unlink(missing_ok=True)
                if isinstance(error, requests.exceptions.HTTPError):
                    break
                if attempt < _TRIES - 1:
                    time.sleep(attempt + 1)
                continue
            try:
                _check(target, remote.sha256)
            except DataError as error:  # perhaps another address has the right file
                target.unlink(missing_ok=True)
                wrong = error
                break
            return target
    if wrong is not None:
        raise wrong
    raise DownloadError(
        f"{remote.name}: cannot be downloaded: {'; '.join(dict.fromkeys(failures))}; connect to the network "
        f"and run again, or set {MIRROR_VARIABLE} to a folder that holds {remote.name}"
    )
