"""The tutorials' systems and claims are judged as their numbers say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tandem.config import read_params
from tandem.records import (
    DataDescription,
    EvaluationRecord,
    History,
    Interval,
    MetricEstimate,
    ModelSummary,
    ReplicateRecord,
    RunRecord,
)
from tandem.tutorials import measures
from tandem.tutorials.claims import CLAIMS, Contrast
from tandem.tutorials.judging import judge_claim, judge_system, sign_test, vote
from tandem.tutorials.page import tutorials_page
from tandem.tutorials.results import Result
from tandem.tutorials.systems import GROUPS, Check, System

REPOSITORY = Path(__file__).resolve().parents[2]
SYSTEMS = [system for group in GROUPS for system in group.systems]
NOT_CURRENT = "declared otherwise since"


def made(
    experiment: str,
    framework: str = "keras",
    *,
    test: dict[str, tuple[float | None, ...]],
    losses: tuple[tuple[float, ...], ...] = (),
    outputs: np.ndarray | None = None,
    features: np.ndarray | None = None,
    current: bool = True,
) -> Result:
    """Make a result with one training a value; ``None`` is one that diverged."""
    values = next(iter(test.values()))
    replicates = tuple(
        ReplicateRecord(
            replicate=n,
            seed=n,
            outcome="diverged" if value is None else "finished",
            epochs=3,
            kept_epoch=3,
            explanation="",
        )
        for n, value in enumerate(values)
    )
    return Result(
        run=RunRecord(
            experiment=experiment,
            framework=framework,
            dataset="made",
            constants="aligned",
            threads=1,
            device="cpu",
            versions={"python": "3.11", framework: "1.0"},
            platform="made machine",
            declaration={},
            model=ModelSummary(layers=(), parameters=10, trainable=10),
            differences=(),
            replicates=replicates,
        ),
        evaluation=EvaluationRecord(
            experiment=experiment,
            framework=framework,
            task="regression",
            metrics={"test": test},
            recorded_valid=(),
            estimates=(),
            wrong=(),
            confusion=(),
            diverged=(),
        ),
        histories=tuple(
            History(epochs=(1, 2, 3), learning_rate=(0.1,) * 3, columns={"train_loss": column}) for column in losses
        ),
        data=DataDescription(
            title="made",
            reference="made",
            task="regression",
            feature_shape=(1,),
            target_name="y",
            dataset="made",
            source="made",
            rows={"train": 3, "valid": 0, "test": 3},
            class_counts={},
        ),
        outputs=np.zeros((len(values), 3)) if outputs is None else outputs,
        features=np.zeros((3, 1)) if features is None else features,
        current=current,
    )


def named(*results: Result) -> dict[tuple[str, str], Result]:
    return {(result.run.experiment, result.run.framework): result for result in results}


def system(*checks: Check, experiment: str = "made") -> System:
    return System("M0", "made", experiment, checks)


MSE = measures.scored("test", "mse", "test MSE")

# ------------------------------------------------------------------------------------- what is declared


def test_every_experiment_of_the_tutorials_has_a_row_and_every_row_an_experiment():
    params = read_params(REPOSITORY / "params.yaml")
    suite = set(params.suites["tutorials"].experiments)
    compared = {name for claim in CLAIMS for c in claim.contrasts for name in (c.better, c.worse)}
    rows = {entry.experiment for entry in SYSTEMS}
    assert rows | compared == suite
    for group in GROUPS:
        assert {entry.experiment for entry in group.systems} <= {*params.suites[group.suite].experiments, "housing-mlp"}
    parts = [set(params.suites[group.suite].experiments) for group in GROUPS]
    assert set.union(*parts) == suite
    assert sum(map(len, parts)) == len(suite)


def test_all_ids_of_the_tutorials_are_there():
    ids = {part for entry in SYSTEMS for part in re.findall(r"\b[MD]\d+b?\b", entry.id)}
    expected = {f"M{n}" for n in range(1, 21)} | {"M1b", "M11b"} | {f"D{n}" for n in range(1, 11)}
    assert ids == expected


def test_bounds_follow_from_the_stated_numbers():
    found = {(entry.id, check.measure.name): check for entry in SYSTEMS for check in entry.checks}
    assert found["M2", "test accuracy"].at_least == pytest.approx(0.8495 - 0.015)
    assert found["M2", "test loss"].at_most == pytest.approx(1.05 * 0.4306)
    assert found["M9", "test MSE"].at_most == pytest.approx(1.05 * 0.391)
    assert found["M17", "epochs"].at_least == found["M17", "epochs"].at_most == 889


# ------------------------------------------------------------------------------------------- systems


def test_the_median_decides_and_a_diverged_training_counts_as_out():
    entry = system(Check(MSE, at_most=1.0))
    (verdict,) = judge_system(entry, named(made("made", test={"mse": (0.5, 0.9, 30.0)}))).checks
    assert (verdict.readings["keras"].middle, verdict.outside) == (0.9, ())
    (verdict,) = judge_system(entry, named(made("made", test={"mse": (0.5, 2.0, 30.0)}))).checks
    assert verdict.outside == ("keras",)
    (verdict,) = judge_system(entry, named(made("made", test={"mse": (0.5, None, None)}))).checks
    assert (verdict.readings["keras"].middle, verdict.outside, verdict.readings["keras"].lost) == (None, ("keras",), 2)


def test_a_training_that_may_diverge_counts_as_its_declared_value():
    entry = system(Check(MSE, at_most=0.2, lost=0.1))
    (verdict,) = judge_system(entry, named(made("made", test={"mse": (None, None, 0.15)}))).checks
    assert (verdict.readings["keras"].middle, verdict.outside) == (0.1, ())


def test_divergence_is_infinity_or_an_error_of_a_hundred_constants():
    result = made("made", test={"r2": (0.5, -98.0, -1e30, None)})
    assert measures.diverged().read(result, {}) == (0.0, 0.0, 1.0, 1.0)
    every, some = (system(Check(measures.diverged(), at_least=share)) for share in (1.0, 0.05))
    assert judge_system(every, named(result)).checks[0].outside == ("keras",)
    assert judge_system(some, named(result)).checks[0].outside == ()


def test_coefficients_are_read_from_outputs():
    x = np.linspace(0, 1, 50)
    outputs = (2.0358 * x**2 + 2.961 * x + 4.0075).astype(np.float32)[None]
    result = made("made", test={"mse": (0.0,)}, outputs=outputs, features=x[:, None])
    found = [measures.coefficient(power, "c").read(result, {})[0] for power in (2, 1, 0)]
    assert found == pytest.approx([2.0358, 2.961, 4.0075], abs=5e-6)


def test_weights_are_read_from_probabilities():
    x = np.random.default_rng(0).random((200, 2))
    positive = 1 / (1 + np.exp(-(3 * x[:, 0] - 2 * x[:, 1] + 0.5)))
    outputs = np.stack([1 - positive, positive], axis=1)[None]
    result = made("made", test={"mse": (0.0,)}, outputs=outputs, features=x)
    assert [measures.weight(place, "w").read(result, {})[0] for place in (0, 1)] == pytest.approx([3.0, -2.0])


def test_departure_from_a_witness_needs_the_witness():
    ours = made("made", "torch", test={"mse": (0.0,)}, outputs=np.array([[1.0, 2.0]]))
    numpy = made("made", "numpy", test={"mse": (0.0,)}, outputs=np.array([[1.0, 2.5]]))
    measure = measures.departure("numpy", "difference")
    assert measure.read(ours, named(ours, numpy)) == (0.5,)
    assert measure.read(ours, named(ours)) == (None,)


# -------------------------------------------------------------------------------------------- claims


def test_five_unanimous_seeds_are_enough_and_four_are_not():
    assert vote((2,) * 5, (1,) * 5, higher=True).standing == "holds"
    assert vote((2,) * 4, (1,) * 4, higher=True).standing == "too few seeds"
    assert vote((1,) * 5, (2,) * 5, higher=True).standing == "does not hold"
    assert vote((1,) * 5, (2,) * 5, higher=False).standing == "holds"
    assert vote((2, 2, 2, 1, 1), (1, 1, 1, 2, 2), higher=True).standing == "not shown"


def test_a_diverged_training_loses_and_ties_do_not_vote():
    found = vote((1.0, 1.0, 3.0), (None, 1.0, None), higher=True)
    assert (found.wins, found.losses, found.seeds, found.worse, found.difference) == (2, 0, 3, 1.0, None)
    assert vote((0.0,) * 10, (1.0,) * 5 + (0.0,) * 5, higher=False).standing == "holds"


@pytest.mark.parametrize(("wins", "losses", "p"), [(5, 0, 1 / 32), (0, 0, 1.0), (4, 1, 6 / 32), (0, 3, 1.0)])
def test_the_sign_test(wins, losses, p):
    assert sign_test(wins, losses) == pytest.approx(p)


def test_a_claim_about_epochs_reads_the_histories():
    slow = made("slow", test={"mse": (0.1,) * 5}, losses=((0.9, 0.5, 0.3),) * 5)
    fast = made("fast", test={"mse": (0.1,) * 5}, losses=((0.6, 0.5, 0.4),) * 5)
    first, last = (
        Contrast("fast", "slow", measures.after_epoch("train_loss", epoch, "loss"), higher=False) for epoch in (1, -1)
    )
    claim = CLAIMS[0].__class__("made", "", (first, last))
    one, two = judge_claim(claim, named(slow, fast)).contrasts
    assert (one.votes["keras"].standing, two.votes["keras"].standing) == ("holds", "does not hold")


# ---------------------------------------------------------------------------------------------- page


def test_a_page_without_results_says_so_in_every_row():
    page = tutorials_page({})
    rows = [line for line in page.splitlines() if re.match(r"\| [MD]\d", line)]
    assert len(rows) == sum(len(entry.checks) for entry in SYSTEMS)
    assert all(line.endswith("| not run |") for line in rows)
    assert page.count("**not run**") == len(CLAIMS)
    assert "**0 of" in page


def test_a_row_has_numbers_verdict_and_link():
    results = named(
        made("housing-mlp", test={"mse": (0.36, 0.37, 0.38)}), made("housing-mlp", "torch", test={"mse": (0.5,) * 3})
    )
    (row,) = [line for line in tutorials_page(results, "by hand").splitlines() if line.startswith("| M9 ")]
    assert "[test MSE](../reports/housing-mlp.html#metrics)" in row
    assert "≤ 0.4106" in row
    assert "0.3700 (0.3452 to 0.3948; 3 seeds)" in row
    assert row.endswith("| **outside** in PyTorch |")


def test_a_single_training_has_the_interval_over_test_rows():
    single = made("housing-mlp", test={"mse": (0.36,)})
    over_rows = Interval(value=0.36, low=0.34, high=0.39, over="test samples", n=5160)
    estimate = MetricEstimate(metric="mse", higher_is_better=False, samples=over_rows, seeds=None)
    single = replace(single, evaluation=single.evaluation.model_copy(update={"estimates": (estimate,)}))
    (row,) = [line for line in tutorials_page(named(single)).splitlines() if line.startswith("| M9 ")]
    assert "0.3600 (0.3400 to 0.3900; 5,160 test samples)" in row


def test_results_of_another_declaration_are_not_judged():
    page = tutorials_page(named(made("housing-mlp", test={"mse": (0.36,)}, current=False)))
    (row,) = [line for line in page.splitlines() if line.startswith("| M9 ")]
    assert NOT_CURRENT in row


def test_sections_that_the_page_links_to_are_in_the_reports():
    template = (REPOSITORY / "tandem/report/templates/page.html").read_text(encoding="utf-8")
    for entry in SYSTEMS:
        for check in entry.checks:
            assert f'id="{check.measure.section}"' in template
