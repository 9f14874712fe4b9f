"""Trains populations in one framework and prints what came of it as JSON: FRAMEWORK PART ..."""

from __future__ import annotations

import hashlib
import json
import math
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from comparing import difference
from population_cases import (
    BESIDE,
    FEATURES,
    OPTIMIZERS,
    beside_members,
    covering,
    describe,
    drawn_settings,
    made_experiment,
    made_fold,
    made_member,
)

from tandem.checkpoints import Checkpoint
from tandem.fitdata import FitData
from tandem.frameworks import Framework, load_framework
from tandem.population.side_by_side import train_side_by_side
from tandem.population.stack import Member
from tandem.population.training import Candidate, Left, make_batches, train_batch
from tandem.schedules import learning_rates
from tandem.searches.alone import AloneEvaluator
from tandem.searches.evaluator import Result, Setting
from tandem.searches.together import TogetherEvaluator
from tandem.training import (
    DROPOUT_STREAM,
    Session,
    adapted_weights,
    epoch_order,
    epoch_seed,
    given_weights,
    train_replicate,
)

ROWS = 67


def main() -> None:
    name, *parts = sys.argv[1:]
    framework = load_framework(name, alone=True, stacked=True)
    framework.set_up(1, batches=2)
    print(json.dumps({part: PARTS[part](framework) for part in parts}))


@contextmanager
def step_by_step(framework: Framework) -> Iterator[None]:
    """Have Keras take its steps one by one: compiling takes a second a network."""
    if framework.NAME != "keras":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def train(
    framework: Framework, candidates: Sequence[Candidate], folds: Sequence[Any], *, epochs: int | None = None,
    dtype: str = "float32", megabytes: int = 1000,
) -> dict[Any, Left]:  # fmt: skip
    """Train members together; return what left, by name."""
    found: dict[Any, Left] = {}
    for batch in make_batches(candidates, folds, megabytes):
        train_batch(
            framework, batch, folds, epochs, lambda left: found.update({left.candidate.name: left}), dtype=dtype
        )
    return found


def digest(left: Left) -> str:
    """Return a digest of all that a member has become, to the last bit."""
    sha, run = hashlib.sha256(), left.held.run
    for arrays in (left.held.weights, left.held.slots, left.held.best or {}):
        for name in sorted(arrays):
            sha.update(name.encode() + arrays[name].tobytes())
    for raw in left.outputs:
        sha.update(raw.tobytes())
    sha.update(repr((run.best_loss, run.best_epoch, run.reference, run.stopped, run.outcome, left.held.steps)).encode())
    return sha.hexdigest()[:16]


# ------------------------------------------------------------------------------------------------ like alone


def alike(framework: Framework) -> dict[str, dict[str, float]]:
    """Return how far each drawn setting is from itself trained alone: ten steps in float64, five epochs in float32.

    Keras, which takes its steps one by one here, trains as many as have everything that is drawn.
    """
    settings = drawn_settings()
    wanted = covering(settings) if framework.NAME == "keras" else range(len(settings))
    found: dict[str, dict[str, float]] = {"float64": {}, "float32": {}}
    for dtype in ("float64", "float32"):
        for data in sorted({setting.data for setting in settings}):
            folds = [made_fold(number, ROWS, *data, dtype=dtype) for number in range(2)]
            members = {place: settings[place].member for place in wanted if settings[place].data == data}
            epochs = {
                place: 5 if dtype == "float32" else math.ceil(10 / _steps(member)) for place, member in members.items()
            }
            for number in sorted(set(epochs.values())):
                chosen = [Candidate(place, member) for place, member in members.items() if epochs[place] == number]
                lefts = train(framework, chosen, folds, epochs=number, dtype=dtype)
                for place, left in lefts.items():
                    found[dtype][str(place)] = _apart(framework, left, folds[members[place].fold], number, dtype)
    return found


def _steps(member: Member) -> int:
    return math.ceil(ROWS * member.experiment.training.repeat / int(member.experiment.training.batch_size))


