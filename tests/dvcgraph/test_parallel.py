"""Several stages at once: slots, order, failures, retries, and what remains when a run is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from dvc_project import Project

from dvcgraph.adapter import StageNode
from dvcgraph.errors import GraphError
from dvcgraph.events import Event, Started, Summary, Waiting
from dvcgraph.order import remaining_seconds
from dvcgraph.schedule import open_run, reproduce

# Waits until as many stages as the first argument says have begun.
MEET = "touch begun-$DVC_STAGE; while [ $(ls begun-* | wc -l) -lt {count} ]; do sleep 0.02; done"


def outcomes(summary: Summary) -> dict[str, str]:
    return {outcome.stage: outcome.state for outcome in summary.outcomes}


# Writes down when a command begins and ends, with a weight.
CLOCKED = "echo $(date +%s%N) +{0} >> ../ledger; sleep 0.1; echo $(date +%s%N) -{0} >> ../ledger"


def most_at_once(project: Project) -> int:
    lines = (project.path.parent / "ledger").read_text().splitlines()
    changes = sorted((int(when), int(weight)) for when, weight in map(str.split, lines))
    return max(sum(weight for _, weight in changes[:end]) for end in range(len(changes) + 1))


def test_stages_that_do_not_depend_on_each_other_run_at_once(project: Project) -> None:
    stages = "".join(f"s{i}: {{cmd: '{MEET.format(count=3)}; echo {i} > o{i}', outs: [o{i}]}}, " for i in range(3))
    project.write("dvc.yaml", f"stages: {{{stages}}}")
    assert reproduce(project.path, jobs=3).text == "3 completed"
    assert "up to date" in project.dvc("status").stdout


def test_no_more_run_at_once_than_jobs(project: Project) -> None:
    stages = "".join(f"s{i}: {{cmd: '{CLOCKED.format(1)}'}}, " for i in range(6))
    project.write("dvc.yaml", f"stages: {{{stages}}}")
    assert reproduce(project.path, jobs=2).text == "6 completed"
    assert most_at_once(project) == 2


def test_threads_count_against_the_slots(project: Project) -> None:
    project.write("params.yaml", "wide: {threads: 3}\n")
    project.write(
        "dvc.yaml",
        "stages: {"
        f"a: {{cmd: '{CLOCKED.format(3)}', meta: {{threads: wide.threads}}}}, "
        f"b: {{cmd: '{CLOCKED.format(2)}', meta: {{threads: 2}}}}, "
        f"c: {{cmd: '{CLOCKED.format(1)}'}}, d: {{cmd: '{CLOCKED.format(1)}'}}, "
        f"e: {{cmd: '{CLOCKED.format(3)}', meta: {{threads: 64}}}}}}",
    )
    assert reproduce(project.path, jobs=3).text == "5 completed"
    assert most_at_once(project) == 3


def test_threads_count_for_each_device_of_a_stage(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_DEVICES", "cpu:0,cpu:1,cpu:2,cpu:3")
    project.write("params.yaml", "wide: {devices: 2}\n")
    wide = "meta: {device: gpu, threads: 2, count: wide.devices}"
    stages = "".join(f"s{i}: {{cmd: '{CLOCKED.format(4)}', {wide}}}, " for i in range(2))
    stages += "".join(f"n{i}: {{cmd: '{CLOCKED.format(1)}'}}, " for i in range(4))
    project.write("dvc.yaml", f"stages: {{{stages}}}")
    assert reproduce(project.path, jobs=4).text == "6 completed"
    assert most_at_once(project) == 4


def test_the_longest_remaining_path_goes_first(project: Project) -> None:
    project.write(
        "dvc.yaml",
        "stages: {lone: {cmd: echo l > l, outs: [l]}, other: {cmd: echo o > o, outs: [o]}, "
        "a: {cmd: echo a > a, outs: [a]}, b: {cmd: cp a b, deps: [a], outs: [b]}, c: {cmd: cp b c, deps: [b]}}",
    )
    events: list[Event] = []
    reproduce(project.path, jobs=1, on_event=events.append)
    begun = [event.stage for event in events if isinstance(event, Started)]
    assert begun == ["a", "b", "lone", "other", "c"]


def test_durations_of_the_last_run_weigh_the_paths() -> None:
    def node(name: str, *upstream: str) -> StageNode:
        return StageNode(name, ("true",), Path(), upstream, (), (), frozen=False)

    nodes = [node("a"), node("b", "a"), node("long")]
    assert remaining_seconds(nodes, {}) == {"a": 2.0, "b": 1.0, "long": 1.0}
    assert remaining_seconds(nodes, {"a": 1.0, "b": 3.0, "long": 10.0}) == {"a": 4.0, "b": 3.0, "long": 10.0}


def test_without_keep_going_nothing_begins_after_a_failure_but_what_runs_is_recorded(project: Project) -> None:
    project.write(
        "dvc.yaml",
        f"stages: {{bad: {{cmd: '{MEET.format(count=2)}; exit 1', outs: [x]}}, "
        f"good: {{cmd: '{MEET.format(count=2)}; sleep 0.5; echo g > g', outs: [g]}}, "
        "later: {cmd: echo l > l, deps: [g], outs: [l]}, after: {cmd: cp x y, deps: [x], outs: [y]}}",
    )
    summary = reproduce(project.path, jobs=2, keep_going=False)
    assert outcomes(summary) == {"bad": "failed", "good": "completed", "later": "skipped", "after": "skipped"}
    messages = {outcome.stage: outcome.message for outcome in summary.outcomes}
    assert messages["later"] == "not begun: bad failed"
    assert messages["after"] == "bad failed"
    assert set(project.yaml("dvc.lock")["stages"]) == {"good"}


def test_exit_status_75_is_tried_again_and_nothing_else_is(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVCGRAPH_RETRY_SECONDS", "0,0.1")
    project.write(
        "dvc.yaml",
        "stages: {later: {cmd: 'echo t >> tries; [ $(wc -l < tries) -ge 3 ] || exit 75; echo x > x', outs: [x]}, "
        "never: {cmd: 'echo t >> tries-never; exit 75', outs: [y]}, bad: {cmd: 'echo t >> tries-bad; exit 74'}}",
    )
    events: list[Event] = []
    summary = reproduce(project.path, on_event=events.append)
    assert outcomes(summary) == {"later": "completed", "never": "failed", "bad": "failed"}
    assert [project.read(name).count("t") for name in ("tries", "tries-never", "tries-bad")] == [3, 3, 1]
    waits = [event.reason for event in events if isinstance(event, Waiting) and event.stage == "later"]
    assert waits == [
        "failed for now (exit status 75); try 2 of 3 in 0 s",
        "failed for now (exit status 75); try 3 of 3 in 0.1 s",
    ]
    never = next(outcome for outcome in summary.outcomes if outcome.stage == "never")
    assert "failed for now (exit status 75); run it again later" in never.message
    assert never.log is not None
    assert never.log.read_text().count("exit 75") == 3  # the output of every try is kept


@pytest.mark.parametrize("text", ["soon", "1,-1", "nan"])
def test_retry_seconds_that_make_no_sense_are_refused(project: Project, text: str) -> None:
    with pytest.raises(GraphError, match=f"DVCGRAPH_RETRY_SECONDS is '{text}'; allowed: seconds with commas between"):
        reproduce(project.path, environment={"DVCGRAPH_RETRY_SECONDS": text})


def test_futures_and_stop(project: Project) -> None:
    project.write(
        "dvc.yaml",
        "stages: {a: {cmd: echo a > a, outs: [a]}, b: {cmd: 'echo $$ > pid; sleep 600', deps: [a]}, "
        "c: {cmd: cp a c, deps: [b]}}".replace("deps: [b]", "deps: [b-out]").replace(
            "deps: [a]}, c", "deps: [a], outs: [b-out]}, c"
        ),
    )
    with open_run(project.path) as run:
        assert [node.name for node in run.stages] == ["a", "b", "c"]
        assert run.futures["a"].result(60).state == "completed"
        wait_for(lambda: (project.path / "pid").exists() and project.read("pid").strip())
        run.stop()
        summary = run.wait()
        assert summary.stopped
        assert run.futures["b"].result(0).message == "interrupted"
        assert run.futures["c"].result(0).state == "skipped"
    assert not psutil.pid_exists(int(project.read("pid")))
    assert set(project.yaml("dvc.lock")["stages"]) == {"a"}


def test_leaving_the_block_stops_the_run(project: Project) -> None:
    project.write("dvc.yaml", "stages: {a: {cmd: 'echo $$ > pid; sleep 600'}}")
    with open_run(project.path):
        wait_for(lambda: (project.path / "pid").exists() and project.read("pid").strip())
    assert not psutil.pid_exists(int(project.read("pid")))


def test_errors_of_loading_reach_the_caller(project: Project) -> None:
    project.write("dvc.yaml", "stages: {a: {cmd: 'true'}}")
    with pytest.raises(GraphError, match="no stage 'b'"), open_run(project.path, ["b"]):
        pytest.fail("there is no such stage")
    with pytest.raises(GraphError, match="jobs is 0; allowed: a whole number of at least 1"):
        reproduce(project.path, jobs=0)


def test_a_listeners_exception_reaches_the_caller(project: Project) -> None:
    project.write("dvc.yaml", "stages: {a: {cmd: 'echo $$ > pid; echo x; sleep 600'}}")

    def fail(event: Event) -> None:
        if isinstance(event, Started):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"), open_run(project.path, on_event=fail) as run:
        run.wait()


def test_a_stage_cannot_start_a_run_of_the_same_project(project: Project) -> None:
    project.write("dvc.yaml", "stages: {a: {cmd: python -m dvcgraph repro a}}")
    (outcome,) = reproduce(project.path).outcomes
    assert outcome.status == 2
    assert "a stage of a run in" in outcome.tail[-1]
    assert "cannot start another run there; take it out of its command" in outcome.tail[-1]


SLEEPERS = (
    "stages: {a: {cmd: 'echo $$ > pid-a; sleep 600', outs: [a]}, "
    'b: {cmd: \'trap "" TERM; echo $$ > pid-b; python -c "import os, time; os.setsid() if os.getpid() != os.getsid(0) '
    "else 0; open(chr(99), chr(119)).write(str(os.getpid())); time.sleep(600)\"', outs: [b]}}"
)


@contextmanager
def runner(project: Project, *arguments: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "dvcgraph", "repro", *arguments],
        cwd=project.path, env=os.environ | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def children(project: Project) -> list[int]:
    names = [project.path / name for name in ("pid-a", "pid-b", "c")]
    return [int(path.read_text()) for path in names if path.exists() and path.read_text().strip()]


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.slow
def test_kill_9_of_the_runner_leaves_no_process(project: Project) -> None:
    project.write("dvc.yaml", SLEEPERS)
    with runner(project, "-j", "2") as process:
        wait_for(lambda: len(children(project)) == 3)
        process.send_signal(signal.SIGKILL)
        wait_for(lambda: all(gone(pid) for pid in children(project)))
    assert project.dvc("status").returncode == 0


@pytest.mark.slow
def test_what_a_killed_reaper_could_not_end_the_next_run_ends_first(project: Project) -> None:
    project.write("dvc.yaml", SLEEPERS)
    with runner(project, "-j", "2") as process:
        wait_for(lambda: len(children(project)) == 3)
        for child in psutil.Process(process.pid).children():
            if "reaper.py" in " ".join(child.cmdline()):
                child.kill()
        process.kill()
    left = children(project)
    assert not any(gone(pid) for pid in left)
    project.write("dvc.yaml", "stages: {z: {cmd: 'true'}}")
    with runner(project) as process:
        output, _ = process.communicate(timeout=60)
    assert "ending processes that a killed run left behind" in output
    assert all(gone(pid) for pid in left)


KINDS = """
stages:
  always: {cmd: echo x >> ../ledger-always; echo x > always, always_changed: true, deps: [in], outs: [always]}
  nodeps: {cmd: echo x >> ../ledger-nodeps; echo x > nodeps, outs: [nodeps]}
  callback: {cmd: echo x >> ../ledger-callback}
  kept: {cmd: echo x >> ../ledger-kept; echo x >> kept, deps: [in], outs: [{kept: {persist: true}}]}
  bare: {cmd: echo x >> ../ledger-bare; echo x > bare, deps: [in], outs: [{bare: {cache: false}}]}
  folder: {cmd: echo x >> ../ledger-folder; mkdir folder; echo x > folder/a, deps: [in], outs: [folder]}
  last: {cmd: 'echo x >> ../ledger-last; [ -e go ] || sleep 600', deps: [folder]}
