"""Publishes the reports of each run as a site: an index over all runs, and a folder for each.

A target is a folder, or a URL that fsspec can write to (``s3://BUCKET/FOLDER``). The site is whole at every
moment: a run is put in place when all of its files are written, and the index is replaced last.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from flows.site_stores import INDEX, RECORD, RUNS, FolderStore, Store, open_store
from tandem.errors import DataError, ParameterError, StorageError
from tandem.report.site import Name, PublishedRun, StoredRun, newest_first, run_page, site_page

PUBLISHED = Path("published")  # in the workspace
_ATTEMPTS = 10
_log = logging.getLogger(__name__)
_NAMES = TypeAdapter(Name)


@dataclass(frozen=True)
class Publication:
    """What a publish wrote."""

    runs: int  # new or changed
    files: int
    address: str  # of the site's index, without credentials


def new_run_id(started: datetime) -> str:
    """Return an identifier for a run: its start in UTC and a few random digits, "20261121-104412-3f2a9c"."""
    return f"{started.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def publish_run(pages: Sequence[Path], run: PublishedRun, target: str | Path) -> str:
    """Add a run and its report pages to a site; a run of the same id is replaced.

    Args:
        pages: the report pages that the run made, ``<experiment>.html`` each; an ``index.html`` among them is left
            out, since the run gets an index of its own.
        run: what to say of it.
        target: the site's folder or URL.

    Returns:
        The address of the run's index within the site: "runs/<id>/index.html".

    Raises:
        DataError: a page cannot be read, or two have one name.
        StorageError: the site cannot be written; it is as it was before.
    """
    contents = _read_pages(page for page in pages if page.name != INDEX)
    stored = _stored(run, contents)
    store = open_store(target)
    with store.open_for_writing():
        store.put_run(run.id, _files(stored, contents))
        _put_index(store)
    return f"{RUNS}/{run.id}/{INDEX}"


def publish_site(source: Path, target: str | Path) -> Publication:
    """Bring the runs of a local site to another site: only those that are new there, or differ.

    Runs that are at the target alone stay there.

    Raises:
        DataError: ``source`` holds no run.
        ParameterError: the target is the source, or lies in it.
        StorageError: the target cannot be written; what was there before is still shown.
    """
    here = FolderStore(source)
    runs = _readable(here.records())
    if not runs:
        raise DataError(f"{source}: holds no published run; run the pipeline first, or name another folder")
    store = open_store(target)
    if isinstance(store, FolderStore) and store.folder.resolve().is_relative_to(here.folder.resolve()):
        raise ParameterError(f"{target}: is the site itself, or lies in it; name another folder or a URL")
    written = []
    with store.open_for_writing():
        there = store.records()
        for run in runs:
            if there.get(run.id) == _record(run):
                continue
            contents = _read_published(here, run)
            if contents is not None:
                store.put_run(run.id, _files(run, contents))
                written.append(len(_files(run, contents)))
        written_last = _put_index(store)
    return Publication(runs=len(written), files=sum(written) + written_last, address=store.address)


def remove_old_runs(site: str | Path, keep: int) -> list[str]:
    """Remove all but the newest ``keep`` runs of a site, and return their ids, oldest first.

    Raises:
        ParameterError: ``keep`` is less than 1.
        StorageError: the site cannot be written.
    """
    if keep < 1:
        raise ParameterError(f"keep: {keep} runs cannot be kept; allowed: 1 or more")
    store = open_store(site)
    if isinstance(store, FolderStore) and len(store.records()) <= keep:
        return []  # and no folder is made where there was none
    with store.open_for_writing():
        ordered = newest_first(_readable(store.records()))
        old = ordered[keep:]
        if old:
            store.put_index(site_page(ordered[:keep]).encode())  # first, so that no link of it leads nowhere
        for run in reversed(old):
            store.remove_run(run.id)
    return [run.id for run in reversed(old)]


def _read_pages(pages: Iterable[Path]) -> dict[str, bytes]:
    """Return the pages by experiment."""
    contents: dict[str, bytes] = {}
    for page in pages:
        try:
            name = _NAMES.validate_python(page.stem)
        except ValidationError:
            raise DataError(f"{page}: no report page; its name must be that of an experiment, with .html") from None
        if page.suffix != ".html":
            raise DataError(f"{page}: no report page; its name must end with .html")
        if name in contents:
            raise DataError(f"{page}: a second page of '{name}'; name each experiment's page once")
        try:
            contents[name] = page.read_bytes()
        except OSError as error:
            raise DataError(f"{page}: cannot be published ({error.strerror}); run `tandem run` to make it") from None
    return contents


def _read_published(store: FolderStore, run: StoredRun) -> dict[str, bytes] | None:
    """Return the pages of a published run, or None, with a warning, if they are not those that it names."""
    contents = {}
    for name, digest in run.pages.items():
        try:
            contents[name] = store.read(run.id, f"{name}.html")
        except OSError as error:
            _log.warning("run %s is left out: %s.html cannot be read (%s)", run.id, name, error.strerror)
            return None
        if _digest(contents[name]) != digest:
            _log.warning("run %s is left out: %s.html has changed since it was published", run.id, name)
            return None
    return contents


def _stored(run: PublishedRun, contents: Mapping[str, bytes]) -> StoredRun:
    fields = {name: getattr(run, name) for name in PublishedRun.model_fields}
    return StoredRun(**fields, pages={name: _digest(content) for name, content in contents.items()})


def _files(run: StoredRun, contents: Mapping[str, bytes]) -> dict[str, bytes]:
    pages = {f"{name}.html": content for name, content in contents.items()}
    return {**pages, INDEX: run_page(run).encode(), RECORD: _record(run)}


def _record(run: StoredRun) -> bytes:
    return f"{run.model_dump_json(indent=2)}\n".encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _readable(records: Mapping[str, bytes | None]) -> list[StoredRun]:
    """Return the runs that can be read; the others are named in a warning."""
    runs = []
    for run_id, content in records.items():
        try:
            run = StoredRun.model_validate_json(content or b"")
        except ValidationError as error:
            reason = error.errors()[0]["msg"] if content else "it cannot be read"
            _log.warning("%s/%s/%s is left out of the index: %s; delete that folder", RUNS, run_id, RECORD, reason)
            continue
        if run.id != run_id:
            _log.warning("%s/%s/%s is left out of the index: it is of run '%s'", RUNS, run_id, RECORD, run.id)
            continue
        runs.append(run)
    return runs


def _put_index(store: Store) -> int:
    """Write the index over all runs, if it differs from the one there; return how many files that took.

    It is written again if meanwhile a run came or went, by a writer that no lock keeps out.
    """
    records = store.records()
    page = site_page(_readable(records)).encode()
    if page == store.index():
        return 0
    for _ in range(_ATTEMPTS):
        store.put_index(page)
        now = store.records()
        if now == records:
            return 1
        records, page = now, site_page(_readable(now)).encode()
    raise StorageError(f"{store.address}: other runs are published there all the time; publish again")
