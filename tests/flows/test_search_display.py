"""How far a search is: in the terminal's table, in plain lines, and as artifacts of Prefect."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from dvc_project import Project
from rich.console import Console
from test_pipeline import read, run

from dvcgraph.events import Ended, Event, Outcome, Progress, Queued, Started
from flows.progress import LiveDisplay, PlainDisplay, describe_progress, percent_done, values_text

UNITS, RATE = "model.sequential.0.dense.units", "optimizer.learning_rate"


def progress(trials: int, **more: Any) -> dict[str, Any]:
    """Return a progress line of a search of 10 trials whose value falls with each."""
    leaders = [
        {"trial": number, "value": 1 / (number + 1), "parameters": {UNITS: number, RATE: 0.001234}}
        for number in reversed(range(trials))
    ][:5]
    told = {
        "search": "housing", "framework": "keras", "metric": "mse", "trials": trials, "trials_limit": 10,
        "epochs": 15 * trials, "epochs_limit": None, "leaders": leaders, "seconds_left": 72.0,
    }  # fmt: skip
    return {"search": told | more}


def shown(display_of: Any, *events: Event, width: int = 120) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, force_terminal=display_of is LiveDisplay, width=width, color_system=None)
    display = display_of(console)
    for event in events:
        display(event)
    if display_of is LiveDisplay:
        console.print(display.render())
    return [line.rstrip() for line in file.getvalue().splitlines()]


STAGE = "search@housing-keras"
BEGUN = (Queued(STAGE, ()), Queued("report@housing", (STAGE,)), Started(STAGE))


def test_the_live_display_has_a_table_of_searches_in_place_of_their_lines() -> None:
    _, head, row = shown(LiveDisplay, *BEGUN, Progress(STAGE, progress(4)))
    assert head.split() == ["search", "framework", "trials", "epochs", "best", "left", "best", "parameters"]
    assert row.split() == [
        "housing", "keras", "4/10", "60", "mse", "0.25", "1", "min", "12", "s", "units", "3,", "learning_rate",
        "0.001234",
    ]  # fmt: skip


def test_the_table_says_when_the_best_is_trained_and_when_a_search_has_ended() -> None:
    training = Progress(STAGE, {"epoch": 3, "epochs": 10, "train_loss": 0.4})
    lines = shown(LiveDisplay, *BEGUN, Progress(STAGE, progress(10)), training)
    assert "trains the best" in lines[2]
    assert lines[3] == f"{STAGE}  0.0 s  epoch 3/10  train loss 0.4"
    ended = Ended(STAGE, Outcome(STAGE, "completed", 1.0))
    *_, head, row = shown(LiveDisplay, *BEGUN, Progress(STAGE, progress(10)), training, ended)
    assert head.startswith("search")
    assert "ended" in row


def test_a_narrow_terminal_cuts_the_parameters_and_no_more() -> None:
    *_, row = shown(LiveDisplay, *BEGUN, Progress(STAGE, progress(4)), width=80)
    assert len(row) <= 80
    assert "4/10" in row
    assert row.endswith("…")


def test_plain_output_says_what_is_better_or_another_tenth_and_nothing_twice() -> None:
    same = progress(4, leaders=progress(3)["search"]["leaders"])
    events = [Progress(STAGE, values) for values in (progress(0), progress(3), progress(3), same, same)]
    assert shown(PlainDisplay, *BEGUN, *events, width=200) == [
        f"{STAGE}  3/10 trials  45 epochs  best mse 0.3333  1 min 12 s left  units 2, learning_rate 0.001234",
        f"{STAGE}  4/10 trials  60 epochs  best mse 0.3333  1 min 12 s left  units 2, learning_rate 0.001234",
    ]


def test_how_much_is_done_is_what_ends_the_search_first() -> None:
    assert percent_done(progress(4)) == pytest.approx(40)
    assert percent_done(progress(4, epochs_limit=100)) == pytest.approx(60)
    assert percent_done(progress(4, epochs_limit=30)) == pytest.approx(100)
    assert percent_done(progress(4, trials_limit=None)) is None


def test_a_progress_line_that_is_no_searchs_is_let_be() -> None:
    for wrong in ({"search": 3}, {"search": {"trials": 4}}, {"search": progress(1)["search"] | {"trials": "x"}}):
        assert describe_progress(wrong) == ""
        assert percent_done(wrong) is None


def test_parameters_are_told_by_their_ends_unless_two_end_alike() -> None:
    assert values_text({UNITS: 15, RATE: 0.002}) == "units 15, learning_rate 0.002"
    other = "model.sequential.1.dense.units"
    assert values_text({UNITS: 15, other: 20, "loss": "mae"}) == f"{UNITS} 15, {other} 20, loss mae"


@pytest.mark.usefixtures("prefect_server")
def test_the_best_trials_so_far_are_a_table_that_follows_the_search(project: Project) -> None:
    lines = "\n".join(json.dumps(progress(trials)) for trials in (1, 7))
    project.write("lines", f"{lines}\n")
    project.write(
        "dvc.yaml",
        "stages: {search: {cmd: 'cat lines >> \"$DVCGRAPH_PROGRESS\"; echo a > a', outs: [a], deps: [lines]}}",
    )
    state = run(project)

    def there(artifacts: list[Any]) -> bool:
        return {"best-housing-keras", "progress-search"} <= {artifact.key for artifact in artifacts}

    found = {artifact.key: artifact for artifact in read("artifact_filter", "read_artifacts", state, there)}
    table = found["best-housing-keras"]
    assert table.description == "housing in keras: the best of 7 trials so far"
    rows = json.loads(table.data)
    assert [row["trial"] for row in rows] == [6, 5, 4, 3, 2]
    assert rows[0] == {"trial": 6, "mse": pytest.approx(1 / 7), UNITS: 6, RATE: 0.001234}
    assert found["progress-search"].task_run_id == table.task_run_id
