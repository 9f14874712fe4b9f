"""The only module that touches DVC's Python interface; written for, and tested with, DVC 3.67.

DVC's own ``repro`` holds its locks in a way that blocks ``dvc status`` for as long as a command runs, records
inputs as they are *after* the command, and rewrites ``dvc.lock`` in place for every stage. This module does
the same bookkeeping in short steps around commands that somebody else runs, many at a time:

``prepare``
    is there anything to do? Restores the outs from the run cache where that is enough.
``begin``
    removes the outs and records the inputs. Read locks on the stage's inputs and outs remain until it has
    ended, which keep writers (a foreign ``dvc repro`` of the same stage) out and let readers (``dvc status``) in.
``finish``
    records the outs: in the journal first, then in the cache and the run cache.

Every step is taken under the repository's lock (:meth:`Graph.hold`), which is never kept while the caller
waits for a command. Records reach ``dvc.lock`` in batches, by :meth:`Graph.flush`. A ``Graph`` belongs to one
thread.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from dvcgraph.errors import BusyError, GraphError, PathsBusyError, RepositoryBusyError, nearest, one_line
from dvcgraph.journal import Journal
from dvcgraph.lockfile import drop_partials, replace_file, simple_yaml, write_entries

Preparation = Literal["unchanged", "restored", "recorded", "run"]

_FLUSH_SECONDS = 2.0  # a finished stage waits at least this long for dvc.lock, so that others join it,
_FLUSH_SHARE = 5  # or this many times as long as the last writing took,
_FLUSH_LATEST_SECONDS = 5.0  # and never longer than this
_HASHED = ("hash_info", "hash_name", "meta", "obj", "files")  # what DVC's Output.save sets
_LOCK_OWNER = "dvcgraph"  # how our entries in DVC's read/write locks begin


@dataclass(frozen=True)
class StageNode:
    """A stage as the graph declares it."""

    name: str  # DVC's addressing: "train@a", "sub/dvc.yaml:x", "data.csv.dvc"
    commands: tuple[str, ...]  # run one after another; empty for a .dvc file
    folder: Path  # where the commands run
    upstream: tuple[str, ...]  # names of the stages of this run that it depends on directly
    after: tuple[str, ...]  # of a frozen stage: those that make its inputs; it follows them, however they end
    outs: tuple[Path, ...]
    frozen: bool
    meta: Any = None  # what dvc.yaml says under `meta:`


@dataclass(frozen=True)
class Invocation:
    """One command as DVC would start it."""

    command: str
    arguments: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]


class _ReadOnce:
    """Keeps what parameters files hold for as long as the files stay as they are.

    DVC parses the whole file again for every question about every stage, half a dozen times for each one that runs.

    Args:
        stages: DVC's own, whose dependencies on parameters are made to ask here.
    """

    def __init__(self, stages: Iterable[Any]) -> None:
        from dvc.dependency.param import ParamsDependency

        self._kept: dict[str, tuple[tuple[int, ...], Any]] = {}
        for stage in stages:
            for dependency in stage.deps:
                if isinstance(dependency, ParamsDependency) and dependency.params:
                    dependency.read_params = partial(self._read, dependency, dependency.read_params)

    def _read(self, dependency: Any, ask_dvc: Callable[..., Any], *, flatten: bool = True, **options: Any) -> Any:
        """Answer as ``ParamsDependency.read_params``; ``ask_dvc`` is that."""
        from dvc.dependency.param import read_param_file

        path = dependency.fs_path
        signature = _signature(path)
        if not signature or not flatten or options:
            return ask_dvc(flatten=flatten, **options)
        if self._kept.get(path, (None,))[0] != signature:
            ask_dvc()  # says what is wrong with the file, in DVC's way
            self._kept[path] = signature, read_param_file(dependency.repo.fs, path)
        return _named_parameters(self._kept[path][1], dependency.params)


def _named_parameters(held: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return parameters by their dotted names, without those that are not there; as DVC's ``read_param_file``.

    They are copies: of an object that two records share, a YAML writer makes an anchor and an alias.
    """
    import dpath

    found = {}
    for name in names:
        try:
            found[name] = deepcopy(dpath.get(held, name, separator="."))
        except KeyError:
            continue
    return found


