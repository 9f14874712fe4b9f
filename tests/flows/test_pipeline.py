"""The flow as Prefect's server sees it, read back from its API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from dvc_project import Project

pytestmark = pytest.mark.usefixtures("prefect_server")

GRAPH = """
stages:
  prepare:
    cmd: echo prepared | tee data
    outs: [data]
  train:
    foreach: {a: 1, b: 1}
    do:
      cmd: cat data > model-${key}; test ${key} = a || exit 3
      deps: [data]
      outs: ["model-${key}"]
  evaluate:
    cmd: cat model-b > scores
    deps: [model-b]
    outs: [scores]
"""


def run(project: Project, *targets: str) -> Any:
    from flows.pipeline import pipeline

    return pipeline(str(project.path), list(targets), return_state=True)


def read(filter_name: str, call: str, state: Any, ready: Callable[[list[Any]], bool]) -> list[Any]:
    """Ask the API about a flow run until the answer is there: task states and logs arrive a little later."""
    from prefect import get_client
    from prefect.client.schemas import filters

    flow_run: UUID = state.state_details.flow_run_id
    criteria = {
        "flow_run_filter": filters.FlowRunFilter(id=filters.FlowRunFilterId(any_=[flow_run])),
        "log_filter": filters.LogFilter(flow_run_id=filters.LogFilterFlowRunId(any_=[flow_run])),
        "artifact_filter": filters.ArtifactFilter(flow_run_id=filters.ArtifactFilterFlowRunId(any_=[flow_run])),
    }
    deadline = time.monotonic() + 60
    with get_client(sync_client=True) as client:
        while True:
            found = list(getattr(client, call)(**{filter_name: criteria[filter_name]}))
            if ready(found) or time.monotonic() > deadline:
                return found
            time.sleep(0.1)


def task_runs(state: Any) -> dict[str, Any]:
    def final(runs: list[Any]) -> bool:
        return bool(runs) and all(run.state is not None and run.state.is_final() for run in runs)

    return {run.name: run for run in read("flow_run_filter", "read_task_runs", state, final)}


def test_task_runs_have_the_names_states_and_edges_of_the_stages(project: Project) -> None:
    project.write("dvc.yaml", GRAPH)
    state = run(project)
    assert (state.type.value, state.message) == ("FAILED", "1 failed, 1 skipped")
    runs = task_runs(state)
    assert {name: (one.state.type.value, one.state.name) for name, one in runs.items()} == {
        "prepare": ("COMPLETED", "Completed"),
        "train@a": ("COMPLETED", "Completed"),
        "train@b": ("FAILED", "Failed"),
        "evaluate": ("COMPLETED", "Skipped"),
    }
    assert runs["evaluate"].state.message == "train@b failed"
    upstream = {one.id for one in runs["evaluate"].task_inputs["wait_for"]}
    assert upstream == {runs["train@b"].id}

    lines = read("log_filter", "read_logs", state, lambda logs: any("exit status 3" in log.message for log in logs))
    of_prepare = [log.message for log in lines if log.task_run_id == runs["prepare"].id]
    assert "prepared" in of_prepare
    of_b = [log.message for log in lines if log.task_run_id == runs["train@b"].id]
    assert any("exit status 3" in message for message in of_b)


def test_unchanged_and_restored_stages_say_so(project: Project) -> None:
    project.write("dvc.yaml", GRAPH)
    assert run(project, "train@a").is_completed()
    second = run(project, "train@a")
    assert (second.type.value, second.message) == ("COMPLETED", "2 unchanged")
    assert {name: one.state.name for name, one in task_runs(second).items()} == {
        "prepare": "Unchanged",
        "train@a": "Unchanged",
    }
    (project.path / "model-a").unlink()
    third = task_runs(run(project, "train@a"))
    assert {name: one.state.name for name, one in third.items()} == {
        "prepare": "Unchanged",
        "train@a": "Restored",
    }
    assert project.dvc("status", "train@a").stdout.strip() == "Data and pipelines are up to date."


def test_a_graph_that_cannot_be_loaded_fails_the_flow_with_its_message(project: Project) -> None:
    project.write("dvc.yaml", GRAPH)
    state = run(project, "evalute")
    assert state.is_failed()
    assert "did you mean 'evaluate'?" in state.message


def test_metrics_and_reports_become_artifacts(project: Project) -> None:
    project.write("keras", '{"test": {"accuracy": 0.9, "mse": NaN}}')
    project.write("torch", '{"test": {"accuracy": 0.8}}')
    for framework in ("keras", "torch"):
        project.write(f"metrics/digits/{framework}.json", "old")
    project.write("metrics/other/keras.json", '{"test": {"accuracy": 0.1}}')  # of another plan
    project.write("reports/other.html", "<p>old")
    report = project.path / "reports" / "Digits MLP.html"
    project.write(
        "dvc.yaml",
        "stages: {a: {cmd: ['cp keras metrics/digits/keras.json', 'cp torch metrics/digits/torch.json', "
        "'echo report > \"reports/Digits MLP.html\"'], "
        "outs: [metrics/digits/keras.json, metrics/digits/torch.json, 'reports/Digits MLP.html']}}",
    )
    state = run(project)
    assert state.is_completed()
    found = read("artifact_filter", "read_artifacts", state, lambda artifacts: len(artifacts) == 3)
    artifacts = {artifact.key: artifact for artifact in found}
    assert set(artifacts) == {"metrics", "report-digits-mlp", "summary"}
    assert report.as_uri() in artifacts["report-digits-mlp"].data
    assert artifacts["summary"].data.startswith("**1 completed**")
    assert json.loads(artifacts["metrics"].data) == [
        {"experiment": "digits", "framework": "keras", "test.accuracy": 0.9, "test.mse": None},
        {"experiment": "digits", "framework": "torch", "test.accuracy": 0.8, "test.mse": None},
    ]


def test_a_failing_artifact_does_not_fail_the_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import execution

    def refuse(**_: Any) -> None:
        raise OSError("no server")

    monkeypatch.setattr(execution, "create_table_artifact", refuse)
    project.write("metrics/digits/old.json", "{}")
    project.write(
        "dvc.yaml", "stages: {a: {cmd: 'echo {} > metrics/digits/keras.json', outs: [metrics/digits/keras.json]}}"
    )
    assert run(project).is_completed()


PROGRESS = """\
import json, os, time
for epoch in (1, 2):
    with open(os.environ["DVCGRAPH_PROGRESS"], "a") as file:
        file.write(json.dumps({"epoch": epoch, "epochs": 2, "train_loss": 0.5}) + "\\n")
    time.sleep(0.3)
