"""What every framework must agree on: each layer, loss and optimiser found by scanning, as small networks.

No framework is imported here. A case is a network with the rows, the optimiser and the constants that it is trained
with; :mod:`contract_worker` runs the cases in one framework, :mod:`test_contract` compares.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, get_args

import numpy as np
from cases import DEEPLY, KINDS, NORMALISED, OPTIMIZERS, sequential
from pydantic import TypeAdapter

from tandem.datasets.source import Rows
from tandem.layers import kinds_of, layer_kind, layer_kinds
from tandem.layers.layer import ArchitectureError, Example
from tandem.losses import LOSSES, allowed_losses
from tandem.models import Architecture, Constants, initial_weights, resolve
from tandem.optimizers import AnyOptimizer, Optimizer, Sgd
from tandem.schedules import Schedule, learning_rates

FRAMEWORKS = ("keras", "torch", "numpy")
FULL = FRAMEWORKS[:2]  # have everything; NumPy what its folder has
ROWS, BATCH = 36, 8  # two epochs are ten steps, every fifth on a smaller batch
LARGE_SHAPES = {1: (6,), 2: (5, 4), 3: (12, 12, 2), 4: (8, 8, 8, 2)}
SHAPES = {1: (6,), 2: (4, 6), 3: (3, 4, 6), 4: (2, 3, 4, 6)}
DESCENT = Sgd(name="sgd", learning_rate=0.02)
BOTH = ("float64", "float32")


@dataclass(frozen=True)
class Case:
    """A network that the frameworks train alike.

    Attributes:
        name: "<group>/<...>".
        architecture: the network.
        optimizer, constants: as declared.
        rows, batch: training rows, and how many a step takes.
        integers: features are whole numbers below this; None: real numbers.
        compiled: Keras compiles its float32 step with XLA, as it does for users; other steps run one by one.
        steps: how many it takes in float64, 0, 1 or 10; one in float32.
        dtypes: the number types that it runs in.
        saved: it is saved and loaded, too.
        random: training draws random numbers.
    """

    name: str
    architecture: Architecture
    optimizer: AnyOptimizer = DESCENT
    constants: Constants = "aligned"
    rows: int = ROWS
    batch: int = BATCH
    integers: int | None = None
    compiled: bool = False
    steps: int = 10
    dtypes: tuple[str, ...] = ("float64",)
    saved: bool = False
    random: bool = False

    @property
    def frameworks(self) -> tuple[str, ...]:
        """Those that have all of its layers."""
        kinds = {layer.kind for layer in self.architecture.layers}
        return tuple(framework for framework in FRAMEWORKS if kinds <= set(kinds_of(framework)))

    def data(self, dtype: str) -> Rows:
        """Return made rows."""
        generator = np.random.default_rng(7)
        shape = (self.rows, *self.architecture.input_shape)
        features = (
            generator.normal(size=shape) if self.integers is None else generator.integers(0, self.integers, shape)
        )
        if self.architecture.task == "classification":
            classes = max(2, self.architecture.output_units)
            return Rows(features.astype(dtype), generator.integers(0, classes, self.rows).astype(np.int32))
        return Rows(features.astype(dtype), generator.normal(size=self.rows).astype(dtype))

    def weights(self) -> Mapping[str, np.ndarray]:
        """Return initial weights with something added to each array, so that none is all zeros or ones."""
        generator = np.random.default_rng(11)
        drawn = initial_weights(self.architecture, 3, self.constants)
        return {name: array + generator.uniform(-0.2, 0.2, array.shape) for name, array in drawn.items()}

    def rates(self, epoch: int) -> np.ndarray:
        """Return the learning rate of each step of an epoch."""
        steps = math.ceil(self.rows / self.batch)
        return learning_rates(self.optimizer.schedule, self.optimizer.learning_rate, epoch, steps)


def network(
    *layers: dict[str, Any], shape: tuple[int, ...], task: Any = "regression", loss: Any = "mse", classes: int = 0
):
    """Return a network whose layers are flattened before its head."""
    return resolve(sequential(*layers, {"flatten": {}}), shape, task, loss, classes)


@cache
def cases() -> Mapping[str, Case]:
    """Return all cases by name."""
    listed = [*layer_cases(), *compiled_cases(), *loss_cases(), *optimizer_cases(), *penalty_cases(), *model_cases()]
    named = {case.name: case for case in listed}
    assert len(named) == len(listed), "two cases share a name"
    return named


# ------------------------------------------------------------------------------------------------- layers


def accepted_ranks(kind: str) -> dict[int, str]:
    """Return, for each rank of samples that a kind's first example takes or refuses, "" or the refusal."""
    example, found = layer_kind(kind).EXAMPLES[0], {}
    for rank, shape in SHAPES.items():
        try:
            resolve(sequential({kind: dict(example.declared)}, {"flatten": {}}), shape, "regression", "mse", 0)
            found[rank] = ""
        except ArchitectureError as error:
            found[rank] = error.message
    return found


