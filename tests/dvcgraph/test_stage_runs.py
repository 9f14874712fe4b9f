"""Running stages: failures, output, progress, inputs that change, other DVC processes, interrupts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from dvc_project import Project

from dvcgraph.commands import file_name
from dvcgraph.events import Ended, Event, Output, Progress, Queued, Started, Summary
from dvcgraph.schedule import reproduce

Run = Callable[..., Summary]

GATED = "touch started; echo started; while [ ! -e go ]; do sleep 0.02; done"  # until a test lets it go on

DIAMOND = """
stages:
  a:
    cmd: echo a > a
    outs: [a]
  bad:
    cmd: echo before; echo wrong >&2; exit 3
    deps: [a]
    outs: [bad]
  good:
    cmd: cat a > good
    deps: [a]
    outs: [good]
  after:
    cmd: cat bad good > after
    deps: [bad, good]
    outs: [after]
  last:
    cmd: cat after > last
    deps: [after]
    outs: [last]
"""


def started(event: Event) -> bool:
    return isinstance(event, Output) and event.line == "started"


def test_a_failing_stage_stops_its_dependents_and_nothing_else(project: Project, run: Run) -> None:
    project.write("dvc.yaml", DIAMOND)
    outcomes = {outcome.stage: outcome for outcome in run().outcomes}
    assert {name: outcome.state for name, outcome in outcomes.items()} == {
        "a": "completed",
        "bad": "failed",
        "good": "completed",
        "after": "skipped",
        "last": "skipped",
    }
    bad = outcomes["bad"]
    assert (bad.status, bad.tail) == (3, ("before", "wrong"))
    assert "exit status 3" in bad.message
    assert bad.log is not None
    *lines, last = bad.log.read_text().splitlines()
    assert lines[1:] == ["before", "wrong"]
    assert re.fullmatch(r"\(exit status 3 after [0-9]+\.[0-9] s\)", last)
    assert outcomes["after"].message == outcomes["last"].message == "bad failed"
    assert set(project.yaml("dvc.lock")["stages"]) == {"a", "good"}

    project.write("dvc.yaml", DIAMOND.replace("exit 3", "echo b > bad"))
    assert run().text == "3 completed, 2 unchanged"
    assert "up to date" in project.dvc("status").stdout


def test_events_come_in_order(project: Project, run: Run) -> None:
    project.write("dvc.yaml", "stages: {a: {cmd: 'echo x | tee a', outs: [a]}, b: {cmd: cp a b, deps: [a]}}")
    events: list[Event] = []
    run(on_event=events.append)
    assert events[:2] == [Queued("a", ()), Queued("b", ("a",))]
    kinds = [(type(event), event.stage) for event in events[2:]]
    assert kinds == [
        *[(Started, "a"), (Output, "a"), (Output, "a"), (Ended, "a")],
        *[(Started, "b"), (Output, "b"), (Ended, "b")],
    ]


def test_the_command_list_stops_at_the_first_failure(project: Project, run: Run) -> None:
    project.write("dvc.yaml", "stages: {a: {cmd: ['echo 1', 'false', 'echo 3'], outs: [a]}}")
    (outcome,) = run().outcomes
    assert outcome.tail == ("1",)
    assert outcome.status == 1


def test_progress_lines_are_told_and_bad_ones_ignored(project: Project, run: Run) -> None:
    lines = '{"epoch": 1}\nnonsense\n[1]\n{"epoch": 2, "train_loss": 0.5}\n{"half'
    project.write("lines", lines)
    project.write("dvc.yaml", "stages: {a: {cmd: cat lines > $DVCGRAPH_PROGRESS}}")
    events: list[Event] = []
    assert not run(on_event=events.append).failed
    told = [dict(event.values) for event in events if isinstance(event, Progress)]
    assert told == [{"epoch": 1}, {"epoch": 2, "train_loss": 0.5}]


def test_python_in_a_command_is_this_one_and_dvc_names_the_stage(project: Project, run: Run) -> None:
    project.write("show.py", "import os, sys; print(sys.prefix, os.environ['DVC_STAGE'], os.environ['DVC_ROOT'])")
    project.write("dvc.yaml", "stages: {a: {cmd: python show.py}}")
    (outcome,) = run().outcomes
    assert outcome.tail == (f"{sys.prefix} a {project.path}",)


def test_a_progress_bar_is_passed_on_as_its_last_state(project: Project, run: Run) -> None:
    project.write("dvc.yaml", r"""stages: {a: {cmd: "printf '10%%\\r\\033[32m100%%\\033[0m\\r\\ndone'"}}""")
    (outcome,) = run().outcomes
    assert outcome.tail == ("100%", "done")


def test_parameters_edited_while_a_command_runs_are_not_recorded(project: Project, run: Run) -> None:
    project.write("params.yaml", "rate: 0.1\n")
    project.write("in.txt", "in\n")
    stage = f"{{cmd: 'cat params.yaml > out; {GATED}', deps: [in.txt], params: [rate], outs: [out]}}"
    project.write("dvc.yaml", f"stages: {{slow: {stage}}}")

    def edit(event: Event) -> None:
        if started(event):
            project.write("params.yaml", "rate: 0.2\n")
            project.write("go", "")

    (outcome,) = run(on_event=edit).outcomes
    assert outcome.state == "completed"
    assert "params.yaml changed while it ran" in outcome.message
    assert project.yaml("dvc.lock")["stages"]["slow"]["params"] == {"params.yaml": {"rate": 0.1}}
    assert "modified" in project.dvc("status").stdout
    assert run().stages("completed") == ("slow",)  # not restored as if 0.2 had been used
    assert project.read("out") == "rate: 0.2\n"


def test_others_can_look_on_but_not_write_while_a_command_runs(project: Project, run: Run) -> None:
    project.write("in.txt", "in\n")
    project.write(
        "dvc.yaml",
        f"stages: {{slow: {{cmd: '{GATED}; echo x > out', deps: [in.txt], outs: [out]}}, "
        "other: {cmd: echo o > other, outs: [other]}}",
    )
    seen: list[subprocess.CompletedProcess[str]] = []

    def look(event: Event) -> None:
        if started(event):
            seen.extend([project.dvc("status"), project.dvc("repro", "-s", "slow"), project.dvc("repro", "other")])
            project.write("go", "")

    assert not run("slow", on_event=look).failed
    status, same, other = seen
    assert status.returncode == 0
    assert same.returncode != 0
    assert "busy" in same.stderr
    assert other.returncode == 0
    assert set(project.yaml("dvc.lock")["stages"]) == {"slow", "other"}
    assert "up to date" in project.dvc("status").stdout


def test_two_runners_at_once_run_each_stage_once(project: Project) -> None:
    project.write("in.txt", "in\n")
    command = f"echo ran >> ../ran; {GATED}; echo x > out"
    project.write("dvc.yaml", f"stages: {{slow: {{cmd: '{command}', deps: [in.txt], outs: [out]}}}}")
    second: list[subprocess.Popen[str]] = []
    waits: list[str] = []

    def start_second(event: Event) -> None:
        if started(event):
            process = subprocess.Popen(
                [sys.executable, "-m", "dvcgraph", "repro"],
                cwd=project.path,
                stdout=subprocess.PIPE,
                text=True,
            )
            second.append(process)
            assert process.stdout is not None
            waits.append(process.stdout.readline())
            project.write("go", "")

    assert reproduce(project.path, on_event=start_second).text == "1 completed"
    output, _ = second[0].communicate(timeout=60)
    assert waits == [f"waiting for the run of process {os.getpid()} in this project to end\n"]
    assert second[0].returncode == 0
    assert "slow: unchanged" in output
    assert (project.path.parent / "ran").read_text() == "ran\n"
    assert "up to date" in project.dvc("status").stdout


def test_what_a_command_leaves_running_is_ended(project: Project, run: Run) -> None:
    project.write("dvc.yaml", "stages: {a: {cmd: 'sleep 600 & echo $! > pid; echo x > a', outs: [a]}}")
    (outcome,) = run().outcomes
    assert outcome.state == "completed"
    assert not alive(int(project.read("pid")))


def test_an_exception_of_the_listener_ends_the_command_and_keeps_what_is_finished(project: Project, run: Run) -> None:
    project.write(
        "dvc.yaml",
        "stages: {a: {cmd: echo a > a, outs: [a]}, "
        "b: {cmd: 'sleep 600 & echo $! > pid; echo started; wait', deps: [a], outs: [b]}}",
    )

    def interrupt(event: Event) -> None:
        if started(event):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(on_event=interrupt)
    assert not alive(int(project.read("pid")))
    assert set(project.yaml("dvc.lock")["stages"]) == {"a"}
    assert project.dvc("repro", "-s", "a").returncode == 0  # no lock is left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_runner_leaves_no_child(project: Project, number: signal.Signals) -> None:
    project.write(
        "dvc.yaml",
        "stages: {a: {cmd: 'python -c \"import time; time.sleep(600)\" & echo $!; wait', outs: [a]}}",
    )
    runner = subprocess.Popen(
        [sys.executable, "-m", "dvcgraph", "repro"], cwd=project.path, stdout=subprocess.PIPE, text=True
    )
    assert runner.stdout is not None
    runner.stdout.readline()  # the command itself
    child = int(runner.stdout.readline().rpartition(" ")[2])
    os.kill(runner.pid, number)
    runner.communicate(timeout=60)
    assert runner.returncode == 130
    assert not alive(child)


@pytest.mark.slow
def test_a_child_that_ignores_the_request_to_end_is_killed(project: Project, run: Run) -> None:
    project.write("dvc.yaml", "stages: {a: {cmd: 'trap \"\" TERM; echo $$ > pid; echo started; sleep 600'}}")

    def interrupt(event: Event) -> None:
        if started(event):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(on_event=interrupt)
    assert not alive(int(project.read("pid")))


def test_a_long_command_does_not_keep_finished_stages_out_of_the_lock_file(project: Project) -> None:
    many = "".join(f"a{i}: {{cmd: echo {i} > a{i}, outs: [a{i}]}}, " for i in range(4))
    project.write("dvc.yaml", f"stages: {{{many} b: {{cmd: '{GATED}', deps: [a0, a1, a2, a3]}}}}")
    recorded = threading.Event()

    def watch() -> None:
        lock = project.path / "dvc.lock"
        while not (project.path / "go").exists():
            if lock.exists() and set(project.yaml("dvc.lock")["stages"]) == {"a0", "a1", "a2", "a3"}:
                recorded.set()
                project.write("go", "")
            recorded.wait(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    summary = reproduce(project.path, on_event=lambda _: None)
    watcher.join()
    assert not summary.failed
    assert recorded.is_set()


def test_names_of_log_files_differ_for_different_stages() -> None:
    assert file_name("train@digits-mlp-keras") == "train@digits-mlp-keras"
    names = {file_name(name) for name in ("sub/dvc.yaml:x", "sub_dvc.yaml_x", "sub/dvc.yaml_x", "x" * 300)}
    assert len(names) == 4
    assert all("/" not in name and len(name) < 200 for name in names)


def test_a_run_leaves_nothing_for_git_to_see_but_what_dvc_makes(project: Project, run: Run) -> None:
    project.write("dvc.yaml", "stages: {a: {cmd: echo a > a, outs: [a]}}")
    run()
    listed = subprocess.run(
        ["git", "status", "--short", "--untracked-files=all"],
        cwd=project.path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert sorted(line[3:] for line in listed.stdout.splitlines() if line.startswith("??")) == [
        ".gitignore",
        "dvc.lock",
        "dvc.yaml",
    ]


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_working_directory_is_left_as_it_was(project: Project, run: Run, tmp_path: Path) -> None:
    before = Path.cwd()
    project.write("dvc.yaml", "stages: {a: {cmd: pwd > a, outs: [a]}}")
    run()
    assert Path.cwd() == before
    assert project.read("a").strip() == str(tmp_path / "project")
