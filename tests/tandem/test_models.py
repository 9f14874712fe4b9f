"""Resolved networks: parameter counts of the tutorials, mistakes, initial weights and outputs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from pydantic import ValidationError

from tandem.layers.layer import ArchitectureError
from tandem.losses import allowed_losses
from tandem.models import (
    ModelDeclaration,
    initial_weights,
    output_values,
    parameter_names,
    resolve,
)


def declare(*layers, **wide_deep) -> ModelDeclaration:
    return ModelDeclaration.model_validate({"wide_deep": wide_deep} if wide_deep else {"sequential": layers})


def dense(units: int, activation: str = "relu", **more) -> dict:
    return {"dense": {"units": units, "activation": activation, **more}}


def images(*layers):
    """Resolve a classifier of Fashion-MNIST's images."""
    return resolve(declare({"flatten": {}}, *layers), (28, 28), "classification", "cross_entropy", 10)


def houses(*layers, **wide_deep):
    """Resolve a regression on California housing's columns."""
    return resolve(declare(*layers, **wide_deep), (8,), "regression", "mse", 0)


def count(architecture) -> int:
    return sum(int(np.prod(parameter.shape)) for _, parameter in parameter_names(architecture))


TWO_INPUTS = {"wide": (0, 1, 2, 3, 4), "deep": (2, 3, 4, 5, 6, 7), "hidden": (30, 30)}


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        pytest.param(images(dense(300), dense(100)), 235_500 + 30_100 + 1_010, id="300-100"),
        pytest.param(images(dense(100, repeat=20)), 271_410, id="20 x 100"),
        pytest.param(images(dense(100, batch_normalization="after", repeat=20)), 279_410, id="normalised after"),
        pytest.param(images(dense(100, batch_normalization="before", repeat=20)), 279_410, id="normalised before"),
        pytest.param(
            images({"repeat": {"times": 20, "layers": (dense(100), {"batch_normalization": {}})}}),
            279_410,
            id="normalised in a group",
        ),
        pytest.param(houses(dense(30)), 8 * 30 + 30 + 31, id="one hidden layer"),
        pytest.param(houses(hidden=(30, 30)), 1_239, id="wide and deep, one input"),
        pytest.param(houses(**TWO_INPUTS), 1_176, id="two inputs"),
        pytest.param(houses(**TWO_INPUTS, outputs=("joint", "deep")), 1_207, id="two outputs"),
        pytest.param(houses(), 9, id="linear"),
    ],
)
def test_a_network_has_as_many_parameters_as_in_the_tutorial(architecture, parameters):
    assert count(architecture) == parameters


def test_layers_follow_in_order_with_unique_names_and_shapes():
    architecture = images(
        dense(4, "selu", batch_normalization="before"),
        dense(3, batch_normalization="after"),
        {"dropout": {"rate": 0.5}},
    )
    assert [(layer.name, layer.output_shape) for layer in architecture.layers] == [
        ("flatten_1", (784,)),
        ("dense_1", (4,)),
        ("batch_normalization_1", (4,)),
        ("activation_1", (4,)),
        ("dense_2", (3,)),
        ("activation_2", (3,)),
        ("batch_normalization_2", (3,)),
        ("dropout_1", (3,)),
        ("output", (10,)),
    ]
    for before, after in zip(architecture.layers, architecture.layers[1:], strict=False):
        assert after.input_shape == before.output_shape


def test_a_linear_layer_has_no_activation():
    assert [layer.kind for layer in houses(dense(3, "linear")).body] == ["dense"]


@pytest.mark.parametrize(
    ("task", "loss", "classes", "output", "units"),
    [
        ("regression", "mse", 0, "linear", 1),
        ("classification", "cross_entropy", 10, "softmax", 10),
        ("classification", "cross_entropy", 2, "softmax", 2),
        ("classification", "binary_cross_entropy", 2, "sigmoid", 1),
        ("classification", "mse", 2, "sigmoid", 1),
        ("classification", "mse", 3, "softmax", 3),
    ],
)
def test_the_output_layer_follows_from_task_and_loss(task, loss, classes, output, units):
    architecture = resolve(declare(), (5,), task, loss, classes)
    assert (architecture.output, architecture.output_units) == (output, units)
    assert loss in allowed_losses(task, classes)


def test_two_inputs_take_their_own_columns():
    features = np.arange(16.0).reshape(2, 8)
    wide, deep = houses(**TWO_INPUTS).inputs(features)
    assert np.array_equal(wide, features[:, :5])
    assert np.array_equal(deep, features[:, 2:])
    assert wide.flags.c_contiguous
    (everything,) = houses(hidden=(3,)).inputs(features)
    assert everything is features


