"""Spaces, and experiments with a setting in place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_search import CONDITIONS, DATA, EXPERIMENT, LISTS, MOMENTUM, NESTEROV, OPTIMIZER, RATE, REPEAT, UNITS

from tandem.config import Experiment, SearchedValues, read_params
from tandem.searches.records import SearchedParameter
from tandem.searches.space import (
    CircleError,
    InvalidSettingError,
    grid_values,
    make_space,
    searchable_paths,
    vary,
)
from tandem.searches.values import setting_key

PARAMS = read_params(Path(__file__).resolve().parents[2] / "params.yaml")
BASE = Experiment.model_validate_json(json.dumps(EXPERIMENT))


def declare(space: dict[str, Any]) -> dict[str, SearchedValues]:
    return {name: SearchedValues.model_validate_json(json.dumps(values)) for name, values in space.items()}


def test_parameters_are_described_as_declared():
    space = make_space(declare({UNITS: {"log_integer": [1, 64]}, RATE: {"uniform": [0.1, 0.2]}, **CONDITIONS}))
    assert space.parameters[:4] == (
        SearchedParameter(name=UNITS, kind="integer", low=1, high=64, log=True),
        SearchedParameter(name=RATE, kind="uniform", low=0.1, high=0.2),
        SearchedParameter(name=OPTIMIZER, kind="choice", choices=("sgd", "adam")),
        SearchedParameter(name=MOMENTUM, kind="choice", choices=(0.0, 0.5, 0.9), when={OPTIMIZER: ("sgd",)}),
    )


def test_a_parameter_comes_after_those_on_which_it_depends():
    backwards = dict(reversed(CONDITIONS.items()))
    assert [one.name for one in make_space(declare(backwards)).parameters] == [OPTIMIZER, NESTEROV, MOMENTUM]


def test_a_circle_of_conditions_is_refused():
    space = {UNITS: {"integer": [1, 2], "when": {REPEAT: [1]}}, REPEAT: {"integer": [1, 2], "when": {UNITS: [1]}}}
    with pytest.raises(CircleError, match=f"^{UNITS} → {REPEAT} → {UNITS}$"):
        make_space(declare(space))


def test_a_parameter_whose_condition_does_not_hold_is_left_out():
    space = make_space(declare({**CONDITIONS, RATE: {"choices": [1, 2], "when": {NESTEROV: [True], MOMENTUM: [0.5]}}}))
    last = {parameter.name: grid_values(parameter)[-1] for parameter in space.parameters}
    assert space.draw(lambda parameter: last[parameter.name]) == {OPTIMIZER: "adam"}
    chosen = {OPTIMIZER: "sgd", MOMENTUM: 0.5, NESTEROV: True, RATE: 2}
    assert space.draw(lambda parameter: chosen[parameter.name]) == chosen
    assert space.draw(lambda parameter: {**chosen, MOMENTUM: 0.9}[parameter.name]) == {
        OPTIMIZER: "sgd", MOMENTUM: 0.9, NESTEROV: True,
    }  # fmt: skip


def test_a_grid_has_every_setting_once():
    settings = list(make_space(declare(LISTS)).grid())
    assert len({setting_key(values) for values in settings}) == len(settings) == 2 * 3 * (3 * 2 + 1)


def test_true_is_not_one():
    space = make_space(declare({NESTEROV: {"choices": [True]}, RATE: {"choices": [1], "when": {NESTEROV: [1]}}}))
    assert space.draw(lambda parameter: parameter.choices[0]) == {NESTEROV: True}


def test_a_setting_changes_what_it_names_and_nothing_else():
    regularization = "model.output.regularization"
    varied = vary(BASE, {UNITS: 20, REPEAT: 3, RATE: 0.5, regularization: {"l2": 0.1}, "training.batch_size": 2}, DATA)
    assert varied.model_dump(exclude_unset=True) == {
        **BASE.model_dump(exclude_unset=True),
        "model": {
            "sequential": ({"dense": {"units": 20, "activation": "relu", "repeat": 3}},),
            "output": {"regularization": {"l2": 0.1}},
        },
        "optimizer": {"name": "sgd", "learning_rate": 0.5},
        "training": {"epochs": 9, "batch_size": 2},
    }
    assert vary(BASE, {}, DATA) == BASE


def test_another_optimizer_takes_its_own_defaults():
    varied = vary(BASE, {OPTIMIZER: "adam", "optimizer.beta_1": 0.5}, DATA)
    assert varied.optimizer.model_dump() == {
        "name": "adam", "learning_rate": 0.01, "schedule": None, "clip_norm": None, "beta_1": 0.5, "beta_2": 0.999,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({UNITS: 0}, "model.sequential[0].dense.units: 0: must be greater than 0"),
        ({RATE: "fast"}, "optimizer.learning_rate: 'fast': must be a number"),
        ({OPTIMIZER: "adam", MOMENTUM: 0.5},
         "optimizer.momentum: unknown key 'momentum'; allowed: beta_1, beta_2, clip_norm, learning_rate, "
         "name, schedule"),
        ({"loss": "cross_entropy"},
         "loss: 'cross_entropy' does not fit regression; allowed: mae, mse, squared_error_sum"),
        ({"model.sequential": [{"convolution_2d": {"filters": 2, "kernel_size": 3}}]},
         "model.sequential[0].convolution_2d: convolution_2d takes samples of rank 3, here they have shape (3,)"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_built_says_why(values, reason):
    with pytest.raises(InvalidSettingError) as caught:
        vary(BASE, values, DATA)
    assert str(caught.value).startswith(reason)
    assert "\n" not in str(caught.value)


def test_a_setting_must_fit_the_data():
    with pytest.raises(InvalidSettingError, match="checkpoint: 'best' needs validation rows, 'numbers' has none"):
        vary(BASE, {"training.checkpoint": "best"}, DATA, valid_rows=False)
    assert vary(BASE, {"training.checkpoint": "best"}, DATA).training.checkpoint == "best"


@pytest.mark.parametrize("name", list(PARAMS.experiments))
def test_every_committed_experiment_can_be_varied(name):
    experiment = PARAMS.experiments[name]
    data = PARAMS.datasets[experiment.dataset].describe()
    assert vary(experiment, {}, data) == experiment
    assert vary(experiment, {RATE: 0.125}, data).optimizer.learning_rate == 0.125
    paths = searchable_paths(experiment)
    assert {"loss", RATE, "training.batch_size"} <= set(paths)
    assert not {"training.epochs", "training.seed", "dataset"} & set(paths)


def test_paths_are_those_of_the_whole_declaration():
    paths = searchable_paths(BASE, ["adam"])
    assert {UNITS, REPEAT, "model.output.bias", MOMENTUM, "optimizer.beta_1", "training.early_stopping"} <= set(paths)
    assert not {"optimizer.rho", "model.wide_deep", "model.sequential.0.flatten"} & set(paths)
