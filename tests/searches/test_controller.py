"""The recurrent controller: its gradient, its tokens and its rewards."""

from __future__ import annotations

import numpy as np
import pytest
from fake_search import REPEAT, UNITS, FakeEvaluator, declare

from tandem.searches.loop import run_search
from tandem.searches.records import SearchedParameter, Trial
from tandem.searches.space import make_space
from tandem.searches.strategies.controller import STRATEGY, Declaration, tokens_of
from tandem.searches.strategies.policy import Policy
from tandem.searches.strategies.strategy import Circumstances

SIZES = (3, 5, 2)
SAMPLES = (((0, 1), (1, 4), (2, 0)), ((0, 2), (2, 1)), ((0, 0), (1, 0), (2, 1)))  # the second leaves a parameter out
ADVANTAGES = np.array([0.7, -1.3, 0.2])


def make_policy(**changes: float) -> Policy:
    settings = {"units": 4, "learning_rate": 0.05, "entropy": 0.3, **changes}
    return Policy(SIZES, seed=5, **settings)  # type: ignore[arg-type]


def test_the_gradient_is_that_of_finite_differences():
    policy, step = make_policy(), 1e-6
    _, gradients = policy.loss_and_gradients(SAMPLES, ADVANTAGES)
    assert set(gradients) == set(policy.arrays)
    for name, array in policy.arrays.items():
        for place in np.ndindex(array.shape):
            before = array[place]
            array[place] = before + step
            above, _ = policy.loss_and_gradients(SAMPLES, ADVANTAGES)
            array[place] = before - step
            below, _ = policy.loss_and_gradients(SAMPLES, ADVANTAGES)
            array[place] = before
            assert gradients[name][place] == pytest.approx((above - below) / (2 * step), abs=1e-8), (name, place)
    assert all(np.abs(gradients[name]).max() > 1e-4 for name in ("start", "embedding_0", "kernel", "recurrent", "bias"))


def test_a_rewarded_token_becomes_likelier_and_a_punished_one_less_so():
    for advantage, sign in ((1.0, 1), (-1.0, -1)):
        policy = make_policy(entropy=0.0)
        before = policy.step([], 0, 1).probabilities[1]
        policy.learn([((0, 1),)], np.array([advantage]))
        assert np.sign(policy.step([], 0, 1).probabilities[1] - before) == sign


def test_entropy_alone_makes_tokens_equally_likely():
    policy = make_policy(entropy=1.0)
    policy.arrays["head_bias_0"] += [0.0, 1.0, 3.0]
    for _ in range(200):
        policy.learn([((0, 1),)], np.array([0.0]))
    assert policy.step([], 0, 0).probabilities == pytest.approx(np.full(3, 1 / 3), abs=0.02)


def test_tokens_are_drawn_with_their_probabilities():
    policy, generator = make_policy(), np.random.default_rng(0)
    policy.arrays["head_bias_0"] += [0.0, 1.0, 2.0]
    expected = policy.step([], 0, 0).probabilities
    drawn = [policy.begin(generator).token(0) for _ in range(4000)]
    assert np.bincount(drawn, minlength=3) / 4000 == pytest.approx(expected, abs=0.03)


def test_a_kept_policy_goes_on_as_if_it_had_not_been_away():
    one, other = make_policy(), make_policy()
    one.learn(SAMPLES, ADVANTAGES)
    other.restore({name: array.copy() for name, array in one.state().items()})
    for policy in (one, other):
        policy.learn(SAMPLES, ADVANTAGES)
    assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)


def test_tokens_stand_for_values_from_bound_to_bound():
    def tokens(kind: str, low: float, high: float, levels: int, *, log: bool = False) -> tuple[object, ...]:
        return tokens_of(SearchedParameter(name="x", kind=kind, low=low, high=high, log=log), levels)  # type: ignore[arg-type]

    assert tokens("integer", 1, 4, 10) == (1, 2, 3, 4)
    assert tokens("integer", 1, 99, 3) == (1, 50, 99)
    assert tokens("integer", 1, 1000, 4, log=True) == (1, 10, 100, 1000)
    assert tokens("uniform", 0.0, 1.0, 3) == (0.0, 0.5, 1.0)
    logarithmic = tokens("uniform", 1e-4, 1e-2, 3, log=True)
    assert (logarithmic[0], logarithmic[-1]) == (1e-4, 1e-2)
    assert logarithmic[1] == pytest.approx(1e-3)


def test_a_controller_that_is_sure_of_itself_still_fills_its_batches(tmp_path):
    sure = {"name": "controller", "learning_rate": 1.0, "entropy": 0.0}
    space = {UNITS: {"integer": [8, 13]}, REPEAT: {"integer": [1, 40]}}
    trials = run_search(declare(sure, space=space, budget={"trials": 60}), FakeEvaluator(), tmp_path).record.trials
    assert len(trials) == 60


def test_rewards_are_shares_of_the_trials_that_are_worse():
    space = make_space(declare("controller", space={REPEAT: {"integer": [1, 4]}}).search.space)
    made = STRATEGY(Declaration(), Circumstances(space=space, seed=0, epochs=3, higher_is_better=False))
    reached = [(1, 4.0), (2, None), (3, 1.0), (4, 4.0)]
    trials = [
        Trial(number=n, batch=0, parameters={REPEAT: n}, state="finished" if v else "diverged", value=v)
        for n, v in reached
    ]
    rewards = made._rewards(trials)
    assert list(rewards.values()) == pytest.approx([0.5, 0.0, 1.0, 0.5])
