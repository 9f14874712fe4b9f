"""The quality gate: how it is declared, and how runs are held against it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tandem import metrics
from tandem.config import METRIC_NAMES, Params, parse_params, read_params
from tandem.errors import ParameterError
from tandem.gate import GateResult, check_gate

REPOSITORY = Path(__file__).resolve().parents[2]
WriteParams = Callable[..., Path]
GOOD = {"test_accuracy": 0.95, "test_log_loss": 0.2, "replicates": 3, "diverged": 0}


@pytest.fixture
def gate_of(write_params: WriteParams) -> Callable[..., Path]:
    """Write the small params.yaml with a gate of these entries."""

    def write(*entries: str) -> Path:
        lines = "".join(f"  - {entry}\n" for entry in entries)
        return write_params(("datasets:\n", f"gate:\n{lines}datasets:\n"))

    return write


def judged(path: Path, found: dict) -> list[GateResult]:
    return check_gate(read_params(path), found)


def test_a_metric_that_keeps_its_bound_passes_in_each_framework(gate_of):
    path = gate_of("{experiment: digits-mlp, metric: accuracy, at_least: 0.95}")
    results = judged(path, {("digits-mlp", "torch"): GOOD, ("digits-mlp", "keras"): GOOD | {"test_accuracy": 0.97}})
    assert [(result.framework, result.value, result.passed) for result in results] == [
        ("keras", 0.97, True), ("torch", 0.95, True),
    ]  # fmt: skip
    assert results[0].text == "gate: digits-mlp in keras: accuracy 0.97 is at least 0.95"


@pytest.mark.parametrize(
    ("entry", "value", "text"),
    [
        ("metric: accuracy, at_least: 0.9", {"test_accuracy": 0.87123}, "accuracy 0.8712 is below 0.9"),
        ("metric: accuracy, at_least: 0.9", {"test_accuracy": 0.89999}, "accuracy 0.89999 is below 0.9"),
        ("metric: log_loss, at_most: 0.5", {"test_log_loss": 12345.6}, "log_loss 1.235e+04 is above 0.5"),
        ("metric: log_loss, at_most: 1", {"test_log_loss": 1.5}, "log_loss 1.5 is above 1.0"),
        ("metric: accuracy, at_least: 0", {"diverged": 1}, "1 of 3 replicates diverged"),
        ("metric: accuracy, at_least: 0", {"test_accuracy": None}, "accuracy is missing or not finite"),
        ("metric: accuracy, at_least: 0", {"test_accuracy": float("nan")}, "accuracy is missing or not finite"),
        ("metric: accuracy, at_least: 0", {"test_accuracy": True}, "accuracy is missing or not finite"),
        ("metric: accuracy, at_least: 0", None, "accuracy is missing, the run left no metrics"),
    ],
)
def test_what_fails_is_told_with_its_place(gate_of, entry, value, text):
    path = gate_of(f"{{experiment: digits-mlp, {entry}}}")
    (result,) = judged(path, {("digits-mlp", "torch"): None if value is None else GOOD | value})
    assert not result.passed
    assert result.text == f"gate: digits-mlp in torch: {text} (params.yaml, gate)"


def test_a_regression_is_judged_like_a_classification(gate_of):
    path = gate_of("{experiment: wide, metric: mse, at_most: 4000}", "{experiment: wide, metric: r2, at_least: 0.5}")
    results = judged(path, {("wide", "torch"): {"test_mse": 4000, "test_r2": 0.4, "diverged": 0}})
    assert [result.passed for result in results] == [True, False]


def test_runs_that_did_not_take_place_are_not_judged(gate_of):
    path = gate_of(
        "{experiment: digits-mlp, metric: accuracy, at_least: 0.9, framework: keras}",
        "{experiment: coffee, metric: accuracy, at_least: 0.9}",
    )
    assert judged(path, {("digits-mlp", "torch"): GOOD, ("wide", "torch"): None}) == []


def test_a_bound_of_one_framework_judges_that_one_alone(gate_of):
    path = gate_of("{experiment: digits-mlp, metric: accuracy, at_least: 0.99, framework: torch}")
    results = judged(path, {("digits-mlp", framework): GOOD for framework in ("keras", "torch")})
    assert [(result.framework, result.passed) for result in results] == [("torch", False)]


def test_without_a_gate_everything_passes(write_params):
    params = read_params(write_params())
    assert params.gate == ()
    assert check_gate(params, {("digits-mlp", "torch"): None}) == []


def test_the_gate_that_params_yaml_shows_as_a_comment_reads():
    text = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    comment = text[text.index("# gate:") :].partition("\n\n")[0]
    gate = parse_params(text + comment.replace("# ", ""), Path("params.yaml")).gate
    assert [(bound.experiment, bound.at_least, bound.at_most) for bound in gate] == [
        ("digits-mlp", 0.9, None), ("diabetes-wide-deep", None, 4000),
    ]  # fmt: skip


def test_the_declared_metrics_are_those_that_are_computed():
    assert dict(METRIC_NAMES) == dict(metrics.METRICS)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{experiment: digit-mlp, metric: accuracy, at_least: 0.9}",
         "gate[0].experiment: 'digit-mlp' is not declared under experiments; allowed: coffee, digits-mlp, wide; "
         "did you mean 'digits-mlp'?"),
        ("{experiment: wide, metric: acuracy, at_least: 0.9}",
         "gate[0].metric: 'acuracy' is not known; allowed: accuracy, log_loss, mae, mse, r2, rmse; "
         "did you mean 'accuracy'?"),
        ("{experiment: wide, metric: accuracy, at_least: 0.9}",
         "gate[0].metric: 'accuracy' does not fit regression; allowed: mae, mse, r2, rmse"),
        ("{experiment: coffee, metric: mse, at_most: 1}",
         "gate[0].metric: 'mse' does not fit classification; allowed: accuracy, log_loss"),
        ("{experiment: wide, metric: mse}",
         "gate[0]: a gate takes exactly one of: at_least, at_most; given: neither"),
        ("{experiment: wide, metric: mse, at_least: 1, at_most: 2}",
         "gate[0]: a gate takes exactly one of: at_least, at_most; given: at_least and at_most"),
        ("{experiment: wide, metric: mse, at_most: .nan}", "gate[0].at_most: NaN: must be a finite number"),
        ("{experiment: wide, metric: mse, at_most: .inf}", "gate[0].at_most: Infinity: must be a finite number"),
        ("{experiment: wide, metric: mse, at_most: high}", "gate[0].at_most: 'high': must be a number"),
        ("{experiment: coffee, metric: accuracy, at_least: 90}",
         "gate[0].at_least: 90: accuracy is never above 1"),
        ("{experiment: wide, metric: mse, at_most: 1, framework: tensor}",
         "gate[0].framework: 'tensor' is not known; allowed: keras, numpy, torch; did you mean 'torch'?"),
        ("{experiment: wide, metric: mse, atmost: 1, at_most: 1}",
         "gate[0].atmost: unknown key 'atmost'; allowed: at_least, at_most, experiment, framework, metric; "
         "did you mean 'at_most'?"),
        ("{metric: mse, at_most: 1}", "gate[0].experiment: missing; required keys: experiment, metric"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_gate_is_told_with_what_is_allowed(gate_of, entry, expected):
    path = gate_of(entry)
    with pytest.raises(ParameterError) as caught:
        read_params(path)
    assert str(caught.value).splitlines() == [
        f"{path}:5: {expected}", f"nothing was run; correct {path.name} and run again",
    ]  # fmt: skip


@pytest.mark.parametrize("dataset", ["[a]", "{a: 1}", "nothing"])
def test_a_gate_over_a_wrong_experiment_leaves_the_word_to_its_own_mistakes(write_params, dataset):
    path = write_params(
        ("datasets:\n", "gate: [{experiment: wide, metric: mse, at_most: 1}]\ndatasets:\n"),
        ("dataset: diabetes", f"dataset: {dataset}"),
    )
    with pytest.raises(ParameterError, match=r"experiments\.wide\.dataset"):
        read_params(path)


@pytest.mark.parametrize("gate", ["null", "{experiment: wide}", "3"])
def test_a_gate_that_is_no_list_is_told(write_params, gate):
    path = write_params(("datasets:\n", f"gate: {gate}\ndatasets:\n"))
    with pytest.raises(ParameterError, match=r"4: gate: .*must be a list"):
        read_params(path)


def test_a_gate_is_frozen(gate_of):
    params: Params = read_params(gate_of("{experiment: wide, metric: mse, at_most: 1}"))
    with pytest.raises(ValueError, match="frozen"):
        params.gate[0].at_most = 2.0
