"""How the frameworks' results are compared, down to the sentences that say so."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tandem.comparison import Results, compare
from tandem.correction import holm
from tandem.evaluation import Outputs, evaluate
from tandem.records import ComparisonRecord, FoldsRecord, Margin, Significance, read_record, write_record
from tandem.verdict import findings

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
    given = [None if output is None else Outputs(output, targets, {}) for output in outputs]
    record = evaluate(
        experiment="roasts",
        framework=framework,
        task=task,
        classes=3 if task == "classification" else 0,
        outputs={"test": given},
        targets=targets,
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


NUMBER = r"−?\d[\d.]*(?:\s×\s10⁻[⁰¹²³⁴⁵⁶⁷⁸⁹]+)?"
INTERVAL = rf"{NUMBER} \(95\s% interval over 400 test samples: {NUMBER} to {NUMBER}\)"


FIVE, OTHER_FIVE = (1, 2, 3, 4, 5), (6, 7, 8, 9, 10)
SEVERAL = ("mean squared error", lambda error, seeds: [values(error, seed) for seed in seeds])
SHARES = ("accuracy", lambda error, seeds: [classes(1 - error / 10, seed) for seed in seeds])


@pytest.mark.parametrize(("metric", "make"), [SEVERAL, SHARES])
@pytest.mark.parametrize(
    ("keras", "torch", "claim"),
    [
        ((1, (1, 2, 3)), (1, (11, 12, 13)), "No difference can be told between Keras and PyTorch on these test rows: "),
        ((3, FIVE), (0.5, OTHER_FIVE), "PyTorch does better than Keras on these test rows, and over seeds: "),
        ((0.5, FIVE), (3, OTHER_FIVE), "Keras does better than PyTorch on these test rows, and over seeds: "),
        ((3, (1, 2)), (0.5, (4, 5)), "These PyTorch networks do better than these Keras networks on the test rows: "),
        ((3, (1,)), (0.5, (4,)), "The one PyTorch network does better than the one Keras network on these test rows: "),
        ((0.5, (1,)), (3, (4,)), "The one Keras network does better than the one PyTorch network on these test rows: "),
    ],
)
def test_the_verdict_says_which_framework_does_better_if_it_can_be_told(metric, make, keras, torch, claim):
    numbers = rf"{metric} {NUMBER} in Keras and {NUMBER} in PyTorch, difference {INTERVAL}"
    if claim.startswith("No"):
        rest = ""
    elif claim.startswith("The"):
        rest = rf"; {'a single seed' if 'one' in claim else '2 seeds'} cannot tell whether the frameworks differ"
    else:
        rest = rf"; over 5 seeds {NUMBER} to {NUMBER}"
    found = compared(keras=make(*keras), torch=make(*torch)).verdict
    assert re.fullmatch(re.escape(claim) + numbers + rest + r"\.", found), found


def test_a_difference_on_the_rows_that_seeds_do_not_bear_out_is_none_between_frameworks():
    keras = [values(2, 1), *(values(0.5, seed) for seed in range(2, 7))]
    record = compared(keras=keras, torch=[values(0.5, seed) for seed in range(12, 18)])
    assert record.differences[0].samples.high < 0
    assert re.fullmatch(
        "These PyTorch networks do better than these Keras networks on the test rows, but over seeds no difference can "
        rf"be told between the frameworks: mean squared error {NUMBER} in Keras and {NUMBER} in PyTorch, difference "
        rf"{INTERVAL}; over 6 seeds {NUMBER} to {NUMBER}; equivalence within 5\s% of the error is not shown "
        r"\((corrected )?TOST p = [\d.]+, n = 6 replicates\)\.",
        record.verdict,
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
    assert (record.differences, record.all_wrong, record.only_wrong) == ((), None, {})
    assert (record.mcnemar, record.cautions, record.findings) == ((), (), ())


@pytest.mark.parametrize("make", [values, classes])
def test_diverged_replicates_are_told_and_left_out(make):
    record = compared(keras=[make(0.9, 1), None, make(0.9, 3)], torch=[make(0.9, 4), make(0.9, 5), make(0.9, 6)])
    assert record.verdict.endswith("; Keras diverged in 1 of 3 replicates.")
    alone = compared(keras=[make(0.9, 1), make(0.9, 3)], torch=[make(0.9, 4), make(0.9, 6)])
    for found, expected in zip(record.differences, alone.differences, strict=True):  # over replicates 0 and 2
        assert list(found.each) == [0, 2]
        assert found.model_copy(update={"each": expected.each}) == expected
        assert list(found.each.values()) == list(expected.each.values())
        assert found.seeds.n == 2
    assert record.cautions[0] == (
        "Keras and PyTorch are compared over the 2 of 3 replicates that finished in both; diverged: Keras in 1. "
        "How often each diverges is no part of the difference."
    )


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


def close(error: float, spread: float, count: int, shift: float = 0.0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return replicates of two frameworks whose squared errors differ by ``shift`` ± ``spread``, as a share."""
    generator = np.random.default_rng(20)
    first = [values(error, seed) for seed in range(count)]
    shares = 1 + shift + spread * np.array([(-1) ** i * (0.6 + 0.8 * i / count) for i in range(count)])
    rows = 1 + 0.02 * generator.normal(size=len(VALUES))  # so that the test rows tell nothing
    return first, [VALUES + (one - VALUES) * np.sqrt(share) * rows for one, share in zip(first, shares, strict=True)]


