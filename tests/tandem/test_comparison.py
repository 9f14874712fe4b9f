"""How two frameworks' results are compared, down to the sentence that says so."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tandem.comparison import Results, compare
from tandem.evaluation import Outputs, evaluate

GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(0, 3, 400)
VALUES = GENERATOR.normal(size=400)


def values(error: float, seed: int) -> np.ndarray:
    return VALUES + np.random.default_rng(seed).normal(0, error, len(VALUES))


def classes(share: float, seed: int) -> np.ndarray:
    """Probabilities that are right with a share of the rows."""
    generator = np.random.default_rng(seed)
    said = np.where(generator.random(len(LABELS)) < share, LABELS, (LABELS + 1) % 3)
    return 0.1 + 0.7 * np.eye(3)[said]


def results(framework: str, outputs: list[np.ndarray | None]) -> Results:
    """Return what ``evaluate`` would have written; None is a diverged replicate."""
    task = "classification" if any(o is not None and o.ndim == 2 for o in outputs) else "regression"
    targets = LABELS if task == "classification" else VALUES
    given = [None if output is None else Outputs(output, {}) for output in outputs]
    record = evaluate(
        experiment="roasts",
        framework=framework,
        task=task,
        classes=3 if task == "classification" else 0,
        outputs={"test": given},
        targets={"test": targets},
        recorded_valid=[None] * len(outputs),
    )
    nothing = np.full((400, 3) if task == "classification" else 400, np.nan)
    return Results(record, targets, np.stack([nothing if output is None else output for output in outputs]))


def compared(**outputs):
    return compare(
        experiment="roasts",
        description="",
        dataset="coffee",
        results={framework: results(framework, given) for framework, given in outputs.items()},
    )


NUMBER = r"−?\d[\d.]*(?:e−\d+)?"
INTERVAL = rf"{NUMBER} \(95\s% interval over 400 test samples: {NUMBER} to {NUMBER}\)"


SEVERAL = ("mean squared error", lambda error, seeds: [values(error, seed) for seed in seeds])
SHARES = ("accuracy", lambda error, seeds: [classes(1 - error / 10, seed) for seed in seeds])


@pytest.mark.parametrize(("metric", "make"), [SEVERAL, SHARES])
@pytest.mark.parametrize(
    ("keras", "torch", "claim"),
    [
        ((1, (1, 2, 3)), (1, (11, 12, 13)), "No difference can be told between Keras and PyTorch on these test rows: "),
        ((3, (1, 2, 3)), (0.5, (4, 5, 6)), "PyTorch does better than Keras on these test rows, and over seeds: "),
        ((0.5, (1, 2, 3)), (3, (4, 5, 6)), "Keras does better than PyTorch on these test rows, and over seeds: "),
        ((3, (1,)), (0.5, (4,)), "The one PyTorch network does better than the one Keras network on these test rows: "),
        ((0.5, (1,)), (3, (4,)), "The one Keras network does better than the one PyTorch network on these test rows: "),
    ],
)
def test_the_verdict_says_which_framework_does_better_if_it_can_be_told(metric, make, keras, torch, claim):
    numbers = rf"{metric} {NUMBER} in Keras and {NUMBER} in PyTorch, difference {INTERVAL}"
    if claim.startswith("No"):
        rest = ""
    elif claim.startswith("The one"):
        rest = "; a single seed cannot tell whether the frameworks differ"
    else:
        rest = rf"; over 3 seeds {NUMBER} to {NUMBER}"
    found = compared(keras=make(*keras), torch=make(*torch)).verdict
    assert re.fullmatch(re.escape(claim) + numbers + rest + r"\.", found), found


def test_a_difference_on_the_rows_that_seeds_do_not_bear_out_is_none_between_frameworks():
    record = compared(keras=[values(2, 1), values(0.5, 2)], torch=[values(0.5, 3), values(0.5, 4)])
    assert record.differences[0].samples.high < 0
    assert record.verdict.startswith(
        "These PyTorch networks do better than these Keras networks on the test rows, but over seeds no difference can "
        "be told between the frameworks: mean squared error "
    )


def test_equal_results_are_no_difference():
    record = compared(keras=[classes(0.9, 1)], torch=[classes(0.9, 1)])
    assert re.fullmatch(
        rf"Keras and PyTorch do equally well on every test row: accuracy {INTERVAL} in both\.", record.verdict
    )
    assert record.only_wrong == {"keras": 0, "torch": 0}


def test_one_framework_alone_is_told_with_its_interval():
    record = compared(torch=[classes(0.9, 1)])
    assert re.fullmatch(rf"PyTorch reaches accuracy {INTERVAL} on the test rows\.", record.verdict)
    assert (record.differences, record.both_wrong, record.only_wrong) == ((), None, {})


@pytest.mark.parametrize("make", [values, classes])
def test_diverged_replicates_are_told_and_left_out(make):
    record = compared(keras=[make(0.9, 1), None, make(0.9, 3)], torch=[make(0.9, 4), make(0.9, 5), make(0.9, 6)])
    assert record.verdict.endswith("; Keras diverged in 1 of 3 replicates.")
    alone = compared(keras=[make(0.9, 1), make(0.9, 3)], torch=[make(0.9, 4), make(0.9, 6)])
    assert record.differences == alone.differences  # over the replicates that both finished
    assert record.differences[0].seeds.n == 2


def test_a_framework_that_diverged_altogether_has_no_difference():
    record = compared(keras=[None, None], torch=[values(1, 1), values(1, 2)])
    assert re.fullmatch(
        rf"PyTorch reaches mean squared error {INTERVAL} on the test rows; Keras diverged in 2 of 2 replicates\.",
        record.verdict,
    )
    assert record.differences == ()


def test_both_frameworks_diverged_altogether():
    record = compared(keras=[None], torch=[None])
    assert record.verdict == "Keras diverged in 1 of 1 replicates; PyTorch diverged in 1 of 1 replicates."


def test_replicates_that_no_two_frameworks_share_are_each_told():
    record = compared(keras=[values(1, 1), None], torch=[None, values(1, 2)])
    assert re.fullmatch(
        rf"Keras reaches mean squared error {INTERVAL} on the test rows; "
        rf"PyTorch reaches mean squared error {INTERVAL} on the test rows; "
        r"Keras diverged in 1 of 2 replicates; PyTorch diverged in 1 of 2 replicates\.",
        record.verdict,
    )


def test_the_verdicts_numbers_belong_together_where_replicates_diverged():
    """The difference is over shared replicates; the two values beside it must be too."""
    record = compared(keras=[values(1, 1), values(3, 2)], torch=[values(1, 3), None])
    pattern = rf"error ({NUMBER}) in Keras and ({NUMBER}) in PyTorch.*, difference ({NUMBER})"
    texts = re.search(pattern, record.verdict).groups()
    first, second, difference = (float(text.replace("−", "-")) for text in texts)
    assert second - first == pytest.approx(difference, abs=0.01)
    assert "in PyTorch over the replicates that finished in both, difference" in record.verdict


def test_differences_are_second_minus_first_of_every_metric():
    keras, torch = [values(1, 1), values(1, 2)], [values(0.5, 3), values(0.5, 4)]
    record = compared(keras=keras, torch=torch)
    assert [d.metric for d in record.differences] == ["mse", "rmse", "mae", "r2"]
    assert {(d.first, d.second) for d in record.differences} == {("keras", "torch")}
    errors = [np.mean([np.mean((output - VALUES) ** 2) for output in outputs]) for outputs in (keras, torch)]
    assert record.differences[0].samples.value == pytest.approx(errors[1] - errors[0])
    assert record.differences[0].seeds.value == pytest.approx(errors[1] - errors[0])
    swapped = compared(torch=torch, keras=keras)
    assert swapped.frameworks == ("torch", "keras")
    assert swapped.differences[0].samples.value == pytest.approx(errors[0] - errors[1])
    assert "PyTorch networks do better than these Keras networks" in swapped.verdict


def test_shared_mistakes_are_counted_on_the_first_replicate():
    keras, torch = classes(0.8, 1), classes(0.7, 2)
    record = compared(keras=[keras, classes(0.1, 5)], torch=[torch, classes(0.1, 6)])
    wrong = [output.argmax(axis=1) != LABELS for output in (keras, torch)]
    assert record.both_wrong == (wrong[0] & wrong[1]).sum()
    assert record.only_wrong == {"keras": (wrong[0] & ~wrong[1]).sum(), "torch": (wrong[1] & ~wrong[0]).sum()}


def test_without_a_first_replicate_or_classes_there_are_no_shared_mistakes():
    assert compared(keras=[None, classes(0.9, 1)], torch=[classes(0.9, 2), classes(0.9, 3)]).both_wrong is None
    assert compared(keras=[values(1, 1)], torch=[values(1, 2)]).only_wrong == {}
