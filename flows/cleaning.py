"""Finding and removing what the present plan does not name."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from flows.copies import copies_in_use
from stages import paths
from tandem.errors import StorageError
from tandem.plan import Plan

_RUNS_WITH_LOGS = 20
# Folders that other stages depend on as a whole: what an old plan left in them would be recorded as an input.
_SHARED_FOLDERS = ("comparison", "evaluation", "models", "parity", "timings", "trials")
_OF_A_RUN: tuple[Callable[[str, str], Path], ...] = (
    paths.model, paths.history, paths.timing, paths.logs, paths.evaluation, paths.metrics, paths.parity,
)  # fmt: skip
_OF_A_SEARCH: tuple[Callable[[str, str], Path], ...] = (paths.trials, paths.trial_timing)
_HALF_WRITTEN = "*.partial-*"


def stale_paths(plan: Plan, root: Path) -> list[Path]:
    """Return what belongs to no run of the plan, relative to ``root`` and sorted.

    That is: outs that dvc.lock names, checkpoints, trials of unfinished searches, half-written files, and the output of
    all but the newest runs.
    Files of the user's own are never among them.
    """
    return sorted(_stale_outs(plan, root) | _unfinished(plan, root) | _half_written(root) | _old_logs(root))


def take_out_old_results(plan: Plan, root: Path) -> list[Path]:
    """Remove results of runs that the plan does not name from the folders that stages depend on as a whole.

    They stay in DVC's cache, and come back when a plan names them again.

    Raises:
        StorageError: one could not be removed.
    """
    old = sorted(path for path in _stale_outs(plan, root) if path.parts[0] in _SHARED_FOLDERS)
    for path in old:
        remove(root / path, dry=False)
    return old


def _stale_outs(plan: Plan, root: Path) -> set[Path]:
    kept = {
        path
        for name in plan.datasets
        for path in (paths.raw(name), paths.fit(name), paths.test(name), paths.scaler(name))
    }
    kept |= {place(run.experiment, run.framework) for run in plan.runs.values() for place in _OF_A_RUN}
    kept |= {place(entry.search, entry.framework) for entry in plan.searches.values() for place in _OF_A_SEARCH}
    kept |= {path for name in plan.reports for path in (paths.comparison(name), paths.ladder(name), paths.report(name))}
    kept |= {paths.index(), paths.checked(), paths.equivalence()}
    return {path for path in _recorded_outs(root / "dvc.lock") if path not in kept and (root / path).exists()}


def _recorded_outs(lock: Path) -> set[Path]:
    try:
        stages = YAML(typ="safe").load(lock.read_text(encoding="utf-8"))["stages"]
        return {Path(out["path"]) for stage in stages.values() for out in stage.get("outs", ())}
    except (FileNotFoundError, YAMLError, KeyError, TypeError, AttributeError):
        return set()  # nothing has run here, or DVC will say what is wrong with the file


def _unfinished(plan: Plan, root: Path) -> set[Path]:
    kept = {paths.checkpoints(run.experiment, run.framework) for run in plan.runs.values()}
    kept |= {paths.journal(entry.search, entry.framework) for entry in plan.searches.values()}
    folders = {path.relative_to(root) for top in (".checkpoints", ".searches") for path in (root / top).glob("*/*")}
    return folders - kept


def _half_written(root: Path) -> set[Path]:
    tops = (
        "build", "data", "history", "ladder", "logs", "metrics", "reports", ".checkpoints", ".searches",
        *_SHARED_FOLDERS,
    )  # fmt: skip
    return {path.relative_to(root) for top in tops for path in (root / top).rglob(_HALF_WRITTEN)}


def _old_logs(root: Path) -> set[Path]:
    folder = root / ".dvcgraph" / "logs"
    runs = sorted(folder.iterdir(), key=lambda run: run.stat().st_mtime) if folder.is_dir() else []
    return {run.relative_to(root) for run in runs[:-_RUNS_WITH_LOGS]}


def remove(path: Path, *, dry: bool) -> int:
    """Remove a file or a folder; return how many bytes it held.

    Raises:
        StorageError: it could not be removed.
    """
    files = [path] if not path.is_dir() or path.is_symlink() else [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.lstat().st_size for file in files if file.exists() or file.is_symlink())
    if dry:
        return size
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if path.parent != Path() and not any(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as error:
        raise StorageError(f"{path}: cannot be removed ({error.strerror}); make its folder writable") from None
    return size


def collect_garbage(root: Path) -> str:
    """Drop from DVC's cache what neither the workspace nor a saved experiment uses; return what DVC said.

    Raises:
        StorageError: a run with overrides is going on, which shares the cache; or DVC failed.
    """
    used = copies_in_use(root)
    if used:
        raise StorageError(
            f"DVC's cache is in use by {len(used)} run{'s' if len(used) > 1 else ''} with overrides; "
            "call `tandem clean --cache` again when they have ended"
        )
    command = [sys.executable, "-m", "dvc", "gc", "--workspace", "--all-experiments", "--force", "--quiet"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StorageError(f"dvc gc failed: {done.stderr.strip() or done.stdout.strip()}; run it by hand to see why")
    return "DVC's cache holds only what the workspace and the saved experiments use"
