"""Settings trained one by one: what they reach depends on their epochs alone, however they got there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
ENVIRONMENT = {"PYTHONPATH": str(FOLDER.parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="module", params=["torch", pytest.param("keras", marks=pytest.mark.long)])
def found(request: pytest.FixtureRequest) -> dict:
    command = [sys.executable, str(FOLDER / "alone_worker.py"), request.param]
    done = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_setting_that_goes_on_reaches_what_it_reaches_at_once(found):
    for number in ("0", "1"):
        assert found["gone on"][number] == found["at once"][number]
    assert found["first"]["0"] != found["at once"]["0"]
    assert found["again"]["0"] == found["first"]["0"]


def test_epochs_are_counted_once(found):
    assert found["first"]["epochs told"] == 8, "two settings, two folds, two epochs"
    assert found["again"]["epochs told"] == 0
    assert found["gone on"]["epochs told"] == 2 * (5 - 2) + 2 * 5, "one went on, the other began anew"
    assert [score["epochs"] for score in found["gone on"]["0"]] == [5, 5]


def test_a_score_is_that_of_the_kept_weights_on_the_rows_held_out(found):
    assert [score["value"] for score in found["at once"]["0"]] == pytest.approx(found["by hand"], rel=1e-6)


def test_a_training_that_ended_early_is_not_trained_again(found):
    scores = found["stopped"]["1"]
    assert {score["outcome"] for score in scores} == {"stopped early"}
    assert all(score["epochs"] < 30 for score in scores)
    assert found["stopped again"]["1"] == scores
    assert found["stopped again"]["epochs told"] == 0


def test_a_training_that_diverged_has_no_score(found):
    assert [(score["outcome"], score["value"]) for score in found["diverged"]["2"]] == [("diverged", None)] * 2
