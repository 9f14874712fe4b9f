"""The user interface on a project whose stages sleep, fail and wait to be stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from browsing import headless_browser
from dvc_project import Project, make_template
from hermetic import hermetic_environment
from user_interface import Interface, click, find, interface, wait_for

pytestmark = pytest.mark.slow

PARAMS = """\
suite: {experiments: [sleeping, failing], frameworks: [keras, torch]}
datasets:
  roasts:
    source: {name: coffee, samples: 200}
    split: {method: first-n, valid: 0}
    standardize: {method: zscore}
experiments:
  sleeping: &coffee
    description: Roasts.
    dataset: roasts
    model: {sequential: []}
    loss: binary_cross_entropy
    optimizer: {name: sgd, learning_rate: 0.01}
    training: {epochs: 4, batch_size: 8}
  failing: *coffee
"""
GRAPH = """
stages:
  first:
    cmd: echo one | tee first
    outs:
      - first
  second:
    cmd: if test -e repaired; then cp first second; else echo not yet repaired; exit 3; fi
    deps:
      - first
    outs:
      - second
  report:
    foreach: {sleeping: first, failing: second}
    do:
      cmd: sh ${key}.sh
      deps:
        - ${item}
      outs:
        - reports/${key}.html
"""
SLEEPING = "trap 'echo asked to end; exit 1' TERM; sleep 600 & echo $! > pid; echo asleep; wait"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return hermetic_environment(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(make_template(tmp_path_factory.mktemp("ui") / "project"))
    made.write("params.yaml", PARAMS)
    made.write("dvc.yaml", GRAPH)
    made.write("sleeping.sh", SLEEPING)
    made.write("failing.sh", "cp second reports/failing.html")
    made.write("reports/README.md", "")
    return made


@pytest.fixture(scope="module")
def ui(project: Project, environment: dict[str, str]) -> Iterator[Interface]:
    with interface(project.path, environment, "--nightly", "0 3 * * *") as started:
        yield started


def sleeper(ui: Interface, project: Project) -> tuple[str, psutil.Process]:
    """Start a flow run, and wait until its stage sleeps; return the run and the sleeping process."""
    (project.path / "pid").unlink(missing_ok=True)
    run = ui.start(experiments=["sleeping"])
    wait_for(lambda: (project.path / "pid").exists() and project.read("pid").strip(), lambda: str(ui.state(run)))
    ui.await_tasks(run, {"report@sleeping": ("RUNNING", "Running")})
    return run, psutil.Process(int(project.read("pid")))


def flow_process(ui: Interface) -> psutil.Process:
    return next(one for one in ui.family() if "prefect.engine" in " ".join(one.cmdline()))


def test_both_addresses_are_told_and_answer(ui: Interface) -> None:
    assert ui.said == [
        "starting ...", f"Prefect:  {ui.address}", f"reports:  {ui.reports}", "Ctrl-C stops all of it"
    ]  # fmt: skip
    for address in (ui.address, ui.reports):
        assert requests.get(address, timeout=30).status_code == 200
    assert "connect-src 'self'" in requests.get(ui.address, timeout=30).headers["content-security-policy"]
    assert ui.ask("admin/settings")["server"]["analytics_enabled"] is False


def test_a_second_one_is_refused(ui: Interface, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.ui", "--port", "1025", "--reports-port", "1026"],
        cwd=ui.root, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: the user interface of this project runs already at {ui.address}; use that one, or stop it first\n"
    )


def test_a_nightly_run_is_scheduled(ui: Interface) -> None:
    scheduled = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}, "sort": "EXPECTED_START_TIME_ASC"}
    wait_for(lambda: ui.ask("flow_runs/filter", scheduled))
    next_run = ui.ask("flow_runs/filter", scheduled)[0]
    assert next_run["auto_scheduled"]
    assert next_run["deployment_id"] == ui.deployment()["id"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"learning_rate": 0}, "'learning_rate'. Failure reason: 0 is less than or equal to the minimum of 0"),
        ({"epochs": -1}, "'epochs'. Failure reason: -1 is less than the minimum of 0"),
        ({"batch_size": "many"}, "'batch_size'. Failure reason: 'many' is not valid under any of the given schemas"),
        ({"replicates": 1001}, "'replicates'. Failure reason: 1001 is greater than the maximum of 1000"),
        ({"parallel": 0}, "'parallel'. Failure reason: 0 is less than the minimum of 1"),
        ({"experiments": ["waking"]}, "'waking' is not one of ['sleeping', 'failing']"),
        ({"frameworks": ["jax"]}, "'jax' is not one of ['keras', 'torch']"),
    ],
)
def test_values_out_of_range_are_refused(ui: Interface, parameters: dict, message: str) -> None:
    assert message in ui.refusal(**parameters)


def test_overrides_for_several_experiments_fail_at_once(ui: Interface) -> None:
    state = ui.end(ui.start(experiments=["sleeping", "failing"], epochs=3))
    assert (state["type"], state["message"]) == (
        "FAILED", "overrides are for one experiment at a time; chosen: sleeping, failing; choose one"
    )  # fmt: skip


def test_a_failed_run_says_why_and_goes_on_where_it_failed(ui: Interface, project: Project) -> None:
    run = ui.start(experiments=["failing"])
    state = ui.end(run)
    assert (state["type"], state["message"]) == ("FAILED", "1 failed, 1 skipped")
    ui.await_tasks(
        run,
        {
            "first": ("COMPLETED", "Completed"),
            "second": ("FAILED", "Failed"),
            "report@failing": ("COMPLETED", "Skipped"),
        },
    )
    summary = ui.artifacts(run)["summary"]["data"]
    assert "### second failed" in summary
    assert "```text\nnot yet repaired\n```" in summary
    assert "Skipped because of it: report@failing" in summary

    project.write("repaired", "")
    ui.ask(f"flow_runs/{run}/set_state", {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True})
    wait_for(lambda: ui.state(run)["type"] == "COMPLETED", lambda: str(ui.state(run)))
    assert ui.state(run)["message"] == "2 completed, 1 unchanged"
    ui.await_tasks(
        run,
        {
            "first": ("COMPLETED", "Unchanged"),
            "second": ("COMPLETED", "Completed"),
            "report@failing": ("COMPLETED", "Completed"),
        },
    )
    link = ui.artifacts(run)["report-failing"]["data"]
    assert ui.reports in link
    assert requests.get(link.partition("(")[2].rstrip(")"), timeout=30).content == b"one\n"


@pytest.mark.browser
def test_a_run_cancelled_on_its_page_leaves_no_process(ui: Interface, project: Project, tmp_path: Path) -> None:
    with headless_browser(tmp_path / "profile") as page:
        run, process = sleeper(ui, project)
        page.get(f"{ui.address}/runs/flow-run/{run}")
        click(page, "//button[normalize-space(.)='Cancel']")
        click(page, "//button[normalize-space(.)='Confirm']")
        find(page, "//*[contains(@class, 'state-badge')][contains(., 'Cancelled')]")
    psutil.wait_procs([process], timeout=60)
    assert not process.is_running()
    assert ui.end(run)["name"] == "Cancelled"
    ui.await_tasks(run, {"report@sleeping": ("CANCELLED", "Cancelled")})


def test_a_killed_run_leaves_no_process_and_its_tasks_are_marked_by_the_next(ui: Interface, project: Project) -> None:
    run, process = sleeper(ui, project)
    flow_process(ui).kill()
    psutil.wait_procs([process], timeout=60)
    assert not process.is_running()
    assert ui.end(run)["type"] == "CRASHED"
    ui.end(ui.start(experiments=["failing"]))
    ui.await_tasks(run, {"report@sleeping": ("CRASHED", "Crashed")})


def test_a_run_in_the_terminal_shows_up(ui: Interface, project: Project, environment: dict[str, str]) -> None:
    code = "import sys; from pathlib import Path; from rich.console import Console; from flows.run import run_pipeline"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit(run_pipeline(Path.cwd(), ['second'], False, Console()))"],
        cwd=project.path, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 unchanged" in done.stdout
    runs = ui.ask("flow_runs/filter", {"sort": "START_TIME_DESC"})
    from_terminal = [run["state"]["message"] for run in runs if run["deployment_id"] is None]
    assert from_terminal == ["2 unchanged"]


def test_killed_as_a_whole_nothing_is_left_and_the_next_start_marks_its_runs(
    ui: Interface, project: Project, environment: dict[str, str]
) -> None:
    run, process = sleeper(ui, project)
    family = ui.family()
    os.kill(ui.process.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs([process, *family], timeout=60)
    assert not alive
    with interface(project.path, environment) as again:
        state = again.state(run)
        assert (state["type"], state["message"]) == ("CRASHED", "its process ended without a word")
        again.await_tasks(run, {"report@sleeping": ("CRASHED", "Crashed")})
        run, process = sleeper(again, project)
        assert again.stop().endswith("stopped\n")
        assert not process.is_running()