open("a", "w").write("a")
"""


def test_a_stage_that_reports_progress_has_an_artifact_of_its_own(project: Project) -> None:
    project.write("work.py", PROGRESS)
    project.write(
        "dvc.yaml", "stages: {train_a: {cmd: python work.py, outs: [a]}, quiet: {cmd: echo b > b, outs: [b]}}"
    )
    state = run(project)
    assert state.is_completed()
    found = read("artifact_filter", "read_artifacts", state, lambda artifacts: len(artifacts) == 2)
    progress = next(artifact for artifact in found if artifact.key == "progress-train-a")
    assert (progress.type, progress.data, progress.description) == ("progress", 100.0, "train_a: completed")
    assert progress.task_run_id == task_runs(state)["train_a"].id


def test_stages_run_at_once_and_their_tasks_overlap(project: Project) -> None:
    waits = "touch {0}; until test -e {1}; do sleep 0.05; done"
    stages = [f"{a}: {{cmd: '{waits.format(a, b)}; echo > out-{a}', outs: [out-{a}]}}" for a, b in ("xy", "yx")]
    project.write("dvc.yaml", f"stages: {{{', '.join(stages)}}}")
    from flows.pipeline import pipeline

    state = pipeline(str(project.path), jobs=2, return_state=True)
    assert state.message == "2 completed"
    runs = task_runs(state)
    assert max(one.start_time for one in runs.values()) < min(one.end_time for one in runs.values())


def test_the_summary_says_what_failed_why_and_what_that_skipped() -> None:
    from dvcgraph.events import Outcome, Summary
    from flows.execution import Link, summary_text

    summary = Summary(
        (
            Outcome("train@a", "failed", message="`x_1 *` failed", tail=("```", "no <b>memory</b>")),
            Outcome("report@a", "skipped", message="train@a failed"),
            Outcome("report@b", "completed"),
        )
    )
    assert summary_text(summary, [Link("b", "http://127.0.0.1:4201/runs/1/b.html")], ["gate: kept"]) == (
        "**1 completed, 1 failed, 1 skipped**\n\n### train@a failed\n\n\\`x\\_1 \\*\\` failed\n\n"
        "````text\n```\nno <b>memory</b>\n````\n\nSkipped because of it: report@a\n\n- gate: kept\n\n"
        "Published all the same:\n\n- [b](http://127.0.0.1:4201/runs/1/b.html)"
    )


def test_damaged_metrics_are_named_not_raised(project: Project) -> None:
    from flows.execution import read_metrics

    path = project.write("metrics/digits/keras.json", "{")
    assert read_metrics([path]) == [{"experiment": "digits", "framework": "keras", "note": "not a JSON object"}]


def test_the_flow_survives_being_shipped_as_serve_ships_it(project: Project) -> None:
    import cloudpickle

    from flows.pipeline import pipeline

    project.write("dvc.yaml", "stages: {a: {cmd: echo a > a, outs: [a]}}")
    copy = cloudpickle.loads(cloudpickle.dumps(pipeline))
    assert copy(str(project.path), return_state=True).message == "1 completed"