"""


def test_after_kill_9_the_next_run_repeats_no_stage_of_any_kind(project: Project) -> None:
    project.write("in", "in\n")
    project.write("dvc.yaml", KINDS)
    kinds = ("always", "nodeps", "callback", "kept", "bare", "folder")
    journal = project.path / ".dvcgraph/journal.jsonl"

    def journaled() -> set[str]:
        lines = journal.read_text().splitlines() if journal.exists() else []
        return {json.loads(line)["stage"] for line in lines}

    with runner(project, "-j", "2") as process:
        wait_for(lambda: journaled() >= set(kinds) and (project.path.parent / "ledger-last").exists())
        process.kill()
    (project.path / "dvc.lock").unlink(missing_ok=True)  # as if it had not been written yet
    (project.path / "folder/a").unlink()
    (project.path / "folder").rmdir()  # an out that was lost comes from the cache
    project.write("go", "")
    summary = reproduce(project.path)
    assert outcomes(summary) == dict.fromkeys(kinds, "unchanged") | {"last": "completed"}
    assert project.read("folder/a") == "x\n"
    for kind in kinds:
        assert (project.path.parent / f"ledger-{kind}").read_text() == "x\n", kind
    assert not journal.exists()
    assert set(project.yaml("dvc.lock")["stages"]) == {*kinds, "last"}
    # What always changes runs again when a run begins anew.
    assert set(reproduce(project.path).stages("completed")) == {"always", "callback"}


def test_a_journal_is_not_believed_where_something_changed_since(project: Project) -> None:
    project.write("in", "in\n")
    project.write(
        "dvc.yaml", "stages: {a: {cmd: cp in a, deps: [in], outs: [a]}, b: {cmd: cp in b, deps: [in], outs: [b]}}"
    )
    reproduce(project.path)
    lock = project.yaml("dvc.lock")["stages"]
    entry = {"stage": "a", "record": lock["a"], "before": "of another time"}
    half = {"stage": "b", "record": lock["b"], "before": ""}
    project.write("in", "new\n")
    assert reproduce(project.path).text == "2 completed"
    project.write(".dvcgraph/journal.jsonl", json.dumps(entry) + "\n" + json.dumps(half)[:-9])
    assert reproduce(project.path).text == "2 unchanged"
    assert project.read("a") == "new\n"


def test_records_of_a_foreign_dvc_are_seen_while_we_run(project: Project) -> None:
    project.write("in", "in\n")
    project.write(
        "dvc.yaml",
        "stages: {a: {cmd: 'touch begun; while [ ! -e go ]; do sleep 0.02; done; echo a > a', outs: [a]}, "
        "b: {cmd: 'echo x >> ../ledger; cat a > b', deps: [a], outs: [b]}, "
        "c: {cmd: 'echo x >> ../ledger; echo c > c', outs: [c]}, d: {cmd: cat a c > d, deps: [a, c], outs: [d]}}",
    )

    def meanwhile(event: Event) -> None:
        if isinstance(event, Started) and event.stage == "a":
            assert project.dvc("repro", "-s", "c").returncode == 0
            project.write("go", "")

    summary = reproduce(project.path, jobs=1, on_event=meanwhile)
    assert outcomes(summary) == {"a": "completed", "b": "completed", "c": "unchanged", "d": "completed"}
    assert "up to date" in project.dvc("status").stdout


def test_a_stage_gets_the_devices_it_asks_for(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TANDEM_DEVICES", "gpu:0,gpu:1")
    monkeypatch.setenv("TANDEM_LEASES", str(tmp_path / "leases"))
    show = "echo $CUDA_VISIBLE_DEVICES > {0}"
    project.write(
        "dvc.yaml",
        f"stages: {{both: {{cmd: '{show.format('both')}', outs: [both], meta: {{device: gpu, count: 2}}}}, "
        f"cpu: {{cmd: '{show.format('cpu')}', outs: [cpu], meta: {{device: cpu}}}}}}",
    )
    events: list[Event] = []
    assert reproduce(project.path, on_event=events.append).text == "2 completed"
    assert (project.read("both"), project.read("cpu")) == ("0,1\n", "\n")
    leased = {event.stage: event.devices for event in events if isinstance(event, Started)}
    assert leased["both"] == ("gpu:0", "gpu:1")
    assert leased["cpu"][0].startswith("cpu:")


def test_a_device_that_does_not_exist_is_refused_before_anything_runs(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_DEVICES", "gpu:0")
    project.write(
        "dvc.yaml",
        "stages: {a: {cmd: echo a > a, outs: [a]}, "
        "big: {cmd: 'true', deps: [a], meta: {device: gpu, count: 2, required: true}}}",
    )
    with pytest.raises(GraphError, match="stage 'big' must have 2 GPUs, but there is 1"):
        reproduce(project.path)
    assert not (project.path / "a").exists()


def test_a_stage_that_holds_a_device_does_not_wait_for_one_that_waits_for_slots(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_DEVICES", "gpu:0")
    project.write(
        "dvc.yaml",
        "stages: {c: {cmd: echo c > c, outs: [c], meta: {device: gpu}}, a: {cmd: cp c a, deps: [c], outs: [a]}, "
        "a2: {cmd: cp a a2, deps: [a], outs: [a2]}, b: {cmd: echo b > b, outs: [b], meta: {device: gpu}}}",
    )
    assert reproduce(project.path, jobs=1).text == "4 completed"


def test_a_killed_runs_stages_outside_the_next_runs_targets_stay_in_the_journal(project: Project) -> None:
    project.write(
        "dvc.yaml",
        "stages: {a: {cmd: echo a >> ../ledger; echo a > a, outs: [a]}, b: {cmd: echo b >> ../ledger; echo b > b, "
        "outs: [b]}, last: {cmd: '[ -e go ] || sleep 600', deps: [a, b]}}",
    )
    journal = project.path / ".dvcgraph/journal.jsonl"
    with runner(project, "-j", "2") as process:
        wait_for(lambda: journal.exists() and journal.read_text().count("\n") == 2)
        process.kill()
    (project.path / "dvc.lock").unlink(missing_ok=True)
    project.write("go", "")
    assert reproduce(project.path, ["a"]).text == "1 unchanged"
    assert [json.loads(line)["stage"] for line in journal.read_text().splitlines()] == ["b"]
    assert reproduce(project.path, stopping=lambda stop: stop()).stopped  # before anything was taken over
    assert reproduce(project.path).text == "1 completed, 2 unchanged"
    assert sorted((project.path.parent / "ledger").read_text().split()) == ["a", "b"]
    assert not journal.exists()


def test_a_torn_line_of_the_journal_does_not_swallow_the_next(project: Project) -> None:
    from dvcgraph.journal import Journal

    path = project.write(".dvcgraph/journal.jsonl", '{"stage": "a", "rec')
    Journal(path).append("b", {"cmd": "x"}, "")
    assert [entry.stage for entry in Journal(path).read()] == ["b"]


def test_what_fails_in_the_bookkeeping_of_one_stage_does_not_end_the_others(project: Project, tmp_path: Path) -> None:
    (project.path / "link").symlink_to(tmp_path)
    project.write(
        "dvc.yaml",
        "stages: {good: {cmd: sleep 0.5; echo g > g, outs: [g]}, "
        "outside: {cmd: echo x > link/x, outs: [link/x]}, "
        "dangling: {cmd: 'mkdir o; ln -s nowhere o/x', outs: [o]}, after: {cmd: cp g after, deps: [g], outs: [after]}}",
    )
    summary = reproduce(project.path, jobs=2)
    assert outcomes(summary) == {"good": "completed", "outside": "failed", "dangling": "failed", "after": "completed"}
    assert set(project.yaml("dvc.lock")["stages"]) == {"good", "after"}
    messages = {outcome.stage: outcome.message for outcome in summary.outcomes}
    assert "keep outs inside the git repository" in messages["outside"]
    assert "o/x: No such file or directory" in messages["dangling"]
    assert reproduce(project.path, ["after"]).text == "2 unchanged"


def test_a_process_left_behind_that_writes_for_ever_is_ended(project: Project) -> None:
    project.write("dvc.yaml", "stages: {a: {cmd: 'yes & sleep 0.2; echo a > a', outs: [a]}}")
    assert reproduce(project.path).text == "1 completed"


def test_a_process_that_left_its_group_does_not_keep_the_device(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_DEVICES", "gpu:0")
    project.write(
        "dvc.yaml",
        "stages: {a: {cmd: 'setsid sleep 300 > /dev/null & sleep 0.3; echo a > a', outs: [a], meta: {device: gpu}}, "
        "b: {cmd: cp a b, deps: [a], outs: [b], meta: {device: gpu}}}",
    )
    assert reproduce(project.path).text == "2 completed"


def test_a_stage_that_ended_well_is_recorded_although_the_run_is_stopped(project: Project) -> None:
    """Stopped while another process has the repository's lock: what is done is finished once it is free."""
    project.write("dvc.yaml", "stages: {a: {cmd: touch begun; sleep 0.5; echo a > a, outs: [a]}, b: {cmd: sleep 600}}")
    hold = "import sys, zc.lockfile; lock = zc.lockfile.LockFile(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with open_run(project.path, jobs=2) as run:
        wait_for(lambda: (project.path / "begun").exists())
        holder = subprocess.Popen(
            [sys.executable, "-c", hold, str(project.path / ".dvc/tmp/lock")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline()
        wait_for(lambda: (project.path / "a").exists())
        time.sleep(0.3)
        run.stop()
        time.sleep(0.3)
        holder.communicate(b"")
        summary = run.wait()
        assert outcomes(summary) == {"a": "completed", "b": "failed"}
        assert run.futures["a"].result(0).state == "completed"
    assert set(project.yaml("dvc.lock")["stages"]) == {"a"}


def test_a_signal_while_another_process_has_the_lock_ends_the_start(project: Project) -> None:
    project.write("dvc.yaml", "stages: {a: {cmd: echo a > a, outs: [a]}}")
    import zc.lockfile

    lock = zc.lockfile.LockFile(str(project.path / ".dvc/tmp/lock"))
    try:
        with runner(project) as process:
            assert process.stdout is not None
            assert "waiting: another DVC process holds the repository's lock" in process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=60)
    finally:
        lock.close()
    assert process.returncode == 130
    assert "interrupted before anything ran" in output


def test_output_that_the_terminal_cannot_show_and_names_in_any_script(project: Project) -> None:
    project.write("dvc.yaml", f"stages: {{{'ü' * 130}: {{cmd: echo é}}}}")
    with runner(project, PYTHONIOENCODING="ascii") as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output


def test_a_stage_that_waits_for_a_foreign_dvc_leaves_its_device_to_others(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_DEVICES", "gpu:0")
    project.write(
        "dvc.yaml",
        "stages: {a: {cmd: 'touch begun; while [ ! -e go ]; do sleep 0.02; done; echo a > a', outs: [a], "
        "meta: {device: gpu}}, b: {cmd: echo b > b; touch go, outs: [b], meta: {device: gpu}}}",
    )
    foreign = subprocess.Popen([sys.executable, "-m", "dvc", "repro", "-s", "a"], cwd=project.path)
    try:
        wait_for(lambda: (project.path / "begun").exists())
        assert outcomes(reproduce(project.path, jobs=1)) == {"a": "unchanged", "b": "completed"}
    finally:
        project.write("go", "")
        assert foreign.wait(60) == 0
