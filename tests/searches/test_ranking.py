"""How much better a winner is than the runners-up, against independent formulas and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from made_searches import GRID, RATE, REPEAT, ROWS, UNITS, as_record, drawn, grid, made_search
from scipy import stats

from tandem.records import FoldRows
from tandem.searches.ranking import choose_without_each, compare_preferences, rank_correlation, rank_settings
from tandem.searches.records import FoldScore, Trial


def scored(number: int, scores: list[float], parameters: dict | None = None) -> Trial:
    """Return a trial that finished with these scores."""
    folds = tuple(FoldScore(value=score, epochs=5, kept_epoch=5, outcome="finished") for score in scores)
    given = {UNITS: number} if parameters is None else parameters
    return Trial(
        number=number, batch=0, parameters=given, state="finished", value=float(np.mean(scores)), folds=folds, epochs=25
    )


SCORES = ([0.61, 0.58, 0.63, 0.60, 0.59], [0.60, 0.58, 0.61, 0.60, 0.58], [0.41, 0.37, 0.43, 0.41, 0.39])


def test_intervals_and_p_values_are_those_of_nadeau_and_bengio():
    ranking = rank_settings(as_record([scored(number, scores) for number, scores in enumerate(SCORES)]))
    assert [ranked.trial.number for ranked in ranking.settings] == [0, 1, 2]
    p_values = []
    for ranked, scores in zip(ranking.rivals, SCORES[1:], strict=True):
        gaps = np.subtract(scores, SCORES[0])
        error = np.sqrt((1 / 5 + 20 / 80) * gaps.var(ddof=1))
        low, high = stats.t.interval(0.95, df=4, loc=gaps.mean(), scale=error)
        found = ranked.difference
        assert (found.value, found.low, found.high) == pytest.approx((gaps.mean(), low, high))
        assert (found.over, found.n) == ("folds", 5)
        p_values.append(2 * stats.t.sf(abs(gaps.mean()) / error, df=4))
        assert ranked.test.p == pytest.approx(p_values[-1])
    # Holm: the smallest times the number of comparisons, then the next times one less.
    least, most = sorted(p_values)
    assert sorted(r.test.adjusted for r in ranking.rivals) == pytest.approx([2 * least, max(2 * least, most)])
    assert [ranked.told_apart for ranked in ranking.rivals] == [False, True]
    assert [ranked.trial.number for ranked in ranking.equals] == [1]
    winner = ranking.winner.interval
    reach = stats.t.ppf(0.975, 4) * np.sqrt(0.45 * np.var(SCORES[0], ddof=1))
    assert (winner.low, winner.high) == pytest.approx((np.mean(SCORES[0]) - reach, np.mean(SCORES[0]) + reach))


def test_an_interval_ends_where_the_metric_does():
    record = as_record([scored(0, [0.99, 0.9, 1.0, 1.0, 0.8])], metric="accuracy")
    assert rank_settings(record).winner.interval.high == 1.0


def test_a_lower_metric_is_better_where_the_search_says_so():
    trials = [scored(number, scores) for number, scores in enumerate(SCORES)]
    ranking = rank_settings(as_record(trials, metric="mse", higher_is_better=False))
    assert [ranked.trial.number for ranked in ranking.settings] == [2, 1, 0]
    assert ranking.rivals[0].difference.value > 0


def test_a_single_fold_says_nothing_of_noise():
    ranking = rank_settings(as_record([scored(0, [0.6]), scored(1, [0.1])], folds=ROWS[:1]))
    assert ranking.winner.interval is None
    assert (ranking.rivals[0].difference, ranking.rivals[0].test, ranking.held_out) == (None, None, None)
    assert not ranking.rivals[0].told_apart


def test_what_did_not_finish_is_not_ranked_and_equal_settings_count_once():
    lost = Trial(number=3, batch=0, parameters={UNITS: 9}, state="diverged")
    pruned = scored(4, SCORES[0], {UNITS: 8}).model_copy(update={"state": "pruned"})
    again = scored(2, SCORES[0], {UNITS: 0})
    trials = [scored(0, SCORES[0]), scored(1, SCORES[2]), again, lost, pruned]
    assert [ranked.trial.number for ranked in rank_settings(as_record(trials)).settings] == [0, 1]
    # The winner stands for its equals, whichever came first.
    assert [r.trial.number for r in rank_settings(as_record(trials, best=2)).settings] == [2, 1]
    assert rank_settings(as_record([lost])) is None


def test_one_is_not_true_and_whole_numbers_equal_their_fractions():
    trials = [scored(0, SCORES[0], {"x": 1}), scored(1, SCORES[1], {"x": True}), scored(2, SCORES[2], {"x": 1.0})]
    assert [ranked.trial.number for ranked in rank_settings(as_record(trials)).settings] == [0, 1]


def test_a_choice_without_each_fold_is_scored_on_that_fold():
    # The first wins overall by its last fold alone; without that fold the second does.
    scores = np.array([[0.5, 0.5, 0.9], [0.6, 0.6, 0.6]])
    found = choose_without_each(scores, higher_is_better=True)
    assert found.value == pytest.approx((0.5 + 0.5 + 0.6) / 3)
    assert found.again == 2
    assert choose_without_each(-scores, higher_is_better=False).value == pytest.approx(-found.value)


def test_repeated_folds_hold_nothing_out():
    rows = tuple(FoldRows(repeat=repeat, train=50, valid=50) for repeat in (0, 0, 1, 1))
    record = as_record([scored(0, [0.6] * 4), scored(1, [0.5, 0.4, 0.5, 0.6])], folds=rows)
    assert rank_settings(record).held_out is None


@pytest.mark.parametrize("seed", range(3))
def test_rank_correlation_is_scipys(seed):
    generator = np.random.default_rng(seed)
    first, second = generator.integers(0, 8, (2, 40))  # with ties
    assert rank_correlation(first.tolist(), second.tolist()) == pytest.approx(stats.spearmanr(first, second).statistic)


def test_rank_correlation_needs_five_pairs_that_vary():
    assert rank_correlation([1, 2, 3, 4], [1, 2, 3, 4]) is None
    assert rank_correlation([1, 2, 3, 4, 5], [1, 1, 1, 1, 1]) is None
    assert rank_correlation([1, 2, 3, 4, 5], [5, 4, 3, 2, 1]) == pytest.approx(-1)


def search_of(best_rate: float, framework: str, noise: float = 0.002, seed: int = 0):
    def formula(parameters):
        return 0.6 - 0.2 * abs(np.log10(parameters[RATE] / best_rate)) - 0.01 * abs(parameters[REPEAT] - 2)

    return made_search(grid(), formula, framework=framework, noise=noise, seed=seed)


def test_frameworks_that_prefer_the_same_setting_agree():
    (found,) = compare_preferences({"keras": search_of(2e-3, "keras"), "torch": search_of(2e-3, "torch")})
    assert found.same_winner
    assert found.shared == 150
    assert found.correlation == pytest.approx(1)
    assert found.first_in_second.place == found.second_in_first.place == 1


def test_winners_that_noise_explains_are_equal_in_the_other_framework():
    records = {name: search_of(2e-3, name, noise=0.02, seed=seed) for name, seed in (("keras", 1), ("torch", 2))}
    (found,) = compare_preferences(records)
    assert not found.same_winner
    assert found.first_in_second.is_equal
    assert found.second_in_first.is_equal
    assert found.first_in_second.place > 1


def test_winners_that_differ_by_more_than_noise_are_told_apart():
    (found,) = compare_preferences({"keras": search_of(2e-3, "keras"), "torch": search_of(2e-2, "torch", seed=1)})
    assert (found.first_in_second.is_equal, found.second_in_first.is_equal) == (False, False)


def test_a_winner_may_be_untried_or_lost_in_the_other_framework():
    keras = made_search(drawn(12, seed=1), framework="keras")
    torch = made_search(drawn(12, seed=2), framework="torch")
    (found,) = compare_preferences({"keras": keras, "torch": torch})
    assert (found.shared, found.correlation, found.same_winner) == (0, None, False)
    assert (found.first_in_second.place, found.first_in_second.state) == (None, None)
    lost = [t.model_copy(update={"state": "diverged"}) if t.number == keras.best else t for t in keras.trials]
    (found,) = compare_preferences({"keras": keras, "torch": as_record(lost, framework="torch", space=keras.space)})
    assert found.first_in_second.state == "diverged"
    nothing = as_record([Trial(number=0, batch=0, parameters={}, state="invalid")])
    assert compare_preferences({"keras": keras, "torch": nothing}) == ()


@pytest.mark.slow
def test_the_truly_best_setting_is_seldom_told_from_the_winner():
    """Thirty settings, of which ten are equally good: in 200 searches a given one of them is told apart in few."""
    generator = np.random.default_rng(7)
    means = np.array([0.6] * 10 + [0.5] * 10 + [0.3] * 10)
    told = lost = 0
    for _ in range(200):
        scores = means[:, None] + generator.normal(0, 0.02, 5) + generator.normal(0, 0.02, (30, 5))
        ranking = rank_settings(as_record([scored(n, row.tolist()) for n, row in enumerate(scores)], space=GRID))
        apart = {ranked.trial.number for ranked in ranking.settings if ranked.told_apart}
        told += 0 in apart
        lost += len(apart & set(range(20, 30)))
    assert told <= 0.05 * 200
    assert lost >= 0.7 * 200 * 10  # it is not that nothing is ever told apart


@pytest.mark.slow
def test_among_equal_settings_few_are_told_from_the_winner():
    """The winner was picked by these folds, so that more than 5 of 100 searches tell one apart, but not many more."""
    generator = np.random.default_rng(0)
    searches = 100
    told = 0
    for _ in range(searches):
        scores = 0.5 + generator.normal(0, 0.02, 5) + generator.normal(0, 0.02, (150, 5))
        ranking = rank_settings(as_record([scored(n, row.tolist()) for n, row in enumerate(scores)], space=GRID))
        told += len(ranking.equals) < len(ranking.rivals)
    assert 0 < told <= 20
