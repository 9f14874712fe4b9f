"""The parts of DVC's Python interface that the adapter uses: there, and called as before."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path
from typing import Any

import dvc
import pytest

from dvcgraph import adapter

# What the adapter calls, with the parameters that it relies on; None for what is no function.
USED: dict[str, list[str] | None] = {
    "dvc.dependency.base.DependencyDoesNotExistError": None,
    "dvc.dependency.db.AbstractDependency": None,
    "dvc.dependency.param.MissingParamsError": None,
    "dvc.dependency.param.ParamsDependency.read_params": ["self", "flatten", "kwargs"],
    "dvc.dependency.param.read_param_file": ["fs", "path", "key_paths", "flatten", "load_kwargs"],
    "dvc.dependency.repo.RepoDependency": None,
    "dvc.env.DVC_ROOT": None,
    "dvc.env.DVC_STAGE": None,
    "dvc.lock.HardlinkLock": None,
    "dvc.lock.Lock._do_lock": ["self"],
    "dvc.lock.Lock.unlock": ["self"],
    "dvc.lock.Lock": None,
    "dvc.lock.LockError": None,
    "dvc.lock.make_lock": ["lockfile", "tmp_dir", "friendly", "hardlink_lock"],
    "dvc.output.Output._get_versioned_meta": ["self"],
    "dvc.output.Output.changed_cache": ["self", "filter_info"],
    "dvc.output.Output.checkout": ["self", "force"],
    "dvc.output.Output.commit": ["self", "filter_info", "relink"],
    "dvc.output.Output.ignore": ["self"],
    "dvc.output.Output.merge_version_meta": ["self", "old_hi", "old_meta", "old_obj"],
    "dvc.output.Output.remove": ["self", "ignore_remove"],
    "dvc.output.Output.save": ["self"],
    "dvc.output.Output.status": ["self"],
    "dvc.output.Output.unprotect": ["self"],
    "dvc.output.Output.workspace_status": ["self"],
    "dvc.output.OutputAlreadyTrackedError": None,
    "dvc.output.OutputDoesNotExistError": None,
    "dvc.repo.Repo": None,
    "dvc.repo.Repo._reset": ["self"],
    "dvc.repo.Repo.find_root": ["root"],
    "dvc.repo.lock_repo": ["repo"],
    "dvc.repo.reproduce.get_active_graph": ["graph"],
    "dvc.rwlock.RWLockFileCorruptedError": None,
    "dvc.rwlock.RWLockFileFormatError": None,
    "dvc.rwlock._acquire_read": ["lock", "info", "paths"],
    "dvc.rwlock._check_blockers": ["tmp_dir", "lock", "info", "mode", "waiters"],
    "dvc.rwlock.RWLOCK_FILE": None,
    "dvc.rwlock.RWLOCK_LOCK": None,
    "dvc.rwlock.SCHEMA": None,
    "dvc.scm.SCMError": None,
    "dvc.stage.PipelineStage": None,
    "dvc.stage.Stage.changed_stage": ["self"],
    "dvc.stage.Stage.compute_md5": ["self"],
    "dvc.stage.Stage.dump": ["self", "kwargs"],
    "dvc.stage.Stage.run": ["self", "dry", "no_commit", "force"],
    "dvc.stage.Stage.save_deps": ["self", "allow_missing"],
    "dvc.stage.cache.StageCache._create_stage": ["self", "cache", "wdir"],
    "dvc.stage.cache.StageCache._get_cache_dir": ["self", "key"],
    "dvc.stage.cache.StageCache._get_cache_path": ["self", "key", "value"],
    "dvc.stage.cache.StageCache._load": ["self", "stage"],
    "dvc.stage.cache.StageCache.save": ["self", "stage"],
    "dvc.stage.cache._can_hash": ["stage"],
    "dvc.stage.cache._get_cache_hash": ["cache", "key"],
    "dvc.stage.exceptions.MissingDataSource": None,
    "dvc.stage.exceptions.StageFileDoesNotExistError": None,
    "dvc.stage.exceptions.StageFileIsNotDvcFileError": None,
    "dvc.stage.exceptions.StageNotFound": None,
    "dvc.stage.loader.StageLoader": None,
    "dvc.stage.loader.StageLoader.fill_from_lock": ["stage", "lock_data"],
    "dvc.stage.run._enforce_cmd_list": ["cmd"],
    "dvc.stage.run._make_cmd": ["executable", "cmd"],
    "dvc.stage.serialize.to_single_stage_lockfile": ["stage", "kwargs"],
    "dvc.utils.fix_env": ["env"],
    "dvc.utils.serialize.dumps_yaml": ["d"],
    "dvc.utils.serialize.load_yaml": ["path"],
    "dvc.utils.serialize.parse_yaml_for_update": ["text", "path"],
    "dvc.utils.strictyaml.YAMLSyntaxError": None,
    "dvc.utils.strictyaml.YAMLValidationError": None,
    "dvc.exceptions.DvcException": None,
    "dvc.exceptions.NoOutputOrStageError": None,
    "dvc.exceptions.StageNotFoundError": None,
    "scmrepo.exceptions.FileNotInRepoError": None,
    "scmrepo.git.Git._add_entry_to_gitignore": ["self", "entry", "gitignore"],
    "scmrepo.git.Git._get_gitignore": ["self", "path"],
    "scmrepo.git.Git._reset": ["self"],
}


def find(name: str) -> Any:
    """Import as much of a dotted name as is a module, and get the rest."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:end]))
        except ImportError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise ImportError(name)


@pytest.mark.parametrize("name", USED)
def test_dvc_still_has_what_the_adapter_uses(name: str) -> None:
    advice = f"DVC {dvc.__version__} has changed its interface: adapt dvcgraph/adapter.py, then this list"
    try:
        found = find(name)
    except (ImportError, AttributeError):
        pytest.fail(f"{name} is gone. {advice}")
    wanted = USED[name]
    if wanted is not None:
        parameters = list(inspect.signature(inspect.unwrap(found)).parameters)
        assert parameters[: len(wanted)] == wanted, f"{name}{tuple(parameters)} takes other parameters. {advice}"


def test_the_list_names_every_import_from_dvc() -> None:
    tree = ast.parse(Path(adapter.__file__).read_text(encoding="utf-8"))
    imported = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module.split(".")[0] in ("dvc", "dvc_data", "scmrepo")
        for alias in node.names
    } - {"dvc.exceptions"}
    assert {name for name in imported if name not in USED and not any(used.startswith(name) for used in USED)} == set()


def test_nothing_else_imports_dvc() -> None:
    folder = Path(adapter.__file__).parent
    others = {
        path.name
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        if name.split(".")[0] in ("dvc", "dvc_data", "dvc_objects", "scmrepo")
    }
    assert others == {"adapter.py"}