def _apart(framework: Framework, left: Left, fold: Any, epochs: int, dtype: str) -> float:
    """Return how far a member is from itself trained alone: weights and outputs, relative to the largest number."""
    member = left.candidate.member
    declared, optimizer, constants = (
        member.experiment.training,
        member.experiment.optimizer,
        member.experiment.constants,
    )
    with step_by_step(framework):
        network = framework.build(member.architecture, seed=member.seed, constants=constants, dtype=dtype)
        given = adapted_weights(member.architecture, fold.train.features)
        given |= given_weights(member.experiment, member.architecture)
        framework.load_weights(network, {**framework.weights(network), **given})
        trainer = framework.trainer(network, fold.train, optimizer, constants=constants)
        trainer.restart(framework.weights(network))
        for epoch in range(epochs):
            order = epoch_order(len(fold.train), declared.repeat, member.seed, epoch, shuffle=declared.shuffle)
            rates = learning_rates(optimizer.schedule, optimizer.learning_rate, epoch, _steps(member))
            seed = epoch_seed(member.seed, epoch, DROPOUT_STREAM)
            trainer.train_epoch(order, int(declared.batch_size), rates, seed)
        weights, outputs = framework.weights(network), framework.predict(network, fold.score.features)
    assert weights.keys() == left.held.weights.keys()
    largest = max(float(np.abs(array).max()) for array in weights.values())
    apart = [float(np.abs(array - left.held.weights[name]).max()) / largest for name, array in weights.items()]
    apart += [difference(raw, own) for raw, own in zip(outputs, left.outputs, strict=True)]
    return max(apart)


# ------------------------------------------------------------------------------------- to the last bit


def beside(framework: Framework) -> dict[str, dict[str, list[str]]]:
    """Return each member's digests, trained in several companies."""
    found: dict[str, dict[str, list[str]]] = {}
    for dtype in ("float32", "float64"):
        for name in BESIDE:
            members = beside_members(name)
            width = members[0].architecture.input_shape
            classes = (
                0 if members[0].architecture.task == "regression" else max(2, members[0].architecture.output_units)
            )
            folds = [made_fold(number, ROWS, classes, width, dtype) for number in range(3)]
            everyone = [Candidate(position, member) for position, member in enumerate(members)]
            companies = {
                "all": train(framework, everyone, folds, dtype=dtype),
                "two at a time, in another order": train(
                    framework, everyone[::-5], folds, dtype=dtype, megabytes=_megabytes_for_two(everyone[0], folds)
                ),
                "three": train(framework, [everyone[5], everyone[2], everyone[1]], folds, dtype=dtype),
                "beside one that diverges": train(framework, [everyone[20], everyone[0]], folds, dtype=dtype),
                "alone 0": train(framework, everyone[:1], folds, dtype=dtype),
                "alone 1": train(framework, everyone[1:2], folds, dtype=dtype),
            }
            digests = found.setdefault(f"{name}/{dtype}", {})
            for lefts in companies.values():
                for position, left in lefts.items():
                    digests.setdefault(str(position), []).append(digest(left))
            digests["diverged"] = [str(companies["all"][7].held.run.outcome)]
    return found


def _megabytes_for_two(candidate: Candidate, folds: Sequence[Any]) -> float:
    """Return a budget in which two members have room."""
    megabytes = 0.001
    while len(next(iter(make_batches([candidate] * 3, folds, megabytes)))) < 2:  # type: ignore[arg-type]
        megabytes *= 1.1
    return megabytes


# ----------------------------------------------------------------------------------------- the rules, going on

STOPPING: dict[str, dict[str, Any]] = {
    "valid_loss": {"early_stopping": {"monitor": "valid_loss", "patience": 2}},
    "train_loss": {"early_stopping": {"monitor": "train_loss", "patience": 1, "min_delta": 0.02}},
    "min_delta": {"early_stopping": {"monitor": "valid_loss", "patience": 1, "min_delta": 0.01}},
    "stop_below": {"stop_below": 0.25},
    "best": {"checkpoint": "best"},
    "best, stopped": {"checkpoint": "best", "early_stopping": {"monitor": "valid_loss", "patience": 3}},
    "last": {},
    "fewer epochs": {"epochs": 3},
    "no epoch": {"epochs": 0},
}


class NoStates:
    """Keeps no state."""

    def load(self, *_: Any) -> Checkpoint | None:
        return None

    def save(self, *_: Any) -> None:
        return None


def rules(framework: Framework) -> dict[str, Any]:
    """Return what is recorded of members that stop for several reasons, trained together and alone."""
    description, together = describe(0, FEATURES), {}
    fold = made_fold(0, 70)
    members = {}
    for name, training in STOPPING.items():
        changes = {"epochs": 14, "batch_size": 16, "seed": 3} | training
        members[name] = made_member(
            made_experiment(training=changes, optimizer={"learning_rate": 0.2 if "valid" in name else 0.1}), description
        )
    wild = made_experiment(training={"epochs": 14}, optimizer={"learning_rate": 1e6})
    members["diverged"] = made_member(wild, description)
    sizes: list[int] = []
    candidates = [Candidate(name, member) for name, member in members.items()]
    (batch,) = make_batches(candidates, [fold], 1000)
    kept = watch_keep(framework)
    lefts: dict[Any, Left] = {}
    train_batch(framework, batch, [fold], None, lambda left: lefts.update({left.candidate.name: left}), sizes.append)
    alone = {}
    for name, member in members.items():
        run, best = lefts[name].held.run, member.experiment.training.checkpoint == "best"
        keeps_best = best or run.outcome == "diverged"
        together[name] = [run.epoch, run.best_epoch if keeps_best else run.epoch, run.outcome, run.stopped]
        with step_by_step(framework):
            fit = FitData(fold.train, fold.watch, description)
            record = train_replicate(
                Session(framework, member.architecture, member.experiment, fit), 0, NoStates()
            ).record
        alone[name] = [record.epochs, record.kept_epoch, record.outcome, record.explanation]
    return {"together": together, "alone": alone, "sizes": sizes, "kept": kept}


