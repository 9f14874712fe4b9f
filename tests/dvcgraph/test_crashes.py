"""A runner that is killed, at whatever moment, loses nothing it wrote down and leaves nothing behind."""

from __future__ import annotations

import fcntl
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from dvc_project import Project
from ruamel.yaml import YAML

KILLS = 50
STAGES = 30
MARK = "DVCGRAPH_RUN"
ALWAYS = {"always": ["always changed"], "call": ["always changed"]}  # by `dvc status`
_GONE_SECONDS = 30.0  # the reaper asks for 5 s before it kills; the rest is for a loaded machine


@pytest.fixture
def crashing(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The environment of a run whose commands write into a ledger and lease pretended GPUs.

    What a failed test leaves running is ended.
    """
    monkeypatch.setenv("LEDGER", str(tmp_path / "ledger"))
    monkeypatch.setenv("NAP", "0.1")
    monkeypatch.setenv("TANDEM_DEVICES", "gpu:0,gpu:1")
    monkeypatch.setenv("TANDEM_LEASES", str(tmp_path / "leases"))
    yield project
    for process in psutil.process_iter():
        if environment(process).get("LEDGER") == os.environ["LEDGER"]:
            process.kill()


def write_thirty_stages(project: Project) -> None:
    """Write a graph of 30 stages of all kinds, each with a moment in which its out is half there."""

    def stage(
        name: str, deps: Sequence[str], out: str, *, param: str = "", naps: int = 1, kind: str = "outs", **options: Any
    ) -> dict[str, Any]:
        inputs = [f"cat {' '.join(deps)} /dev/null", *([f"grep {param} params.yaml"] if param else [])]
        command = (
            f"echo begin {name} >> $LEDGER && x=$({{ {'; '.join(inputs)}; }} | cksum) && echo half > {out} && "
            f"{'sleep $NAP && ' * naps}echo {name} $x > {out} && echo end {name} >> $LEDGER"
        )
        entry: dict[str, Any] = {"cmd": command, kind: [{out: options}] if options else [out]}
        return entry | ({"deps": list(deps)} if deps else {}) | ({"params": [param]} if param else {})

    on_gpu = {"meta": {"device": "gpu"}}
    nap = "sleep $NAP && echo end"
    first = {f"first-{i}": stage(f"first-{i}", ["source"], f"f{i}", param="first", naps=1 + i % 3) for i in range(6)}
    second = {
        f"second-{i}": stage(f"second-{i}", [f"f{i}", f"f{i + 1}"], f"s{i}", param="second") | (on_gpu if i % 2 else {})
        for i in range(5)
    }
    third = {f"third-{i}": stage(f"third-{i}", [f"s{i}", "made"], f"t{i}", param="third", naps=2) for i in range(5)}
    others = {
        "persistent": stage("persistent", ["f0"], "persistent", persist=True),
        "uncached": stage("uncached", ["f1"], "uncached", cache=False),
        "scores": stage("scores", ["s0"], "scores.yaml", kind="metrics", cache=False),
        "curve": stage("curve", ["s1"], "curve.csv", kind="plots"),
        "made": stage("made", [], "made"),
        "always": stage("always", ["s2"], "always") | {"always_changed": True},
        "call": {"cmd": f"echo begin call >> $LEDGER && {nap} call >> $LEDGER"},
        "leased": stage("leased", ["uncached"], "leased") | on_gpu,
        "both": stage("both", ["s3"], "both") | {"meta": {"device": "gpu", "count": 2}},
        "folder": {
            "cmd": "echo begin folder >> $LEDGER && mkdir folder && cat s4 > folder/a && "
            f"sleep $NAP && cat s4 > folder/b && {nap} folder >> $LEDGER",
            "deps": ["s4"],
            "outs": ["folder"],
        },
        "each": {"foreach": ["a", "b", "c"], "do": stage("each@${item}", ["t0", "folder/a"], "each-${item}")},
        "last": stage("last", ["each-a", "both", "leased"], "last"),
    }
    project.write("source", "source\n")
    project.write("params.yaml", "first: 0\nsecond: 0\nthird: 0\n")
    project.write("dvc.yaml", json.dumps({"stages": first | second | third | others}))


@pytest.mark.long
def test_fifty_kills_at_random_moments(
    crashing: Project, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No journaled stage runs twice, the lock file is always whole, and the last run ends as `dvc repro` does."""
    write_thirty_stages(crashing)
    chance = random.Random(0)
    kills, runs, unfinished = 0, 0, 0
    finished: set[str] = set()  # in the journal of the runs that were killed since the last edit
    stale: set[str] = set()  # lines that were in the journal when an edit was made
    history: list[str] = []
    while kills < KILLS:
        seen = len(ledger())
        runner = start(crashing)
        runs += 1
        try:
            runner.wait(timeout=chance.uniform(0.7, 4))
        except subprocess.TimeoutExpired:
            runner.kill()
            runner.wait()
            kills += 1
            unfinished += 1
        else:
            assert runner.returncode == 0, said(crashing)
        begun = Counter(name for what, name in ledger()[seen:] if what == "begin")
        journal = journaled(crashing)
        history.append(f"run {runs}: exit {runner.returncode}, began {sorted(begun)}, journal {sorted(journal)}")
        assert not finished & set(begun), "\n".join([f"run again: {finished & set(begun)}", *history, said(crashing)])
        assert max(begun.values(), default=0) <= 1
        assert_whole(crashing.path / "dvc.lock")
        if runner.returncode == 0 or every_stage_ended(crashing):
            finished.clear()
            stale.clear()
            unfinished = 0
            edit(crashing, chance, runs)
            continue
        finished |= {name for name, line in journal.items() if line not in stale}
        if unfinished > 12 or chance.random() < 0.1:  # what was recorded must count after an edit, too
            edit(crashing, chance, runs)
            finished.clear()
            stale = set(journal.values())
        if chance.random() < 0.5:
            assert_nothing_left()
    runner = start(crashing)
    assert runner.wait(timeout=120) == 0, said(crashing)
    assert_nothing_left()
    assert not (crashing.path / ".dvcgraph/journal.jsonl").exists()
    assert not list(crashing.path.rglob("*.partial*"))
    assert json.loads(crashing.dvc("status", "--json").stdout) == ALWAYS, "\n".join([*history, said(crashing)])
    assert sum(what == "end" for what, _ in ledger()) > 60  # otherwise the kills came before anything was done

    shutil.copytree(template, tmp_path / "by-dvc", symlinks=True)
    by_dvc = Project(tmp_path / "by-dvc")
    for name in ("dvc.yaml", "params.yaml", "source"):
        by_dvc.write(name, crashing.read(name))
    monkeypatch.setenv("NAP", "0")
    assert by_dvc.dvc("repro").returncode == 0
    assert by_dvc.yaml("dvc.lock") == crashing.yaml("dvc.lock")


@pytest.mark.slow
def test_the_next_start_ends_what_runner_and_reaper_left(crashing: Project) -> None:
    """Both are killed at once: nobody is there to end the command. The next start does, before it runs anything."""
    crashing.write("dvc.yaml", "stages: {a: {cmd: 'sh command.sh', outs: [a]}}")
    crashing.write(
        "command.sh",
        "if [ ! -e pid ]; then echo $$ > pid; trap '' TERM; while true; do sleep 0.1; done; fi\n"
        "old=$(cat pid)\n"
        "if [ -e /proc/$old ] && ! grep -q '^State:.*Z' /proc/$old/status; then echo alive; else echo gone; fi > a\n",
    )
    runner = start(crashing)
    wait_until((crashing.path / "pid").exists)
    wait_until(lambda: crashing.read("pid").strip())
    others = [process for process in psutil.Process(runner.pid).children() if MARK not in environment(process)]
    assert len(others) == 1, "the reaper"
    for process in (others[0], psutil.Process(runner.pid)):
        process.suspend()
    for process in (others[0], psutil.Process(runner.pid)):
        process.kill()
    runner.wait()
    old = int(crashing.read("pid"))
    assert alive(old)
    runner = start(crashing)
    assert runner.wait(timeout=60) == 0, said(crashing)
    assert crashing.read("a") == "gone\n"
    assert not alive(old)
    assert_nothing_left()


def test_a_second_kill_forgets_nothing_that_the_first_run_had_finished(crashing: Project) -> None:
    """Not even a stage that always changes: for it, dvc.lock cannot tell that it need not run again."""
    gate = "while [ ! -e ../go ]; do sleep 0.02; done"
    crashing.write(
        "dvc.yaml",
        "stages:\n"
        "  call: {cmd: echo begin call >> $LEDGER}\n"
        f"  long: {{cmd: 'echo begin long >> $LEDGER; {gate}; echo long > long', outs: [long]}}\n",
    )
    for times in (1, 2):
        runner = start(crashing)
        wait_until(lambda times=times: ledger().count(("begin", "long")) == times)
        wait_until(lambda times=times: times > 1 or "call" in journaled(crashing))
        runner.kill()
        runner.wait()
        assert_nothing_left()
    crashing.path.with_name("go").touch()
    assert start(crashing).wait(timeout=60) == 0, said(crashing)
    assert Counter(ledger()) == {("begin", "call"): 1, ("begin", "long"): 3}


def test_a_table_of_locks_that_was_cut_short_does_not_stop_the_next_run(crashing: Project) -> None:
    """DVC writes its table in place: a process that is killed at that moment leaves half of it, or nothing."""
    crashing.write("source", "1\n")
    crashing.write("dvc.yaml", "stages: {a: {cmd: cat source > a, deps: [source], outs: [a]}}")
    for text in ("", '{"write": {}, "read": {"'):
        crashing.write(".dvc/tmp/rwlock", text)
        crashing.write("source", f"{len(text)}\n")
        assert start(crashing).wait(timeout=60) == 0, said(crashing)
        assert crashing.read("a") == f"{len(text)}\n"
    assert "up to date" in crashing.dvc("status").stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_an_orderly_end_records_what_is_finished(crashing: Project, number: signal.Signals) -> None:
    quick = "".join(f"a{i}: {{cmd: echo begin a{i} >> $LEDGER && echo {i} > a{i}, outs: [a{i}]}}, " for i in range(3))
    crashing.write(
        "dvc.yaml",
        f"stages: {{{quick} long: {{cmd: 'sleep 600 & wait', deps: [a0], outs: [long], meta: {{device: gpu}}}}, "
        "after: {cmd: echo after > after, deps: [long], outs: [after]}}",
    )
    runner = start(crashing)
    wait_until(lambda: {"a0", "a1", "a2"} <= set(journaled(crashing)) | recorded(crashing))
    wait_until(lambda: any("long" in " ".join(process.environ().values()) for process in marked()))
    runner.send_signal(number)
    assert runner.wait(timeout=60) == 130, said(crashing)
    assert not marked()
    assert held_leases() == []
    assert recorded(crashing) == {"a0", "a1", "a2"}
    assert not (crashing.path / ".dvcgraph/journal.jsonl").exists()
    again = subprocess.run(
        [sys.executable, "-m", "dvcgraph", "repro", "a0", "a1", "a2"],
        cwd=crashing.path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "3 unchanged" in again.stdout
    assert len(ledger()) == 3


def start(project: Project) -> subprocess.Popen[bytes]:
    """Start the runner; what it says goes into a file beside the project."""
    with project.path.with_name("said").open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "dvcgraph", "repro", "-j", "3"], cwd=project.path, stdout=file, stderr=file
        )


