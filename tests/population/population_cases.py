"""Made data and settings for the tests of populations; no framework is imported here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.activations import ACTIVATIONS
from tandem.config import Experiment
from tandem.datasets.source import Rows
from tandem.population.stack import Member
from tandem.records import Column, DataDescription

NUMBERS, CATEGORIES = 6, 4  # columns of numbers, and categories of each of two more columns


@dataclass(frozen=True)
class MadeFold:
    """Rows as :class:`tandem.population.training.Fold` has them."""

    train: Rows
    watch: Rows
    score: Rows


def describe(classes: int, shape: tuple[int, ...]) -> DataDescription:
    """Return what is known of made data; of a table with two categorical columns where the shape is a row's."""
    table = shape == (NUMBERS + 2,)
    columns = tuple(Column(name=f"x{number}") for number in range(NUMBERS))
    codes = tuple(str(code) for code in range(CATEGORIES))
    columns += tuple(Column(name=name, kind="categorical", categories=codes) for name in ("town", "season"))
    return DataDescription(
        dataset="made", source="made", title="Made", reference="made",
        task="classification" if classes else "regression", feature_shape=shape,
        feature_names=tuple(f"x{number}" for number in range(shape[-1])),
        class_names=tuple(str(label) for label in range(classes)), target_name="y", rows={}, class_counts={},
        columns=columns if table else (),
    )  # fmt: skip


def made_rows(rows: int, seed: int, classes: int, shape: tuple[int, ...], dtype: str) -> Rows:
    """Return rows that can be learnt from."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(rows, *shape))
    signal = np.tanh(features.reshape(rows, -1) @ np.linspace(-1, 1, int(np.prod(shape))))
    signal = signal + 0.3 * generator.normal(size=rows)
    if shape == (NUMBERS + 2,):
        features[:, NUMBERS:] = generator.integers(0, CATEGORIES, (rows, 2))
    if not classes:
        return Rows(features.astype(dtype), signal.astype(dtype))
    labels = np.digitize(signal, np.linspace(-1, 1, classes + 1)[1:-1])
    return Rows(features.astype(dtype), labels.astype(np.int32))


def made_fold(
    number: int, rows: int, classes: int = 0, shape: tuple[int, ...] = (NUMBERS,), dtype: str = "float32",
    watched: int = 40,
) -> MadeFold:  # fmt: skip
    """Return a fold's rows; folds with other numbers have others."""
    train, watch, score = (
        made_rows(size, 10 * number + part, classes, shape, dtype) for part, size in enumerate((rows, watched, 50))
    )
    return MadeFold(train, watch, score)


def made_experiment(**changes: Any) -> Experiment:
    """Return an experiment; ``training`` and ``optimizer`` are added to what is declared."""
    declared = {
        "description": "made", "dataset": "made", "loss": "mse",
        "model": {"sequential": [{"dense": {"units": 8, "activation": "relu"}}]},
    }  # fmt: skip
    changes["training"] = {"epochs": 5, "batch_size": 16} | changes.get("training", {})
    changes["optimizer"] = {"name": "sgd", "learning_rate": 0.05} | changes.get("optimizer", {})
    return Experiment.model_validate_json(json.dumps(declared | changes))


def made_member(experiment: Experiment, description: DataDescription, fold: int = 0) -> Member:
    """Return the member that an experiment's first replicate is."""
    return Member(experiment, experiment.architecture(description), experiment.training.seed, fold)


# ------------------------------------------------------------------------------------ random settings, and alone


@dataclass(frozen=True)
class Drawn:
    """A drawn setting: the experiment, the data that it fits, and the fold."""

    experiment: Experiment
    classes: int
    shape: tuple[int, ...]
    fold: int

    @property
    def member(self) -> Member:
        """As it is trained."""
        return made_member(self.experiment, describe(self.classes, self.shape), self.fold)

    @property
    def data(self) -> tuple[int, tuple[int, ...]]:
        """What decides the data."""
        return self.classes, self.shape