class Graph:
    """A DVC project's graph, loaded once, with the bookkeeping of its stages."""

    def __init__(
        self,
        repo: Any,
        folder: Path,
        stages: Sequence[StageNode],
        dvc_stages: Sequence[Any],
        names_in_project: frozenset[str],
    ) -> None:
        self.folder = folder
        self.root = Path(repo.root_dir)
        self.stages = tuple(stages)
        self.revision = 0  # rises when another process has written a lock file
        self._repo = repo
        self._names_in_project = names_in_project
        self._stages = {stage.addressing: stage for stage in dvc_stages}
        self._shell_environment: dict[str, Any] | None = None
        self._begun: set[str] = set()
        self._finished_before: set[str] = set()  # by a run that was killed, which this one continues
        self._journal: Journal | None = None
        self._pending: dict[str, Any] = {}
        self._pending_since = 0.0
        self._to_ignore: list[str] = []
        self._in_inputs = _outs_in_inputs(self._stages.values())
        self._flush_cost = 0.0
        self._parameters: Any = None
        self._read_once = _ReadOnce(self._stages.values())
        self._lock_entries: dict[str, dict[str, Any]] = {}  # of each dvc.lock as it was read last
        self._lock_signatures: dict[str, tuple[int, ...]] = {}
        self._remember_lock_files()

    @classmethod
    def load(
        cls, folder: Path, targets: Sequence[str] = (), *, wait: Callable[[BusyError], None] | None = None
    ) -> Graph:
        """Load the project around ``folder`` and select what ``dvc repro TARGETS`` would run from there.

        Args:
            folder: from which targets are named.
            targets: stages, groups of stages, files.
            wait: called again and again while another DVC process holds the repository's lock; it waits a
                moment, or raises. By default DVC's own way of waiting is taken.

        Raises:
            GraphError: no repository, a target that does not exist, or files that DVC refuses.
        """
        from dvc.repo import Repo

        folder = folder.resolve()
        with _readable_errors(folder), _quiet_dvc(), _working_folder(folder):
            repo = Repo(str(folder), _wait_for_lock=True)
            try:
                repo.lock._friendly = False  # its notice would tear a live display
                with _locked_for_loading(repo, wait):
                    graph = _active_graph(repo.index.graph)
                    order = {stage: position for position, stage in enumerate(repo.index.stages)}
                    chosen = _collect(repo, targets, graph, order)
                    members = set(chosen)
                    nodes = [_describe(stage, graph, repo.index.graph, members, order) for stage in chosen]
                    names = frozenset(stage.addressing for stage in order)
                return cls(repo, folder, nodes, chosen, names)
            except BaseException:
                repo.close()
                raise

    @staticmethod
    def find_root(folder: Path) -> Path:
        """Return the root of the DVC repository around ``folder``.

        Raises:
            GraphError: there is none.
        """
        from dvc.repo import Repo

        folder = folder.resolve()
        with _readable_errors(folder):
            return Path(Repo.find_root(str(folder)))

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the repository's lock; the methods below that say so need it.

        Raises:
            RepositoryBusyError: another DVC process has it; try again.
        """
        with _readable_errors(self.folder), _quiet_dvc(), _working_folder(self.folder):
            _take_at_once(self._repo.lock)
            try:
                self._repo._lock_depth += 1  # DVC's own functions that we call must not take it again
                self._repo.scm._reset()
                self._repo.__dict__.pop("dvcignore", None)  # a command may have written a .dvcignore
                self._take_over_foreign_records()
                yield
            finally:
                self._repo._lock_depth -= 1
                self._repo.lock.unlock()

    def continue_from(self, journal: Journal) -> tuple[str, ...]:
        """Take over what a killed run had finished, and write new records to ``journal``. Under :meth:`hold`.

        A stage counts as finished if its outs are still as they were recorded, or in the cache.

        Returns:
            The stages that were taken over.

        Raises:
            GraphError: the journal cannot be written.
        """
        with _stage_errors(self.folder):
            return self._continue_from(journal)

    def _continue_from(self, journal: Journal) -> tuple[str, ...]:
        self._journal = journal
        self._drop_dead_locks()
        runs = Path(self._repo.stage_cache.cache_dir)
        for folder in {Path(file).parent for file in self._lock_signatures} | {Path(self._repo.tmp_dir), runs}:
            drop_partials(folder)
        entries = journal.read()
        journal.keep([e for e in entries if e.stage in self._names_in_project and e.stage not in self._stages])
        for entry in entries:
            stage = self._stages.get(entry.stage)
            if stage is None or not stage.cmd or stage.frozen:
                continue
            recorded = self._recorded(stage)
            if recorded != entry.record and _digest(recorded) != entry.before:
                continue  # somebody has run it since
            if self._take_over(stage, entry.record):
                self._finished_before.add(entry.stage)
        self.flush()  # the journal stays: should this run be killed, too, the next one continues both
        return tuple(sorted(self._finished_before))

    def prepare(self, name: str, *, force: bool = False) -> Preparation:
        """Do everything for a stage that needs no command. Under :meth:`hold`.

        Returns:
            ``run``: its commands have to run, call :meth:`begin`; otherwise nothing is left to do:
            ``unchanged``, ``restored`` from DVC's cache, or ``recorded`` (a frozen stage, a ``.dvc`` file:
            what lies there is noted).

        Raises:
            PathsBusyError: another DVC process works on its paths; try again.
            GraphError: an input is missing, or DVC refuses.
        """
        stage = self._stages[name]
        with _stage_errors(self.folder):
            verified_only = stage.frozen or not stage.cmd
            mended = verified_only and _mend(stage)
            change = _Change.of(stage, continued=name in self._finished_before)
            if not force and not change:
                return "restored" if mended else "unchanged"
            if verified_only:
                self._require_free(stage)
                stage.run(force=force)
                self._note_as_it_lies(stage)
                return "recorded"
            _require_inputs(stage)
            if force or not self._restore(stage, change):
                return "run"
            return "restored"

    def begin(self, name: str) -> None:
        """Make a stage ready for its commands: outs removed, inputs recorded, locked. Under :meth:`hold`.

        Call :meth:`finish` when the commands ended well, :meth:`release` otherwise.

        Raises:
            PathsBusyError: another DVC process works on its paths; try again.
            GraphError: an input is missing, or DVC refuses.
        """
        stage = self._stages[name]
        with _stage_errors(self.folder):
            _require_inputs(stage)
            with self._path_locks() as locks:
                self._check_free(locks, stage)
                locks.read(_owner(stage), [*_paths(stage.deps), *_paths(stage.outs)])
            self._begun.add(name)
            try:
                for out in stage.outs:
                    if out.persist:
                        out.unprotect()
                    else:
                        out.remove(ignore_remove=False)
                stage.save_deps()
            except BaseException:
                self.release(name)
                raise

    def finish(self, name: str) -> tuple[str, ...]:
        """Record a stage whose commands ended well. Under :meth:`hold`.

        Returns:
            The inputs that were changed while the commands ran; recorded is how they were before.

        Raises:
            PathsBusyError: another DVC process reads its outs; try again.
            GraphError: an out was not made, or DVC refuses.
        """
        stage = self._stages[name]
        with _stage_errors(self.folder):
            with self._path_locks() as locks:
                self._check_free(locks, stage)
                locks.release(_owner(stage))
            # From here on nobody else can begin with these paths: that would need the repository's lock.
            self._begun.discard(name)
            changed = _changed_inputs(stage)
            self._record(stage)
            return changed

    def release(self, name: str) -> None:
        """Give the locks of a stage back; its outs stay as they are.

        Raises:
            BusyError: another process edits DVC's table of locks; try again.
            GraphError: the table cannot be written.
        """
        if name in self._begun:
            stage = self._stages[name]
            with _stage_errors(self.folder), self._path_locks() as locks:
                locks.release(_owner(stage))
            self._begun.discard(name)

    def looks_changed(self, name: str) -> bool:
        """Say whether ``dvc repro`` would do something for this stage, as things are now; needs no lock."""
        with _readable_errors(self.folder), _quiet_dvc(), _working_folder(self.folder):
            return bool(_Change.of(self._stages[name]))

    @property
    def has_records(self) -> bool:
        """Whether there is anything for :meth:`flush`."""
        return bool(self._pending)

    @property
    def flush_is_due(self) -> bool:
        """Whether records have waited long enough for :meth:`flush`."""
        if not self._pending:
            return False
        least = min(max(_FLUSH_SECONDS, _FLUSH_SHARE * self._flush_cost), _FLUSH_LATEST_SECONDS)
        return time.monotonic() - self._pending_since >= least

    def flush(self) -> None:
        """Write what is recorded to ``dvc.lock``. Under :meth:`hold`."""
        start = time.monotonic()
        self._ignore_outs()
        for path, stages in _by_lock_file(self._pending.values()).items():
            records = {stage.name: _lock_entry(stage) for stage in stages}
            write_entries(Path(path), records, _as_yaml, _parsed_yaml)
            self._lock_entries.setdefault(path, {}).update(records)
            self._lock_signatures[path] = _signature(path)
            self._repo.scm_context.track_file(os.path.relpath(path))
        self._pending.clear()
        self._flush_cost = time.monotonic() - start

    def stage_for_git(self) -> None:
        """Add what was written to git's index, if DVC is configured to (``core.autostage``). Under :meth:`hold`.

        Raises:
            GraphError: git refuses.
        """
        context = self._repo.scm_context
        with _stage_errors(self.folder):
            if context.autostage:
                context.track_changed_files()
        context.files_to_track.clear()

    def close(self) -> None:
        """Close DVC's files; :meth:`flush` and :meth:`release` come before."""
        self._repo.close()

    def parameter(self, name: str) -> Any:
        """Return a parameter of ``params.yaml`` at the project's root by its dotted name; ``None`` if it is not there.

        Raises:
            GraphError: the file cannot be read.
        """
        from dvc.utils.serialize import load_yaml

        path = self.root / "params.yaml"
        if self._parameters is None:
            with _readable_errors(self.folder):
                self._parameters = load_yaml(str(path)) if path.exists() else {}
        value: Any = self._parameters
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def invocations(self, name: str, environment: Mapping[str, str]) -> tuple[Invocation, ...]:
        """Return the commands of a stage as DVC would start them: through its shell, with its variables."""
        from dvc.env import DVC_ROOT, DVC_STAGE
        from dvc.stage.run import _make_cmd
        from dvc.utils import fix_env

        if self._shell_environment is None:
            self._shell_environment = {DVC_ROOT: self._repo.root_dir} | fix_env(dict(environment))
        variables = self._shell_environment | {DVC_STAGE: name}
        shell = environment.get("SHELL") or "/bin/sh"
        stage = self._stages[name]
        return tuple(
            Invocation(command, tuple(_make_cmd(shell, command)), Path(stage.wdir), variables)
            for command in _commands(stage)
        )

    # What follows is done under the repository's lock.

    def _restore(self, stage: Any, change: _Change) -> bool:
        """Take the outs from DVC's cache, if it has what these inputs lead to; DVC's ``StageCache.restore``."""
        from dvc.stage.cache import _can_hash, _get_cache_hash

        if change.always or not _can_hash(stage):
            return False
        cache = self._repo.stage_cache
        if not change.command and not change.inputs and all(out.hash_info for out in stage.outs):
            entry: Any = _lock_entry(stage)  # only its outs are missing or were changed
        else:
            recorded = [{name: getattr(dep, name) for name in _HASHED} for dep in stage.deps]
            try:
                stage.save_deps()
                # Looking for the folder first spares most stages DVC's own look, which hashes the inputs again.
                key = _get_cache_hash(_lock_entry(stage), key=True)
                entry = cache._load(stage) if Path(cache._get_cache_dir(key)).exists() else None
            finally:  # what changed may be asked again, against the record
                for dep, values in zip(stage.deps, recorded, strict=True):
                    for name, value in values.items():
                        setattr(dep, name, value)
        if not entry:
            return False
        cached = cache._create_stage(entry, wdir=stage.wdir)
        if not cached.outs_cached():
            return False
        self._require_free(stage)
        for out in stage.outs:
            out.remove(ignore_remove=False)
        cached.checkout()
        stage.save_deps()
        self._record(stage)
        return True

    def _record(self, stage: Any) -> None:
        """Record the outs; the inputs stay as :meth:`begin` recorded them (``Stage.save`` would not)."""
        recorded = self._recorded(stage)
        self._save_outs(stage)
        stage.md5 = stage.compute_md5()
        if self._journal is not None:
            self._journal.append(stage.addressing, _lock_entry(stage), _digest(recorded))
        self._commit(stage)

    def _save_outs(self, stage: Any) -> None:
        """As ``Stage.save_outs``, but ``.gitignore`` files are written in batches, with ``dvc.lock``."""
        from dvc.output import OutputAlreadyTrackedError

        for out in stage.outs:
            old = out._get_versioned_meta()
            if out.use_scm_ignore:
                self._require_ignorable(out.fspath)
                if self._repo.scm.is_tracked(out.fspath):
                    raise OutputAlreadyTrackedError(out)
            out.ignore = _nothing
            try:
                out.save()
            finally:
                del out.ignore
            if old:
                out.merge_version_meta(*old)
            if out.use_scm_ignore:
                self._to_ignore.append(out.fspath)
        if any(out.fspath in self._in_inputs for out in stage.outs):
            self._ignore_outs()  # that .gitignore file is part of an input

    def _commit(self, stage: Any) -> None:
        """Put the outs and the run into the cache, as the record says they are."""
        for out in stage.outs:
            out.commit()
        if all(out.use_cache for out in stage.outs):
            self._save_run(stage)
        elif all(out.use_cache or out.is_metric or out.is_plot for out in stage.outs):
            self._repo.stage_cache.save(stage)
        self._add_pending(stage)

    def _save_run(self, stage: Any) -> None:
        """Put a run whose outs are all cached into the run cache: DVC's ``StageCache.save``, with less work."""
        from dvc.stage.cache import _can_hash, _get_cache_hash

        if not _can_hash(stage):
            return
        entry = _lock_entry(stage)
        cache = self._repo.stage_cache
        path = Path(cache._get_cache_path(_get_cache_hash(_lock_entry(stage), key=True), _get_cache_hash(entry)))
        if path.exists():
            return
        self._repo.cache.legacy.makedirs(str(path.parent))
        replace_file(path, _as_yaml(entry), durable=False, folder=Path(cache.cache_dir))

    def _note_as_it_lies(self, stage: Any) -> None:
        if _lock_path(stage):
            self._add_pending(stage)
        else:
            stage.dump(update_pipeline=False)

    def _add_pending(self, stage: Any) -> None:
        if not self._pending:
            self._pending_since = time.monotonic()
        self._pending[stage.addressing] = stage

    def _ignore_outs(self) -> None:
        """Write the outs of pending stages to ``.gitignore`` files, where git would not ignore them."""
        scm = self._repo.scm
        if not hasattr(scm, "_get_gitignore"):  # a project without git
            self._to_ignore.clear()
        new = [path for path in dict.fromkeys(self._to_ignore) if not scm.is_ignored(path)]
        for path in new:
            entry, file = scm._get_gitignore(path)
            scm._add_entry_to_gitignore(entry, file)
            self._repo.scm_context.track_file(os.path.relpath(file))
        self._to_ignore.clear()
        if new:
            scm._reset()

    def _require_ignorable(self, path: str) -> None:
        """Refuse an out that no ``.gitignore`` of the repository can name, before anything is noted of it.

        Raises:
            GraphError: it lies behind a link that leads out of the repository.
        """
        from scmrepo.exceptions import FileNotInRepoError

        if hasattr(self._repo.scm, "_get_gitignore"):
            try:
                self._repo.scm._get_gitignore(path)
            except FileNotInRepoError as error:
                raise GraphError(f"{one_line(str(error))}; keep outs inside the git repository") from error

    def _take_over(self, stage: Any, record: Mapping[str, Any]) -> bool:
        """Give a stage the record of a run that was killed, if its outs are there or in the cache."""
        before = self._recorded(stage)
        self._fill(stage, record)
        try:
            for out in stage.outs:
                if not out.hash_info:
                    raise GraphError("it has another out now")
                if out.use_scm_ignore:
                    self._require_ignorable(out.fspath)
                if not out.workspace_status():
                    continue
                if not out.use_cache or out.persist or out.changed_cache():
                    raise GraphError("the out was changed since, and is not in the cache")
                out.checkout(force=True)  # the run was killed while it linked the out to the cache
            stage.md5 = stage.compute_md5()
            self._to_ignore += [out.fspath for out in stage.outs if out.use_scm_ignore]
            self._commit(stage)
        except Exception as error:
            logging.getLogger(__name__).debug("%s is not taken over: %s", stage.addressing, error)
            self._pending.pop(stage.addressing, None)
            self._fill(stage, before or {})
            return False
        return True

    def _take_over_foreign_records(self) -> None:
        """Give the stages what another process has written to ``dvc.lock`` since it was read."""
        for path, signature in self._lock_signatures.items():
            if _signature(path) == signature:
                continue
            self.revision += 1
            before = self._lock_entries[path]
            self._lock_entries[path] = after = _lock_entries(path)
            self._lock_signatures[path] = _signature(path)
            for name, stage in self._stages.items():
                if not _is_in(stage, path) or name in self._begun or name in self._pending:
                    continue
                if after.get(stage.name) != before.get(stage.name):
                    self._fill(stage, after.get(stage.name) or {})

    def _fill(self, stage: Any, record: Mapping[str, Any]) -> None:
        """Give a stage the hashes, parameters and command of a lock file's entry."""
        from dvc.stage.loader import StageLoader

        # An entry without these lists, or without parameters, would leave the stage as it is.
        for dep in stage.deps:
            dep.hash_info = type(dep.hash_info)()
        record = {"deps": [], "outs": [], **record}
        StageLoader.fill_from_lock(stage, record)
        stage.cmd_changed = bool(record.get("cmd")) and record["cmd"] != stage.cmd

    def _recorded(self, stage: Any) -> dict[str, Any] | None:
        """Return the entry of a stage in its lock file, as it was read last."""
        if stage.addressing in self._pending:
            return _lock_entry(self._pending[stage.addressing])
        return self._lock_entries.get(_lock_path(stage), {}).get(stage.name)

    def _remember_lock_files(self) -> None:
        for path in {_lock_path(stage) for stage in self._stages.values() if _lock_path(stage)}:
            signature = _signature(path)
            if self._lock_signatures.get(path) == signature:
                continue
            self._lock_signatures[path] = signature
            self._lock_entries[path] = _lock_entries(path)

    @contextmanager
    def _path_locks(self) -> Iterator[_PathLocks]:
        """Edit DVC's table of read/write locks, at once for all of a stage's paths, and replace it atomically.

        DVC's own ``_edit_rwlock`` writes in place: killed meanwhile, it leaves half a table, which DVC then refuses
        to read. Such a table is taken for empty here; whoever wrote it is dead.
        """
        from dvc.lock import make_lock
        from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK, SCHEMA

        folder = Path(self._repo.tmp_dir)
        path = folder / RWLOCK_FILE
        hardlink = self._repo.config["core"].get("hardlink_lock", False)
        with make_lock(str(folder / RWLOCK_LOCK), tmp_dir=str(folder), hardlink_lock=hardlink):
            try:
                before = json.loads(path.read_text(encoding="utf-8"))
            except (FileNotFoundError, ValueError):
                before = {}
            table = SCHEMA(before)
            table = {"read": defaultdict(list, table["read"]), "write": defaultdict(dict, table["write"])}
            yield _PathLocks(table, str(folder))
            text = json.dumps({mode: paths for mode, paths in table.items() if paths})
            if text != json.dumps(before):
                replace_file(path, text, durable=False)

    def _require_free(self, stage: Any) -> None:
        with self._path_locks() as locks:
            self._check_free(locks, stage)

    @staticmethod
    def _check_free(locks: _PathLocks, stage: Any) -> None:
        locks.check(_owner(stage), read=_paths(stage.deps), write=_paths(stage.outs))

    def _drop_dead_locks(self) -> None:
        """Drop locks of runs of ours that were killed: no other is alive in this workspace."""
        with self._path_locks() as locks:
            locks.release_all(_LOCK_OWNER)


