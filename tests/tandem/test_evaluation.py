"""What is said of one run's results."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics

from tandem import metrics
from tandem.evaluation import Outputs, evaluate, read_outputs
from tandem.folds import Folds
from tandem.models import ModelDeclaration, resolve
from tandem.records import EvaluationRecord, FoldRows, read_record, write_record

GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(0, 3, 120)
VALUES = GENERATOR.normal(size=120)


def classes(seed: int) -> Outputs:
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(3), len(LABELS)) + 0.8 * np.eye(3)[LABELS]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return Outputs(probabilities, LABELS, {"loss": 0.5 + seed})


def values(seed: int) -> Outputs:
    predicted = VALUES + np.random.default_rng(seed).normal(0, 0.3, len(VALUES))
    return Outputs(predicted, VALUES, {"loss": 0.5 + seed})


def evaluated(task, test, valid=(), **more) -> EvaluationRecord:
    parts = {"train": test, "test": test} | ({"valid": valid} if valid else {})
    return evaluate(
        experiment="roasts",
        framework="keras",
        task=task,
        classes=3 if task == "classification" else 0,
        outputs=parts,
        targets=LABELS if task == "classification" else VALUES,
        **{"recorded_valid": [None] * len(test), **more},
    )


def test_a_classification_has_a_metric_for_each_replicate_and_part():
    outputs = [classes(1), classes(2)]
    record = evaluated("classification", outputs, recorded_valid=[0.25, None])
    assert set(record.metrics) == {"train", "test"}  # no validation rows, no validation metrics
    for replicate, output in enumerate(outputs):
        accuracy = sklearn.metrics.accuracy_score(LABELS, output.values.argmax(axis=1))
        assert record.metrics["test"]["accuracy"][replicate] == pytest.approx(accuracy)
        log_loss = sklearn.metrics.log_loss(LABELS, output.values)
        assert record.metrics["test"]["log_loss"][replicate] == pytest.approx(log_loss)
        assert record.metrics["test"]["loss"][replicate] == output.epoch_values["loss"]
    assert record.recorded_valid == (0.25, None)
    assert record.diverged == ()


def test_estimates_average_the_replicates_main_metric_first():
    outputs = [values(1), values(2), values(3)]
    record = evaluated("regression", outputs)
    assert [estimate.metric for estimate in record.estimates] == ["mse", "rmse", "mae", "r2"]
    mean = np.mean([metrics.compute("regression", VALUES, output.values)["mse"] for output in outputs])
    first = record.estimates[0]
    assert first.samples.value == pytest.approx(mean)
    assert first.seeds.value == pytest.approx(mean)
    assert first.samples.low < mean < first.samples.high
    assert (first.samples.n, first.seeds.n) == (120, 3)
    assert [estimate.higher_is_better for estimate in record.estimates] == [False, False, False, True]


def test_one_replicate_says_nothing_about_seeds():
    assert all(estimate.seeds is None for estimate in evaluated("regression", [values(1)]).estimates)


def test_the_confusion_counts_all_replicates():
    outputs = [classes(1), classes(2)]
    expected = sum(sklearn.metrics.confusion_matrix(LABELS, output.values.argmax(axis=1)) for output in outputs)
    assert np.array_equal(evaluated("classification", outputs).confusion, expected)
    assert evaluated("regression", [values(1)]).confusion == ()


def test_the_most_wrong_values_come_first():
    output = values(1)
    wrong = evaluated("regression", [output, values(2)]).wrong
    errors = np.abs(output.values - VALUES)
    assert [sample.row for sample in wrong] == np.argsort(-errors)[:15].tolist()
    assert wrong[0].error == errors.max()
    for sample in wrong:
        assert (sample.target, sample.predicted) == (VALUES[sample.row], output.values[sample.row])
        assert sample.confidence is None


def test_only_wrong_labels_are_wrong_the_surest_first():
    output = classes(1)
    wrong = evaluated("classification", [output, classes(2)]).wrong
    labels = output.values.argmax(axis=1)
    assert 0 < len(wrong) <= 15
    errors = [sample.error for sample in wrong]
    assert errors == sorted(errors, reverse=True)
    missed = np.flatnonzero(labels != LABELS)
    assert len(wrong) == min(15, len(missed))
    assert errors[0] == pytest.approx((1 - output.values[np.arange(120), LABELS])[missed].max())
    for sample in wrong:
        assert sample.predicted == labels[sample.row] != LABELS[sample.row] == sample.target
        assert sample.confidence == pytest.approx(output.values[sample.row].max())


def test_equal_errors_keep_the_order_of_the_rows():
    record = evaluated("regression", [Outputs(VALUES + 1, VALUES, {})])
    rows = [sample.row for sample in record.wrong]
    errors = np.abs(VALUES + 1 - VALUES)
    assert rows == np.argsort(-errors, kind="stable")[:15].tolist()


def test_a_network_without_mistakes_has_no_wrong_samples():
    assert evaluated("classification", [Outputs(np.eye(3)[LABELS], LABELS, {})]).wrong == ()


@pytest.mark.parametrize(("task", "make"), [("classification", classes), ("regression", values)])
def test_a_diverged_replicate_is_left_out_of_everything_and_named(task, make):
    record, alone = evaluated(task, [None, make(1), make(2)]), evaluated(task, [make(1), make(2)])
    assert record.diverged == (0,)
    assert record.wrong == alone.wrong != ()  # of the first replicate that finished
    assert record.confusion == alone.confusion
    assert record.estimates == alone.estimates
    assert record.metrics["test"]["loss"] == (None, 1.5, 2.5)


@pytest.mark.parametrize(("task", "main"), [("classification", "accuracy"), ("regression", "mse")])
def test_a_run_of_which_every_replicate_diverged_has_no_values(tmp_path, task, main):
    record = evaluated(task, [None, None])
    assert record.diverged == (0, 1)
    assert record.metrics["test"][main] == (None, None)
    assert record.estimates[0].samples.value is None
    assert record.estimates[0].samples.n == 120
    assert record.estimates[0].seeds is None
    write_record(record, tmp_path / "record.json")
    assert read_record(EvaluationRecord, tmp_path / "record.json") == record


def test_numbers_that_are_not_finite_are_kept_as_none(tmp_path):
    output = Outputs(values(1).values, VALUES, {"loss": float("inf")})
    record = evaluated("regression", [output])
    assert record.metrics["test"]["loss"] == (None,)
    write_record(record, tmp_path / "record.json")
    assert read_record(EvaluationRecord, tmp_path / "record.json") == record


def test_raw_outputs_become_probabilities_and_the_values_that_training_records():
    architecture = resolve(
        ModelDeclaration.model_validate({"sequential": ()}), (2,), "classification", "cross_entropy", 3
    )
    raw = [np.random.default_rng(1).normal(size=(120, 3))]
    output = read_outputs(architecture, raw, LABELS)
    assert output.values.sum(axis=1) == pytest.approx(np.ones(120))
    assert output.epoch_values["loss"] == pytest.approx(sklearn.metrics.log_loss(LABELS, output.values))


def test_the_first_head_is_the_one_that_counts():
    declared = {"wide_deep": {"hidden": (2,), "outputs": ("joint", "deep")}}
    architecture = resolve(ModelDeclaration.model_validate(declared), (2,), "regression", "mse", 0)
    raw = [VALUES[:, None], VALUES[:, None] + 3]
    output = read_outputs(architecture, raw, VALUES)
    assert np.array_equal(output.values, VALUES)
    assert output.epoch_values["loss"] == pytest.approx(9)


def test_each_fold_is_scored_on_its_own_validation_rows_and_intervals_know_of_the_folds():
    rows = (FoldRows(repeat=0, train=80, valid=40),) * 3
    valid = []
    for fold in range(3):
        own = VALUES[fold::3]
        valid.append(Outputs(own + 0.1 * (fold + 1), own, {"loss": 0.0}))
    test = [values(seed) for seed in range(3)]
    folds = Folds("3-fold cross-validation", rows, (0, 1, 2), watched=True)
    record = evaluated("regression", test, valid, folds=folds)
    assert record.metrics["valid"]["mse"] == pytest.approx([0.01, 0.04, 0.09])
    assert record.folds.watched
    assert record.folds.overlap == 0.5
    assert record.folds.estimates[0].values == pytest.approx([0.01, 0.04, 0.09])
    plain, over_folds = evaluated("regression", test).estimates[0], record.estimates[0]
    assert plain.samples == over_folds.samples
    assert (plain.seeds.over, over_folds.seeds.over) == ("seeds", "folds")
    wider = np.sqrt((1 / 3 + 0.5) / (1 / 3))
    reach = [found.seeds.high - found.seeds.value for found in (plain, over_folds)]
    assert reach[1] == pytest.approx(wider * reach[0])
