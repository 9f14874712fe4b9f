"""What the estimators say of wrong parameters and data, before any framework is loaded."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone

from tandem.sklearn import EstimatorError, TandemClassifier, TandemRegressor

X = np.arange(40.0).reshape(10, 4)
Y = np.array(["a", "b"] * 5)

WRONG = {
    "framework": (
        {"framework": "tosch"},
        "framework: 'tosch' is not known; allowed: keras, numpy, torch; did you mean 'torch'?",
    ),
    "hidden": ({"hidden": 3}, "hidden: 3: must be widths, whole numbers above 0, like (30, 30); () for none"),
    "activation": (
        {"activation": "rely"},
        "activation: 'rely' is not known; allowed: elu, gelu, leaky_relu, linear, maxout, relu, selu, sigmoid, softmax"
        ", tanh; did you mean 'relu'?",
    ),
    "layer": (
        {"model": [{"dense": {"units": -3}}]},
        "model.sequential[0].dense.units: -3: must be greater than 0",
    ),
    "model": (
        {"model": {"wide_deep": {"hidden": [3], "wide": [9], "deep": [1]}}},
        "model.wide_deep.wide[0]: column 9 is out of range; allowed: 0 to 3",
    ),
    "layer of a framework": (
        {"framework": "numpy", "model": [{"dropout": {"rate": 0.5}}]},
        "framework: 'numpy' has no layer dropout; allowed: keras, torch",
    ),
    "loss": ({"loss": "mae"}, "loss: 'mae' does not fit classification into 2; allowed: binary_cross_entropy, "
             "categorical_cross_entropy, cross_entropy, mse; did you mean 'mse'?"),
    "optimizer": (
        {"optimizer": "adan"},
        "optimizer.name: 'adan' is not known; allowed: adam, rmsprop, sgd; did you mean 'adam'?",
    ),
    "learning rate": ({"learning_rate": np.float64(-1)}, "learning_rate: -1.0: must be greater than 0"),
    "learning rate twice": (
        {"optimizer": {"name": "sgd", "learning_rate": 0.5}},
        "optimizer: 'learning_rate' is a parameter of its own; take it out and write learning_rate=0.5",
    ),
    "epochs": ({"epochs": 2.5}, "epochs: 2.5: must be a whole number"),
    "validation": (
        {"validation_fraction": 1},
        "validation_fraction: 1: must be 0 (no rows validate) or a share below 1",
    ),
    "too few to validate": (
        {"validation_fraction": 0.1},
        "validation_fraction: 0.1 of 10 rows cannot be held out (The test_size = 1 should be greater or equal to the "
        "number of classes = 2); give more rows, another share, or 0",
    ),
    "early stopping": (
        {"early_stopping": {"patience": 3}},
        "early_stopping.monitor: 'valid_loss' needs validation rows; give validation_fraction a share above 0, or "
        "monitor train_loss",
    ),
    "checkpoint": (
        {"checkpoint": "best"},
        "checkpoint: 'best' needs validation rows; give validation_fraction a share above 0, or keep the last",
    ),
    "standardize": (
        {"standardize": "minmx"},
        "standardize: 'minmx' is not known; allowed: minmax, none, zscore; did you mean 'minmax'?",
    ),
    "sample shape": (
        {"sample_shape": (3, 3)},
        "sample_shape: (3, 3) holds 9 numbers, X has 4 columns; give a shape of so many numbers",
    ),
    "training": ({"training": {"seed": 1}}, "training: unknown key 'seed'; it is the parameter random_state"),
    "augmentation": (
        {"training": {"augmentation": {"flip": "horizontal"}}},
        "training.augmentation: takes images, samples have the shape (4,); give sample_shape a height and a width, "
        "or take it out",
    ),
    "seed": ({"random_state": -1}, "random_state: -1: must be a whole number from 0 to 2147483647"),
    "generator": (
        {"random_state": "one"},
        "random_state: 'one': must be a whole number, None, or a numpy.random.RandomState",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_a_wrong_parameter_is_told_in_a_line_that_names_it(case):
    changes, text = WRONG[case]
    with pytest.raises(EstimatorError) as caught:
        TandemClassifier(**changes).fit(X, Y)
    assert str(caught.value) == text
    assert isinstance(caught.value, ValueError), "scikit-learn expects a ValueError"


def test_one_class_is_none_to_tell_apart():
    with pytest.raises(EstimatorError, match=r"^y: has one class, .*'a'.*; give rows of two classes or more$"):
        TandemClassifier().fit(X, ["a"] * 10)


@pytest.mark.parametrize(
    ("framework", "foreign", "name"), [("torch", "tensorflow", "TensorFlow"), ("keras", "torch", "PyTorch")]
)
def test_a_process_that_has_loaded_one_framework_does_not_take_the_other(monkeypatch, framework, foreign, name):
    monkeypatch.delitem(sys.modules, framework, raising=False)
    monkeypatch.setitem(sys.modules, foreign, types.ModuleType(foreign))
    with pytest.raises(EstimatorError) as caught:
        TandemClassifier(framework=framework).fit(X, Y)
    assert str(caught.value) == (
        f"framework: '{framework}' cannot be used here, {name} is loaded in this process already; start another "
        "process for it, or use the framework that is loaded"
    )


def test_sample_weights_sparse_rows_and_several_outputs_are_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'sample_weight'"):
        TandemRegressor().fit(X, X[:, 0], sample_weight=np.ones(10))
    with pytest.raises(TypeError, match="Sparse data was passed"):
        TandemRegressor().fit(scipy.sparse.csr_array(X), X[:, 0])
    with pytest.raises(ValueError, match="y should be a 1d array"):
        TandemRegressor().fit(X, X[:, :2])


def test_a_clone_has_the_same_parameters_and_no_fit():
    first = TandemRegressor(hidden=(3, 4), optimizer={"name": "sgd", "momentum": 0.5}, training={"repeat": 2})
    copy = clone(first).set_params(epochs=7)
    assert copy.get_params() == first.get_params() | {"epochs": 7}


# ------------------------------------------------------------------------------------ from an experiment


def test_an_estimator_takes_over_what_an_experiment_declares(write_params):
    estimator = TandemClassifier.from_experiment(write_params(), "digits-mlp", framework="keras", epochs=5)
    changed = {
        name: value for name, value in estimator.get_params().items() if value != TandemClassifier().get_params()[name]
    }
    assert changed == {
        "framework": "keras",
        "model": {"sequential": [{"flatten": {}}, {"dense": {"units": 8, "activation": "relu"}}]},
        "loss": "cross_entropy",
        "optimizer": "sgd",
        "learning_rate": 0.05,
        "epochs": 5,
        "validation_fraction": 0.25,
        "standardize": {"method": "zscore", "per": "all"},
        "sample_shape": (8, 8),
    }
    wide = TandemRegressor.from_experiment(write_params(), "wide")
    assert wide.model == {"wide_deep": {"wide": [0, 1], "deep": [2, 3], "hidden": [4]}}


def test_an_experiment_may_be_declared_in_a_mapping(params_text):
    from ruamel.yaml import YAML

    declared = YAML(typ="safe").load(params_text)
    assert TandemClassifier.from_experiment(declared, "coffee").optimizer == "rmsprop"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "digits-mpl",
            "'digits-mpl' is not declared under experiments; allowed: coffee, digits-mlp, wide; "
            "did you mean 'digits-mlp'?",
        ),
        ("wide", "experiments.wide: is a regression; use TandemRegressor"),
    ],
)
def test_an_experiment_that_no_classifier_trains_is_told(write_params, name, text):
    with pytest.raises(EstimatorError) as caught:
        TandemClassifier.from_experiment(write_params(), name)
    assert str(caught.value) == text


def test_initial_weights_are_not_left_aside_silently(write_params):
    weights = "    optimizer: {name: rmsprop, learning_rate: 0.01}\n"
    path = write_params((weights, weights + "    initial_weights: {file: first.npz}\n"))
    with pytest.raises(EstimatorError, match=r"^experiments\.coffee\.initial_weights: an estimator draws its own;"):
        TandemClassifier.from_experiment(path, "coffee")
