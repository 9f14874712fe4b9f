"""kill -9 at random moments: a search goes on, repeats no recorded trial and ends with the same result."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_search import FakeEvaluator, declare
from hermetic import REPOSITORY, hermetic_environment

from tandem.searches.journal import STATE_FILE, TRIALS_FILE
from tandem.searches.loop import run_search
from tandem.searches.records import SearchRecord
from tandem.searches.strategies import strategy_names
from tandem.searches.strategies.policy import Policy

KILLS = 20


class Searching:
    """A process that runs searches and kills them."""

    def __init__(self, home: Path) -> None:
        environment = hermetic_environment(home)
        environment["PYTHONPATH"] = f"{REPOSITORY}:{REPOSITORY / 'tests' / 'searches'}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "search_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=REPOSITORY,
        )  # fmt: skip

    def search(self, strategy: str, folder: Path, seconds: float = 0.0) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{strategy} {folder} {seconds}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture(scope="module")
def searching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searching]:
    made = Searching(tmp_path_factory.mktemp("home"))
    yield made
    assert made.process.stdin is not None
    made.process.stdin.close()
    assert made.process.wait(30) == 0
    assert made.process.stdout is not None
    made.process.stdout.close()


def recorded(folder: Path) -> set[int]:
    """Return the trials whose lines are whole."""
    path = folder / "kept" / TRIALS_FILE
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    entries = [json.loads(line) for line in lines]
    numbers = [entry["trial"]["number"] for entry in entries if entry["entry"] == "trial"]
    assert len(set(numbers)) == len(numbers)
    return set(numbers)


def trained(folder: Path) -> list[int]:
    log = folder / "trained"
    return [int(line.split()[0]) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.mark.slow
@pytest.mark.parametrize("strategy", strategy_names())
def test_a_search_that_is_killed_twenty_times_ends_as_one_that_is_not(strategy, searching, tmp_path):
    for name in ("first", "whole"):  # the second is as fast as those that are killed
        (tmp_path / name).mkdir()
        began = time.monotonic()
        assert searching.search(strategy, tmp_path / name) == "over 0"
        taken = time.monotonic() - began
    whole = read(tmp_path / "whole")
    moments, kills, folders = random.Random(strategy), 0, 0
    progress = set()
    while kills < KILLS:
        folder = tmp_path / str(folders)
        folder.mkdir(exist_ok=True)
        before, already = recorded(folder), len(trained(folder))
        outcome = searching.search(strategy, folder, moments.uniform(0.001, 0.8 * taken))
        assert not before & set(trained(folder)[already:]), "a recorded trial was trained again"
        assert before <= recorded(folder)
        if outcome == "killed":
            kills += 1
            progress.add(len(recorded(folder)))
        else:
            assert outcome == "over 0"
            assert read(folder) == whole
            folders += 1
    assert len(progress) > 3, "all kills hit one moment"
    folder.mkdir(exist_ok=True)
    assert searching.search(strategy, folder) == "over 0"
    assert read(folder) == whole


def read(folder: Path) -> SearchRecord:
    return SearchRecord.model_validate_json((folder / "found.json").read_text(encoding="utf-8"))


def test_a_line_that_a_kill_left_unfinished_is_cut_off(tmp_path):
    whole = run_search(declare("tpe"), FakeEvaluator(), tmp_path)
    path = tmp_path / TRIALS_FILE
    content = path.read_bytes()
    for kept in random.Random(0).sample(range(len(content)), 12):
        path.write_bytes(content[:kept])
        assert run_search(declare("tpe"), FakeEvaluator(), tmp_path) == whole
        assert path.read_bytes().count(b"\n") == content.count(b"\n")


def test_a_controller_whose_state_was_lost_learns_from_the_recorded_trials_again(tmp_path, monkeypatch):
    declaration = declare("controller", budget={"trials": 60})
    whole = run_search(declaration, FakeEvaluator(), tmp_path / "whole")
    learn, learnt = Policy.learn, []
    monkeypatch.setattr(Policy, "learn", lambda *given: (learnt.append(1), learn(*given))[1])
    batches = {}
    for name, damage in (("lost", None), ("damaged", b"no archive"), ("kept", b"")):
        with pytest.raises(KeyboardInterrupt):
            run_search(declaration, FakeEvaluator(stop_after=30), tmp_path / name)
        state = tmp_path / name / STATE_FILE
        if damage is None:
            state.unlink()
        elif damage:
            state.write_bytes(damage)
        learnt.clear()
        assert run_search(declaration, FakeEvaluator(), tmp_path / name) == whole
        batches[name] = len(learnt)
    assert batches["lost"] == batches["damaged"] == 5  # before batches 1 to 5
    assert batches["kept"] < 5