TABLE, FEATURES, IMAGE = (NUMBERS + 2,), (NUMBERS,), (4, 5)
TASKS: tuple[tuple[str, int], ...] = (
    ("mse", 0), ("mae", 0), ("squared_error_sum", 0), ("cross_entropy", 3), ("categorical_cross_entropy", 3),
    ("binary_cross_entropy", 2), ("mse", 2), ("mse", 3), ("cross_entropy", 2),
)  # fmt: skip
OPTIMIZERS: tuple[dict[str, Any], ...] = (
    {"name": "sgd"}, {"name": "sgd", "momentum": 0.9}, {"name": "sgd", "momentum": 0.8, "nesterov": True},
    {"name": "adam"}, {"name": "adam", "beta_1": 0.8, "beta_2": 0.99}, {"name": "rmsprop", "rho": 0.8},
)  # fmt: skip
SCHEDULES: tuple[dict[str, Any] | None, ...] = (
    None, {"kind": "inverse_time", "decay": 0.1}, {"kind": "exponential", "rate": 0.5, "steps": 3},
    {"kind": "drop", "factor": 0.3, "epochs": 1}, {"kind": "cosine", "epochs": 2, "lowest": 0.1},
)  # fmt: skip
# Layers by themselves, (declaration, shape of the samples); dropout of no unit is random in name alone.
BODIES: tuple[tuple[list[dict[str, Any]], tuple[int, ...]], ...] = (
    ([], FEATURES),
    ([{"normalization": {}}, {"dense": {"units": 7, "activation": "relu"}}], FEATURES),
    ([{"normalization": {"per": "all"}}, {"dense": {"units": 7, "activation": "relu"}}], FEATURES),
    ([{"powers": {"exponents": [2, 1]}}, {"dense": {"units": 5, "activation": "tanh"}}], FEATURES),
    ([{"flatten": {}}, {"dense": {"units": 18, "activation": "relu"}}], IMAGE),
    ([{"activation": {"function": "tanh"}}, {"dense": {"units": 3}}, {"activation": {"function": "relu"}}], FEATURES),
    ([{"dense": {"units": 9, "activation": "selu"}}, {"alpha_dropout": {"rate": 0.0}}], FEATURES),
    ([{"dense": {"units": 20, "activation": "relu"}}, {"dropout": {"rate": 0.0}}, {"dense": {"units": 5}}], FEATURES),
    ([{"dense": {"units": 21}}, {"layer_normalization": {}}, {"activation": {"function": "relu"}}], FEATURES),
    ([{"batch_normalization": {}}, {"dense": {"units": 6, "activation": "sigmoid"}}], FEATURES),
    ([{"dense": {"units": 12}}, {"activation": {"function": "maxout", "pieces": 2}},
      {"activation": {"function": "maxout", "pieces": 3}}], FEATURES),
)  # fmt: skip
WIDE_DEEP: tuple[tuple[dict[str, Any], tuple[int, ...]], ...] = (
    ({"hidden": [9, 17]}, FEATURES),
    ({"wide": [0, 1, 2], "deep": [2, 3, 4], "hidden": [9], "outputs": ["joint", "deep"], "loss_weights": [0.7, 0.3]},
     FEATURES),
    ({"wide": [0, {"cross": ["town", "season"], "buckets": 7}], "deep": [1, 2, {"embed": "town", "units": 3},
      {"embed": "season", "units": 2}], "hidden": [11, 5], "activation": "elu"}, TABLE),
    ({"hidden": [6], "outputs": ["joint", "pass_through"]}, FEATURES),
)  # fmt: skip