def watch_keep(framework: Framework) -> list[int]:
    """Return a list that grows by the number of members that stay, each time that some go."""
    import importlib

    module = importlib.import_module(f"tandem.frameworks.{framework.NAME}.population")
    population = module.TorchPopulation if framework.NAME == "torch" else module.KerasPopulation
    kept: list[int] = []
    keep = population.keep

    def noted(self: Any, positions: Sequence[int]) -> None:
        kept.append(len(set(positions)))
        keep(self, positions)

    population.keep = noted
    return kept


def going_on(framework: Framework) -> dict[str, list[str]]:
    """Return digests of trainings held after two epochs and gone on, and of the same without a pause."""
    description, found = describe(0, FEATURES), {}
    folds = [made_fold(number, ROWS) for number in range(2)]
    layers = [
        {"dense": {"units": 20, "activation": "relu", "batch_normalization": "after"}}, {"dropout": {"rate": 0.2}},
    ]  # fmt: skip
    for number, optimizer in enumerate(OPTIMIZERS):
        experiments = [
            made_experiment(
                optimizer=optimizer | {"learning_rate": 0.01 * rate}, model={"sequential": layers},
                training={"seed": 3, "checkpoint": "best"},
            )
            for rate in (1, 2)
        ]  # fmt: skip
        members = [made_member(one, description, fold) for fold, one in enumerate(experiments)]
        straight = train(framework, [Candidate(place, one) for place, one in enumerate(members)], folds)
        paused = train(framework, [Candidate(place, one) for place, one in enumerate(members)], folds, epochs=2)
        resumed = train(framework, [replace(left.candidate, held=left.held) for left in paused.values()], folds)
        apart = train(framework, [replace(paused[1].candidate, held=paused[1].held)], folds)
        found[str(number)] = [
            *(digest(straight[place]) for place in (0, 1)),
            *(digest(lefts[place]) for lefts, place in ((resumed, 0), (resumed, 1), (apart, 1))),
        ]
    return found


# ------------------------------------------------------------------------------------------ random layers


def masks(framework: Framework) -> dict[str, Any]:
    """Return what a dropping layer makes of ones, for members with seeds 1, 2 and 1, over steps and two layers."""
    found: dict[str, Any] = {}
    for kind in ("dropout", "alpha_dropout"):
        layer = {kind: {"rate": 0.3}}
        experiment = made_experiment(model={"sequential": [{"dense": {"units": 384}}, layer, layer]})
        member = made_member(experiment, describe(0, FEATURES))
        drawn = _dropped(framework, [member] * 3, kind, [1, 2, 1])
        lone = _dropped(framework, [member] * 2, kind, [2, 2])
        dropped = drawn < 0.5 if kind == "alpha_dropout" else drawn == 0
        found[kind] = {
            "share": float(dropped.mean()), "mean": float(drawn.mean()), "variance": float(drawn.var()),
            "levels": len(np.unique(drawn)),
            "same seed": bool((drawn[:, :, 0] == drawn[:, :, 2]).all()),
            "other seed": float((dropped[:, :, 0] == dropped[:, :, 1]).mean()),
            "other step": float((dropped[0] == dropped[1]).mean()),
            "other layer": float((dropped[:, 0] == dropped[:, 1]).mean()),
            "other row": float((dropped[:, :, :, 0] == dropped[:, :, :, 1]).mean()),
            "beside others": drawn[:, :, 1].tobytes() == lone[:, :, 0].tobytes(),
        }  # fmt: skip
    return found