@dataclass(frozen=True)
class _Change:
    """What makes ``dvc repro`` run a stage: DVC's ``Stage.changed``, without its locks, and in parts."""

    command: bool
    inputs: bool
    outs: bool
    always: bool

    @classmethod
    def of(cls, stage: Any, *, continued: bool = False) -> _Change:
        """Look for what changed; the first part that did is enough.

        Args:
            stage: DVC's stage.
            continued: a run that is being continued has finished it, so that even a stage that always
                changes has not.
        """
        if stage.changed_stage():
            return cls(command=True, inputs=False, outs=False, always=False)
        if not stage.frozen:
            if (stage.is_callback or stage.always_changed) and not continued:
                return cls(command=False, inputs=False, outs=False, always=True)
            if any(dep.status() for dep in stage.deps):
                return cls(command=False, inputs=True, outs=False, always=False)
        return cls(command=False, inputs=False, outs=any(out.status() for out in stage.outs), always=False)

    def __bool__(self) -> bool:
        return self.command or self.inputs or self.outs or self.always


@dataclass(frozen=True)
class _PathLocks:
    """DVC's table of the paths in use, while it may be edited."""

    table: Any
    folder: str

    def check(self, owner: Mapping[str, Any], *, read: Sequence[str], write: Sequence[str]) -> None:
        """Raise if another process writes one of the paths, or reads one that is to be written.

        Raises:
            PathsBusyError: with DVC's own words.
        """
        from dvc.lock import LockError
        from dvc.rwlock import _check_blockers

        try:
            _check_blockers(self.folder, self.table, owner, mode="write", waiters=[*read, *write])
            _check_blockers(self.folder, self.table, owner, mode="read", waiters=list(write))
        except LockError as error:
            raise PathsBusyError(_blocker(error)) from error

    def read(self, owner: Mapping[str, Any], paths: Sequence[str]) -> None:
        """Take read locks."""
        from dvc.rwlock import _acquire_read

        _acquire_read(self.table, owner, list(paths))

    def release(self, owner: Mapping[str, Any]) -> None:
        """Give an owner's read locks back."""
        self._keep(lambda entry: entry != owner)

    def release_all(self, prefix: str) -> None:
        """Give the read locks back of everyone whose name begins so."""
        self._keep(lambda entry: not entry["cmd"].startswith(f"{prefix} "))

    def _keep(self, keep: Callable[[Any], bool]) -> None:
        readers = self.table.get("read") or {}
        for path in list(readers):
            readers[path] = [entry for entry in readers[path] if keep(entry)]
            if not readers[path]:
                del readers[path]