def test_frameworks_are_equivalent_where_tost_shows_it():
    keras, torch = close(1.0, 0.02, 10)
    record = compared(keras=keras, torch=torch)
    found = record.differences[0]
    assert re.fullmatch(
        r"Keras and PyTorch are equivalent within 5\s% of the error on these test rows "
        rf"\(TOST p < 0\.0001, n = 10 replicates\): mean squared error {NUMBER} in Keras and {NUMBER} in PyTorch, "
        rf"difference {INTERVAL}\.",
        record.verdict,
    ), record.verdict
    errors = [np.mean((output - VALUES) ** 2) for output in keras]
    paired = [np.mean((output - VALUES) ** 2) - error for output, error in zip(torch, errors, strict=True)]
    assert found.equivalence.reach == pytest.approx(0.05 * np.mean(errors))
    assert list(found.each.values()) == pytest.approx(paired)
    assert found.deviation == pytest.approx(np.std(paired, ddof=1))
    assert found.seeds_test.p == pytest.approx(stats.ttest_1samp(paired, 0).pvalue)
    assert (found.seeds.n, found.samples.n, found.both.n, found.equivalence.interval.n) == (10, 400, 400, 10)
    (finding,) = record.findings
    assert re.fullmatch(
        rf"Keras and PyTorch are equivalent within 5\s% of the error \(±{NUMBER}\): the 90\s% interval of the mean "
        rf"difference over seeds, {NUMBER} to {NUMBER}, lies inside the margin; TOST p < 0\.0001, n = 10 replicates\.",
        finding,
    ), finding


def test_too_large_a_spread_is_why_equivalence_is_not_shown_and_says_how_many_replicates_would_do():
    record = compared(**dict(zip(("keras", "torch"), close(1.0, 0.15, 8), strict=True)))
    assert "; equivalence within 5\N{NO-BREAK SPACE}% of the error is not shown (corrected TOST p = " in record.verdict
    (finding,) = record.findings
    match = re.search(
        r"are not shown to be equivalent .*lies inside the margin, but its spread over seeds is too large \(standard "
        rf"deviation ({NUMBER})\); .* reaches beyond the margin\. If mean and spread are as measured, (\d+) replicates "
        r"would show equivalence with a chance of 80\s%; corrected TOST p = 0\.\d+, n = 8 replicates\.",
        finding,
    )
    assert match, finding
    assert int(match[2]) == record.differences[0].equivalence.needed > 8


def test_too_large_a_difference_is_why_equivalence_is_not_shown():
    record = compared(**dict(zip(("keras", "torch"), close(1.0, 0.01, 8, shift=0.2), strict=True)))
    assert "the difference is larger than the margin; the 90" in record.findings[0]
    assert "Keras does better than PyTorch on these test rows, and over seeds: " in record.verdict
    near = compared(**dict(zip(("keras", "torch"), close(1.0, 0.08, 8, shift=0.06), strict=True)))
    assert "is itself no smaller than the margin; more replicates would show equivalence only" in near.findings[0]
    assert near.differences[0].equivalence.needed is None


