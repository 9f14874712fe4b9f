"""Settings trained in parallel processes: the same results, and nobody left behind however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import small_convolutions
from hermetic import REPOSITORY

from tandem.config import ScoredFolds
from tandem.errors import DataError, TandemError
from tandem.searches.evaluator import Setting
from tandem.searches.folds import load_folds
from tandem.searches.processes import ProcessesEvaluator, Work, training_alone

FOLDER = Path(__file__).parent
SCRIPT = FOLDER / "small_convolutions.py"
FRAMEWORKS = ["torch", pytest.param("keras", marks=pytest.mark.long)]


@pytest.fixture(autouse=True)
def _own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    small_convolutions.write_rows(folder)
    return folder


@pytest.fixture
def work(rows: Path) -> Work:
    """The framework in NumPy is there in a moment."""
    return small_convolutions.work(rows, "numpy", protocol=small_convolutions.HOLDOUT)


def settings(*numbers: int) -> list[Setting]:
    return small_convolutions.settings(*numbers, layers=small_convolutions.DENSE)


def workers(parent: int | None = None) -> list[psutil.Process]:
    """Return the processes that train for a process, by default this one."""
    children = psutil.Process(parent).children(recursive=True)
    return [child for child in children if "tandem.searches.worker" in child.cmdline()]


@pytest.fixture(autouse=True)
def _nobody_left() -> Iterator[None]:
    yield
    assert not workers()


def evaluator(work: Work, processes: int = 2) -> ProcessesEvaluator:
    return ProcessesEvaluator(work, (), processes)


def test_more_folds_than_training_rows_are_refused(rows):
    given = small_convolutions.work(rows, "torch")
    protocol = ScoredFolds(method="k-fold", folds=49)
    expected = f"protocol.folds: 49: a search divides the 48 training rows of {given.fit}; allowed: 2 to 48"
    with pytest.raises(DataError, match=re.escape(expected)):
        load_folds(given.fit, given.scaler, protocol)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_processes_reach_what_the_search_s_own_process_reaches(framework, rows):
    command = [sys.executable, str(SCRIPT), str(rows), framework]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    by_one = json.loads(done.stdout.splitlines()[-1])
    given = small_convolutions.work(rows, framework)
    folds = load_folds(given.fit, given.scaler, given.protocol)
    with training_alone(None, given, folds, 2) as several:  # type: ignore[arg-type]  # this process trains nothing
        assert several.folds == folds.rows
        assert not workers(), "there is nothing to train yet"
        found = small_convolutions.follow(several)
        assert len(workers()) == 2
    assert found == by_one
    told = [found[step]["epochs told"] for step in ("0", "1", "2")]
    assert told == [4 * 2 * 2, 2 * 2 * 2, 2 * 2 * 4], "two went on from where they stood, the dropped ones began anew"
    assert len({json.dumps(scores) for scores in found["0"]["scores"].values()}) == 4


def test_a_process_that_is_killed_is_named_with_its_trial_and_ends_the_others(work, capfd):
    killed: list[psutil.Process] = []

    def kill_one(_: int) -> None:
        if not killed:
            killed.append(workers()[0])
            print_from(killed[0], b"the last words\n")
            killed[0].kill()

    with evaluator(work) as several:
        with pytest.raises(TandemError) as caught:
            several.train(settings(4, 5, 6), 1_000_000, pytest.fail, kill_one)
        assert not workers()
    first, *said = str(caught.value).splitlines()
    assert first in {
        f"trial {number}: the process that trains settings ended (SIGKILL); run again to go on from the finished "
        "trials, and lower the search's threads if memory is short; it last said:"
        for number in (4, 5)
    }
    assert said == ["  the last words"]
    assert capfd.readouterr().err == "the last words\n", "what a process prints is passed on"


def print_from(process: psutil.Process, text: bytes) -> None:
    """Write to a process's standard error."""
    stderr = os.open(f"/proc/{process.pid}/fd/2", os.O_WRONLY)
    os.write(stderr, text)
    os.close(stderr)


def test_an_error_in_a_process_is_told_with_its_trial_and_traceback(work):
    with evaluator(work.model_copy(update={"metric": "r2"}), 1) as several:
        with pytest.raises(TandemError) as caught:
            several.train(settings(7), 1, pytest.fail)
        assert not workers()
    first, *said = str(caught.value).splitlines()
    assert first == "trial 7: KeyError: 'r2'; it last said:"
    assert said[-1] == "  KeyError: 'r2'"
    assert any("in _score" in line for line in said)


def test_an_error_that_a_user_can_act_on_is_the_one_that_a_single_process_raises(work, tmp_path, capfd):
    given = work.model_copy(update={"fit": tmp_path})
    with pytest.raises(DataError) as expected:
        load_folds(given.fit, given.scaler, given.protocol)
    with evaluator(given) as several, pytest.raises(DataError) as caught:
        several.train(settings(0), 1, pytest.fail)
    assert str(caught.value) == str(expected.value)
    assert capfd.readouterr().err == ""


def test_ctrl_c_ends_the_processes_and_a_later_training_has_new_ones(work):
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    found = []
    with evaluator(work) as several:
        with pytest.raises(KeyboardInterrupt):
            several.train(settings(0, 1, 2), 1_000_000, pytest.fail, interrupt)
        assert not workers()
        several.drop([0, 1, 2])
        several.train(settings(0), 1, found.append)
        assert len(workers()) == 1, "one setting keeps one process busy"
    assert [result.number for result in found] == [0]


@pytest.mark.parametrize(
    "ending",
    [signal.SIGKILL, *(pytest.param(number, marks=pytest.mark.slow) for number in (signal.SIGTERM, signal.SIGINT))],
)
def test_processes_end_when_the_search_is_killed(ending, rows):
    command = [sys.executable, str(SCRIPT), str(rows), "numpy", "long"]
    search = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert search.stdout is not None
    try:
        assert search.stdout.readline() == "epoch\n"
        family = workers(search.pid)
        assert len(family) == 2
    finally:
        search.send_signal(ending)
        search.wait(30)
        search.stdout.close()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