def _outs_in_inputs(stages: Iterable[Any]) -> set[str]:
    """Return the outs that lie in folders on which other stages depend."""
    stages = list(stages)
    inputs = {dep.fs_path for stage in stages for dep in stage.deps}
    return {
        out.fspath
        for stage in stages
        for out in stage.outs
        if any(str(folder) in inputs for folder in Path(out.fs_path).parents)
    }


def _nothing() -> None:
    """Stand in for ``Output.ignore``."""


def _owner(stage: Any) -> dict[str, Any]:
    # A text per stage: DVC shares the locks of equal owners, and the first release would drop them for all.
    return {"pid": os.getpid(), "cmd": f"{_LOCK_OWNER} {stage.addressing}"}


def _paths(entries: Sequence[Any]) -> list[str]:
    """Return the paths of inputs or outs that are to be locked, as DVC chooses them."""
    from dvc.dependency.db import AbstractDependency
    from dvc.dependency.repo import RepoDependency

    return [entry.fs_path for entry in entries if not isinstance(entry, (RepoDependency, AbstractDependency))]


def _blocker(error: Exception) -> str:
    """Return who is in the way, in DVC's words but for its advice."""
    return one_line(str(error).partition("\n\n")[0])


def _take_at_once(lock: Any) -> None:
    """Take the repository's lock, or raise.

    Raises:
        RepositoryBusyError: another process has it.
    """
    from datetime import timedelta

    import flufl.lock
    from dvc.lock import HardlinkLock, Lock, LockError

    try:
        if isinstance(lock, Lock):
            lock._do_lock()
        elif isinstance(lock, HardlinkLock):
            flufl.lock.Lock.lock(lock, timedelta(seconds=0))
        else:
            lock.lock()  # a read-only project has none
    except (LockError, flufl.lock.TimeOutError):
        raise RepositoryBusyError("another DVC process holds the repository's lock") from None


