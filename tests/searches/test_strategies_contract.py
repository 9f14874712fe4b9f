"""What every strategy keeps to; a new one is found and held to it without a line here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_search import LISTS, MOMENTUM, OPTIMIZER, RANGES, UNITS, FakeEvaluator, declare

from tandem.searches.journal import TRIALS_FILE
from tandem.searches.loop import Found, run_search
from tandem.searches.records import SearchedParameter, SearchRecord
from tandem.searches.space import Space, bounds, holds, make_space, same_value
from tandem.searches.strategies import make_strategy, strategy_names
from tandem.searches.strategies.strategy import Circumstances
from tandem.searches.values import setting_key

STRATEGIES = strategy_names()
BRACKETS = {"halving", "hyperband"}  # give up on settings before their last epoch


def search(folder: Path, strategy: str, evaluator: FakeEvaluator | None = None, **changes: Any) -> Found:
    return run_search(declare(strategy, **changes), evaluator or FakeEvaluator(), folder)


@pytest.fixture(params=STRATEGIES)
def strategy(request: pytest.FixtureRequest) -> str:
    return request.param


def allows(parameter: SearchedParameter, value: Any) -> bool:
    if parameter.kind == "choice":
        return any(same_value(value, choice) for choice in parameter.choices)
    low, high = bounds(parameter)
    return type(value) is (int if parameter.kind == "integer" else float) and low <= value <= high


def test_all_strategies_are_found():
    assert set(STRATEGIES) == {"grid", "random", "tpe", "genetic", "halving", "hyperband", "controller"}


def test_settings_are_of_the_space(strategy, tmp_path):
    record = search(tmp_path, strategy).record
    space = Space(record.space)
    assert space == make_space(declare(strategy).search.space)
    for trial in record.trials:
        expected = {one.name for one in space.parameters if holds(one, trial.parameters)}
        assert set(trial.parameters) == expected
        assert all(allows(one, trial.parameters[one.name]) for one in space.parameters if one.name in expected)
    assert any(len(trial.parameters) < len(space.parameters) for trial in record.trials), "no condition failed to hold"


def test_no_setting_is_proposed_twice(strategy, tmp_path):
    trials = search(tmp_path, strategy).record.trials
    assert len({setting_key(trial.parameters) for trial in trials}) == len(trials)


def test_the_budget_of_trials_is_kept_and_spent(strategy, tmp_path):
    assert len(search(tmp_path, strategy, budget={"trials": 23}).record.trials) == 23


@pytest.mark.parametrize("early", [False, True], ids=["no early stopping", "early stopping"])
def test_the_budget_of_epochs_is_never_exceeded_and_nearly_spent(strategy, early, tmp_path):
    budget, of_one = 205, 2 * 9
    space = {**RANGES, UNITS: {"integer": [1, 6]}} if strategy != "grid" else LISTS
    evaluator = FakeEvaluator(early=early)
    record = search(tmp_path, strategy, evaluator, budget={"epochs": budget}, space=space).record
    spent = sum(trial.epochs for trial in record.trials)
    assert spent == sum(fold.epochs for trial in record.trials for fold in trial.folds)
    assert budget - of_one < spent <= budget
    assert record.budget == budget
    assert all(fold.epochs <= trial.limit <= 9 for trial in record.trials for fold in trial.folds)


def test_the_same_seed_gives_the_same_trials(strategy, tmp_path):
    one, two, other = (
        search(tmp_path / name, strategy, seed=seed).record for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert one == two
    assert [trial.parameters for trial in one.trials] != [trial.parameters for trial in other.trials]


def test_the_order_of_results_does_not_count(strategy, tmp_path):
    one = search(tmp_path / "a", strategy, FakeEvaluator())
    two = search(tmp_path / "b", strategy, FakeEvaluator(last_first=True))
    assert one == two
    assert [trial.number for trial in one.record.trials] == list(range(len(one.record.trials)))


def test_diverging_and_invalid_settings_are_trials(strategy, tmp_path):
    some = {UNITS: {"choices": [4, 7]}, OPTIMIZER: {"choices": ["sgd"]}, MOMENTUM: {"choices": [0.0, 0.5]}}
    changes = {"space": {**RANGES, **some}} if strategy != "grid" else {}
    record = search(tmp_path, strategy, **changes).record
    states = {state: [trial for trial in record.trials if trial.state == state] for state in ("diverged", "invalid")}
    assert {trial.parameters[UNITS] for trial in states["diverged"]} == {7}
    for trial in states["diverged"]:
        assert (trial.value, {fold.value for fold in trial.folds}) == (None, {None})
        assert trial.explanation == f"training diverged on fold 1 of 2 in epoch {trial.limit}"
    assert states["invalid"]
    for trial in states["invalid"]:
        assert (trial.value, trial.folds, trial.epochs, trial.limit, trial.way) == (None, (), 0, 0, None)
        assert "nesterov needs a momentum above 0, or leave it out" in trial.explanation
    assert record.best is not None
    finished = [trial for trial in record.trials if trial.state == "finished"]
    assert record.trials[record.best] == min(finished, key=lambda trial: (trial.value, trial.number))


def test_a_setting_whose_training_fails_is_a_trial_and_the_search_goes_on(strategy, tmp_path):
    def wide(experiment: Any) -> bool:
        return experiment.model.sequential[0].dense.units >= 8

    whole = search(tmp_path / "whole", strategy, FakeEvaluator(fails=wide))
    failed = [trial for trial in whole.record.trials if trial.state == "failed"]
    assert failed
    for trial in failed:
        assert trial.parameters[UNITS] >= 8
        assert (trial.value, trial.folds, trial.epochs) == (None, (), 0)
        assert trial.explanation == "training failed: MemoryError: short"
    finished = [trial for trial in whole.record.trials if trial.state == "finished"]
    assert finished
    assert all(trial.parameters[UNITS] < 8 for trial in finished)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "stopped", strategy, FakeEvaluator(fails=wide, stop_after=9))
    assert search(tmp_path / "stopped", strategy, FakeEvaluator(fails=wide)) == whole


def test_what_is_maximised_is_the_highest(strategy, tmp_path):
    record = search(tmp_path, strategy, FakeEvaluator(lambda _, epochs: epochs / 10), metric="r2").record
    finished = [trial for trial in record.trials if trial.state == "finished"]
    assert record.higher_is_better
    assert record.best == finished[0].number  # all are equal: the first


@pytest.mark.parametrize("stop_after", [0, 1, 13])
def test_a_search_that_was_stopped_goes_on_as_if_nothing_had_happened(strategy, stop_after, tmp_path):
    whole = search(tmp_path / "whole", strategy)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "stopped", strategy, FakeEvaluator(stop_after=stop_after))
    known = recorded(tmp_path / "stopped")
    evaluator = FakeEvaluator()
    assert search(tmp_path / "stopped", strategy, evaluator) == whole
    assert not known & {number for number, _ in evaluator.trained}


def recorded(folder: Path) -> set[int]:
    entries = map(json.loads, (folder / TRIALS_FILE).read_text(encoding="utf-8").splitlines())
    return {entry["trial"]["number"] for entry in entries if entry["entry"] == "trial"}


def test_a_search_that_is_over_trains_nothing_when_it_is_asked_again(strategy, tmp_path):
    first, evaluator = search(tmp_path, strategy), FakeEvaluator()
    assert search(tmp_path, strategy, evaluator) == first
    assert evaluator.trained == []


def test_a_small_space_ends_a_search(strategy, tmp_path):
    space = {UNITS: {"choices": [4, 8]}, "optimizer.nesterov": {"choices": [False]}}
    record = search(tmp_path, strategy, space=space, budget={"trials": 50}).record
    assert {trial.parameters[UNITS] for trial in record.trials} == {4, 8}
    assert len(record.trials) == 2


def test_state_is_dropped_when_a_batch_is_over(strategy, tmp_path):
    evaluator = FakeEvaluator()
    record = search(tmp_path, strategy, evaluator).record
    assert evaluator.dropped == {trial.number for trial in record.trials if trial.state != "invalid"}


def test_records_are_read_as_they_were_written(strategy, tmp_path):
    record = search(tmp_path, strategy).record
    assert SearchRecord.model_validate_json(record.model_dump_json()) == record


@pytest.mark.parametrize("strategy", sorted(BRACKETS))
def test_brackets_prune(strategy, tmp_path):
    record = search(tmp_path, strategy, space={UNITS: {"integer": [10, 64]}}, budget={"epochs": 300}).record
    pruned = [trial for trial in record.trials if trial.state == "pruned"]
    assert pruned
    for trial in pruned:
        assert trial.limit < 9
        assert trial.rungs[-1].epochs == trial.limit
        assert trial.rungs[-1].value == trial.value
        assert trial.explanation.startswith("number ")
    finished = [trial for trial in record.trials if trial.state == "finished"]
    assert all(trial.limit == 9 for trial in finished)


def test_a_bracket_counts_what_diverged_among_those_it_is_thinned_from():
    space = make_space(declare("halving").search.space)
    for higher in (False, True):
        circumstances = Circumstances(space=space, seed=0, epochs=9, higher_is_better=higher, batch=9)
        halving = make_strategy("halving", {}, circumstances)
        values = {number: None if number % 2 else float(number) for number in range(9)}
        assert halving.survivors(1, values) == ({4, 6, 8} if higher else {0, 2, 4})
