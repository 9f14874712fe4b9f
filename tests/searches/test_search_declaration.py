"""Searches in params.yaml: what reads, and how each mistake is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tandem.config import Params, ScoredFolds, parse_params, read_params, read_search
from tandem.errors import ParameterError
from tandem.searches.strategies import strategy_names

REPOSITORY = Path(__file__).resolve().parents[2]
SEARCHES = """\
searches:
  found:
    description: Found.
    experiment: wide
    strategy: random
    space:
      model.wide_deep.hidden.0: {integer: [2, 8]}
      optimizer.learning_rate: {log_uniform: [0.001, 0.1]}
    budget: {epochs: 30}
    metric: r2
"""
UNITS, RATE = "model.wide_deep.hidden.0: {integer: [2, 8]}", "optimizer.learning_rate: {log_uniform: [0.001, 0.1]}"
SPACE = f"    space:\n      {UNITS}\n      {RATE}\n"
HERE = "searches.found"
STRATEGIES = ", ".join(strategy_names())
Parse = Callable[..., Params]


@pytest.fixture
def parse(params_text: str) -> Parse:
    """Read the small params.yaml with a search, each (old, new) pair replaced once."""

    def parse(*changes: tuple[str, str]) -> Params:
        text = params_text + SEARCHES
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        return parse_params(text, Path("params.yaml"))

    return parse


def mistakes(parse: Parse, *changes: tuple[str, str]) -> list[str]:
    with pytest.raises(ParameterError) as caught:
        parse(*changes)
    *lines, last = str(caught.value).splitlines()
    assert last == "nothing was run; correct params.yaml and run again"
    return [line.removeprefix("params.yaml:") for line in lines]


def test_the_committed_searches_read():
    params = read_params(REPOSITORY / "params.yaml")
    assert set(params.suites["search"].searches) == set(params.searches)
    assert params.suites["search"].experiments == ()
    grid = params.searches["housing-grid"]
    assert grid.budget is not None
    assert grid.folds * grid.epochs_of(params.experiments[grid.experiment]) * 150 == grid.budget.epochs == 3750


def test_a_search_reads_with_its_defaults(parse):
    search = parse().searches["found"]
    assert (search.strategy.name, search.strategy.settings) == ("random", {})
    assert (search.protocol.method, search.folds, search.seed) == ("holdout", 1, 0)
    assert (search.epochs, search.batch, search.frameworks, search.chunk_megabytes) == (None, None, None, 256)


def test_a_strategy_may_have_settings_and_a_protocol_folds(parse):
    more = "metric: r2\n    protocol: {method: k-fold, folds: 5}"
    search = parse(("random", "{name: tpe, startup: 3}"), ("metric: r2", more)).searches["found"]
    assert (search.strategy.name, search.strategy.settings) == ("tpe", {"startup": 3})
    assert search.protocol == ScoredFolds(method="k-fold", folds=5, seed=0, shuffle=True, stratify=False)


def test_a_whole_grid_needs_no_budget(parse):
    assert parse(("random", "grid"), (RATE, ""), ("    budget: {epochs: 30}\n", "")).searches["found"].budget is None


def test_one_search_is_read_alone(tmp_path, params_text):
    path = tmp_path / "params.yaml"
    path.write_text(params_text + SEARCHES + "gate: 3\n", encoding="utf-8")  # a mistake elsewhere does not count
    assert read_search(path, "found").experiment == "wide"
    path.write_text(params_text + SEARCHES, encoding="utf-8")
    with pytest.raises(ParameterError, match="'fond' is not declared under searches; allowed: found; did you mean"):
        read_search(path, "fond")


def test_settings_of_an_optimizer_that_is_chosen_are_known(parse):
    chosen = (
        "optimizer.name: {choices: [sgd, adam]}\n"
        "      optimizer.momentum: {choices: [0.0, 0.9], when: {optimizer.name: [sgd]}}\n"
        "      optimizer.nesterov: {choices: [true, false], when: {optimizer.name: [sgd]}}"  # needs momentum 0.9
    )
    assert len(parse((RATE, chosen)).searches["found"].space) == 4


SINGLE = [
    # the space
    (SPACE, "    space: {}\n", f"49: {HERE}.space: {{}}: must have at least 1 entry"),
    ("[2, 8]", "[8, 2]",
     f"50: {HERE}.space.model.wide_deep.hidden.0.integer: [8, 2]: the first bound must be below the second"),
    ("[2, 8]", "[5, 5]",
     f"50: {HERE}.space.model.wide_deep.hidden.0.integer: [5, 5]: the first bound must be below the second"),
    ("[2, 8]", "[2]", f"50: {HERE}.space.model.wide_deep.hidden.0.integer[1]: missing; the list takes 2 entries"),
    ("[2, 8]", "[2.5, 8]", f"50: {HERE}.space.model.wide_deep.hidden.0.integer[0]: 2.5: must be a whole number"),
    ("[0.001, 0.1]", "[0, 0.1]",
     f"51: {HERE}.space.optimizer.learning_rate.log_uniform: [0, 0.1]: a logarithmic range must begin above 0"),
    ("{integer: [2, 8]}", "{log_integer: [0, 8]}",
     f"50: {HERE}.space.model.wide_deep.hidden.0.log_integer: [0, 8]: a logarithmic range must begin above 0"),
    ("{integer: [2, 8]}", "{}",
     f"50: {HERE}.space.model.wide_deep.hidden.0: a parameter takes exactly one of: choices, integer, log_integer, "
     "log_uniform, uniform; given: nothing"),
    ("{integer: [2, 8]}", "{range: [2, 8], integer: [2, 8]}",
     f"50: {HERE}.space.model.wide_deep.hidden.0.range: unknown key 'range'; allowed: choices, integer, log_integer, "
     "log_uniform, uniform, when; did you mean 'integer'?"),
    ("{integer: [2, 8]}", "{choices: []}",
     f"50: {HERE}.space.model.wide_deep.hidden.0.choices: []: must have at least 1 entry"),
    ("{integer: [2, 8]}", "{choices: [2, 4, 2]}",
     f"50: {HERE}.space.model.wide_deep.hidden.0.choices: 2 stands twice; remove one of the two"),
    # what is varied
    ("optimizer.learning_rate", "optimizer.learing_rate",
     f"51: {HERE}.space.optimizer.learing_rate: 'wide' has no such setting; allowed: optimizer.beta_1, "
     "optimizer.beta_2, optimizer.clip_norm, optimizer.learning_rate, optimizer.name, optimizer.schedule; "
     "did you mean 'optimizer.learning_rate'?"),
    (RATE, "dataset: {choices: [digits]}",
     f"51: {HERE}.space.dataset: 'dataset' cannot be varied; allowed: loss, and what stands below model, optimizer "
     "and training"),
    (RATE, "training.epochs: {integer: [1, 3]}",
     f"51: {HERE}.space.training.epochs: the epochs are not varied; write epochs: in 'found', for all settings"),
    (RATE, "training.seed: {integer: [1, 3]}",
     f"51: {HERE}.space.training.seed: 'training.seed' cannot be varied; allowed below training: batch_size, "
     "checkpoint, early_stopping"),
    (RATE, "training.early_stopping.patience: {integer: [1, 3]}",
     f"51: {HERE}.space.training.early_stopping.patience: 'wide' stops no training early; declare "
     "early_stopping in it"),
    (UNITS, f"model.wide_deep.hidden: {{choices: [[3], [4]]}}\n      {UNITS}",
     f"50: {HERE}.space.model.wide_deep.hidden: holds 'model.wide_deep.hidden.0', which is varied, too; "
     "vary one of the two"),
    # values that no experiment takes
    ("[2, 8]", "[0, 8]",
     f"50: {HERE}.space.model.wide_deep.hidden.0: 0: no setting with it is valid: model.wide_deep.hidden[0]: 0: must "
     "be greater than 0"),
    (UNITS, "loss: {choices: [mse, cross_entropy]}",
     f"50: {HERE}.space.loss: 'cross_entropy': no setting with it is valid: loss: 'cross_entropy' does not fit "
     "regression; allowed: mae, mse, squared_error_sum"),
    (f"{UNITS}\n      {RATE}", "model.wide_deep.wide: {choices: [[0, 99], [98]]}",
     f"49: {HERE}.space: every setting is invalid; the first, with model.wide_deep.wide [0, 99], "
     "model.wide_deep.wide[1]: column 99 is out of range; allowed: 0 to 9"),
    # conditions
    ("[0.001, 0.1]}", "[0.001, 0.1], when: {model.wide_deep.hiden.0: [3]}}",
     f"51: {HERE}.space.optimizer.learning_rate.when.model.wide_deep.hiden.0: 'model.wide_deep.hiden.0' is no "
     "parameter of the space; allowed: model.wide_deep.hidden.0; did you mean 'model.wide_deep.hidden.0'?"),
    ("[0.001, 0.1]}", "[0.001, 0.1], when: {model.wide_deep.hidden.0: [9]}}",
     f"51: {HERE}.space.optimizer.learning_rate.when.model.wide_deep.hidden.0: 9 is not in the range of "
     "'model.wide_deep.hidden.0': 2 to 8"),
    ("[2, 8]}", "[2, 8], when: {optimizer.learning_rate: [0.01]}}",
     f"50: {HERE}.space.model.wide_deep.hidden.0.when.optimizer.learning_rate: 'optimizer.learning_rate' is a range of "
     "numbers; a condition names choices or whole numbers"),
    ("[2, 8]}\n", "[2, 8], when: {optimizer.beta_1: [0.8]}}\n"
     "      optimizer.beta_1: {choices: [0.8, 0.9], when: {model.wide_deep.hidden.0: [3]}}\n",
     f"50: {HERE}.space.model.wide_deep.hidden.0.when: parameters depend on one another in a circle: "
     "model.wide_deep.hidden.0 → optimizer.beta_1 → model.wide_deep.hidden.0; take one condition out"),
    # metric, budget, protocol
    ("metric: r2", "metric: accuracy",
     f"53: {HERE}.metric: 'accuracy' does not fit regression; allowed: mae, mse, r2, rmse"),
    ("metric: r2", "metric: r",
     f"53: {HERE}.metric: 'r' is not known; allowed: accuracy, log_loss, mae, mse, r2, rmse; "
     "did you mean 'r2'?"),
    ("{epochs: 30}", "{epochs: 0}", f"52: {HERE}.budget.epochs: 0: must be greater than 0"),
    ("{epochs: 30}", "{}", f"52: {HERE}.budget: a budget takes epochs, trials or both; given: nothing"),
    ("{epochs: 30}", "{epochs: 2}",
     f"52: {HERE}.budget.epochs: 2: one setting takes 3 epochs; allowed: 3 and more"),
    ("metric: r2", "metric: r2\n    protocol: {method: k-fold, folds: 20}",
     f"52: {HERE}.budget.epochs: 30: one setting takes 20 folds x 3 epochs; allowed: 60 and more"),
    ("    budget: {epochs: 30}\n", "",
     f"45: {HERE}.budget: missing; only a grid has an end of its own, say how much 'random' may train: epochs, "
     "trials or both"),
    ("metric: r2", "metric: r2\n    protocol: {method: k-fold, folds: 2, stratify: true}",
     f"54: {HERE}.protocol.stratify: true: 'wide' is a regression, only classes can be stratified"),
    ("metric: r2", "metric: r2\n    protocol: {method: k-fold, folds: 2, shuffle: false, seed: 3}",
     f"54: {HERE}.protocol.seed: 3: rows that are not shuffled take no seed; remove the key"),
    # the strategy
    ("random", "randon",
     f"48: {HERE}.strategy: 'randon' is not known; allowed: {STRATEGIES}; did you mean 'random'?"),
    ("random", "{name: randon}",
     f"48: {HERE}.strategy.name: 'randon' is not known; allowed: {STRATEGIES}; did you mean 'random'?"),
    ("random", "{name: random, levels: 3}",
     f"48: {HERE}.strategy.levels: unknown key 'levels'; 'random' takes no options"),
    ("random", "{name: tpe, startups: 3}",
     f"48: {HERE}.strategy.startups: unknown key 'startups'; allowed: candidates, startup; did you mean 'startup'?"),
    ("random", "{name: genetic, population: 1}",
     f"48: {HERE}.strategy.population: 1: must be greater than or equal to 2"),
    ("random", "grid",
     f"51: {HERE}.space.optimizer.learning_rate: a grid has no end of values in 'log_uniform'; write choices, integer "
     "or log_integer, or take another strategy"),
    ("random", "{name: halving, factor: 4}",
     f"48: {HERE}.strategy.minimum_epochs: 1: 4 times as long is more than the 3 epochs of a training; train at least "
     "4 epochs"),
    ("random", "hyperband\n    batch: 3",
     f"49: {HERE}.batch: 3: hyperband sizes its brackets itself; remove the key, or take halving"),
    # names, the experiment and frameworks
    ("experiment: wide", "experiment: wid",
     f"47: {HERE}.experiment: 'wid' is not declared under experiments; allowed: coffee, digits-mlp, wide; did you mean "
     "'wide'?"),
    ("  found:", "  wide:",
     "45: searches.wide: 'wide' is the name of an experiment, too, and both name folders; choose another name"),
    ("  found:", "  index:",
     "45: searches.index: the name 'index' is taken by the index page; choose another name"),
    ("epochs: 3, batch_size: 16", "epochs: 3, batch_size: 16, devices: 2",
     f"47: {HERE}.experiment: 'wide' trains on 2 devices, a search on one; allowed: an experiment with devices: 1"),
    ("epochs: 3,", "epochs: 0,",
     f"45: {HERE}.epochs: missing; 'wide' trains 0 epochs, say how many each setting is trained"),
    ("metric: r2", "metric: r2\n    frameworks: [numpy]",
     f"54: {HERE}.frameworks: 'numpy' does not search; allowed: keras, torch"),
    ("metric: r2", "metric: r2\n    frameworks: [keras, keras]",
     f"54: {HERE}.frameworks: ['keras', 'keras'] names a framework twice; remove one of the two"),
    ("metric: r2", "metric: r2\n    epoch: 3",
     f"54: {HERE}.epoch: unknown key 'epoch'; allowed: batch, budget, chunk_megabytes, description, epochs, "
     "experiment, frameworks, metric, protocol, seed, space, strategy, threads; did you mean 'epochs'?"),
    # suites
    ("suite:\n", "suite:\n  searches: [fond]\n",
     "2: suite.searches[0]: 'fond' is not declared under searches; allowed: found; did you mean 'found'?"),
    ("[keras, torch]", "[torch, numpy]\n  searches: [found]",
     "3: suite.frameworks: 'numpy' does not search, which 'found' needs; name frameworks in searches.found: "
     "keras, torch"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), SINGLE, ids=[new[:50] for _, new, _ in SINGLE])
def test_a_mistake_is_told_with_its_line_place_value_and_what_is_allowed(parse, old, new, expected):
    assert mistakes(parse, (old, new)) == [expected]


def test_a_search_takes_no_fewer_threads_than_a_training(parse):
    two = ("epochs: 3, batch_size: 16", "epochs: 3, batch_size: 16, threads: 2")
    expected = f"54: {HERE}.threads: 1: 'wide' trains with 2 threads; allowed: 2 and more"
    assert mistakes(parse, two, ("metric: r2", "metric: r2\n    threads: 1")) == [expected]
    params = parse(two, ("metric: r2", "metric: r2\n    threads: 3"))
    assert params.searches["found"].threads_of(params.experiments["wide"]) == 3
    params = parse(two)
    assert params.searches["found"].threads_of(params.experiments["wide"]) == 2


COFFEE = (("experiment: wide", "experiment: coffee"), ("metric: r2", "metric: accuracy"),
          (UNITS, "training.batch_size: {choices: [8, 16]}"))  # fmt: skip


def test_more_folds_than_rows_are_refused_where_the_rows_are_known(parse):
    folds = "metric: accuracy\n    protocol: {method: k-fold, folds: 201}"
    changes = (*COFFEE, ("metric: accuracy", folds), ("epochs: 30", "epochs: 3000"))
    assert mistakes(parse, *changes) == [
        f"54: {HERE}.protocol.folds: 201: each fold needs a row to validate on; allowed: 2 to 200"
    ]


@pytest.mark.parametrize("order", ["[0.0, 0.9]", "[0.9, 0.0]"])
def test_a_value_is_tried_with_each_value_that_allows_it(parse, order):
    """Nesterov needs a momentum: with one of the two it can be built, whichever stands first."""
    more = (
        f"optimizer.momentum: {{choices: {order}}}\n"
        f"      optimizer.nesterov: {{choices: [false, true], when: {{optimizer.momentum: {order}}}}}"
    )
    sgd = ("optimizer: {name: adam, learning_rate: 0.01}", "optimizer: {name: sgd, learning_rate: 0.01}")
    assert "optimizer.nesterov" in parse(sgd, (RATE, more)).searches["found"].space


def test_a_hold_out_needs_validation_rows(parse):
    assert mistakes(parse, *COFFEE) == [
        f"45: {HERE}.protocol.method: 'holdout' scores on validation rows, 'coffee' has none; allowed: k-fold"
    ]


def test_streamed_input_can_be_searched(parse):
    assert parse(("epochs: 3, batch_size: 16", "epochs: 3, batch_size: 16, input: streamed")).searches


def test_a_grid_that_nobody_would_wait_for_is_refused(parse):
    assert mistakes(parse, ("random", "grid"), (RATE, "training.batch_size: {integer: [1, 2000]}")) == [
        f"49: {HERE}.space: a grid of 14000 settings; allowed: at most 10000; take values out, or another strategy"
    ]


def test_all_mistakes_are_told_at_once(parse):
    found = mistakes(parse, ("random", "randon"), ("metric: r2", "metric: accuracy"), ("{epochs: 30}", "{epochs: 2}"))
    assert [line.partition(":")[0] for line in found] == ["48", "52", "53"]


def test_a_suite_may_have_searches_alone(parse):
    assert parse(("[digits-mlp, coffee]", "[]\n  searches: [found]")).suite.experiments == ()
    assert parse(("  experiments: [digits-mlp, coffee]", "  searches: [found]")).suite.searches == ("found",)
