"""`run_pipeline`: what the terminal says, the exit status, and that nothing is left behind."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest
from dvc_project import Project
from hermetic import REPOSITORY
from rich.console import Console

from dvcgraph.events import Ended, Event, Outcome, Output, Progress, Queued, Started, Summary, Waiting
from flows.progress import LiveDisplay, describe_progress, duration, ended_lines, percent_done
from flows.run import run_pipeline, summary_lines
from flows.server import free_port

RUN = "import sys; from pathlib import Path; from rich.console import Console; from flows.run import run_pipeline"


def console(*, terminal: bool = False) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=100, color_system=None), file


@pytest.mark.usefixtures("prefect_server")
def test_a_good_run_says_each_stage_and_where_the_report_is(project: Project) -> None:
    project.write("dvc.yaml", "stages: {a: {cmd: echo a > a, outs: [a]}}")
    index = project.write("reports/index.html", "")
    out, file = console()
    assert run_pipeline(project.path, [], False, out) == 0
    stage, counts, report = file.getvalue().splitlines()
    assert stage.split()[:2] == ["completed", "a"]
    assert counts == "1 completed"
    assert report == f"report: {index.as_uri()}"


@pytest.mark.usefixtures("prefect_server")
def test_a_failed_run_says_what_failed_where_its_log_is_and_what_was_skipped(project: Project) -> None:
    project.write(
        "dvc.yaml",
        "stages: {bad: {cmd: 'echo [red]why[/]; exit 1', outs: [b]}, "
        "after: {cmd: x, deps: [b]}, other: {cmd: echo o > o, outs: [o]}}",
    )
    out, file = console()
    assert run_pipeline(project.path, [], False, out) == 1
    text = file.getvalue()
    assert "| [red]why[/]" in text
    assert "failed: bad: `echo [red]why[/]; exit 1` failed with exit status 1" in text
    assert "skipped because of it: after" in text
    assert "finished all the same: other" in text
    (log,) = [line.partition(": ")[2] for line in text.splitlines() if line.startswith("  its output: ")]
    assert log.startswith(str(project.path / ".dvcgraph" / "logs"))


def in_fresh_process(project: Project, targets: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    code = f"{RUN}; sys.exit(run_pipeline(Path.cwd(), {targets}, False, Console()))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=project.path, env=environment | {"PYTHONPATH": str(REPOSITORY)} | more,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_a_wrong_target_is_refused_before_a_flow_run_is_made(project: Project) -> None:
    project.write("dvc.yaml", "stages: {train: {cmd: echo a}}")
    done = in_fresh_process(project, ["trian"])
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("error: ")
    assert "did you mean 'train'?" in done.stdout
    assert not (project.path / ".prefect/runs").exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:{port}/api", "no Prefect server answers at http://127.0.0.1:{port}/api; start it, or unset"),
        ("127.0.0.1", "TANDEM_PREFECT_API_URL: '127.0.0.1' is no address of a server; it looks like http://"),
    ],
)
def test_a_server_that_is_not_there_is_told_at_once(project: Project, url: str, message: str) -> None:
    port = str(free_port())
    done = in_fresh_process(project, [], TANDEM_PREFECT_API_URL=url.format(port=port))
    assert done.returncode == 1
    assert done.stdout.replace("\n", " ").startswith(f"error: {message.format(port=port)}")
    assert done.stderr == ""


@pytest.mark.slow
def test_ctrl_c_leaves_neither_child_nor_server_and_keeps_what_is_finished(project: Project) -> None:
    project.write(
        "dvc.yaml",
        "stages: {a: {cmd: echo a > a, outs: [a]}, "
        "b: {cmd: 'sleep 600 & echo $! > pid; touch started; wait', deps: [a], outs: [b]}}",
    )
    code = f"{RUN}; sys.exit(run_pipeline(Path.cwd(), [], False, Console()))"
    runner = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=project.path, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    waiting = threading.Event()
    while not (project.path / "started").exists():
        assert runner.poll() is None, runner.communicate()[0]
        waiting.wait(0.1)
    family = psutil.Process(runner.pid).children(recursive=True)
    assert any("flows.server" in one.cmdline() for one in family)
    os.killpg(runner.pid, signal.SIGINT)  # as a terminal sends it
    output, _ = runner.communicate(timeout=100)
    assert runner.returncode == 130
    assert "interrupted; finished stages are recorded" in output
    assert "Traceback" not in output
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    assert set(project.yaml("dvc.lock")["stages"]) == {"a"}


def shown_live(width: int, height: int, *events: Event) -> list[str]:
    """Return what the live display draws after these events, and what scrolled by before."""
    file = io.StringIO()
    out = Console(file=file, force_terminal=True, width=width, height=height, color_system=None)
    display = LiveDisplay(out)
    for event in events:
        display(event)
    out.print(display.render())
    return file.getvalue().splitlines()


def test_the_live_display_shows_a_line_for_each_running_stage_and_escapes_text() -> None:
    lines = shown_live(
        100,
        25,
        Queued("a", ()),
        Queued("train@x", ("a",)),
        Queued("train@y", ("a",)),
        Queued("train@z", ("a",)),
        Ended("a", Outcome("a", "unchanged")),
        Started("train@x"),
        Output("train@x", "[bold]loss[/nonsense] \x1b[2J"),
        Waiting("train@y", "waiting for a GPU"),
        Started("train@z", ("gpu:0",)),
        Progress("train@z", {"epoch": 3, "epochs": 10, "train_loss": 0.4}),
    )
    assert len(lines) == 4
    assert lines[0].endswith("1/4 stages, 1 unchanged")
    assert lines[1].rstrip() == "train@x  0.0 s  [bold]loss[/nonsense] [2J"
    assert lines[2].rstrip() == "train@z  0.0 s  epoch 3/10  train loss 0.4"
    assert lines[3].rstrip() == "train@y  waiting for a GPU"


def test_the_live_display_fits_a_small_terminal() -> None:
    values = {
        "epoch": 3, "epochs": 60, "replicate": 0, "replicates": 3,
        "train_loss": 2345.67, "valid_loss": 2345.67, "seconds_left": 72.3,
    }  # fmt: skip
    stages = [f"train@diabetes-wide-deep-{name}" for name in ("keras", "torch", "third", "fourth")]
    events = [Queued(stage, ()) for stage in stages] + [Started(stage) for stage in stages]
    lines = shown_live(80, 6, *events, Progress(stages[0], values))
    assert lines[1].rstrip() == "train@diabetes-wide-deep-keras  0.0 s  replicate 1/3  epoch 3/60"
    assert lines[-1].rstrip() == "and 1 more"
    assert all(len(line) <= 80 for line in lines)


def test_progress_gives_up_whole_parts_to_fit() -> None:
    values = {"epoch": 3, "epochs": 10, "replicate": 0, "replicates": 5, "train_loss": 0.41234, "seconds_left": 72.3}
    assert describe_progress(values, width=45) == "replicate 1/5  epoch 3/10  1 min 12 s left"
    assert describe_progress(values, width=12) == "epoch 3/10"
    assert describe_progress(values, width=3) == ""
    assert percent_done(values) == pytest.approx(6.0)
    assert percent_done({"train_loss": 0.4}) is None


def test_progress_is_put_into_words() -> None:
    values = {
        "epoch": 3, "epochs": 10, "replicate": 0, "replicates": 5,
        "train_loss": 0.41234, "valid_loss": 0.5, "seconds_left": 72.3,
    }  # fmt: skip
    assert describe_progress(values) == (
        "replicate 1/5  epoch 3/10  train loss 0.4123  valid loss 0.5  1 min 12 s left"
    )
    assert describe_progress({"epoch": "three", "train_loss": None, "seconds_left": float("nan")}) == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (12.4, "12 s"), (185, "3 min 05 s"), (3725, "1 h 02 min")]
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_failed_stage_shows_its_last_lines() -> None:
    lines = ended_lines(Outcome("a", "failed", 1.0, "why", tuple(str(n) for n in range(20))))
    assert [line.plain.strip() for line in lines[1:]] == [f"| {n}" for n in range(8, 20)]


def test_long_lists_of_names_are_cut() -> None:
    outcomes = [Outcome("bad", "failed", message="why")]
    outcomes += [Outcome(f"s{n}", "skipped", message="bad failed") for n in range(10)]
    lines = summary_lines(Summary(tuple(outcomes)))
    assert lines[1] == "  skipped because of it: s0, s1, s2, s3, s4, s5, s6, s7 and 2 more"
    assert lines[-1] == "1 failed, 10 skipped"
