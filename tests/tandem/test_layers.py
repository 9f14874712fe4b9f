"""Kinds of layers as resolved: shapes, parameter counts, refusals, and what comes from the training rows."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError

from tandem.errors import DataError
from tandem.layers.layer import ArchitectureError
from tandem.layers.windows import same_padding
from tandem.models import Architecture, ModelDeclaration, initial_weights, resolve
from tandem.training import adapted_weights


def network(shape: tuple[int, ...], *layers: dict) -> Architecture:
    declared = ModelDeclaration.model_validate_json(json.dumps({"sequential": [*layers, {"flatten": {}}]}))
    return resolve(declared, shape, "regression", "mse", 0)


def first(shape: tuple[int, ...], **layer: dict):
    return network(shape, layer).body[0]


def count(layer) -> int:
    return sum(int(np.prod(array.shape)) for array in layer.parameters)


@pytest.mark.parametrize(
    ("layer", "shape", "output_shape", "parameters"),
    [
        ({"lstm": {"units": 4}}, (5, 3), (4,), 128),  # PyTorch's own, with two biases, has 144
        ({"lstm": {"units": 4, "return_sequences": True}}, (5, 3), (5, 4), 128),
        ({"gru": {"units": 4}}, (5, 3), (4,), 3 * (3 * 4 + 4 * 4 + 2 * 4)),
        ({"embedding": {"size": 9, "units": 2}}, (5,), (5, 2), 18),
        ({"convolution_2d": {"filters": 8, "kernel_size": 3}}, (28, 28, 1), (26, 26, 8), 80),
        ({"convolution_2d": {"filters": 8, "kernel_size": [3, 5], "strides": 2, "padding": "same"}}, (28, 27, 2),
         (14, 14, 8), 8 * (3 * 5 * 2 + 1)),
        ({"convolution_2d": {"filters": 8, "kernel_size": 3, "bias": False}}, (5, 5, 3), (3, 3, 8), 216),
        ({"convolution_3d": {"filters": 4, "kernel_size": 2}}, (4, 5, 6, 3), (3, 4, 5, 4), 4 * (8 * 3 + 1)),
        ({"max_pooling_2d": {}}, (7, 6, 3), (3, 3, 3), 0),
        ({"average_pooling_2d": {"pool_size": 3, "strides": 2, "padding": "same"}}, (7, 6, 3), (4, 3, 3), 0),
        ({"max_pooling_3d": {"pool_size": [1, 2, 2]}}, (3, 4, 5, 2), (3, 2, 2, 2), 0),
        ({"average_pooling_3d": {}}, (3, 4, 5, 2), (1, 2, 2, 2), 0),
        ({"global_average_pooling": {}}, (3, 4, 5), (5,), 0),
        ({"reshape": {"shape": [28, 28, 1]}}, (784,), (28, 28, 1), 0),
        ({"normalization": {}}, (4, 3), (4, 3), 6),
        ({"normalization": {"per": "all"}}, (4, 3), (4, 3), 2),
        ({"layer_normalization": {}}, (4, 3), (4, 3), 6),
    ],
)  # fmt: skip
def test_a_layer_has_the_shape_and_the_number_of_parameters_of_the_text_books(layer, shape, output_shape, parameters):
    resolved = first(shape, **layer)
    assert (resolved.output_shape, count(resolved)) == (output_shape, parameters)


@pytest.mark.parametrize(
    ("shape", "layers", "place", "message"),
    [
        ((28, 28), [{"convolution_2d": {"filters": 2, "kernel_size": 3}}], ("sequential", 0, "convolution_2d"),
         "convolution_2d takes samples of rank 3, here they have shape (28, 28); expected (height, width, channels); "
         "put '- reshape: {shape: [28, 28, 1]}' before it"),
        ((8,), [{"lstm": {"units": 2}}], ("sequential", 0, "lstm"),
         "lstm takes samples of rank 2, here they have shape (8,); expected (timesteps, features); "
         "put '- reshape: {shape: [8, 1]}' before it"),
        ((8,), [{"max_pooling_3d": {}}], ("sequential", 0, "max_pooling_3d"),
         "max_pooling_3d takes samples of rank 4, here they have shape (8,); "
         "expected (frames, height, width, channels)"),
        ((8,), [{"global_average_pooling": {}}], ("sequential", 0, "global_average_pooling"),
         "global_average_pooling takes samples of rank 2 to 4, here they have shape (8,); leave it out"),
        ((3, 4), [{"reshape": {"shape": [5, 2]}}], ("sequential", 0, "reshape", "shape"),
         "(5, 2) has 10 numbers, the samples (3, 4) have 12; give a shape of as many"),
        ((2, 9, 1), [{"average_pooling_2d": {"pool_size": 3}}], ("sequential", 0, "average_pooling_2d"),
         "average_pooling_2d has a window of (3, 3), larger than the (2, 9) that it slides over; make it smaller, "
         "or set padding: same"),
        ((8,), [{"dense": {"units": 2}}, {"normalization": {}}], ("sequential", 1, "normalization"),
         "normalization is not the first layer, but must be: its mean and variance come from the training rows as "
         "they enter the network; move it to the front"),
        ((8,), [{"repeat": {"times": 2, "layers": [{"embedding": {"size": 3, "units": 1}}]}}],
         ("sequential", 0, "repeat", "layers", 0, "embedding"),
         "embedding is not the first layer, but must be: it takes whole numbers, which no layer hands on; "
         "move it to the front"),
    ],
)  # fmt: skip
def test_a_layer_that_does_not_take_its_samples_says_what_it_takes(shape, layers, place, message):
    with pytest.raises(ArchitectureError) as caught:
        network(shape, *layers)
    assert (caught.value.place, caught.value.message) == (place, message)


@pytest.mark.parametrize("size", ["3", 0, 2.5, [2, 2, 2], True, None])
def test_a_window_takes_one_size_or_one_for_each_axis(size):
    with pytest.raises(ValidationError) as caught:
        network((9, 9, 1), {"convolution_2d": {"filters": 1, "kernel_size": size}})
    (problem,) = caught.value.errors()
    assert problem["loc"] == ("sequential", 0, "convolution_2d", "kernel_size")
    assert problem["msg"] == "must be a whole number from 1 to 1000, or a list of 2, one for each axis"


def test_padding_leaves_the_odd_position_for_the_end():
    assert same_padding(5, 2, 1) == (0, 1)
    assert same_padding(6, 4, 2) == (1, 1)
    assert same_padding(7, 3, 3) == (1, 1)
    assert same_padding(6, 1, 2) == (0, 0)


def test_the_forget_gate_of_an_lstm_begins_open_and_recurrent_kernels_orthogonal():
    weights = initial_weights(network((5, 3), {"lstm": {"units": 4}}), 0)
    assert weights["lstm_1/bias"].tolist() == [0] * 4 + [1] * 4 + [0] * 8
    recurrent = weights["lstm_1/recurrent_kernel"]
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(4), atol=1e-12)


def test_a_convolutions_kernel_is_within_glorots_limits():
    kernel = initial_weights(network((9, 9, 4), {"convolution_2d": {"filters": 50, "kernel_size": 5}}), 0)[
        "convolution_2d_1/kernel"
    ]
    bound = np.sqrt(6 / (25 * 4 + 25 * 50))
    assert 0.99 * bound < np.abs(kernel).max() <= bound


# ------------------------------------------------------------------------------------------- the training rows


@pytest.mark.parametrize(("per", "axes"), [("feature", (0, 1)), ("all", (0, 1, 2))])
def test_a_normalization_layer_takes_mean_and_variance_of_the_training_rows(per, axes):
    features = np.random.default_rng(0).normal(3, 2, size=(9_000, 2, 3)).astype(np.float32) * [1, 10, 100]
    found = adapted_weights(network((2, 3), {"normalization": {"per": per}}), features)
    assert list(found) == ["normalization_1/mean", "normalization_1/variance"]
    np.testing.assert_allclose(found["normalization_1/mean"], features.mean(axis=axes), rtol=1e-10)
    np.testing.assert_allclose(found["normalization_1/variance"], features.var(axis=axes), rtol=1e-10)


def test_a_feature_that_does_not_vary_is_only_centred():
    features = np.stack([np.full(50, 0.1), np.arange(50.0)], axis=1)
    found = adapted_weights(network((2,), {"normalization": {}}), features)
    assert (found["normalization_1/mean"][0], found["normalization_1/variance"][0]) == (0.1, 1.0)


def test_no_other_layer_takes_anything_from_the_training_rows():
    assert adapted_weights(network((2,), {"dense": {"units": 3}}), np.ones((4, 2))) == {}
    assert adapted_weights(network((2,), {"embedding": {"size": 3, "units": 1}}), np.array([[0.0, 2.0]])) == {}


@pytest.mark.parametrize("wrong", [3.0, -1.0, 0.5])
def test_an_embedding_refuses_what_is_no_whole_number_of_its_range(wrong):
    embedding = network((2,), {"embedding": {"size": 3, "units": 1}})
    embedding.check_rows(np.array([[0.0, 2.0]]), "training")
    embedding.check_rows(np.empty((0, 2)), "validation")
    for part, which in (("", "row 2"), ("training", "a training row")):
        with pytest.raises(DataError) as caught:
            embedding.check_rows(np.array([[0.0, 2.0], [1.0, wrong]]), part)
        assert str(caught.value) == (
            f"{which} holds {wrong:g}, embedding_1 takes whole numbers from 0 to 2; correct the data, the layer's "
            "size, or the data set's standardize (method: none leaves whole numbers as they are)"
        )


def test_other_layers_take_any_number():
    network((2,), {"dense": {"units": 3}}).check_rows(np.array([[-1.5, 1e9]]), "training")
