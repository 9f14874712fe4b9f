"""Random projects, run by ``dvc repro --keep-going`` and by the runner in twin copies, end up the same.

What is drawn, and what on purpose is not, stands in random_graphs.py. Two differences are drawn and allowed for:

- Where an input or a parameter is missing, ``dvc repro`` has removed the stage's outs before it notices, and with
  ``--force`` even run its commands; the runner keeps the outs and runs nothing.
- When ``dvc repro`` fails, it takes back the lines that it added to .gitignore, although the outs of the stages
  that did not fail are made and recorded; the runner leaves them ignored.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from dvc_project import Project
from hermetic import hermetic_environment
from random_graphs import Edit, RandomProject, Round, Stage, draw
from ruamel.yaml import YAML
from warm_process import Done, WarmProcess, warm_process

SEEDS = range(225)
QUICK = (4, 7, 8, 10, 12)  # small projects
SLOW = [seed for seed in SEEDS if seed not in QUICK]
JOBS = 3
_BOOKKEEPING = {".git", ".dvc", ".dvcgraph"}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmProcess]:
    with warm_process(hermetic_environment(tmp_path_factory.mktemp("warm"))) as process:
        yield process


@pytest.mark.parametrize("seed", QUICK)
def test_a_random_graph_ends_as_with_dvc(seed: int, template: Path, warm: WarmProcess, tmp_path: Path) -> None:
    differences = compare(draw(seed), template, warm, tmp_path / str(seed))
    assert not differences, report(draw(seed), differences)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "chosen", [pytest.param(SLOW[:20], id="20"), pytest.param(SLOW, id="all", marks=pytest.mark.long)]
)
def test_hundreds_of_random_graphs_end_as_with_dvc(chosen: Sequence[int], template: Path, tmp_path: Path) -> None:
    """One worker per core takes seed after seed; every failing seed is reported, with its whole project."""
    seeds: queue.SimpleQueue[int] = queue.SimpleQueue()
    for seed in chosen:
        seeds.put(seed)
    found: dict[int, list[str]] = {}

    def work(number: int) -> None:
        with warm_process(hermetic_environment(tmp_path / f"warm-{number}")) as process:
            while not seeds.empty():
                seed = seeds.get()
                folder = tmp_path / str(seed)
                try:
                    found[seed] = compare(draw(seed), template, process, folder)
                except Exception as error:
                    found[seed] = [f"{type(error).__name__}: {error}"]
                shutil.rmtree(folder)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(os.cpu_count() or 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == len(chosen)
    wrong = {seed: differences for seed, differences in sorted(found.items()) if differences}
    assert not wrong, "\n\n".join(report(draw(seed), differences) for seed, differences in wrong.items())


@pytest.mark.slow
def test_the_warm_process_does_what_the_command_lines_do(template: Path, warm: WarmProcess, tmp_path: Path) -> None:
    """Otherwise the tests above would hold nothing."""
    project = draw(11)
    for side in ("dvc", "dvcgraph"):
        real, warmed = (_make(project, template, warm, tmp_path / f"{side}-{kind}") for kind in ("real", "warm"))
        for number, turn in enumerate(project.rounds):
            for twin in (real, warmed):
                _edit(twin, turn.edits)
            status = _real(side, real, turn, tmp_path / f"{side}-real-{number}")
            done = _turn(side, warm, warmed, turn, tmp_path / f"{side}-warm-{number}")
            assert bool(status) == bool(done.status)
            assert snapshot(real) == snapshot(warmed)
            assert _ledger(tmp_path / f"{side}-real-{number}") == _ledger(tmp_path / f"{side}-warm-{number}")


def test_a_stage_that_waited_long_for_a_slot_runs_all_the_same(
    template: Path, warm: WarmProcess, tmp_path: Path
) -> None:
    """The projects above take no time; a stage that waits is looked at again before it begins."""
    shutil.copytree(template, tmp_path / "project", symlinks=True)
    project = Project(tmp_path / "project")
    stages = "".join(f"  s{i}: {{cmd: sleep $NAP; cat in > s{i}, deps: [in], outs: [s{i}]}}\n" for i in range(3))
    project.write("dvc.yaml", f"stages:\n{stages}")
    for text, nap in (("before", "0"), ("after", "1.5")):
        project.write("in", text)
        done = warm.reproduce(project.path, jobs=1, NAP=nap)
        assert done.states == {"s0": "completed", "s1": "completed", "s2": "completed"}, done.output
        assert [project.read(f"s{i}") for i in range(3)] == [text] * 3
    assert _status(warm, project) == {}


def test_the_seeds_cover_every_kind_of_stage_and_edit() -> None:
    projects = [draw(seed) for seed in SEEDS]
    text = "\n".join(text for project in projects for name, text in project.files.items() if name.endswith("dvc.yaml"))
    for kind in (
        "metrics:", "plots:", "cache: false", "persist: true", "push: false", "always_changed: true", "frozen: true",
        "wdir: work", "wdir: ../work", "foreach:", "matrix:", "more.yaml", "model.size", "chmod +x", "exit 3",
        "no-such-command", "never-made", "never.set", "kill -9",
    ):  # fmt: skip
        assert kind in text, kind
    edits = {edit.what.partition(" ")[0] for project in projects for turn in project.rounds for edit in turn.edits}
    assert edits == {
        "parameter", "source", "new", "deleted", "wrote", "lock", "command", "mended", "broke", "froze", "removed",
        "all",
    }  # fmt: skip
    assert any(project.tracked for project in projects)
    assert any(project.imported for project in projects)
    assert any(turn.targets for project in projects for turn in project.rounds)
    assert any(turn.force for project in projects for turn in project.rounds)
    assert draw(3) == draw(3)


def compare(project: RandomProject, template: Path, warm: WarmProcess, folder: Path) -> list[str]:
    """Run a project's rounds on both sides; return what differs after the first round that shows a difference."""
    theirs = _make(project, template, warm, folder / "theirs")
    ours = theirs.twin("ours")
    for number, turn in enumerate(project.rounds):
        for twin in (theirs, ours):
            _edit(twin, turn.edits)
        ledgers = folder / f"theirs-{number}", folder / f"ours-{number}"
        by_dvc = _turn("dvc", warm, theirs, turn, ledgers[0])
        by_us = _turn("dvcgraph", warm, ours, turn, ledgers[1])
        failed = {name for name, state in by_us.states.items() if state == "failed"}
        skipped = {name for name, state in by_us.states.items() if state == "skipped"}
        lacking = [stage for name in failed if (stage := turn.stage(name)) and _lacks_inputs(stage, ours)]
        for stage in lacking:
            for twin in (theirs, ours):
                _remove_outs(stage, twin)
        if by_dvc.status:
            _give_back_ignored(turn, theirs, ours)
        seen = {
            "exit status": (bool(by_dvc.status), bool(by_us.status)),
            "failed stages": (_failed(by_dvc.output), failed),
            "stages not run": (_skipped(by_dvc.output) & set(by_us.states), skipped),
            "commands that ran": tuple(_ledger(path, lacking if turn.force else []) for path in ledgers),
            "dvc status": (_status(warm, theirs), _status(warm, ours)),
        }
        left = snapshot(theirs), snapshot(ours)
        seen |= {what: (left[0][what], left[1][what]) for what in left[0]}
        differing = [
            f"round {number}, {what}:\n  dvc repro: {_only(one, two)}\n  dvcgraph:  {_only(two, one)}"
            for what, (one, two) in seen.items()
            if one != two
        ]
        if differing:
            return [*differing, f"dvc repro wrote:\n{by_dvc.output}", f"dvcgraph wrote:\n{by_us.output}"]
    return []


