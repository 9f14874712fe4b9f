"""A member of a population is trained as it would be alone, and not otherwise for those beside it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from population_cases import (
    BESIDE,
    FEATURES,
    OPTIMIZERS,
    beside_members,
    describe,
    drawn_settings,
    made_experiment,
    made_fold,
    made_member,
    traits,
)

from tandem.activations import ACTIVATIONS
from tandem.losses import LOSSES
from tandem.population.side_by_side import train_side_by_side
from tandem.population.stack import BATCHED_KINDS, Stack, family, padded_widths, why_alone, width_class
from tandem.population.training import Candidate, make_batches

FOLDER = Path(__file__).parent
FRAMEWORKS = ("torch", "keras")
QUICK, SLOW = ("rules", "going on", "masks", "side by side"), ("alike", "beside", "evaluators")
# Relative to the largest weight, or output. Measured in PyTorch: 1.3e-15 and 1.5e-6.
LIMITS = {"float64": 1e-9, "float32": 1e-4}


def work(hermetic: dict[str, str], framework: str, *parts: str) -> dict[str, Any]:
    """Run parts of the worker in one framework."""
    paths = [FOLDER.parents[1], FOLDER, FOLDER.parent / "frameworks", FOLDER.parent / "searches"]
    environment = hermetic | {"PYTHONPATH": ":".join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, str(FOLDER / "population_worker.py"), framework, *parts]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    from hermetic import hermetic_environment

    return hermetic_environment(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module", params=FRAMEWORKS)
def quick(request: pytest.FixtureRequest, environment: dict[str, str]) -> dict[str, Any]:
    return work(environment, request.param, *QUICK)


@pytest.fixture(scope="module", params=FRAMEWORKS)
def slow(request: pytest.FixtureRequest, environment: dict[str, str]) -> dict[str, Any]:
    return work(environment, request.param, *SLOW)


# ------------------------------------------------------------------------------------------ nothing is missing


def test_the_drawn_settings_have_everything_that_can_be_trained_together():
    members = [setting.member for setting in drawn_settings()]
    assert all(why_alone(member) is None for member in members)
    layers = [layer for member in members for layer in member.architecture.layers]
    assert {layer.kind for layer in layers} == BATCHED_KINDS
    assert {layer.function for layer in layers if layer.kind == "activation"} == set(ACTIVATIONS)
    assert {member.architecture.loss for member in members} == set(LOSSES)
    optimizers = [member.experiment.optimizer for member in members]
    assert {one.name for one in optimizers} == {"sgd", "adam", "rmsprop"}
    assert {True, False} == {one.clip_norm is None for one in optimizers}
    assert {"aligned", "aligned-torch"} == {member.experiment.constants for member in members}
    kinds = {type(one.schedule) for one in optimizers}
    assert len(kinds) == 5, "each schedule, and none"
    assert any(layer.regularization for layer in layers)
    padded = [Stack.of([member]) for member in members]
    masked = {
        layer.settings.get("function", layer.kind)
        for stack in padded
        for layer in stack.padded.body
        if (mask := stack.mask(layer.name)) is not None and not mask.all()
    }
    assert masked == {"sigmoid", "softmax", "alpha_dropout", "layer_normalization"}, "each mask is at work"
    assert {67 * one.training.repeat % int(one.training.batch_size) for one in (m.experiment for m in members)} - {0}


# ------------------------------------------------------------------------------------------------- like alone


@pytest.mark.slow
@pytest.mark.parametrize("dtype", LIMITS)
def test_each_member_is_what_training_it_alone_gives(slow, dtype):
    """Ten steps in float64, five epochs in float32."""
    apart = slow["alike"][dtype]
    settings = drawn_settings()
    everything = set().union(*map(traits, settings))
    assert set().union(*(traits(settings[int(place)]) for place in apart)) == everything  # in PyTorch all sixty
    assert max(apart.values()) <= LIMITS[dtype], {key: value for key, value in apart.items() if value > LIMITS[dtype]}


# ------------------------------------------------------------------------------------------ beside others


@pytest.mark.slow
@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("name", BESIDE)
def test_a_member_is_the_same_to_the_last_bit_whoever_is_beside_it(slow, name, dtype):
    digests = dict(slow["beside"][f"{name}/{dtype}"])
    digests.pop("diverged")
    assert len(digests) == len(beside_members(name))
    assert len(digests["0"]) >= 3, "beside all, beside one that diverges, and alone"
    assert sum(len(found) > 1 for found in digests.values()) >= 12
    differ = {position: found for position, found in digests.items() if len(set(found)) > 1}
    assert not differ


@pytest.mark.slow
def test_somebody_diverged_beside_them(slow):
    assert "diverged" in {found["diverged"][0] for found in slow["beside"].values()}


# ----------------------------------------------------------------------------------------------- the rules


def test_members_stop_and_keep_epochs_as_alone(quick):
    rules = quick["rules"]
    assert rules["together"] == rules["alone"]
    outcomes = {outcome for *_, outcome, _ in rules["alone"].values()}
    assert outcomes == {"finished", "stopped early", "diverged"}


def test_a_batch_shrinks_when_members_stop(quick):
    sizes, kept = quick["rules"]["sizes"], quick["rules"]["kept"]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 9, "who is asked for no epoch has left before the first"
    assert set(sizes) <= set(kept)


@pytest.mark.parametrize("optimizer", range(len(OPTIMIZERS)), ids=lambda number: "-".join(map(str, OPTIMIZERS[number])))
def test_going_on_is_the_same_as_never_pausing(quick, optimizer):
    first, second, first_resumed, second_resumed, second_resumed_alone = quick["going on"][str(optimizer)]
    assert first_resumed == first
    assert second_resumed == second_resumed_alone == second


# ------------------------------------------------------------------------------------------- random layers


def test_dropout_drops_its_share_and_keeps_the_mean(quick):
    found = quick["masks"]["dropout"]
    assert found["share"] == pytest.approx(0.3, abs=0.01)
    assert found["mean"] == pytest.approx(1, abs=0.01)
    assert found["variance"] == pytest.approx(0.3 / 0.7, abs=0.02)
    assert found["levels"] == 2


def test_alpha_dropout_has_two_levels_that_keep_mean_and_variance(quick):
    found, alpha = quick["masks"]["alpha_dropout"], 1.7580993408473766
    scale = ((1 - 0.3) * (1 + 0.3 * alpha**2)) ** -0.5
    assert found["share"] == pytest.approx(0.3, abs=0.01)
    assert found["mean"] == pytest.approx(0.7 * scale, abs=0.02), "of ones; of numbers around 0 it stays 0"
    assert found["variance"] == pytest.approx(0.3 * 0.7 * (1 + alpha) ** 2 * scale**2, abs=0.05)
    assert found["levels"] == 2


@pytest.mark.parametrize("kind", ["dropout", "alpha_dropout"])
def test_masks_differ_between_seeds_steps_layers_and_rows_but_not_between_members_of_one_seed(quick, kind):
    found = quick["masks"][kind]
    by_chance = 0.3**2 + 0.7**2
    for what in ("other seed", "other step", "other layer", "other row"):
        assert found[what] == pytest.approx(by_chance, abs=0.02), what
    assert found["same seed"]
    assert found["beside others"], "what a member draws does not depend on those beside it"


# ------------------------------------------------------------------------------------------- side by side


def test_batches_side_by_side_learn_what_they_learn_one_after_the_other(quick):
    found = quick["side by side"]
    assert found["batches"] == 6, "three depths, of four members each, in two batches each: none is of one member"
    assert found["threads"] == ["MainThread"], "results are told where they are waited for"
    assert len(found["apart"]) == 12
    assert found["side by side"] == found["apart"]


def test_a_failure_ends_all_that_is_trained_side_by_side():
    running, ended = threading.Barrier(2), []

    def train(batch: Any, _on_left: Any, on_epochs: Any) -> None:
        running.wait(10)
        try:
            if batch == "failing":
                raise ValueError("no weights")
            while True:
                on_epochs(1)
        finally:
            ended.append(batch)

    batches: Any = ["going on", "failing", "never begun"]
    with pytest.raises(ValueError, match="no weights"):
        train_side_by_side(train, batches, print, None, 2)
    assert sorted(ended) == ["failing", "going on"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batch")]


def test_an_error_of_who_is_told_ends_the_training():
    def train(batch: Any, on_left: Any, on_epochs: Any) -> None:
        while True:
            on_left(batch)
            on_epochs(1)

    def refuse(left: Any) -> None:
        raise OSError(f"{left}: no space")

    batches: Any = ["one", "one"]
    with pytest.raises(OSError, match="one: no space"):
        train_side_by_side(train, batches, refuse, None, 2)


# --------------------------------------------------------------------------------------------- evaluators


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["diabetes", "breast_cancer"])
def test_settings_score_alike_together_and_alone(slow, dataset):
    alone, together = slow["evaluators"][dataset]["alone"], slow["evaluators"][dataset]["together"]
    assert {number: way for number, (way, _) in together.items()} == {
        "0": "batched", "1": "batched", "2": "batched", "3": "alone", "4": "batched",
    }  # fmt: skip
    for number, (_, scores) in alone.items():
        for own, other in zip(scores, together[number][1], strict=True):
            assert own[1:] == other[1:], f"setting {number}: epochs, kept epoch and outcome"
            assert own[0] == pytest.approx(other[0], abs=1e-4)


# ------------------------------------------------------------------------------------------ batches, widths


@pytest.mark.parametrize("megabytes", [1, 2, 8, 64])
def test_batches_keep_to_the_memory_allowed(megabytes):
    experiment = made_experiment(model={"sequential": [{"dense": {"units": 64, "repeat": 2}}]})
    member, fold = made_member(experiment, describe(0, FEATURES)), made_fold(0, 100)
    sizes = [len(batch) for batch in make_batches([Candidate(n, member) for n in range(500)], [fold], megabytes)]
    assert sum(sizes) == 500
    weights = 6 * 64 + 64 + 64 * 64 + 64 + 64 + 1
    values = 16 * (6 + 3 * (64 + 64 + 1))
    orders = 16 * 100 / 500  # all share the seed and the fold
    fitting = int(megabytes * 1e6 // (4 * (weights * 4 + values) + orders))
    assert len(sizes) == math.ceil(500 / fitting), "no more of them than are needed"
    assert max(sizes) <= fitting
    assert max(sizes) - min(sizes) <= 1


def test_a_batch_has_at_least_one_member():
    experiment = made_experiment(model={"sequential": [{"dense": {"units": 2000, "repeat": 2}}]})
    candidates = [Candidate(n, made_member(experiment, describe(0, FEATURES))) for n in range(3)]
    assert [len(batch) for batch in make_batches(candidates, [made_fold(0, 50)], 1)] == [1, 1, 1]


def test_padded_widths_depend_on_the_member_alone_and_little_is_padding():
    assert [width_class(units) for units in (1, 16, 17, 64, 65, 128, 129, 700)] == [16, 16, 32, 64, 96, 128, 192, 768]
    for units in range(16, 3000):
        assert units <= width_class(units) < units * 1.5 + 16
    for setting in drawn_settings():
        widths = padded_widths(setting.member.architecture)
        own = [layer.output_shape[-1] for layer in setting.member.architecture.body]
        assert all(width >= narrower for width, narrower in zip(widths, own, strict=True))


def test_two_folds_of_other_lengths_are_two_families():
    member = made_member(made_experiment(), describe(0, FEATURES))
    assert family(member, 100) != family(member, 101)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"constants": "native"}, "native"),
        ({"model": {"sequential": [{"reshape": {"shape": [6, 1]}}, {"flatten": {}}]}}, "reshape layers"),
        ({"model": {"sequential": [{"dense": {"units": 4}}, {"powers": {"exponents": [1, 2]}}]}}, "behind dense"),
        ({"training": {"batch_size": "auto"}}, "auto"),
        ({"training": {"devices": 2}}, "several devices"),
        ({"training": {"input": "streamed"}}, "streamed"),
    ],
)
def test_what_cannot_share_a_batch_says_why(changes, reason):
    assert reason in str(why_alone(made_member(made_experiment(**changes), describe(0, FEATURES))))
