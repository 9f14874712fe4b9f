"""Tests of hypotheses: against known values, by enumeration, and by how often they err.

Values marked "statsmodels" were computed with statsmodels 0.15 (``ttost_paired``, ``mcnemar``, ``multipletests``).
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from tandem import hypotheses
from tandem.correction import holm
from tandem.hypotheses import (
    difference_p,
    equivalence_p,
    equivalence_power,
    mcnemar,
    mcnemar_p,
    replicates_needed,
    resampled_p,
    sign_flip_p,
)
from tandem.statistics import seed_interval

KERAS = np.array([0.362, 0.371, 0.358, 0.390, 0.366, 0.374, 0.369, 0.381, 0.360, 0.377])
TORCH = np.array([0.366, 0.369, 0.364, 0.386, 0.371, 0.380, 0.366, 0.385, 0.367, 0.375])
DIFFERENCES = TORCH - KERAS  # mean 0.0021, standard deviation 0.0043063


def test_the_test_of_a_difference_is_the_paired_t_test():
    assert difference_p(DIFFERENCES) == pytest.approx(stats.ttest_rel(TORCH, KERAS).pvalue, rel=1e-10)
    assert difference_p(DIFFERENCES) == pytest.approx(0.15744119, rel=1e-7)  # statsmodels and scipy


@pytest.mark.parametrize(("margin", "p"), [(0.0185, 3.734220533e-07), (0.005, 0.031032631193), (0.002, 0.528466262377)])
def test_equivalence_is_tested_by_two_one_sided_t_tests(margin, p):
    assert equivalence_p(DIFFERENCES, margin) == pytest.approx(p, rel=1e-8)  # statsmodels


def test_equivalence_is_shown_just_when_the_90_percent_interval_lies_within_the_margin():
    interval = seed_interval(DIFFERENCES, level=0.9)
    assert (interval.low, interval.high) == pytest.approx((-0.000396296311, 0.004596296311), rel=1e-8)  # scipy
    for end in (interval.high * 1.0001, interval.high * 0.9999):
        assert (equivalence_p(DIFFERENCES, end) < 0.05) == (interval.high < end)


@pytest.mark.parametrize("values", [[], [0.1]])
def test_fewer_than_two_values_have_no_test(values):
    assert difference_p(values) is None
    assert equivalence_p(values, 1.0) is None


def test_values_without_spread_are_decided():
    assert (difference_p([0.0] * 3), difference_p([0.5] * 3)) == (1, 0)
    assert (equivalence_p([0.5] * 3, 0.6), equivalence_p([0.5] * 3, 0.4)) == (0, 1)


def test_order_sign_and_unit_do_not_matter():
    reversed_, swapped, cents = DIFFERENCES[::-1], -DIFFERENCES, 100 * DIFFERENCES
    for changed, unit in ((reversed_, 1), (swapped, 1), (cents, 100)):
        assert difference_p(changed) == pytest.approx(difference_p(DIFFERENCES), rel=1e-9)
        assert equivalence_p(changed, 0.005 * unit) == pytest.approx(equivalence_p(DIFFERENCES, 0.005), rel=1e-9)


def test_overlapping_folds_widen_by_the_corrected_variance():
    """By hand: 10 differences, 1/10 + 1/9 instead of 1/10 (Nadeau and Bengio, 2003), 9 degrees of freedom."""
    error = 0.004306326095924979 * np.sqrt(1 / 10 + 1 / 9)
    assert difference_p(DIFFERENCES, overlap=1 / 9) == pytest.approx(2 * stats.t.sf(0.0021 / error, 9), rel=1e-9)
    assert equivalence_p(DIFFERENCES, 0.01, overlap=1 / 9) == pytest.approx(
        stats.t.sf((0.01 - 0.0021) / error, 9), rel=1e-9
    )
    assert equivalence_p(DIFFERENCES, 0.005, overlap=1 / 9) > equivalence_p(DIFFERENCES, 0.005)


def test_tost_calls_frameworks_equivalent_that_are_not_in_5_percent_of_all_cases():
    """At the margin itself, where the test is least protected; a standard error of 5000 draws is 0.003."""
    draws = np.random.default_rng(0).normal(1.0, 0.8, (5000, 10))
    wrongly = np.mean([equivalence_p(draw, 1.0) < 0.05 for draw in draws])
    assert 0.04 <= wrongly <= 0.06


def test_tost_errs_no_more_for_a_margin_that_is_a_share_of_the_measured_error():
    generator = np.random.default_rng(1)
    first = generator.normal(1.0, 0.05, (4000, 10))
    second = first + generator.normal(0.05, 0.04, (4000, 10))
    wrongly = np.mean([equivalence_p(b - a, 0.05 * a.mean()) < 0.05 for a, b in zip(first, second, strict=True)])
    assert 0.04 <= wrongly <= 0.065


@pytest.mark.parametrize(("count", "mean", "deviation"), [(10, 0.0, 0.8), (5, 0.2, 0.4), (30, 0.5, 1.0)])
def test_the_power_of_tost_is_what_simulation_gives(count, mean, deviation):
    draws = np.random.default_rng(2).normal(mean, deviation, (4000, count))
    shown = np.mean([equivalence_p(draw, 1.0) < 0.05 for draw in draws])
    assert equivalence_power(count, mean, deviation, 1.0) == pytest.approx(shown, abs=0.025)


def test_the_replicates_needed_are_the_fewest_with_a_chance_of_80_percent():
    needed = replicates_needed(0.2, 1.5, 1.0)
    assert equivalence_power(needed, 0.2, 1.5, 1.0) >= 0.8
    assert equivalence_power(needed - 1, 0.2, 1.5, 1.0) < 0.8
    # Normal approximation: ((1.645 + 0.842) · 1.5 / 0.8)² = 21.7; t takes one or two more.
    assert 22 <= needed <= 25
    assert replicates_needed(200, 1500, 1000) == needed


def test_where_no_number_of_replicates_would_do_there_is_none():
    assert replicates_needed(1.0, 0.5, 1.0) is None
    assert replicates_needed(0.0, 1000.0, 1.0) is None
    assert replicates_needed(0.0, 1.0, 1.0, overlap=0.5) is None, "overlapping folds keep their error"


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [(1, 9, 0.021484375), (0, 5, 0.0625), (12, 25, 0.04703102744), (121, 59, 4.43444926e-06), (3, 3, 1), (0, 0, 1)],
)
def test_mcnemar_is_exact(first, second, p):
    assert mcnemar_p(first, second) == pytest.approx(p, rel=1e-8)  # statsmodels; 0.0625 = 2 / 2⁵
    assert mcnemar_p(second, first) == mcnemar_p(first, second)
    rows = np.repeat([-1, 1, 0], [first, second, 7])
    assert sign_flip_p(rows) == pytest.approx(p, rel=1e-6)


@pytest.mark.parametrize("net", [[3, 1, -2, 1], [2, 2, 2, -1, 0, 3, -1], [5, -5], [1, 1, 1, 1, 2, -3, 4, 1, 2]])
def test_the_clustered_test_is_what_trying_all_signs_gives(net):
    sums = [
        abs(sum(sign * size for sign, size in zip(signs, net, strict=True)))
        for signs in product((-1, 1), repeat=len(net))
    ]
    assert sign_flip_p(np.array(net)) == pytest.approx(np.mean(np.array(sums) >= abs(sum(net))), rel=1e-9)


def test_for_many_rows_the_clustered_test_is_the_statistic_of_durkalski_and_others(monkeypatch):
    net = np.random.default_rng(3).choice([-4, -2, -1, 0, 1, 2, 5], 3000)
    expected = stats.chi2.sf(net.sum() ** 2 / np.sum(net**2), 1)
    assert 0.01 < expected < 0.9
    assert sign_flip_p(net) == pytest.approx(expected, abs=0.01)
    monkeypatch.setattr(hypotheses, "_LARGEST_SUM", 100)  # more rows than are summed exactly
    assert sign_flip_p(net) == pytest.approx(expected, rel=1e-9)


def labels(rows, replicates, agree, generator):
    """Return who is right, (replicates, rows): replicates err on the same rows, for they share them."""
    hard = generator.random(rows) < 0.3
    return (generator.random((replicates, rows)) < np.where(hard, 0.5, agree)).astype(bool)


def test_the_clustered_test_errs_in_5_percent_although_replicates_share_their_rows():
    """Each row favours one framework in all replicates at once; taken as independent, they would err in 30 %."""
    generator = np.random.default_rng(4)
    clustered, pooled = [], []
    for _ in range(1000):
        side = generator.choice([-1, 0, 1], 60, p=[0.15, 0.7, 0.15])
        first = np.tile(side <= 0, (5, 1))
        second = np.tile(side >= 0, (5, 1))
        found = mcnemar("keras", "torch", range(5), first, second)
        clustered.append(found.test.p < 0.05)
        pooled.append(
            mcnemar_p(sum(one.first_only for one in found.replicates), sum(one.second_only for one in found.replicates))
            < 0.05
        )
    assert np.mean(clustered) <= 0.06
    assert np.mean(pooled) > 0.2


def test_the_clustered_test_has_more_power_than_one_replicate():
    generator = np.random.default_rng(5)
    alone, together = [], []
    for _ in range(200):
        first, second = labels(300, 5, 0.85, generator), labels(300, 5, 0.90, generator)
        found = mcnemar("keras", "torch", range(5), first, second)
        alone.append(found.replicates[0].p < 0.05)
        together.append(found.test.p < 0.05)
    assert np.mean(together) > 2 * np.mean(alone) > 0


def test_mcnemar_counts_what_it_rests_on():
    first = np.array([[1, 1, 0, 1], [1, 0, 0, 1]], dtype=bool)
    second = np.array([[1, 0, 1, 1], [1, 0, 1, 1]], dtype=bool)
    found = mcnemar("keras", "torch", [0, 3], first, second)
    assert [(one.replicate, one.first_only, one.second_only) for one in found.replicates] == [(0, 1, 1), (3, 0, 1)]
    assert (found.rows, found.discordant) == (4, 2)
    # Net differences of 0 and 2: both signs give a total of 2.
    assert found.test.p == 1


def test_one_replicate_has_mcnemars_own_test():
    first = np.array([[True] * 9 + [False] + [True] * 20])
    second = np.array([[False] * 9 + [True] + [True] * 20])
    assert mcnemar("keras", "torch", [0], first, second).test.p == pytest.approx(0.021484375)


def test_holm_steps_down():
    found = holm([0.01, 0.04, 0.03, 0.005, 0.2])
    assert [test.adjusted for test in found] == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.2])  # statsmodels
    assert {test.comparisons for test in found} == {5}
    assert [test.p for test in found] == [0.01, 0.04, 0.03, 0.005, 0.2]
    assert holm([0.7, 0.6])[0].adjusted == 1
    assert holm([]) == []


def test_holm_keeps_wrong_findings_among_many_comparisons_below_5_percent():
    draws = np.random.default_rng(6).random((2000, 8))
    assert np.mean([min(test.adjusted for test in holm(list(draw))) < 0.05 for draw in draws]) <= 0.06


def test_a_bootstraps_p_value_is_never_0_and_counts_both_sides():
    assert resampled_p(np.ones(1999)) == pytest.approx(2 / 2000)
    assert resampled_p(np.r_[np.ones(1900), -np.ones(99)]) == pytest.approx(0.1)
    assert resampled_p(np.zeros(100)) == 1
    assert resampled_p(np.r_[np.ones(1999), np.nan]) == pytest.approx(2 / 2000)
