"""The loop of a search: what it records, tells and refuses, and what brackets and generations are."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from statistics import median

import pytest
from fake_search import DATA, MOMENTUM, RATE, REPEAT, UNITS, FakeEvaluator, declare, formula

from tandem.errors import DataError, ParameterError, StorageError
from tandem.searches.journal import TRIALS_FILE
from tandem.searches.loop import describe_protocol, run_search
from tandem.searches.records import Trial
from tandem.searches.space import make_space, vary
from tandem.searches.strategies import Circumstances, Strategy, make_strategy

SPACE = {UNITS: {"integer": [8, 13]}, RATE: {"log_uniform": [1e-3, 1e-1]}}


def entries(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / TRIALS_FILE).read_text(encoding="utf-8").splitlines()]


def strategy(name: str, settings: dict | None = None, epochs: int = 9, *, higher: bool = False) -> Strategy:
    space = make_space(declare("random", space=SPACE).search.space)
    return make_strategy(name, settings or {}, Circumstances(space, 0, epochs, higher))


def test_a_record_says_what_was_searched(tmp_path):
    found = run_search(declare("random", space=SPACE, budget={"epochs": 90}), FakeEvaluator(), tmp_path)
    record = found.record
    assert (record.search, record.description, record.experiment, record.framework) == (
        "found", "Found.", "varied", "torch",
    )  # fmt: skip
    assert (record.strategy, record.metric, record.higher_is_better, record.budget) == ("random", "mse", False, 90)
    assert record.protocol == "2 folds of the training rows (drawn with seed 0), each held out once"
    assert record.folds == FakeEvaluator.folds
    assert [parameter.name for parameter in record.space] == [UNITS, RATE]
    trial = record.trials[1]
    assert (trial.number, trial.batch, trial.state, trial.epochs, trial.limit) == (1, 0, "finished", 18, 9)
    assert trial.value == pytest.approx(math.fsum(fold.value for fold in trial.folds) / 2)
    assert (trial.rungs, trial.way, trial.explanation) == ((), "batched", "")
    assert found.seconds == (0.25,) * 5


def test_protocols_are_told_in_words():
    folds = {"method": "k-fold", "folds": 3, "stratify": True, "seed": 4}
    assert describe_protocol(declare("random", protocol=folds).search) == (
        "3 folds of the training rows (drawn with seed 4, classes' shares kept), each held out once"
    )
    folds = {"method": "k-fold", "folds": 3, "shuffle": False}
    assert describe_protocol(declare("random", protocol=folds).search) == (
        "3 folds of the training rows (rows in their order), each held out once"
    )
    assert describe_protocol(declare("random", protocol={"method": "holdout"}).search) == (
        "trained on the training rows, scored on the validation rows"
    )


def test_each_trial_is_on_disk_before_it_is_told_and_before_the_next_result(tmp_path):
    told: list[Trial] = []

    def on_trial(trial: Trial, seconds: float) -> None:
        told.append(trial)
        assert seconds == (0.0 if trial.state == "invalid" else 0.25)
        assert entries(tmp_path)[-1]["trial"]["number"] == trial.number

    record = run_search(declare("random"), FakeEvaluator(last_first=True), tmp_path, on_trial).record
    assert sorted(told, key=lambda trial: trial.number) == list(record.trials)
    assert told != list(record.trials)


def test_each_line_is_one_write_that_is_forced_onto_the_disk(tmp_path, monkeypatch):
    write, calls = os.write, []

    def noted(descriptor: int, data: bytes) -> int:
        calls.append(bytes(data))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", noted)
    monkeypatch.setattr(os, "fsync", lambda _: calls.append(b"on disk"))
    run_search(declare("random"), FakeEvaluator(), tmp_path)
    assert calls[1::2] == [b"on disk"] * (len(calls) // 2)
    assert b"".join(calls[::2]) == (tmp_path / TRIALS_FILE).read_bytes()
    assert all(line.count(b"\n") == 1 for line in calls[::2])


def test_recorded_trials_are_told_again_after_a_kill(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run_search(declare("random"), FakeEvaluator(stop_after=7), tmp_path)
    before = [entry["trial"]["number"] for entry in entries(tmp_path) if entry["entry"] == "trial"]
    told: list[int] = []
    run_search(declare("random"), FakeEvaluator(), tmp_path, lambda trial, _: told.append(trial.number))
    assert told[: len(before)] == before
    assert sorted(told) == list(range(30))


def test_epochs_are_told_as_they_are_trained(tmp_path):
    told: list[int] = []
    run_search(declare("random", space=SPACE), FakeEvaluator(), tmp_path, on_epochs=told.append)
    assert sum(told) == 30 * 18


def test_a_trial_that_diverges_on_one_fold_has_no_value(tmp_path):
    class OneFold(FakeEvaluator):
        def _scores(self, setting, epochs):
            one, other = super()._scores(setting, epochs)
            return (
                (one, other.model_copy(update={"value": math.inf, "epochs": 4}))
                if setting.number == 2
                else (one, other)
            )

    trials = run_search(declare("random", space=SPACE), OneFold(), tmp_path).record.trials
    assert (trials[2].state, trials[2].value, trials[2].epochs) == ("diverged", None, 13)
    assert trials[2].folds[0].value is not None
    assert trials[2].explanation == "training diverged on fold 2 of 2 in epoch 4"
    assert {trial.state for trial in trials} == {"diverged", "finished"}


def test_a_search_in_which_all_diverges_says_so(tmp_path):
    evaluator = FakeEvaluator(lambda *_: math.nan)
    with pytest.raises(ParameterError) as caught:
        run_search(declare("random", space={UNITS: {"choices": [8, 16]}}), evaluator, tmp_path)
    first = entries(tmp_path)[1]["trial"]["parameters"][UNITS]
    assert str(caught.value) == (
        "searches.found: none of 2 settings was trained to its end (2 diverged); most often: training diverged on fold "
        f"1 of 2 in epoch 9 (trial 0: {UNITS} {first}); lower the learning rates in params.yaml and run again"
    )


@pytest.mark.parametrize("budget", [{"epochs": 1000}, {"trials": 400}])
def test_a_search_in_which_nothing_can_be_built_ends_and_says_so(budget, tmp_path):
    evaluator = FakeEvaluator()
    with pytest.raises(ParameterError) as caught:
        run_search(declare("random", space={UNITS: {"integer": [-999, 0]}}, budget=budget), evaluator, tmp_path)
    assert evaluator.trained == []
    text = str(caught.value)
    assert text.startswith("searches.found: none of 1")
    assert "cannot be built); most often: model.sequential[0].dense.units: -" in text
    assert text.endswith("change the space in params.yaml and run again")
    assert "\n" not in text


def test_a_damaged_journal_is_refused(tmp_path):
    run_search(declare("random"), FakeEvaluator(), tmp_path)
    path = tmp_path / TRIALS_FILE
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines[:4], lines[4][:30] + "\n", *lines[5:]]), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        run_search(declare("random"), FakeEvaluator(), tmp_path)
    assert str(caught.value) == f"{path}:5: damaged; delete {tmp_path} to begin the search anew"


def test_the_journal_of_another_search_is_refused(tmp_path):
    run_search(declare("random"), FakeEvaluator(), tmp_path)
    path = tmp_path / TRIALS_FILE
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"number":3,', '"number":4000,'), encoding="utf-8")
    with pytest.raises(DataError, match="trials of another search; delete it to begin anew"):
        run_search(declare("random"), FakeEvaluator(), tmp_path)


def test_an_evaluator_that_forgets_a_setting_is_noticed(tmp_path):
    class Forgetful(FakeEvaluator):
        def train(self, settings, epochs, on_result, on_epochs=None):
            super().train(settings[1:], epochs, on_result, on_epochs)

    with pytest.raises(RuntimeError, match=r"no result for the trials \[0\]"):
        run_search(declare("random", space=SPACE), Forgetful(), tmp_path)


def test_a_full_disk_is_one_clear_line_and_leaves_whole_lines(tmp_path, monkeypatch):
    whole = run_search(declare("random"), FakeEvaluator(), tmp_path / "whole")
    write, written = os.write, []

    def full(descriptor: int, data: bytes) -> int:
        written.append(data)
        return write(descriptor, data[: len(data) // 2 if len(written) == 9 else len(data)])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageError, match="no space left on the device"):
        run_search(declare("random"), FakeEvaluator(), tmp_path / "full")
    monkeypatch.undo()
    assert len(entries(tmp_path / "full")) == 8
    assert run_search(declare("random"), FakeEvaluator(), tmp_path / "full") == whole


def test_what_early_stopping_saves_is_spent_on_more_settings(tmp_path):
    changes = {"space": SPACE, "budget": {"epochs": 180}, "batch": 5}
    full = run_search(declare("random", **changes), FakeEvaluator(), tmp_path / "full").record.trials
    saved = run_search(declare("random", **changes), FakeEvaluator(early=True), tmp_path / "saved").record.trials
    assert (len(full), len(saved)) == (10, 18)
    assert [trial.batch for trial in saved] == [0] * 5 + [1] * 5 + [2] * 4 + [3] * 3 + [4]
    assert [trial.batch for trial in full] == [0] * 5 + [1] * 5


# ------------------------------------------------------------------------------------ brackets, generations


def test_rungs_end_with_the_most_epochs():
    assert strategy("halving", epochs=100).rungs(0) == (1, 3, 11, 33, 100)
    assert strategy("halving", {"minimum_epochs": 5, "factor": 4}, epochs=100).rungs(0) == (6, 25, 100)
    assert strategy("halving", epochs=100).batch_size(0) == 81


def test_hyperbands_brackets_are_those_of_the_paper():
    """The table of Li et al. (2018) for R = 81 and factor 3: n and r of each bracket, s = 4 … 0."""
    made = strategy("hyperband", epochs=81)
    assert [made.batch_size(batch) for batch in range(6)] == [81, 34, 15, 8, 5, 81]
    assert [made.rungs(batch)[0] for batch in range(6)] == [1, 3, 9, 27, 81, 1]
    assert made.rungs(1) == (3, 9, 27, 81)


@pytest.mark.parametrize("higher", [False, True])
def test_the_best_third_goes_on(higher):
    made = strategy("halving", higher=higher)
    values = {number: float((number * 7) % 12) for number in range(12)}
    best = sorted(values, key=lambda number: values[number], reverse=higher)[:4]
    assert made.survivors(3, values) == set(best)
    assert made.survivors(3, dict(reversed(values.items()))) == set(best)


def test_equal_settings_go_on_in_order_and_diverged_ones_never():
    made = strategy("halving")
    assert made.survivors(1, dict.fromkeys(range(7), 1.0)) == {0, 1}
    assert made.survivors(1, {0: None, 1: 2.0, 2: None}) == {1}
    assert made.survivors(1, {0: None, 1: None}) == frozenset()


def test_a_bracket_trains_from_rung_to_rung(tmp_path):
    evaluator = FakeEvaluator()
    declaration = declare(
        "halving", space={UNITS: {"integer": [8, 13]}, RATE: {"uniform": [0.001, 0.1]}}, budget={"trials": 9}
    )
    record = run_search(declaration, evaluator, tmp_path).record
    assert [epochs for _, epochs in evaluator.trained] == [1] * 9 + [3] * 3 + [9]
    by_limit = {limit: [trial for trial in record.trials if trial.limit == limit] for limit in (1, 3, 9)}
    assert {limit: len(trials) for limit, trials in by_limit.items()} == {1: 6, 3: 2, 9: 1}
    assert sum(trial.epochs for trial in record.trials) == 2 * (6 * 1 + 2 * 3 + 9)
    winner = by_limit[9][0]
    reached = [formula(vary(declare("halving").experiment, winner.parameters, DATA), epochs) for epochs in (1, 3)]
    assert [(rung.epochs, rung.value) for rung in winner.rungs] == [
        (1, pytest.approx(reached[0] + 0.005)), (3, pytest.approx(reached[1] + 0.005)),
    ]  # fmt: skip
    assert record.best == winner.number
    ranks = sorted(trial.explanation for trial in by_limit[1])
    assert ranks == [f"number {place} of 9 after 1 epochs" for place in range(4, 10)]


def test_a_generation_descends_from_the_best_of_all_before(tmp_path):
    strategy = {"name": "genetic", "population": 8, "mutation": 0.0}
    space = {name: {"uniform": [0.1, 0.9]} for name in (RATE, MOMENTUM, "optimizer.clip_norm")}
    trials = run_search(declare(strategy, space=space, budget={"trials": 24}), FakeEvaluator(), tmp_path).record.trials
    assert [trial.batch for trial in trials] == [number // 8 for number in range(24)]
    for batch in (1, 2):
        before = [trial for trial in trials if trial.batch < batch]
        best = sorted(before, key=lambda trial: trial.value)[:8]
        values = {name: {trial.parameters[name] for trial in best} for name in space}
        children = [trial for trial in trials if trial.batch == batch]
        assert all(child.parameters[name] in values[name] for child in children for name in space)


@pytest.mark.parametrize("name", ["tpe", "genetic", {"name": "controller", "levels": 20}], ids=str)
def test_what_was_found_steers_what_is_proposed(name, tmp_path):
    space = {REPEAT: {"integer": [1, 4]}, UNITS: {"log_integer": [1, 64]}, RATE: {"log_uniform": [1e-4, 1e-1]}}
    declaration = declare(name, space=space, budget={"trials": 120})
    values = [trial.value or 9.0 for trial in run_search(declaration, FakeEvaluator(), tmp_path).record.trials]
    assert len(values) == 120
    assert median(values[-40:]) < 0.5 * median(values[:12])