def report(project: RandomProject, differences: list[str]) -> str:
    """Say what differs for a seed, and all that is needed to see it again."""
    lines = [f"seed {project.seed} differs", *differences, f"dvc add: {project.tracked}, imported: {project.imported}"]
    for name, text in project.files.items():
        lines.append(f"--- {name}\n{text}")
    for number, turn in enumerate(project.rounds):
        lines.append(f"round {number}: targets {turn.targets}, force {turn.force}")
        for edit in turn.edits:
            lines.append(f"  {edit.what}: delete {edit.delete}, forget {edit.forget}")
            lines.extend(f"--- {name}\n{text}" for name, text in edit.write.items())
    return "\n".join(lines)


def snapshot(project: Project) -> dict[str, Any]:
    """Return all that a run leaves behind, as data that do not depend on the folder or on the order of the run."""
    files, locks, ignored = {}, {}, {}
    for path in _files(project.path):
        name = str(path.relative_to(project.path))
        if path.name == "dvc.lock" or path.suffix == ".dvc":
            locks[name] = YAML(typ="safe", pure=True).load(path)
        elif path.name == ".gitignore":
            ignored[name] = sorted(path.read_text(encoding="utf-8").split("\n"))
        else:
            files[name] = (path.read_bytes(), os.access(path, os.X_OK))
    return {"files": files, "locks": locks, ".gitignore": ignored, "cache": set(project.cached())}


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _BOOKKEEPING]
        for name in names:
            yield Path(folder, name)