def _lock_path(stage: Any) -> str:
    """Return the path of the lock file that records a stage; empty for stages of ``.dvc`` files."""
    from dvc.stage import PipelineStage

    return str(Path(stage.dvcfile._lockfile.path).resolve()) if isinstance(stage, PipelineStage) else ""


def _is_in(stage: Any, path: str) -> bool:
    return _lock_path(stage) == path


def _signature(path: str) -> tuple[int, ...]:
    try:
        status = Path(path).stat()
    except OSError:
        return ()
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _lock_entries(path: str) -> dict[str, Any]:
    from dvc.utils.serialize import load_yaml

    return dict((load_yaml(path) or {}).get("stages") or {}) if Path(path).exists() else {}


def _lock_entry(stage: Any) -> dict[str, Any]:
    """Return what DVC writes to ``dvc.lock`` for a stage."""
    from dvc.stage.serialize import to_single_stage_lockfile

    return to_single_stage_lockfile(stage)


def _digest(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return ""
    return hashlib.sha256(json.dumps(entry, sort_keys=True, default=str).encode()).hexdigest()


def _by_lock_file(stages: Iterable[Any]) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for stage in stages:
        groups.setdefault(_lock_path(stage), []).append(stage)
    return groups


def _as_yaml(data: Any) -> str:
    """Return YAML as DVC writes it; what is simple, as most records are, without its slow emitter."""
    from dvc.utils.serialize import dumps_yaml

    text = simple_yaml(data)
    return dumps_yaml(data) if text is None else text


def _parsed_yaml(text: str, path: str) -> Any:
    from dvc.utils.serialize import parse_yaml_for_update

    return parse_yaml_for_update(text, path)


def _commands(stage: Any) -> tuple[str, ...]:
    from dvc.stage.run import _enforce_cmd_list

    return tuple(_enforce_cmd_list(stage.cmd)) if stage.cmd else ()


def _describe(stage: Any, active: Any, declared: Any, chosen: set[Any], order: Mapping[Any, int]) -> StageNode:
    """Describe a stage; ``active`` is the graph without the inputs of frozen stages."""
    upstream = sorted(active.successors(stage), key=order.__getitem__)
    after = sorted(chosen.intersection(declared.successors(stage)).difference(upstream), key=order.__getitem__)
    return StageNode(
        name=stage.addressing,
        commands=_commands(stage),
        folder=Path(stage.wdir),
        upstream=tuple(other.addressing for other in upstream),
        after=tuple(other.addressing for other in after),
        outs=tuple(Path(out.fs_path) for out in stage.outs if out.protocol == "local"),
        frozen=bool(stage.frozen),
        meta=stage.meta,
    )


def _active_graph(graph: Any) -> Any:
    from dvc.repo.reproduce import get_active_graph

    return get_active_graph(graph)


def _collect(repo: Any, targets: Sequence[str], graph: Any, order: Mapping[Any, int]) -> list[Any]:
    """Return the stages of ``targets`` and all they depend on in ``graph``, in the order to run them.

    DVC's own order comes from a set and may differ between two runs.
    """
    if not targets and not Path("dvc.yaml").exists():
        raise GraphError(f"no dvc.yaml in {Path.cwd()}; go to the project's folder, or name what to run")
    loaded = {stage: stage for stage in order}  # a target is loaded anew: an equal, but another object
    chosen: set[Any] = set()
    for target in targets or ["dvc.yaml"]:
        for found in _find(repo, target, order):
            chosen |= _with_inputs(loaded[found], graph)
    return _inputs_first(chosen, repo.index.graph, order)  # a frozen stage, too, follows its inputs


def _with_inputs(stage: Any, graph: Any) -> set[Any]:
    """Return a stage and all it depends on."""
    found = {stage}
    waiting = [stage]
    while waiting:
        new = set(graph.successors(waiting.pop())) - found
        found |= new
        waiting.extend(new)
    return found


def _inputs_first(stages: set[Any], graph: Any, order: Mapping[Any, int]) -> list[Any]:
    """Sort stages as the files list them, each after those of them that it depends on."""

    def sort(some: Iterable[Any]) -> list[Any]:
        return sorted(some, key=order.__getitem__)

    result: dict[Any, None] = {}
    for last in sort(stages):
        waiting = [last]
        while waiting:
            open_inputs = sort(stages.intersection(graph.successors(waiting[-1])).difference(result))
            if open_inputs:
                waiting.extend(reversed(open_inputs))
            else:
                result[waiting.pop()] = None
    return list(result)


def _find(repo: Any, target: str, stages: Mapping[Any, int]) -> list[Any]:
    from dvc.exceptions import NoOutputOrStageError, StageNotFoundError
    from dvc.stage.exceptions import StageFileDoesNotExistError, StageFileIsNotDvcFileError, StageNotFound

    if target == "dvc.yaml" and Path(target).exists():  # loading it again is slow at hundreds of stages
        file = str(Path(target).absolute())
        return [stage for stage in stages if stage.path == file]
    named = [stage for stage in stages if stage.addressing.partition("@")[0] == target]
    named = named or [stage for stage in stages if stage.addressing == target]
    if named:
        return named
    unknown = (NoOutputOrStageError, StageNotFoundError, StageFileDoesNotExistError)
    try:
        return list(repo.stage.collect(target))
    except (*unknown, StageFileIsNotDvcFileError, StageNotFound):
        pass
    path = str(Path(target).absolute())
    for stage in stages:
        if any(out.fs_path == path for out in stage.outs):
            raise GraphError(f"'{target}' is an out, not a stage; run the stage that makes it: {stage.addressing}")
    names = {stage.addressing for stage in stages}
    names |= {name.partition("@")[0] for name in names}
    raise GraphError(
        f"no stage '{target}' in {Path.cwd()}{nearest(target, sorted(names))}; `dvc stage list` lists them"
    )


def _mend(stage: Any) -> bool:
    """Take missing data of a stage that has no command to make it from the cache, if it is there."""
    missing = [out for out in stage.outs if out.use_cache and out.hash_info and not out.exists]
    if not missing or any(out.changed_cache() for out in missing):
        return False
    for out in missing:
        out.checkout()
    return True


def _local_inputs(stage: Any) -> list[Any]:
    from dvc.dependency.db import AbstractDependency
    from dvc.dependency.repo import RepoDependency

    return [
        dep
        for dep in stage.deps
        if not isinstance(dep, (RepoDependency, AbstractDependency)) and dep.protocol == "local"
    ]


def _require_inputs(stage: Any) -> None:
    """Refuse to run without an input, before the outs of the last run are removed.

    Raises:
        GraphError: an input is missing.
    """
    missing = sorted(str(dep) for dep in _local_inputs(stage) if not dep.exists)
    if missing:
        raise GraphError(
            f"missing dependency {', '.join(missing)} of {stage.addressing}; "
            "put it there, take it from a remote by `dvc pull`, or correct dvc.yaml"
        )


def _changed_inputs(stage: Any) -> tuple[str, ...]:
    return tuple(sorted(str(dep) for dep in _local_inputs(stage) if dep.workspace_status()))


@contextmanager
def _locked_for_loading(repo: Any, wait: Callable[[BusyError], None] | None) -> Iterator[None]:
    """Hold the repository's lock; DVC's ``lock_repo``, which no signal could interrupt."""
    while True:
        try:
            if wait is None:
                repo.lock.lock()
            else:
                _take_at_once(repo.lock)
            break
        except BusyError as error:
            assert wait is not None  # noqa: S101 - for the type checker
            wait(error)
    repo._lock_depth += 1
    try:
        repo._reset()
        yield
    finally:
        repo._lock_depth -= 1
        repo.lock.unlock()


@contextmanager
def _working_folder(folder: Path) -> Iterator[None]:
    """Work in ``folder``: DVC resolves targets and stage names against the working directory."""
    before = Path.cwd()
    if before == folder:
        yield
        return
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _quiet_dvc() -> Iterator[None]:
    """Keep DVC's progress bars, which would tear a live display, from the terminal."""
    loggers = [logging.getLogger(name) for name in ("dvc", "dvc_data", "dvc_objects")]  # each has bars of its own
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _readable_errors(folder: Path) -> Iterator[None]:
    """Turn DVC's exceptions into :class:`GraphError` and :class:`BusyError`."""
    from dvc.exceptions import DvcException
    from dvc.lock import LockError

    try:
        yield
    except LockError as error:
        raise PathsBusyError(_blocker(error)) from error
    except DvcException as error:
        raise GraphError(_explain(error, folder)) from error


@contextmanager
def _stage_errors(folder: Path) -> Iterator[None]:
    """Turn whatever DVC raises about one stage into :class:`GraphError`: it must not end the others."""
    try:
        with _readable_errors(folder):
            yield
    except (GraphError, BusyError):
        raise
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise GraphError(f"{place}{error.strerror or error}; mend that, and run again") from error
    except Exception as error:
        said = one_line(f"{type(error).__name__}: {error}")
        raise GraphError(f"DVC failed: {said}; `dvc repro --verbose` says more") from error


def _explain(error: Any, folder: Path) -> str:
    from dvc import exceptions as dvc_errors
    from dvc.dependency.base import DependencyDoesNotExistError
    from dvc.dependency.param import MissingParamsError
    from dvc.output import OutputDoesNotExistError
    from dvc.rwlock import RWLockFileCorruptedError, RWLockFileFormatError
    from dvc.scm import SCMError
    from dvc.stage.exceptions import MissingDataSource
    from dvc.utils.strictyaml import YAMLSyntaxError, YAMLValidationError

    said = one_line(str(error)).rstrip(".")
    match error:
        case dvc_errors.NotDvcRepoError():
            return (
                f"no DVC repository in {folder} or above it; go to the project's folder, "
                "or make one: `git init` and `dvc init`"
            )
        case SCMError():
            return (
                f"{said}; this DVC project expects git: run `git init` in {folder}, "
                "or `dvc config core.no_scm true` to work without"
            )
        case dvc_errors.CyclicGraphError():
            return f"the graph has a cycle: {said}; take one of these dependencies out of dvc.yaml"
        case dvc_errors.OutputDuplicationError():
            names = ", ".join(sorted(stage.addressing for stage in error.stages))
            return f"the out '{error.output}' is declared twice, by {names}; leave it to one of them"
        case dvc_errors.OverlappingOutputPathsError() | dvc_errors.StagePathAsOutputError():
            return f"{said}; give every stage outs of its own"
        case DependencyDoesNotExistError():
            return f"{said}; put it there, take it from a remote by `dvc pull`, or correct dvc.yaml"
        case MissingParamsError():
            return f"{said}; add them there, or correct `params:` in dvc.yaml"
        case OutputDoesNotExistError():
            return f"{said}, although the command ended well; correct the command, or `outs:` in dvc.yaml"
        case MissingDataSource():
            return f"{said}, and not in DVC's cache; take it from a remote by `dvc pull`"
        case RWLockFileCorruptedError() | RWLockFileFormatError():
            return f"{said}; if no DVC process is running, delete that file"
        case YAMLSyntaxError():
            cause = error.exc.__cause__
            mark = getattr(cause, "problem_mark", None)
            place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
            problem = one_line(str(getattr(cause, "problem", None) or "not YAML"))
            return f"{error.relpath}{place}: {problem}{error.hint}; {_mend_file(error.relpath)}"
        case YAMLValidationError():
            first = error.exc.errors[0]
            place = " -> ".join(str(part) for part in first.path)
            found = f"{first.error_message}{f' in {place}' if place else ''}"
            return f"{error.path}: {found}; {_mend_file(error.path)}"
    cause = one_line(str(error.__cause__ or ""))
    details = f": {cause}" if cause and cause not in said else ""
    return f"DVC refuses: {said}{details}; `dvc repro --verbose` says more"


def _mend_file(path: str) -> str:
    if not path.endswith(".lock"):
        return "correct it there"
    return (
        f"the file is damaged: take it from git by `git checkout {path}`, or delete it; "
        "finished stages then come from the run cache"
    )