def examples(kind: str) -> Iterator[Example]:
    """Yield a kind's examples, then its first on each rank that it takes and that no example shows."""
    declared = layer_kind(kind).EXAMPLES
    yield from declared
    shown = {len(example.shape) for example in declared}
    for rank, refusal in accepted_ranks(kind).items():
        if not refusal and rank not in shown:
            yield replace(declared[0], shape=SHAPES[rank])


def layer_cases() -> Iterator[Case]:
    """Yield a case for each example of each kind; the first also with PyTorch's constants."""
    for kind in layer_kinds():
        for number, example in enumerate(examples(kind)):
            yield from _example_cases(kind, number, example)


def _example_cases(kind: str, number: int, example: Example) -> Iterator[Case]:
    module = layer_kind(kind)
    declared, last = {kind: dict(example.declared)}, len(module.EXAMPLES) - 1
    alone = network(declared, shape=example.shape)
    case = Case(
        f"{kind}/{number}", alone, integers=example.integers, random=is_random(kind, example),
        steps=10 if number < 2 or kind == "activation" else 1 if number <= last else 0,
        dtypes=BOTH if number == 0 else BOTH[:1], saved=number == last,
    )  # fmt: skip
    if example.integers is None and not hasattr(module, "FIRST_ONLY"):
        # A layer with weights before it shows what gradient it hands back.
        before = {"dense": {"units": example.shape[0]}} if len(example.shape) == 1 else {"batch_normalization": {}}
        case = replace(case, architecture=network(before, declared, shape=example.shape))
        if number == 0 and len(example.shape) > 1 and kind in kinds_of("numpy"):
            yield Case(f"{kind}/{number} alone", alone, random=case.random)
    yield case
    if number == 0 and any(layer.parameters for layer in alone.body):
        yield replace(case, name=f"{case.name} with PyTorch's constants", constants="aligned-torch", saved=False)


def is_random(kind: str, example: Example) -> bool:
    """Return whether an example's training draws random numbers."""
    module = layer_kind(kind)
    return hasattr(module, "STILL") and dict(example.declared) != module.STILL


def compiled_cases() -> Iterator[Case]:
    """Yield networks that hold, taken together, every kind: one a rank, and the kinds that fit into none alone."""
    left = list(layer_kinds())
    for rank, shape in LARGE_SHAPES.items():
        chain: list[dict[str, Any]] = []
        for kind in left:
            chain += _link(chain, kind, rank, shape)
        built = network(*chain, shape=shape)
        left = [kind for kind in left if kind not in {layer.kind for layer in built.layers}]
        yield Case(f"compiled/rank {rank}", built, dtypes=BOTH[1:], compiled=True)
    for kind in left:
        example = layer_kind(kind).EXAMPLES[0]
        built = network({kind: dict(example.declared)}, shape=example.shape)
        random, integers = is_random(kind, example), example.integers
        yield Case(f"compiled/{kind}", built, dtypes=BOTH[1:], compiled=True, random=random, integers=integers)