def _make(project: RandomProject, template: Path, warm: WarmProcess, path: Path) -> Project:
    path.parent.mkdir(exist_ok=True)
    shutil.copytree(template, path, symlinks=True)
    made = Project(path)
    for name, text in project.files.items():
        made.write(name, text)
    if project.tracked:
        assert warm.dvc(path, "add", "-q", *project.tracked).status == 0
    for source, to in project.imported:
        assert warm.dvc(path, "import-url", "-q", source, to).status == 0
    return made


def _turn(side: str, warm: WarmProcess, project: Project, turn: Round, ledger: Path) -> Done:
    if side == "dvc":
        return warm.dvc(project.path, *_arguments(turn), LEDGER=str(ledger))
    return warm.reproduce(project.path, turn.targets, jobs=JOBS, force=turn.force, LEDGER=str(ledger))


def _real(side: str, project: Project, turn: Round, ledger: Path) -> int:
    more = ("-j", str(JOBS)) if side == "dvcgraph" else ()
    return subprocess.run(
        [sys.executable, "-m", side, *_arguments(turn), *more],
        cwd=project.path,
        env=hermetic_environment(project.path.parent / "home") | {"LEDGER": str(ledger)},
        capture_output=True,
        check=False,
    ).returncode


def _arguments(turn: Round) -> list[str]:
    return ["repro", "--keep-going", *(["--force"] if turn.force else []), *turn.targets]


def _edit(project: Project, edits: tuple[Edit, ...]) -> None:
    for edit in edits:
        for name in edit.delete:
            path = project.path / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for name, text in edit.write.items():
            (project.path / name).unlink(missing_ok=True)  # it may be a link into the cache
            project.write(name, text)
        for name, entry in edit.forget:
            path = project.path / name
            if path.exists():
                lock = project.yaml(name)
                lock["stages"].pop(entry, None)
                path.write_text(json.dumps(lock), encoding="utf-8")


def _lacks_inputs(stage: Stage, project: Project) -> bool:
    return stage.failure == "misses a parameter" or not all((project.path / path).exists() for path in stage.inputs)


def _remove_outs(stage: Stage, project: Project) -> None:
    for path, _ in stage.made():
        shutil.rmtree(project.path / path, ignore_errors=True)
        (project.path / path).unlink(missing_ok=True)


def _give_back_ignored(turn: Round, theirs: Project, ours: Project) -> None:
    """Ignore again what `dvc repro`, which failed, no longer ignores: outs of stages, and nothing else."""
    outs = {path for stage in turn.stages for path, _ in stage.made()}
    for path in _files(ours.path):
        if path.name != ".gitignore":
            continue
        folder = path.parent.relative_to(ours.path)
        name = str(folder / ".gitignore")
        before = theirs.read(name).split("\n") if (theirs.path / name).exists() else []
        more = set(path.read_text(encoding="utf-8").split("\n")) - set(before)
        if {str(folder / line.removeprefix("/")) for line in more if line} <= outs:
            theirs.write(name, path.read_text(encoding="utf-8"))


def _ledger(path: Path, apart_from: Sequence[Stage] = ()) -> list[str]:
    """Return the commands that ran, sorted."""
    ran = path.read_text(encoding="utf-8").split() if path.exists() else []
    left_out = {name.rpartition(":")[2] for stage in apart_from for name in stage.addresses}
    return sorted(name for name in ran if name not in left_out)


def _failed(output: str) -> set[str]:
    """Return the stages that `dvc repro` says have failed."""
    last = re.findall(r"^ERROR: failed to reproduce.*$", output, flags=re.MULTILINE)
    return set(re.findall(r"'([^']+)'", last[-1])) if last else set()


def _skipped(output: str) -> set[str]:
    lines = re.findall(r"^WARNING: Stages? (.*) will be skipped due to this failure$", output, flags=re.MULTILINE)
    return {name for line in lines for name in re.findall(r"'([^']+)'", line)}


def _status(warm: WarmProcess, project: Project) -> Any:
    """Return what `dvc status` finds; its warnings about frozen stages stand between."""
    done = warm.dvc(project.path, "status", "--json")
    found = [line for line in done.output.splitlines() if line.startswith("{")]
    assert done.status == 0, done.output
    assert len(found) == 1, done.output
    return json.loads(found[0])


def _only(one: Any, two: Any) -> Any:
    """Return what ``one`` has that ``two`` has not, or has otherwise."""
    if isinstance(one, dict) and isinstance(two, dict):
        return {key: _only(value, two.get(key)) for key, value in one.items() if key not in two or two[key] != value}
    if isinstance(one, set) and isinstance(two, set):
        return sorted(one - two)
    if isinstance(one, list) and isinstance(two, list) and all(isinstance(item, str) for item in (*one, *two)):
        return sorted((Counter(one) - Counter(two)).elements())
    return one