# ------------------------------------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("declaration", "shape", "place", "message"),
    [
        (declare(dense(3)), (8, 8), ("sequential", 0, "dense"),
         "dense takes samples of rank 1, here they have shape (8, 8); put '- flatten: {}' before it"),
        (declare(), (8, 8), ("sequential",),
         "dense takes samples of rank 1, here they have shape (8, 8); put '- flatten: {}' before it"),
        (declare({"repeat": {"times": 2, "layers": ({"dropout": {"rate": 0.1}}, dense(3))}}), (2, 2),
         ("sequential", 0, "repeat", "layers", 1, "dense"),
         "dense takes samples of rank 1, here they have shape (2, 2); put '- flatten: {}' before it"),
        (declare(wide=(0, 8), deep=(1,), hidden=(3,)), (8,), ("wide_deep", "wide", 1),
         "column 8 is out of range; allowed: 0 to 7"),
        (declare(wide=(0,), deep=(1, 2, 99), hidden=(3,)), (8,), ("wide_deep", "deep", 2),
         "column 99 is out of range; allowed: 0 to 7"),
        (declare(hidden=(3,)), (8, 8), ("wide_deep",),
         "takes samples of rank 1 (columns), here they have shape (8, 8)"),
    ],
)  # fmt: skip
def test_a_declaration_that_fits_no_network_is_told_with_its_place(declaration, shape, place, message):
    with pytest.raises(ArchitectureError) as caught:
        resolve(declaration, shape, "regression", "mse", 0)
    assert (caught.value.place, caught.value.message) == (place, message)


@pytest.mark.parametrize(
    "wide_deep", [{"wide": (0,)}, {"deep": (0,)}, {"wide": (0,), "deep": ()}, {"outputs": ("joint", "joint")}]
)
def test_a_wide_and_deep_network_that_contradicts_itself_is_refused(wide_deep):
    with pytest.raises(ValidationError):
        declare(hidden=(3,), **wide_deep)


# ------------------------------------------------------------------------------------------------- weights


def test_the_same_seed_draws_the_same_weights_and_another_one_others():
    architecture = houses(dense(30), dense(30))
    first, again, other = (initial_weights(architecture, seed) for seed in (0, 0, 1))
    assert list(first) == [name for name, _ in parameter_names(architecture)]
    for name, array in first.items():
        assert np.array_equal(array, again[name])
        assert np.array_equal(array, other[name]) == (not name.endswith("/kernel"))


def test_each_parameter_has_a_stream_of_its_own():
    short, long = (initial_weights(houses(*(dense(30) for _ in range(depth))), 0) for depth in (2, 3))
    assert np.array_equal(short["dense_1/kernel"], long["dense_1/kernel"])
    assert np.array_equal(short["dense_2/kernel"], long["dense_2/kernel"])
    square = initial_weights(houses(dense(8), dense(8)), 0)
    assert not np.array_equal(square["dense_1/kernel"], square["dense_2/kernel"])


def test_kernels_are_uniform_within_glorots_limits():
    kernel = initial_weights(images(dense(300), dense(100)), 0)["dense_1/kernel"]
    limit = np.sqrt(6 / (784 + 300))
    assert kernel.shape == (784, 300)
    assert kernel.dtype == np.float64
    assert 0.999 * limit < np.abs(kernel).max() <= limit
    assert kernel.mean() == pytest.approx(0, abs=0.01 * limit)
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.01)


def test_everything_but_kernels_starts_at_zero_or_one():
    weights = initial_weights(houses(dense(3, batch_normalization="before")), 0)
    starts = {name.split("/")[1]: set(array.tolist()) for name, array in weights.items() if "kernel" not in name}
    assert starts == {"bias": {0.0}, "gamma": {1.0}, "beta": {0.0}, "moving_mean": {0.0}, "moving_variance": {1.0}}


# ------------------------------------------------------------------------------------------------- outputs


def test_a_softmax_of_large_logits_stays_finite():
    architecture = images()
    raw = np.zeros((3, 10))
    raw[0, 3], raw[1], raw[2, 0] = 1e6, 1e6, -1e6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = output_values(architecture, raw)
    assert values[0].tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert values[1] == pytest.approx(np.full(10, 0.1))
    assert values[2] == pytest.approx([0] + [1 / 9] * 9)


def test_a_sigmoid_gives_both_classes_probabilities_at_any_logit():
    architecture = resolve(declare(), (2,), "classification", "binary_cross_entropy", 2)
    logits = np.array([[-1e4], [-700.0], [-30.0], [0.0], [1.5], [1e4]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = output_values(architecture, logits)
    assert values.shape == (6, 2)
    assert values.sum(axis=1) == pytest.approx(np.ones(6))
    assert values[:, 1] == pytest.approx([0, 0, 9.3576e-14, 0.5, 1 / (1 + np.exp(-1.5)), 1])


def test_a_confident_sigmoid_keeps_the_small_probability():
    """The rarer class's probability must not be rounded to nothing: a log loss rests on it."""
    architecture = resolve(declare(), (2,), "classification", "binary_cross_entropy", 2)
    values = output_values(architecture, np.array([[-40.0], [40.0]]))
    assert values[0, 1] == pytest.approx(np.exp(-40), rel=1e-6, abs=0)
    assert values[1, 0] == pytest.approx(np.exp(-40), rel=1e-6, abs=0)


def test_values_are_handed_through_in_double_precision():
    values = output_values(houses(), np.array([[1.5], [-2.0]], dtype=np.float32))
    assert values.dtype == np.float64
    assert values.tolist() == [[1.5], [-2.0]]
