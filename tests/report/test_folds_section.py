"""The section on folds: every fold, what holds over them, and nothing where the rows have no folds."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tandem import folds as folds_of
from tandem.records import FoldRows
from tandem.report.folds import SHOWN_FOLDS, Folds, draw_folds, folds_section
from tandem.report.pages import PageInputs, experiment_page

from . import sample


def with_folds(inputs: PageInputs, folds: int = 5, repeats: int = 1, lost: int | None = None, watched: bool = False):
    """Return the inputs with made-up results of folds; ``lost`` is a fold on which all trainings diverged."""
    generator = np.random.default_rng(1)
    rows = tuple(FoldRows(repeat=number // folds, train=80, valid=20) for number in range(folds * repeats))
    task = inputs.data.task
    names = ("accuracy", "log_loss") if task == "classification" else ("mse", "rmse", "mae", "r2")
    evaluations = {}
    for framework, evaluation in inputs.evaluations.items():
        scores = {
            part: {
                name: [
                    None if number == lost else float(value)
                    for number, value in enumerate(generator.uniform(0.8, 0.9, len(rows)))
                ]
                for name in names
            }
            for part in ("valid", "test")
        }
        given = folds_of.Folds("5-fold cross-validation, stratified", rows, tuple(range(len(rows))), watched)
        record = folds_of.score_folds(task, given, scores)
        evaluations[framework] = evaluation.model_copy(update={"folds": record})
    runs = {}
    for framework, run in inputs.runs.items():
        ended = tuple(run.replicates[0].model_copy(update={"fold": number}) for number in range(len(rows)))
        runs[framework] = run.model_copy(update={"replicates": ended})
    histories = {framework: (found[0],) * len(rows) for framework, found in inputs.histories.items()}
    differences = folds_of.fold_differences({framework: found.folds for framework, found in evaluations.items()})
    comparison = inputs.comparison.model_copy(update={"fold_differences": differences})
    return replace(inputs, comparison=comparison, evaluations=evaluations, runs=runs, histories=histories)


def section(inputs: PageInputs, main_metric: str = "accuracy") -> Folds:
    comparison = inputs.comparison.model_copy(update={"main_metric": main_metric})
    found = folds_section(comparison, inputs.evaluations)
    assert found is not None
    return found


def section_of(page: str) -> str:
    found = re.search(r'<section id="folds".*?</section>', page, re.DOTALL)
    return "" if found is None else found[0]


@pytest.mark.parametrize("made", [sample.classification, sample.regression])
def test_a_page_shows_every_fold_and_what_holds_over_them(made):
    page = experiment_page(with_folds(made()))
    shown = section_of(page)
    assert '<a href="#folds">Folds</a>' in page
    assert "5-fold cross-validation, stratified." in shown
    table = shown.split('id="fold-table"')[1]
    assert re.findall(r'<th scope="row" data-value="\d+">([^<]+)</th>', table) == ["0", "1", "2", "3", "4"]
    assert shown.count("<svg") == 1
    assert "PyTorch − Keras" in shown
    assert "also chose the epoch" not in shown
    assert "each such training counts below as a replicate" in page


def test_a_page_without_folds_has_no_such_section():
    page = experiment_page(sample.classification())
    assert not section_of(page)
    assert "#folds" not in page


def test_one_framework_has_no_difference():
    shown = section_of(experiment_page(with_folds(sample.classification(("torch",)))))
    assert "Difference" not in shown
    assert "Keras" not in shown


def test_a_fold_that_diverged_is_told_and_takes_the_interval_away():
    inputs = with_folds(sample.classification(), lost=2)
    shown = section_of(experiment_page(inputs))
    assert shown.count('<td class="diverged">diverged</td>') == 4  # two frameworks on two parts
    assert " to " not in re.search(r'id="folds-table".*?</table>', shown, re.DOTALL)[0]


def test_validation_rows_that_chose_the_epoch_are_told():
    assert "their scores flatter" in section_of(experiment_page(with_folds(sample.classification(), watched=True)))


def test_repeated_folds_name_their_repeat_and_many_are_cut():
    inputs = with_folds(sample.classification(), folds=4, repeats=2)
    found = section(inputs)
    assert [(row.number, row.rows.repeat) for row in found.each] == [(n, n // 4) for n in range(8)]
    assert "<span>Repeat</span>" in section_of(experiment_page(inputs))
    many = section(with_folds(sample.classification(), folds=10, repeats=6))
    assert (len(many.each), many.left_out) == (SHOWN_FOLDS, 60 - SHOWN_FOLDS)


def test_the_main_metric_comes_first_and_validation_before_test():
    found = section(with_folds(sample.regression()), "mae")
    assert [(row.part, row.metric) for row in found.over][:2] == [("valid", "mae"), ("valid", "mse")]
    assert [row.part for row in found.over] == ["valid"] * 4 + ["test"] * 4


def test_the_figure_says_its_values_and_is_the_same_each_time():
    found = section(with_folds(sample.classification(), lost=2))
    drawn = draw_folds(found, "figure-1")
    assert drawn == draw_folds(found, "figure-1")
    values = found.each[0].valid
    assert f"Keras: {values['keras']:.4f}" in drawn
    assert "diverged" in drawn