def _link(chain: list[dict[str, Any]], kind: str, rank: int, shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """Return a kind's first example that fits behind a chain and keeps the rank, in a list, or an empty one."""
    module = layer_kind(kind)
    if hasattr(module, "STILL") or hasattr(module, "FIRST_ONLY"):
        return []
    for example in module.EXAMPLES:
        link = {kind: dict(example.declared)}
        try:
            built = network(*chain, link, shape=shape)
        except ArchitectureError:
            continue
        if len(built.body[-1].input_shape) == rank:
            return [link]
    return []


# ------------------------------------------------------------------------------- losses, optimisers, penalties


def loss_cases() -> Iterator[Case]:
    """Yield each loss with each task and number of classes that it takes."""
    hidden = {"dense": {"units": 5, "activation": "tanh"}}
    tasks: tuple[tuple[Any, int], ...] = (("regression", 0), ("classification", 2), ("classification", 3))
    for task, classes in tasks:
        for loss in allowed_losses(task, classes):
            name = f"loss/{loss}/{task} {classes}".removesuffix(" 0")
            rate = 0.05 / (BATCH if LOSSES[loss].reduction == "sum" else 1)
            built = network(hidden, shape=(6,), task=task, loss=loss, classes=classes)
            yield Case(name, built, Sgd(name="sgd", learning_rate=rate), dtypes=BOTH)


SCHEDULES: Mapping[str, dict[str, Any]] = {
    "inverse_time": {"decay": 0.1},
    "exponential": {"rate": 0.5, "steps": 3},
    "drop": {"factor": 0.3, "epochs": 1},
    "cosine": {"epochs": 2, "lowest": 0.1},
}


def declared_optimizers() -> tuple[str, ...]:
    """Return the names of all optimisers that can be declared."""
    return tuple(get_args(kind.model_fields["name"].annotation)[0] for kind in get_args(AnyOptimizer))


def declared_schedules() -> tuple[str, ...]:
    """Return the names of all schedules that can be declared."""
    return tuple(get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(get_args(Schedule)[0]))


def optimizer_cases() -> Iterator[Case]:
    """Yield each optimiser: plain, with momentum, clipped, with either framework's constants; with each schedule."""
    built = network({"dense": {"units": 5, "activation": "tanh"}}, shape=(6,))
    read = TypeAdapter(Optimizer).validate_json
    for name, kind in zip(declared_optimizers(), get_args(AnyOptimizer), strict=True):
        plain = {"name": name, "learning_rate": 0.02}
        variants = {name: plain}
        if "momentum" in kind.model_fields:
            variants[f"{name} with momentum"] = plain | {"momentum": 0.9}
            variants[f"{name} with Nesterov's momentum"] = plain | {"momentum": 0.9, "nesterov": True}
        for label, declared in variants.items():
            yield Case(f"optimizer/{label}", built, read(json.dumps(declared)), dtypes=BOTH)
            yield Case(f"optimizer/{label}/PyTorch's constants", built, read(json.dumps(declared)), "aligned-torch")
            yield Case(f"optimizer/{label}/clipped", built, read(json.dumps(declared | {"clip_norm": 0.1})))
    for schedule, settings in SCHEDULES.items():
        scheduled = {"name": "adam", "learning_rate": 0.02, "schedule": {"kind": schedule, **settings}}
        yield Case(f"optimizer/adam/{schedule}", built, read(json.dumps(scheduled)))


PENALTIES: Mapping[str, dict[str, float]] = {"none": {}, "l1": {"l1": 0.03}, "l2": {"l2": 0.04}}


def penalty_cases() -> Iterator[Case]:
    """Yield one network without a penalty and with each."""
    for name, penalty in PENALTIES.items():
        dense = {"units": 5, "activation": "tanh", **({"regularization": penalty} if penalty else {})}
        yield Case(f"penalty/{name}", network({"dense": dense}, shape=(6,)))


# ------------------------------------------------------------------------------------------------- models


def model_cases() -> Iterator[Case]:
    """Yield whole models, some with every optimiser."""
    for name, kind in KINDS.items():
        rate = Sgd(name="sgd", learning_rate=kind.learning_rate)
        case = Case(f"model/{name}", kind.architecture, rate, rows=320, batch=64, dtypes=BOTH)
        yield replace(case, compiled=name in DEEPLY, saved=name in DEEPLY)
    for label, optimizer in OPTIMIZERS.items():
        yield Case(f"model/{NORMALISED}/{label}", KINDS[NORMALISED].architecture, optimizer, rows=320, batch=64)