def _dropped(framework: Framework, members: list[Member], kind: str, seeds: list[int]) -> np.ndarray:
    """Return (steps, layers, members, rows, units) of ones behind each of two dropping layers."""
    import importlib

    from tandem.population.stack import Stack

    stack = Stack.of(members)
    layers = importlib.import_module(f"tandem.frameworks.{framework.NAME}.population.layers")
    ones = np.ones((len(members), 40, 384), dtype="float32")
    chosen = [layer for layer in stack.padded.body if layer.kind == kind]
    steps = []
    if framework.NAME == "torch":
        import torch

        make, noise = layers._Maker(stack, "aligned", torch.device("cpu"), torch.float32), None
        noise = layers.Noise(seeds, torch.device("cpu"))
        for _ in range(3):
            steps.append([make.layer(layer)({}, torch.from_numpy(ones), noise).numpy() for layer in chosen])
    else:
        import tensorflow as tf

        numbers = {
            name: tf.constant(array, dtype=tf.bool if array.dtype == bool else tf.float32)
            for name, array in layers.member_numbers(stack).items()
        }
        distinct = sorted(set(seeds))
        place = tf.constant([distinct.index(seed) for seed in seeds])
        for step in range(3):
            noise = layers.Noise(tf.constant(distinct), place, tf.constant(step))
            make = layers._Maker("aligned", "float32")
            steps.append([make.layer(layer)(numbers, tf.constant(ones), noise).numpy() for layer in chosen])
    return np.array(steps)


# ------------------------------------------------------------------------------------------------- evaluators


def evaluators(framework: Framework) -> dict[str, Any]:
    """Return the scores of settings trained together and alone on shipped data."""
    from shipped_folds import shipped_folds

    found: dict[str, Any] = {}
    for dataset, loss, metric in (("diabetes", "mse", "r2"), ("breast_cancer", "binary_cross_entropy", "accuracy")):
        folds = shipped_folds(dataset)
        settings = []
        for number in range(5):
            layers: list[dict[str, Any]] = [{"dense": {"units": 6 + number, "activation": "relu"}}]
            if number == 3:
                length = folds.description.feature_shape[0]
                layers = [{"reshape": {"shape": [length, 1]}}, {"gru": {"units": 3}}]
            training = {"epochs": 9, "batch_size": 32, "seed": number}
            if number == 1:
                stopping = {"monitor": "valid_loss", "patience": 1, "min_delta": 0.05}
                training |= {"checkpoint": "best", "early_stopping": stopping}
            rate = 1e6 if number == 4 else 0.05 + 0.01 * number
            experiment = made_experiment(
                loss=loss, model={"sequential": layers}, training=training, optimizer={"learning_rate": rate}
            )
            settings.append(Setting(number, experiment))
        alone = AloneEvaluator(framework, metric, folds)  # type: ignore[arg-type]
        together = TogetherEvaluator(framework, metric, folds, 100, AloneEvaluator(framework, metric, folds))  # type: ignore[arg-type]
        found[dataset] = {"alone": {}, "together": {}}
        for name, evaluator in (("alone", alone), ("together", together)):
            results: list[Result] = []
            with step_by_step(framework):
                evaluator.train(settings, 6, results.append)
            for result in results:
                scores = [[one.value, one.epochs, one.kept_epoch, one.outcome] for one in result.folds]
                found[dataset][name][str(result.number)] = [result.way, scores]
    return found


# ----------------------------------------------------------------------------------------------- side by side


def side_by_side(framework: Framework) -> dict[str, Any]:
    """Return the digests of members trained in one batch after the other, and in several at a time."""
    description, fold = describe(0, FEATURES), made_fold(0, 70)
    candidates = []
    for number in range(12):
        dense = {"units": 5 + number, "activation": "relu", "repeat": 1 + number % 3}
        layers = [{"dense": dense}, {"dropout": {"rate": 0.2}}]
        training = {"epochs": 3 + number % 4, "seed": number}
        experiment = made_experiment(model={"sequential": layers}, training=training)
        candidates.append(Candidate(number, made_member(experiment, description)))
    found: dict[Any, str] = {}
    batches = list(make_batches(candidates, [fold], 1000, 7))
    threads = set()

    def begin(batch: Any, on_left: Any, on_epochs: Any) -> None:
        train_batch(framework, batch, [fold], None, on_left, on_epochs)

    def take(left: Left) -> None:
        found[left.candidate.name] = digest(left)
        threads.add(threading.current_thread().name)

    train_side_by_side(begin, batches, take, None, 2)  # first, so that nothing has been traced
    apart = {number: digest(left) for number, left in train(framework, candidates, [fold]).items()}
    return {"apart": apart, "side by side": found, "batches": len(batches), "threads": sorted(threads)}


PARTS = {
    "alike": alike, "beside": beside, "rules": rules, "going on": going_on, "masks": masks, "evaluators": evaluators,
    "side by side": side_by_side,
}  # fmt: skip

if __name__ == "__main__":
    main()