def said(project: Project) -> str:
    """Return what the last runner said."""
    return project.path.with_name("said").read_text(encoding="utf-8")


def every_stage_ended(project: Project) -> bool:
    """Say whether a run that was killed had come to its end: nothing is left that the next one could take over."""
    ended = re.findall(r"^\S+: (?:completed|unchanged|restored) \(", said(project), flags=re.MULTILINE)
    return len(ended) == STAGES and not (project.path / ".dvcgraph/journal.jsonl").exists()


def edit(project: Project, chance: random.Random, value: int) -> None:
    key = chance.choice(["first", "second", "third"])
    values = project.yaml("params.yaml") | {key: value}
    project.write("params.yaml", "".join(f"{name}: {number}\n" for name, number in values.items()))


def ledger() -> list[tuple[str, str]]:
    """Return what the commands wrote: "begin" or "end", and the stage."""
    path = Path(os.environ["LEDGER"])
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [(what, name) for what, name in (line.split() for line in lines)]


def journaled(project: Project) -> dict[str, str]:
    """Return the last line of each stage in the journal, whose own last line may be cut short."""
    path = project.path / ".dvcgraph/journal.jsonl"
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            found[json.loads(line)["stage"]] = line
        except ValueError:
            continue
    return found


def recorded(project: Project) -> set[str]:
    return set(project.yaml("dvc.lock")["stages"]) if (project.path / "dvc.lock").exists() else set()


def assert_whole(lock: Path) -> None:
    if lock.exists():
        content = YAML(typ="safe", pure=True).load(lock)
        assert content["schema"] == "2.0"
        assert all(entry["cmd"].endswith("$LEDGER") for entry in content["stages"].values())


def assert_nothing_left() -> None:
    wait_until(lambda: not marked())
    wait_until(lambda: not held_leases())


def marked() -> list[psutil.Process]:
    """Return the living processes of this test's runs."""
    return [process for process in psutil.process_iter() if _ours(environment(process)) and alive(process.pid)]


def _ours(variables: dict[str, str]) -> bool:
    return MARK in variables and variables.get("LEDGER") == os.environ["LEDGER"]


def environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def held_leases() -> list[str]:
    """Return the names of the lock files of devices that somebody holds."""
    held = []
    for path in Path(os.environ["TANDEM_LEASES"]).glob("*.device"):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(path.name)
    return held


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + _GONE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