def test_a_difference_smaller_than_the_margin_is_told_as_both():
    keras, torch = close(1.0, 0.004, 10, shift=0.02)
    torch = [VALUES + (one - VALUES) * np.sqrt(np.mean((two - VALUES) ** 2) / np.mean((one - VALUES) ** 2))
             for one, two in zip(keras, torch, strict=True)]  # fmt: skip
    record = compared(keras=keras, torch=torch)
    assert re.match(
        r"Keras does better than PyTorch on these test rows, and over seeds, but by less than 5\s% of the error "
        r"\(TOST p < 0\.0001, n = 10 replicates\): mean squared error ",
        record.verdict,
    ), record.verdict


def test_the_margin_can_be_declared():
    keras, torch = close(1.0, 0.02, 10)
    results_ = {"keras": results("keras", keras), "torch": results("torch", torch)}
    strict = compare(
        experiment="roasts",
        description="",
        dataset="coffee",
        results=results_,
        margins={"mse": Margin(size=0.001, relative=False)},
    )
    assert "equivalence within 0.001 is not shown" in strict.verdict
    assert strict.differences[0].equivalence.reach == 0.001
    assert strict.differences[2].equivalence.margin == Margin(size=0.05, relative=True)  # mae keeps the default


def test_an_accuracys_margin_is_absolute():
    record = compared(keras=[classes(0.9, s) for s in range(6)], torch=[classes(0.9, s) for s in range(6, 12)])
    assert record.differences[0].equivalence.reach == 0.01
    assert "equivalence within 0.01 is not shown" in record.verdict


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "One replicate: it says how these networks compare on the test rows, and nothing of other seeds. There is "
            "no standard deviation, no interval over seeds and no test of equivalence; declare at least 5 replicates "
            "for those."),
        (2, "2 replicates: an interval over seeds rests on 1 degree of freedom, and is 13 times as wide as one of 10 "),
        (3, "3 replicates: an interval over seeds rests on 2 degrees of freedom, and is 3.5 times as wide as one of 10 "
            "replicates with the same spread. Whether the frameworks differ over seeds, or are equivalent, cannot be "
            "concluded: that the differences are normally distributed, on which both tests rest, cannot be seen from "
            "3. The p-values below stand for completeness; declare at least 5 replicates."),
    ],
)  # fmt: skip
def test_with_few_replicates_it_is_said_what_cannot_be_concluded(count, said):
    record = compared(**dict(zip(("keras", "torch"), close(1.0, 0.0001, count), strict=True)))
    (caution,) = record.cautions
    assert caution.startswith(said)
    assert record.findings == ()
    assert "equivalent" not in record.verdict
    assert record.differences[0].both is None
    assert (record.differences[0].equivalence is None) == (count == 1)


@pytest.mark.parametrize(("count", "said"), [(1, "the one replicate"), (3, "each of 3 replicates")])
def test_few_replicates_that_are_equal_need_no_more_than_a_word(count, said):
    keras = [values(1, seed) for seed in range(count)]
    record = compared(keras=keras, torch=[output + 1e-9 for output in keras])
    assert record.cautions == (f"The frameworks agree to rounding in {said}; other seeds were not tried.",)


def test_small_numbers_are_written_with_a_power_of_ten():
    keras = [values(1, seed) for seed in range(1)]
    record = compared(keras=keras, torch=[VALUES + (output - VALUES) * (1 - 2e-6) for output in keras])
    assert re.search(r"difference −3\.\d{3}\s×\s10⁻⁶ \(95\s% interval", record.verdict), record.verdict


def test_five_replicates_need_no_caution():
    assert compared(**dict(zip(("keras", "torch"), close(1.0, 0.02, 5), strict=True))).cautions == ()


