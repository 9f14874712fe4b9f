"""Finding and removing what the present plan does not name."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from stages import paths
from tandem.errors import StorageError
from tandem.plan import Plan

_RUNS_WITH_LOGS = 20


def stale_paths(plan: Plan, root: Path) -> list[Path]:
    """Return outs, checkpoints and half-written files below ``root`` that belong to no run of the plan, sorted.

    The output of stages is kept for the newest runs."""
    datasets = set(plan.datasets)
    runs = {(entry.experiment, entry.framework) for entry in plan.runs.values()}
    reports = set(plan.reports)
    kept = {path for name in datasets for path in (paths.raw(name), paths.fit(name).parent, paths.scaler(name))}
    kept |= {
        place(*run)
        for run in runs
        for place in (
            paths.model, paths.history, paths.timing, paths.logs, paths.evaluation, paths.metrics, paths.checkpoints,
        )
    }  # fmt: skip
    kept |= {path for name in reports for path in (paths.comparison(name), paths.report(name))} | {paths.index()}
    folders = {path.parent for path in kept}
    tops = {Path(*path.parts[:2]) if path.parts[0] == "data" else Path(path.parts[0]) for path in kept}
    stale = set()
    for top in tops:
        for path in sorted((root / top).rglob("*")) if (root / top).is_dir() else []:
            relative = path.relative_to(root)
            inside = any(parent in kept or parent in stale for parent in relative.parents)
            half = ".partial-" in path.name
            if half or not (inside or relative in kept or relative in folders or relative.name in _OWN_FILES):
                stale.add(relative)
    return sorted(stale | _old_logs(root))


def _old_logs(root: Path) -> set[Path]:
    """Return the folders with the output of all but the newest runs."""
    folder = root / ".dvcgraph" / "logs"
    runs = sorted(folder.iterdir(), key=lambda run: run.stat().st_mtime) if folder.is_dir() else []
    return {run.relative_to(root) for run in runs[:-_RUNS_WITH_LOGS]}


_OWN_FILES = {".gitignore", "README.md"}


def remove(path: Path, *, dry: bool) -> int:
    """Remove a file or a folder; return how many bytes it held.

    Raises:
        StorageError: it could not be removed.
    """
    files = [path] if not path.is_dir() or path.is_symlink() else [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.lstat().st_size for file in files)
    if dry:
        return size
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: cannot be removed ({error.strerror}); make its folder writable") from None
    return size


def collect_garbage(root: Path) -> str:
    """Drop from DVC's cache what the workspace does not use; return what DVC said.

    Raises:
        StorageError: DVC failed.
    """
    command = [sys.executable, "-m", "dvc", "gc", "--workspace", "--force", "--quiet"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StorageError(f"dvc gc failed: {done.stderr.strip() or done.stdout.strip()}; run it by hand to see why")
    return "DVC's cache holds only what the workspace uses"
