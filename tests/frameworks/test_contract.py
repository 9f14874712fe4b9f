"""Every layer, activation, loss and optimiser found by scanning does the same in every framework that has it."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from comparing import RUNGS, Side, differences, run_contract
from contract import (
    BATCH,
    FRAMEWORKS,
    FULL,
    PENALTIES,
    SCHEDULES,
    SHAPES,
    accepted_ranks,
    cases,
    declared_optimizers,
    declared_schedules,
    examples,
)

from tandem.activations import ACTIVATIONS
from tandem.layers import kinds_of, layer_kind, layer_kinds
from tandem.losses import LOSSES, sample_losses

CASES = cases()
IN_FLOAT64 = [case.name for case in CASES.values() if "float64" in case.dtypes]
LIMITS = {"float64": 1e-12, "float32": 1e-5}
# (case's beginning, framework, number type, rung) → (limit, reason); docs/parity-limits.md says the same in words.
EXCEPTIONS: dict[tuple[str, str, str, str], tuple[float, str]] = {
    ("model/batch-normalisation-before/adam", "torch", "float64", rung): (
        1e-9,
        "a bias before batch normalisation has no gradient but rounding, which Adam scales up to whole steps",
    )
    for rung in ("one step", "ten steps")
}
# Layers that a framework lacks, with the reason; NumPy's are those of dense networks.
MISSING: dict[tuple[str, str], str] = {}

Sides = dict[str, Side]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Sides:
    return run_contract(tmp_path_factory.mktemp("contract"))


def limit(case: str, framework: str, dtype: str, rung: str) -> float:
    for (prefix, *place), (value, _reason) in EXCEPTIONS.items():
        if case.startswith(prefix) and place == [framework, dtype, rung]:
            return value
    return LIMITS[dtype]


# ------------------------------------------------------------------------------------------- nothing is missing


@pytest.mark.parametrize("framework", FULL)
@pytest.mark.parametrize("kind", layer_kinds())
def test_each_framework_builds_each_kind_of_layer(kind, framework):
    if (kind, framework) not in MISSING:
        assert kind in kinds_of(framework), f"write tandem/frameworks/{framework}/layers/{kind}.py"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_builds_no_kind_that_cannot_be_declared(framework):
    shared = {"__init__", "array", "windows", "films"}
    folder = Path(layer_kind("dense").__file__).parents[1] / "frameworks" / framework / "layers"
    assert {file.stem for file in folder.glob("*.py")} - shared <= set(layer_kinds())


@pytest.mark.parametrize("kind", layer_kinds())
def test_each_kind_shows_examples_and_describes_its_settings(kind):
    module = layer_kind(kind)
    assert module.EXAMPLES, f"tandem/layers/{kind}.py has no EXAMPLES"
    bare = [name for name, field in module.Declaration.model_fields.items() if not field.description]
    assert set(bare) <= {"function"}, f"tandem/layers/{kind}.py does not describe {bare}"


def test_each_framework_has_each_activation_loss_and_optimiser(sides: Sides):
    declared = {"activations": ACTIVATIONS, "losses": tuple(LOSSES), "optimizers": declared_optimizers()}
    for framework, side in sides.items():
        for table, names in declared.items():
            lacking, unknown = set(names) - set(side.tables[table]), set(side.tables[table]) - set(names)
            file = f"tandem/frameworks/{framework}/{table}.py"
            assert not unknown, f"{file} has {unknown}, which cannot be declared"
            assert not lacking, f"write {sorted(lacking)} into {file}"


def test_each_schedule_has_a_case():
    assert set(SCHEDULES) == set(declared_schedules()), "give each schedule settings in contract.SCHEDULES"


def test_numpy_is_held_to_all_that_it_has():
    held = {layer.kind for case in CASES.values() if "numpy" in case.frameworks for layer in case.architecture.layers}
    assert held == set(kinds_of("numpy"))


# ---------------------------------------------------------------------------------------------------- the ladder


@pytest.mark.parametrize("name", IN_FLOAT64)
def test_frameworks_agree_in_float64(sides: Sides, name: str):
    """At most 1e-12 apart, relative to the largest number: outputs, gradients, state after one and ten steps."""
    _compare(sides, name, "float64", RUNGS)


@pytest.mark.parametrize("name", [case.name for case in CASES.values() if "float32" in case.dtypes])
def test_frameworks_agree_in_float32(sides: Sides, name: str):
    _compare(sides, name, "float32", ("output", "one step"))


def _compare(sides: Sides, name: str, dtype: str, rungs: tuple[str, ...]) -> None:
    apart = [
        f"{framework}'s {rung} {array} is {value:.1e} off {CASES[name].frameworks[0]}'s"
        for rung in rungs
        for framework, array, value in differences(sides, CASES[name], dtype, rung)
        if not value <= limit(name, framework, dtype, rung)
    ]
    assert not apart, "; ".join(apart)


@pytest.mark.parametrize("name", IN_FLOAT64)
def test_the_case_proves_something(sides: Sides, name: str):
    """Outputs vary, gradients and steps are not zero: equal zeros would prove nothing."""
    case = CASES[name]
    side = sides[case.frameworks[0]]
    assert all(np.ptp(array) > 0 for array in side.of(name, "float64 output").values())
    gradients = side.of(name, "float64 gradient")
    assert any(np.abs(gradient).max() > 1e-6 for gradient in gradients.values())
    # A bias or shift before batch normalisation has a gradient in inference alone.
    for array, after in side.of(name, "float64 ten steps").items():
        if array in gradients and not array.endswith(("/bias", "/beta")):
            assert np.array_equal(after, case.weights()[array]) == (not gradients[array].any()), array


@pytest.mark.parametrize("name", IN_FLOAT64)
def test_shapes_and_parameter_counts_are_those_resolved(sides: Sides, name: str):
    case = CASES[name]
    for framework in case.frameworks:
        side = sides[framework]
        given = side.of(name, "float64 layer")
        assert list(given) == [layer.name for layer in case.architecture.layers]
        for layer in case.architecture.layers:
            sizes = [(math.prod(array.shape), array.trainable) for array in layer.parameters]
            counts = [sum(size for size, _ in sizes), sum(size for size, trainable in sizes if trainable)]
            place = f"{framework}'s {layer.name}"
            assert given[layer.name].shape == (case.rows, *layer.output_shape), place
            assert side.of(name, "float64 counts")[layer.name].tolist() == counts, place
            assert tuple(side.of(name, "float64 shape")[layer.name].tolist()) == layer.output_shape, place


# --------------------------------------------------------------------------------------------- save, losses, penalties


@pytest.mark.parametrize("name", [case.name for case in CASES.values() if case.saved])
def test_a_saved_network_loads_with_the_same_predictions_and_saves_to_the_same_bytes(sides: Sides, name: str):
    for framework in CASES[name].frameworks:
        for constants in ("aligned", "native") if CASES[name].compiled else ("aligned",):
            saved, loaded = (sides[framework].of(name, f"{constants} {state}") for state in ("saved", "loaded"))
            assert saved, framework
            for head, array in saved.items():
                np.testing.assert_array_equal(loaded[head], array, err_msg=framework)
            assert sides[framework].of(name, f"{constants} same bytes")[""], framework


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("loss/")])
def test_a_loss_is_what_numpy_computes_from_the_outputs(sides: Sides, name: str, framework: str):
    case = CASES[name]
    raw = sides[framework].of(name, "float64 output")["0"]
    expected = sample_losses(case.architecture.loss, raw, case.data("float64").targets, case.architecture.output)
    assert float(sides[framework].of(name, "float64 loss")[""]) == pytest.approx(expected.mean(), rel=1e-12)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("penalty", [name for name in PENALTIES if name != "none"])
def test_a_step_follows_the_penaltys_gradient_on_kernels_alone(sides: Sides, penalty: str, framework: str):
    """The step with a penalty differs from that without by η (2 l2 w + l1 sign w)."""
    free, held = (sides[framework].of(f"penalty/{name}", "float64 one step") for name in ("none", penalty))
    case, declared = CASES[f"penalty/{penalty}"], PENALTIES[penalty]
    kernel = case.weights()["dense_1/kernel"]
    pull = 2 * declared.get("l2", 0.0) * kernel + declared.get("l1", 0.0) * np.sign(kernel)
    for name, array in free.items():
        expected = case.optimizer.learning_rate * pull if name == "dense_1/kernel" else 0.0
        np.testing.assert_allclose(array - held[name], np.broadcast_to(expected, array.shape), rtol=0, atol=1e-15)


def test_a_loss_that_is_a_sum_takes_steps_as_long_as_the_batch():
    """Both declare the same function; the sum's learning rate is the mean's over the batch size."""
    mean, total = (CASES[f"loss/{name}/regression"] for name in ("mse", "squared_error_sum"))
    assert total.optimizer.learning_rate == pytest.approx(mean.optimizer.learning_rate / BATCH)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_sum_and_the_mean_of_squared_errors_take_the_same_first_step(sides: Sides, framework: str):
    mean, total = (
        sides[framework].of(f"loss/{name}/regression", "float64 one step") for name in ("mse", "squared_error_sum")
    )
    for name, array in mean.items():
        np.testing.assert_allclose(total[name], array, rtol=1e-12)


# ----------------------------------------------------------------------------------------------------- wrong rank


@pytest.mark.parametrize("kind", layer_kinds())
def test_a_kind_takes_samples_of_a_rank_or_says_what_it_takes(kind: str):
    """Of ranks 1 to 4 some are taken, and tested above; the others are refused in one line with the next step."""
    found = accepted_ranks(kind)
    taken = {rank for rank, refusal in found.items() if not refusal}
    assert taken <= {len(example.shape) for example in examples(kind)}
    for rank, refusal in found.items():
        shape = re.escape(str(SHAPES[rank]))
        wrong_rank = rf"{kind} takes samples of rank \d( to \d)?, here they have shape {shape}; .+"
        wrong_size = rf".* has \d+ numbers, the samples {shape} have \d+; give a shape of as many"
        assert not refusal or re.fullmatch(f"{wrong_rank}|{wrong_size}", refusal), refusal


# -------------------------------------------------------------------------------------------------- random layers

RANDOM_KINDS = [kind for kind in layer_kinds() if hasattr(layer_kind(kind), "STILL")]


@pytest.mark.parametrize("framework", FULL)
@pytest.mark.parametrize("kind", RANDOM_KINDS)
def test_a_random_layer_follows_the_seed_of_the_epoch(sides: Sides, kind: str, framework: str):
    side, case = sides[framework], f"compiled/{kind}"
    first, again, other = (side.of(case, f"float32 seed {seed}:") for seed in ("1", "1 again", "2"))
    assert all(np.array_equal(again[array], values) for array, values in first.items())
    assert any(not np.array_equal(other[array], values) for array, values in first.items())


@pytest.mark.parametrize("framework", FULL)
@pytest.mark.parametrize("kind", RANDOM_KINDS)
def test_a_random_layer_keeps_the_mean(sides: Sides, kind: str, framework: str):
    """Of 200 000 standard normal numbers; five standard errors."""
    outputs = sides[framework].arrays["random"][kind]
    assert outputs.mean() == pytest.approx(0, abs=5 * outputs.std() / math.sqrt(outputs.size))


@pytest.mark.parametrize("framework", FULL)
def test_dropout_zeroes_its_share_and_enlarges_the_rest(sides: Sides, framework: str):
    arrays, rate = sides[framework].arrays["random"], layer_kind("dropout").EXAMPLES[0].declared["rate"]
    outputs, inputs = arrays["dropout"], arrays["inputs"]
    assert (outputs == 0).mean() == pytest.approx(rate, abs=_five_errors(rate, outputs.size))
    np.testing.assert_allclose(outputs[outputs != 0], inputs[outputs != 0] / (1 - rate), rtol=1e-6)


@pytest.mark.parametrize("framework", FULL)
def test_alpha_dropout_sets_its_share_to_one_value_and_keeps_the_variance(sides: Sides, framework: str):
    rate = layer_kind("alpha_dropout").EXAMPLES[0].declared["rate"]
    outputs = sides[framework].arrays["random"]["alpha_dropout"]
    _, counts = np.unique(outputs.round(6), return_counts=True)
    assert counts.max() / outputs.size == pytest.approx(rate, abs=_five_errors(rate, outputs.size) + 1e-5)
    assert outputs.var() == pytest.approx(1, abs=0.02)


def _five_errors(share: float, numbers: int) -> float:
    return 5 * math.sqrt(share * (1 - share) / numbers)