def test_every_p_value_is_corrected_for_all_metrics_and_pairs():
    keras, torch = close(1.0, 0.02, 6)
    record = compared(keras=keras, torch=torch, numpy=[values(1.0, seed) for seed in range(30, 36)])
    assert [(d.first, d.second) for d in record.differences[::4]] == [
        ("keras", "torch"), ("keras", "numpy"), ("torch", "numpy"),
    ]  # fmt: skip
    for tests in (
        [d.seeds_test for d in record.differences],
        [d.both_test for d in record.differences],
        [d.equivalence.test for d in record.differences],
    ):
        assert {test.comparisons for test in tests} == {12}
        assert [test.adjusted for test in tests] == [test.adjusted for test in holm([test.p for test in tests])]


def test_correction_can_take_equivalence_away_and_says_so():
    record = compared(**dict(zip(("keras", "torch"), close(1.0, 0.02, 6), strict=True)))
    test = record.differences[0].equivalence
    test = test.model_copy(update={"test": Significance(p=0.03, adjusted=0.06, comparisons=2)})
    found = record.differences[0].model_copy(update={"equivalence": test})
    (finding,) = findings([found])
    assert finding.startswith("Keras and PyTorch are not shown to be equivalent within 5")
    assert finding.endswith(
        ": by itself it would be, but it is one of 2 comparisons on this page, and corrected for their number the "
        "p-value is too large; corrected TOST p = 0.06, n = 6 replicates."
    )


def test_three_frameworks_that_agree_are_told_in_one_sentence():
    keras = [values(1, seed) for seed in range(3)]
    close_by = [output + 1e-9 for output in keras]
    record = compared(keras=keras, torch=close_by, numpy=keras)
    assert re.fullmatch(
        rf"Keras, PyTorch and NumPy agree to rounding: mean squared error {INTERVAL} in each\.", record.verdict
    )
    same = compared(keras=keras, torch=keras, numpy=keras)
    assert same.verdict.startswith("Keras, PyTorch and NumPy do equally well on every test row: mean squared error ")


def test_three_equivalent_frameworks_are_told_in_one_sentence():
    keras, torch = close(1.0, 0.02, 10)
    record = compared(keras=keras, torch=torch, numpy=close(1.0, 0.03, 10)[1])
    assert re.fullmatch(
        r"Keras, PyTorch and NumPy are equivalent within 5\s% of the error on these test rows \(largest (corrected )?"
        rf"TOST p [<=] [\d.]+, n = 10 replicates\): mean squared error {NUMBER} in Keras, {NUMBER} in PyTorch and "
        rf"{NUMBER} in NumPy on 400 test samples\.",
        record.verdict,
    ), record.verdict
    assert len(record.findings) == 3


def test_three_frameworks_that_differ_are_told_pair_by_pair():
    keras = [values(1, seed) for seed in range(5)]
    record = compared(keras=keras, torch=keras, numpy=[values(2, seed) for seed in range(5, 10)])
    assert re.fullmatch(
        rf"Over 5 replicates and 400 test samples mean squared error is {NUMBER} in Keras, {NUMBER} in PyTorch and "
        rf"{NUMBER} in NumPy; Keras and PyTorch do equally well on every test row; Keras does better than NumPy; "
        r"PyTorch does better than NumPy\.",
        record.verdict,
    ), record.verdict
    few = compared(keras=keras[:2], torch=keras[:2], numpy=[values(2, 5), None])
    assert re.fullmatch(
        rf"Over 1 replicate or more and 400 test samples mean squared error is {NUMBER} in Keras, {NUMBER} in PyTorch "
        rf"and {NUMBER} in NumPy; Keras and PyTorch do equally well on every test row; the one Keras network does "
        r"better than the one NumPy network on these test rows; the one PyTorch network does better than the one NumPy "
        r"network on these test rows; a single seed cannot tell whether the frameworks differ; "
        r"NumPy diverged in 1 of 2 replicates\.",
        few.verdict,
    ), few.verdict


def test_without_a_difference_three_frameworks_are_told_in_one_sentence():
    record = compared(keras=[values(1, 2)], torch=[values(1, 3)], numpy=[values(1, 12)])
    assert record.verdict.startswith(
        "No difference can be told between Keras, PyTorch and NumPy on these test rows: mean squared error "
    )


