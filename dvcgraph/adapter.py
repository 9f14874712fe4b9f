"""The only module that touches DVC's Python interface; written for, and tested with, DVC 3.67.

DVC's own ``repro`` holds its locks in a way that blocks ``dvc status`` for as long as a command runs, records
inputs as they are *after* the command, and rewrites ``dvc.lock`` in place for every stage. This module does
the same bookkeeping in two short steps around a command that somebody else runs:

``begin``
    under the repository's lock: what changed; remove the outs; restore them from the run cache, or else
    record the inputs. Then the lock is given back; read locks on the stage's inputs and outs remain, which
    keep writers (a foreign ``dvc repro`` of the same stage) out and let readers (``dvc status``) in.
``finish``
    under the repository's lock again: record the outs, commit them to the cache, save the run in the run
    cache.

Records reach ``dvc.lock`` in batches, by :meth:`Graph.flush`. A ``Graph`` belongs to one thread.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal, TypeVar

from dvcgraph.errors import GraphError, nearest, one_line

Beginning = Literal["unchanged", "restored", "recorded", "run"]
T = TypeVar("T")

_RETRY_SECONDS = 0.5  # between two tries for a path that another DVC process has locked
_FLUSH_SECONDS = 1.0  # dvc.lock is rewritten when at least this long, and
_FLUSH_SHARE = 10  # this many times the cost of rewriting it, has passed


@dataclass(frozen=True)
class StageNode:
    """A stage as the graph declares it."""

    name: str  # DVC's addressing: "train@a", "sub/dvc.yaml:x", "data.csv.dvc"
    commands: tuple[str, ...]  # run one after another; empty for a .dvc file
    folder: Path  # where the commands run
    upstream: tuple[str, ...]  # names of the stages of this run that it depends on directly
    outs: tuple[Path, ...]
    frozen: bool


@dataclass(frozen=True)
class Invocation:
    """One command as DVC would start it."""

    command: str
    arguments: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]


class Graph:
    """A DVC project's graph, loaded once, with the bookkeeping of its stages."""

    def __init__(self, repo: Any, folder: Path, stages: Sequence[Any], upstream: Mapping[Any, Sequence[Any]]) -> None:
        self.folder = folder
        self.root = Path(repo.root_dir)
        self.on_wait: Callable[[str], None] = _ignore
        self._repo = repo
        self._stages = {stage.addressing: stage for stage in stages}
        self._locks: dict[str, ExitStack] = {}
        self._pending: dict[str, Any] = {}
        self._flushed_at = time.monotonic()
        self._flush_cost = 0.0
        self.stages = tuple(_describe(stage, upstream[stage]) for stage in stages)

    @classmethod
    def load(cls, folder: Path, targets: Sequence[str] = ()) -> Graph:
        """Load the project around ``folder`` and select what ``dvc repro TARGETS`` would run from there.

        Raises:
            GraphError: no repository, a target that does not exist, or files that DVC refuses.
        """
        from dvc.repo import Repo, lock_repo

        folder = folder.resolve()
        with _readable_errors(folder), _working_folder(folder):
            repo = Repo(str(folder), _wait_for_lock=True)
            try:
                repo.lock._friendly = False  # its notice would tear a live display
                with lock_repo(repo):
                    graph = _active_graph(repo.index.graph)
                    order = {stage: position for position, stage in enumerate(repo.index.stages)}
                    chosen = _collect(repo, targets, graph, order)
                    upstream = {stage: sorted(graph.successors(stage), key=order.__getitem__) for stage in chosen}
                return cls(repo, folder, chosen, upstream)
            except BaseException:
                repo.close()
                raise

    def begin(self, name: str, *, force: bool = False) -> Beginning:
        """Take a stage up to where its command has to run, if it has to.

        Returns:
            ``run``: run the commands, then call :meth:`finish`, or :meth:`release` if they failed;
            otherwise nothing is left to do: ``unchanged``, ``restored`` from DVC's cache, or ``recorded``
            (a frozen stage, a ``.dvc`` file: what lies there is noted).

        Raises:
            GraphError: an input is missing, or DVC refuses.
        """
        stage = self._stages[name]
        return self._locked(lambda: self._begin(stage, force))

    def finish(self, name: str) -> tuple[str, ...]:
        """Record a stage whose commands ended well.

        Returns:
            The inputs that were changed while the commands ran; recorded is how they were before.

        Raises:
            GraphError: an out was not made, or DVC refuses.
        """
        stage = self._stages[name]

        def record() -> tuple[str, ...]:
            changed = _changed_inputs(stage)
            self._record(stage)
            self._flush_in_time()
            return changed

        try:
            return self._locked(record)
        finally:
            self.release(name)

    def release(self, name: str) -> None:
        """Give the locks of a stage back; its outs stay as they are and are not recorded."""
        locks = self._locks.pop(name, None)
        if locks is not None:
            with _readable_errors(self.folder):
                locks.close()

    def changed(self, name: str) -> bool:
        """Say whether ``dvc repro`` would do something for this stage, as things are now."""
        stage = self._stages[name]
        return self._locked(lambda: bool(stage.changed(False, None)))

    def flush(self, *, wait: bool = True) -> None:
        """Write what is recorded to ``dvc.lock``; without ``wait`` only if nobody holds the lock for long."""
        if not self._pending:
            return
        if wait:
            self._locked(self._write_pending)
            return
        lock = self._repo.lock
        from dvc.lock import LockError

        lock._wait = False
        try:
            with self._hold():
                self._write_pending()
        except LockError:
            pass
        finally:
            lock._wait = True

    def close(self) -> None:
        """Give all locks back, write what is recorded, and close DVC's files."""
        try:
            for name in list(self._locks):
                self.release(name)
            self.flush()
        finally:
            self._repo.close()

    def invocations(self, name: str, environment: Mapping[str, str]) -> tuple[Invocation, ...]:
        """Return the commands of a stage as DVC would start them: through its shell, with its variables."""
        from dvc.env import DVC_ROOT, DVC_STAGE
        from dvc.stage.run import _enforce_cmd_list, _make_cmd
        from dvc.utils import fix_env

        stage = self._stages[name]
        variables = {DVC_ROOT: self._repo.root_dir} | fix_env(dict(environment)) | {DVC_STAGE: name}
        shell = environment.get("SHELL") or "/bin/sh"
        return tuple(
            Invocation(command, tuple(_make_cmd(shell, command)), Path(stage.wdir), variables)
            for command in _enforce_cmd_list(stage.cmd)
        )

    # The steps below run under the repository's lock.

    def _begin(self, stage: Any, force: bool) -> Beginning:
        from dvc.stage.cache import RunCacheNotFoundError

        verified_only = stage.frozen or not stage.cmd
        mended = verified_only and _mend(stage)
        if not force and not stage.changed(False, None):
            return "restored" if mended else "unchanged"
        if verified_only:
            stage.run(force=force)
            self._pending[stage.addressing] = stage
            self._flush_in_time()
            return "recorded"
        _require_inputs(stage)
        stage.remove_outs(ignore_remove=False, force=False)
        if not force:
            with contextlib.suppress(RunCacheNotFoundError):
                self._repo.stage_cache.restore(stage)
                stage.save_deps()
                self._record(stage)
                self._flush_in_time()
                return "restored"
        stage.save_deps()
        locks = ExitStack()
        locks.enter_context(self._path_locks(stage, read=[*stage.deps, *stage.outs], write=[]))
        self._locks[stage.addressing] = locks
        return "run"

    def _record(self, stage: Any) -> None:
        """Record the outs; the inputs stay as :meth:`_begin` recorded them (``Stage.save`` would not)."""
        stage.save_outs()
        stage.md5 = stage.compute_md5()
        # DVC's own lock around `commit` would be refused by our read locks, and without those another
        # process could come in between: hence the same lock under the name that holds them.
        with self._path_locks(stage, read=[], write=stage.outs):
            inspect.unwrap(type(stage).commit)(stage)
        if all(out.use_cache or out.is_metric or out.is_plot for out in stage.outs):
            self._repo.stage_cache.save(stage)
        self._pending[stage.addressing] = stage

    def _path_locks(self, stage: Any, *, read: Sequence[Any], write: Sequence[Any]) -> Any:
        from dvc.dependency.db import AbstractDependency
        from dvc.dependency.repo import RepoDependency
        from dvc.rwlock import rwlock

        def paths(entries: Sequence[Any]) -> list[str]:
            return [entry.fs_path for entry in entries if not isinstance(entry, (RepoDependency, AbstractDependency))]

        return rwlock(
            self._repo.tmp_dir,
            self._repo.fs,
            f"dvcgraph {stage.addressing}",
            paths(read),
            paths(write),
            self._repo.config["core"].get("hardlink_lock", False),
        )

    def _flush_in_time(self) -> None:
        least = max(_FLUSH_SECONDS, _FLUSH_SHARE * self._flush_cost)
        if time.monotonic() - self._flushed_at >= least:
            self._write_pending()

    def _write_pending(self) -> None:
        start = time.monotonic()
        for file, stages in _by_file(self._pending.values()):
            if file is None:
                for stage in stages:
                    stage.dump(update_pipeline=False)
            else:
                _write_lock_file(file._lockfile, stages)
        self._pending.clear()
        self._flushed_at = time.monotonic()
        self._flush_cost = self._flushed_at - start

    @contextmanager
    def _hold(self) -> Iterator[None]:
        from dvc.repo import lock_repo

        with (
            _readable_errors(self.folder),
            _quiet_dvc(),
            _working_folder(self.folder),
            lock_repo(self._repo),
            self._repo.scm_context(quiet=True),
        ):
            yield

    def _locked(self, action: Callable[[], T]) -> T:
        """Run ``action`` under the repository's lock, again and again while another process has its paths."""
        from dvc.lock import LockError

        told = False
        while True:
            try:
                with self._hold():
                    return action()
            except LockError as error:
                if not told:
                    self.on_wait(f"waiting for another DVC process: {one_line(str(error))}")
                told = True
                time.sleep(_RETRY_SECONDS)


