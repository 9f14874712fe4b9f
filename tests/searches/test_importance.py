"""Functional ANOVA of a search: known shares, conditions, and when nothing can be said."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from made_searches import GRID, RANDOM, RATE, REPEAT, UNITS, as_record, drawn, grid, halved, made_search

from tandem.searches.importance import cut_values, parameter_importance, worst_shown
from tandem.searches.records import SearchedParameter

MOMENTUM, OPTIMIZER = "optimizer.momentum", "optimizer.name"


def shares(found):
    return {entry.parameter: entry.share for entry in found.parameters}


def test_shares_are_those_of_a_variance_that_is_known():
    """Over a full grid the values are 3 a + b with a, b independent: a has 9 times b's variance."""

    def formula(parameters):
        return 3 * GRID[0].choices.index(parameters[REPEAT]) / 4 + GRID[2].choices.index(parameters[RATE]) / 4

    found = parameter_importance(made_search(grid(), formula, noise=0.0))
    told = shares(found)
    assert told[REPEAT] == pytest.approx(0.9, abs=0.03)
    assert told[RATE] == pytest.approx(0.1, abs=0.03)
    assert told[UNITS] == pytest.approx(0, abs=0.01)
    assert found.known[0].parameter == REPEAT
    assert found.together == pytest.approx(0, abs=0.03)


def test_what_lies_in_combinations_is_told():
    """The product of two signs has no variance that either explains alone."""
    space = tuple(SearchedParameter(name=name, kind="choice", choices=(-1, 1, -2, 2)) for name in "ab")
    found = parameter_importance(
        made_search(grid(space) * 5, lambda p: np.sign(p["a"]) * np.sign(p["b"]), space=space, noise=0.01)
    )
    assert found.together > 0.8


def test_a_log_uniform_number_counts_in_its_logarithm():
    space = (
        SearchedParameter(name="rate", kind="uniform", low=1e-5, high=1e-1, log=True),
        SearchedParameter(name="width", kind="uniform", low=0, high=1),
    )
    generator = np.random.default_rng(0)
    settings = [{"rate": float(10 ** generator.uniform(-5, -1)), "width": float(generator.random())} for _ in range(80)]
    found = shares(parameter_importance(made_search(settings, lambda p: np.log10(p["rate"]), space=space, noise=0.01)))
    assert found["rate"] > 0.85


def test_a_conditional_parameter_is_told_among_the_settings_that_have_it():
    def formula(parameters):
        return 0.1 * (parameters[OPTIMIZER] == "adam") + parameters.get(MOMENTUM, 0)

    record = made_search(drawn(80), formula, space=RANDOM, noise=0.001)
    found = {entry.parameter: entry for entry in parameter_importance(record).parameters}
    having = sum(MOMENTUM in trial.parameters for trial in record.trials)
    assert (found[MOMENTUM].trials, found[REPEAT].trials) == (having, 80)
    assert found[MOMENTUM].share > 0.8
    few = parameter_importance(made_search(drawn(14), formula, space=RANDOM))
    reasons = {entry.parameter: entry.reason for entry in few.parameters}
    assert reasons[MOMENTUM] == "5 settings have it, and fewer than 10 tell nothing"


def test_names_need_no_order():
    space = (SearchedParameter(name="kind", kind="choice", choices=("relu", "<b>", None, [1, 2])), GRID[1])
    values = {"relu": 0.0, "<b>": 1.0, "null": 0.2, "[1, 2]": 0.9}

    def formula(parameters):
        kind = parameters["kind"]
        return values[kind if isinstance(kind, str) else "null" if kind is None else "[1, 2]"]

    found = shares(parameter_importance(made_search(grid(space), formula, space=space, noise=0.001)))
    assert found["kind"] > 0.9


def test_too_few_constant_and_equal_are_said_in_words():
    few = parameter_importance(made_search(grid()[:4]))
    assert (few.known, few.together) == ((), None)
    assert few.parameters[0].reason == "4 settings finished, and fewer than 10 tell nothing"
    fixed = made_search([s | {REPEAT: 2} for s in grid()])
    reasons = {entry.parameter: entry.reason for entry in parameter_importance(fixed).parameters}
    assert reasons == {REPEAT: "it had one value alone", UNITS: "", RATE: ""}
    flat = parameter_importance(made_search(grid(), lambda _: 0.5, noise=0.0))
    assert {entry.reason for entry in flat.parameters} == {"the metric is the same for every setting"}


def test_where_few_finish_the_rung_that_most_reached_tells():
    found = parameter_importance(halved(60))
    assert found.after == 1
    assert found.trials == 54
    assert shares(found)[RATE] > 0.6


def test_one_setting_far_below_the_rest_does_not_decide():
    values = [0.5, 0.52, 0.55, 0.6, 0.58, -1e6]
    assert worst_shown(values, higher_is_better=True) == pytest.approx(
        np.quantile(values, 0.25) - 3 * (np.quantile(values, 0.75) - np.quantile(values, 0.25))
    )
    assert cut_values(values, higher_is_better=True).min() == 0.5
    assert cut_values([1.0, 1.1, 1.2, 1.15, 1e9], higher_is_better=False).max() == 1.2
    assert cut_values([1, 1, 1, 1, 2, -5], higher_is_better=True).tolist() == [1, 1, 1, 1, 2, -5]
    record = made_search(grid())
    lost = record.trials[0].model_copy(update={"value": -1e9})
    found = parameter_importance(as_record([lost, *record.trials[1:]]))
    assert found.cut == 1
    assert shares(found)[RATE] > 0.9


def test_shares_are_the_same_each_time_and_optuna_stays_silent(capfd):
    record = made_search(drawn(30), space=RANDOM)
    assert parameter_importance(record) == parameter_importance(record)
    assert capfd.readouterr() == ("", "")


def test_optuna_is_imported_only_when_it_is_needed():
    code = "import sys, tandem.report.pages; print('optuna' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "False"