def test_labels_are_compared_by_mcnemars_test_over_all_replicates():
    keras, torch = [classes(0.9, s) for s in range(3)], [classes(0.8, s) for s in range(3, 6)]
    record = compared(keras=keras, torch=torch, numpy=keras)
    assert [(test.first, test.second) for test in record.mcnemar] == [
        ("keras", "torch"), ("keras", "numpy"), ("torch", "numpy"),
    ]  # fmt: skip
    test = record.mcnemar[0]
    right = [[output.argmax(axis=1) == LABELS for output in outputs] for outputs in (keras, torch)]
    assert [(one.first_only, one.second_only) for one in test.replicates] == [
        ((a & ~b).sum(), (b & ~a).sum()) for a, b in zip(*right, strict=True)
    ]
    assert (test.rows, test.test.comparisons, record.mcnemar[1].test.p) == (400, 3, 1)
    assert test.test.adjusted == pytest.approx(3 * test.test.p)
    assert compared(keras=[values(1, 1)], torch=[values(1, 2)]).mcnemar == ()


@pytest.mark.filterwarnings("ignore:All-NaN slice")
def test_a_metric_that_is_not_defined_has_no_tests_and_is_none_of_the_comparisons(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "VALUES", np.full(400, 2.0))  # R² needs targets that vary
    record = compared(**dict(zip(("keras", "torch"), close(1.0, 0.02, 6), strict=True)))
    assert record.differences[3].metric == "r2"
    assert (record.differences[3].seeds_test, record.differences[3].equivalence) == (None, None)
    assert record.differences[0].seeds_test.comparisons == 3
    write_record(record, tmp_path / "comparison.json")
    assert read_record(ComparisonRecord, tmp_path / "comparison.json").verdict == record.verdict


def test_the_order_of_the_test_rows_does_not_matter_but_for_the_draws():
    keras, torch = close(1.0, 0.02, 6)
    order = np.random.default_rng(2).permutation(len(VALUES))
    plain = compared(keras=keras, torch=torch).differences[0]
    shuffled = compare(
        experiment="roasts",
        description="",
        dataset="coffee",
        results={
            name: replace(results(name, given), targets=VALUES[order], outputs=np.stack(given)[:, order])
            for name, given in (("keras", keras), ("torch", torch))
        },
    ).differences[0]
    assert shuffled.seeds_test.p == pytest.approx(plain.seeds_test.p)
    assert shuffled.equivalence.test.p == pytest.approx(plain.equivalence.test.p)
    assert (shuffled.both.low, shuffled.both.high) == pytest.approx((plain.both.low, plain.both.high), rel=0.2)


def test_trainings_on_folds_are_compared_with_the_corrected_variance():
    keras, torch = close(1.0, 0.03, 10)
    plain = compared(keras=keras, torch=torch)
    folds = FoldsRecord(protocol="10-fold", rows=(), overlap=1 / 9, watched=False, estimates=())
    record = compare(
        experiment="roasts",
        description="",
        dataset="coffee",
        results={
            name: replace(found, record=found.record.model_copy(update={"folds": folds}))
            for name, found in (("keras", results("keras", keras)), ("torch", results("torch", torch)))
        },
    )
    one, other = plain.differences[0].seeds, record.differences[0].seeds
    assert (other.high - other.low) / (one.high - one.low) == pytest.approx(np.sqrt((1 / 10 + 1 / 9) / (1 / 10)))
    assert other.over == "folds"
    assert "n = 10 trainings on folds)" in record.verdict


def test_shared_mistakes_are_counted_on_the_first_replicate():
    keras, torch = classes(0.8, 1), classes(0.7, 2)
    record = compared(keras=[keras, classes(0.1, 5)], torch=[torch, classes(0.1, 6)])
    wrong = [output.argmax(axis=1) != LABELS for output in (keras, torch)]
    assert record.all_wrong == (wrong[0] & wrong[1]).sum()
    assert record.only_wrong == {"keras": (wrong[0] & ~wrong[1]).sum(), "torch": (wrong[1] & ~wrong[0]).sum()}


def test_without_a_first_replicate_or_classes_there_are_no_shared_mistakes():
    assert compared(keras=[None, classes(0.9, 1)], torch=[classes(0.9, 2), classes(0.9, 3)]).all_wrong is None
    assert compared(keras=[values(1, 1)], torch=[values(1, 2)]).only_wrong == {}