def _ignore(_message: str) -> None:
    """Tell nobody."""


def _describe(stage: Any, upstream: Sequence[Any]) -> StageNode:
    from dvc.stage.run import _enforce_cmd_list

    return StageNode(
        name=stage.addressing,
        commands=tuple(_enforce_cmd_list(stage.cmd)) if stage.cmd else (),
        folder=Path(stage.wdir),
        upstream=tuple(other.addressing for other in upstream),
        outs=tuple(Path(out.fs_path) for out in stage.outs if out.protocol == "local"),
        frozen=bool(stage.frozen),
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


def _by_file(stages: Any) -> list[tuple[Any, list[Any]]]:
    """Group stages by the dvc.yaml that declares them; ``None`` for stages of ``.dvc`` files."""
    from dvc.stage import PipelineStage

    groups: dict[str, tuple[Any, list[Any]]] = {}
    for stage in stages:
        pipeline = isinstance(stage, PipelineStage)
        file = stage.dvcfile if pipeline else None
        groups.setdefault(stage.path if pipeline else "", (file, []))[1].append(stage)
    return list(groups.values())


def _write_lock_file(lock_file: Any, stages: Sequence[Any]) -> None:
    """Put the records of ``stages`` into a ``dvc.lock``, with DVC's serialiser but atomically.

    The file is read anew, so that what other processes wrote since it was loaded is kept.
    """
    from dvc.stage.serialize import to_lockfile
    from dvc.utils.serialize import parse_yaml_for_update
    from dvc.utils.serialize._yaml import _dump

    path = Path(lock_file.path).resolve()
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    data = parse_yaml_for_update(text, str(path)) if text else {}
    if not data:
        data["schema"] = "2.0"
    entries = data.setdefault("stages", {})
    modified = not text
    for stage in stages:
        record = to_lockfile(stage)
        modified = modified or entries.get(stage.name) != record[stage.name]
        entries.update(record)
    if not modified:
        return
    stream = StringIO()
    _dump(data, stream)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(stream.getvalue())
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            partial.chmod(path.stat().st_mode & 0o7777)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    lock_file.repo.scm_context.track_file(lock_file.relpath)


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
    """Turn DVC's exceptions into :class:`GraphError`; waiting for a lock is the caller's business."""
    from dvc.exceptions import DvcException
    from dvc.lock import LockError

    try:
        yield
    except LockError:
        raise
    except DvcException as error:
        raise GraphError(_explain(error, folder)) from error


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