def drawn_settings(number: int = 60) -> list[Drawn]:
    """Draw settings, each of a form of its own and a second one of its family with another width, rate and fold."""
    generator = np.random.default_rng(19)
    found: list[Drawn] = []
    for position in range(number // 2):
        loss, classes = TASKS[position % len(TASKS)]
        model, shape = _drawn_model(generator, position, classes)
        declared = {
            "model": model, "loss": loss, "constants": str(generator.choice(["aligned", "aligned-torch"])),
            "optimizer": _drawn_optimizer(generator, position, loss), "training": _drawn_training(generator),
        }  # fmt: skip
        found.append(Drawn(made_experiment(**declared), classes, shape, 0))
        declared["model"] = _narrower(model)
        declared["optimizer"] = declared["optimizer"] | {
            "learning_rate": declared["optimizer"]["learning_rate"] * float(generator.uniform(0.3, 0.9))
        }
        declared["training"] = declared["training"] | {"seed": int(generator.integers(1000))}
        found.append(Drawn(made_experiment(**declared), classes, shape, 1))
    return found


def traits(setting: Drawn) -> set[Any]:
    """Return what of a setting may be computed in a way of its own."""
    member = setting.member
    experiment, architecture = member.experiment, member.architecture
    optimizer, layers = experiment.optimizer, [*architecture.layers]
    slots = getattr(optimizer, "momentum", 0) > 0, getattr(optimizer, "nesterov", False)
    return {
        *(layer.kind for layer in layers),
        *(layer.function for layer in layers if layer.kind == "activation"),
        *(("head", head.takes) for head in architecture.heads),
        ("heads", len(architecture.heads)),
        ("loss", architecture.loss, architecture.output),
        ("optimizer", optimizer.name, slots, experiment.constants),
        ("schedule", type(optimizer.schedule).__name__),
        ("clipped", optimizer.clip_norm is not None),
        ("penalty", any(layer.regularization for layer in layers)),
    }


def covering(settings: list[Drawn]) -> list[int]:
    """Return the places of few settings that have all traits; the first of them with the other one of its family."""
    missing = set().union(*map(traits, settings))
    chosen: list[int] = []
    while missing:
        place = max(range(len(settings)), key=lambda one: len(traits(settings[one]) & missing))
        missing -= traits(settings[place])
        chosen.append(place)
    return sorted({*chosen, chosen[0] ^ 1})


def _drawn_model(generator: Any, position: int, classes: int) -> tuple[dict[str, Any], tuple[int, ...]]:
    form = position % 3
    if form == 0:
        layers, shape = BODIES[position // 3 % len(BODIES)]
        model: dict[str, Any] = {"sequential": layers}
    elif form == 1 or (classes and position % 4):
        function = ACTIVATIONS[(position // 3) % len(ACTIVATIONS)]
        dense = {"units": int(generator.integers(2, 40)), "activation": function, "repeat": 2}
        penalty = {"l1": 0.002, "l2": float(generator.uniform(0, 0.02))}
        dense |= {"regularization": penalty} if generator.random() < 0.4 else {}
        norm = [None, "before", "after"][generator.integers(3)]
        dense |= {"batch_normalization": norm} if norm else {}
        # A bias before batch normalisation has no gradient but rounding, which Adam scales up to whole steps.
        dense |= {"bias": not norm and bool(generator.random() < 0.7)}
        model, shape = {"sequential": [{"dense": dense}]}, FEATURES
    else:
        declared, shape = WIDE_DEEP[position // 3 % (len(WIDE_DEEP) - bool(classes))]
        model = {"wide_deep": declared}
    output = {"bias": bool(generator.random() < 0.8)}
    output |= {"regularization": {"l2": 0.01}} if generator.random() < 0.3 else {}
    return model | {"output": output}, shape


def _drawn_optimizer(generator: Any, position: int, loss: str) -> dict[str, Any]:
    drawn: dict[str, Any] = dict(OPTIMIZERS[position % len(OPTIMIZERS)])
    rate = {"sgd": 0.05, "adam": 0.01, "rmsprop": 0.003}[drawn["name"]] * float(generator.uniform(0.3, 1))
    drawn["learning_rate"] = rate * (0.05 if loss == "squared_error_sum" else 1)
    schedule = SCHEDULES[position % len(SCHEDULES)]
    drawn |= {"schedule": schedule} if schedule else {}
    return drawn | ({"clip_norm": 0.3} if generator.random() < 0.3 else {})


def _drawn_training(generator: Any) -> dict[str, Any]:
    return {
        "batch_size": int(generator.choice([8, 13, 16])), "repeat": int(generator.choice([1, 1, 2])),
        "shuffle": bool(generator.random() < 0.8), "seed": int(generator.integers(1000)), "epochs": 5,
    }  # fmt: skip


def _narrower(declared: Any) -> Any:
    """Return a model with each width a little smaller: most often in the same class of widths."""
    if isinstance(declared, list):
        return [_narrower(one) for one in declared]
    if not isinstance(declared, dict):
        return declared
    return {
        name: max(value - 1, 1) if name == "units" and value not in (12, 3, 2)
        else [max(width - 1, 1) for width in value] if name == "hidden" else _narrower(value)
        for name, value in declared.items()
    }  # fmt: skip


# ------------------------------------------------------------------------- one beside others, to the last bit

WIDTHS = (35, 40, 48)  # one class
BESIDE: dict[str, dict[str, Any]] = {
    "sigmoid, one unit": {
        "model": {"sequential": [{"dense": {"units": 0, "activation": "sigmoid", "repeat": 2}}]},
        "loss": "binary_cross_entropy", "classes": 2,
    },
    "selu, three classes": {
        "model": {"sequential": [{"dense": {"units": 0, "activation": "selu"}}, {"alpha_dropout": {"rate": 0.1}}]},
        "loss": "cross_entropy", "classes": 3, "optimizer": {"name": "adam", "learning_rate": 0.01},
    },
    "gelu, clipped": {
        "model": {"sequential": [{"dense": {"units": 0, "activation": "gelu", "regularization": {"l2": 0.01}}}]},
        "optimizer": {"name": "sgd", "learning_rate": 0.05, "clip_norm": 0.3, "momentum": 0.9},
    },
    "normalised, dropped out": {
        "model": {"sequential": [
            {"dense": {"units": 0, "activation": "elu", "batch_normalization": "before"}}, {"dropout": {"rate": 0.3}},
            {"dense": {"units": 0, "activation": "tanh"}}, {"layer_normalization": {}},
        ]},
        "optimizer": {"name": "rmsprop", "learning_rate": 0.003}, "loss": "mse", "classes": 2,
    },
    "wide and deep": {
        "model": {"wide_deep": {
            "wide": [0, {"cross": ["town", "season"], "buckets": 7}], "deep": [1, {"embed": "town", "units": 3}],
            "hidden": [0, 16],
        }},
        "shape": TABLE,
    },
}  # fmt: skip


def beside_members(name: str, number: int = 60) -> list[Member]:
    """Return members of one family; two diverge, some stop early, some after fewer epochs."""
    declared = dict(BESIDE[name])
    description = describe(declared.pop("classes", 0), declared.pop("shape", FEATURES))
    optimizer = {"name": "sgd", "learning_rate": 0.05} | declared.pop("optimizer", {})
    members = []
    for position in range(number):
        width = str(WIDTHS[position % len(WIDTHS)])
        text = (
            json.dumps(declared["model"])
            .replace('"units": 0', f'"units": {width}')
            .replace("[0, 16]", f"[{width}, 16]")
        )
        rate = 1e6 if position in (7, 20) else optimizer["learning_rate"] * (0.4 + 0.01 * position)
        training = {"epochs": 2 + position % 3, "batch_size": 7, "seed": position % 5}
        if position % 7 == 1:
            training |= {"checkpoint": "best", "early_stopping": {"monitor": "valid_loss", "patience": 1}}
        rest = declared | {"model": json.loads(text), "optimizer": optimizer | {"learning_rate": rate}}
        members.append(made_member(made_experiment(**rest, training=training), description, position % 3))
    return members
