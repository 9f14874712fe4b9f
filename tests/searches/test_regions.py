"""Where settings end badly, and what became of rungs."""

from __future__ import annotations

import numpy as np
import pytest
from made_searches import RANDOM, RATE, REPEAT, as_record, drawn, grid, halved, made_search
from scipy import stats

from tandem.searches.records import SearchedParameter
from tandem.searches.regions import ending_regions, fisher_p, rung_counts


@pytest.mark.parametrize("table", [(20, 8, 10, 8), (50, 5, 20, 3), (12, 12, 4, 4), (30, 0, 10, 0), (9, 3, 3, 0)])
def test_fishers_test_is_scipys(table):
    count, hits, inside, hits_inside = table
    cells = [[hits_inside, inside - hits_inside], [hits - hits_inside, count - inside - hits + hits_inside]]
    expected = stats.fisher_exact(cells, alternative="greater").pvalue
    assert fisher_p(count, hits, inside, hits_inside) == pytest.approx(expected)


def test_the_rule_by_which_settings_diverge_is_found_with_its_counts():
    record = made_search(grid())  # with a rate of 0.02 and three layers or more
    rate, repeat = ending_regions(record, {"diverged"})
    assert (rate.parameter, rate.relation, rate.bound) == (RATE, "=", 2e-2)
    assert (rate.hits, rate.inside, rate.outside_hits, rate.outside) == (18, 30, 0, 120)
    assert (repeat.parameter, repeat.relation, repeat.bound) == (REPEAT, "≥", 3)
    assert (repeat.hits, repeat.inside, repeat.outside_hits, repeat.outside) == (18, 90, 0, 60)


def test_a_name_can_be_a_rule():
    space = (SearchedParameter(name="activation", kind="choice", choices=("relu", "tanh", "exp")),)
    settings = [{"activation": name} for name in ("relu", "tanh", "exp") * 8]
    record = made_search(settings, lambda p: None if p["activation"] == "exp" else 0.5, space=space)
    (found,) = ending_regions(record, {"diverged"})
    assert (found.relation, found.bound, found.hits, found.inside, found.outside_hits) == ("=", "exp", 8, 8, 0)


def test_divergence_everywhere_alike_names_no_region():
    generator = np.random.default_rng(0)
    lost = set(generator.choice(100, 30, replace=False).tolist())
    settings = drawn(100)
    record = made_search(settings, lambda p: None if settings.index(p) in lost else 0.5, space=RANDOM)
    assert ending_regions(record, {"diverged"}) == ()
    assert ending_regions(made_search(settings, lambda _: None, space=RANDOM), {"diverged"}) == ()
    assert ending_regions(made_search(settings, lambda _: 0.5, space=RANDOM), {"diverged"}) == ()


def test_rungs_tell_how_many_went_on():
    first, second, last = rung_counts(halved(60))
    assert [(rung.epochs, rung.reached, rung.went_on, rung.pruned) for rung in (first, second, last)] == [
        (1, 54, 18, 36),
        (3, 18, 6, 12),
        (9, 6, 6, 0),
    ]
    assert {rung.diverged for rung in (first, second, last)} == {0}
    assert first.median < first.best < second.best < last.best
    assert rung_counts(made_search(grid()[:3])) == ()


def test_what_diverges_at_a_rung_has_not_gone_on():
    record = halved(60)
    lost = next(trial for trial in record.trials if trial.state == "finished")
    diverged = lost.model_copy(update={"state": "diverged", "value": None, "rungs": lost.rungs[:2]})
    first, second, last = rung_counts(as_record([diverged if t is lost else t for t in record.trials], space=RANDOM))
    assert (first.went_on, second.went_on, second.diverged, last.reached) == (18, 5, 1, 5)
