"""The page's section on pruning."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tandem.records import PrunedScores, PruningRecord
from tandem.report.pages import PageInputs, experiment_page
from tandem.report.pruning import draw_pruning, pruning_section

from . import sample

KEPT = {"keras": ((0.9, 0.8), (0.7, 0.8)), "torch": ((0.9, None), (0.5, None))}


def pruned(made: PageInputs, metric: str = "accuracy") -> PageInputs:
    """Add scores of two trainings, whole and with half of the weights, of which PyTorch's second diverged."""
    evaluations = {
        name: evaluation.model_copy(
            update={
                "pruning": PruningRecord(
                    weights=1234,
                    levels=tuple(
                        PrunedScores(share=share, metrics={metric: values})
                        for share, values in zip((0.0, 0.5), KEPT[name], strict=True)
                    ),
                )
            }
        )
        for name, evaluation in made.evaluations.items()
    }
    return replace(made, evaluations=evaluations)


def test_levels_are_means_over_the_trainings_that_did_not_diverge():
    made = pruned(sample.classification(replicates=2, diverged={"torch": (1,)}))
    section = pruning_section(made.comparison, made.evaluations)
    assert section.shares == (0.0, 0.5)
    assert (section.weights, section.trainings, section.higher_is_better) == (1234, 2, True)
    whole, half = section.levels["keras"]
    assert (whole.mean, whole.low, whole.high, whole.change) == pytest.approx((0.85, 0.8, 0.9, 0))
    assert (half.mean, half.low, half.high, half.change) == pytest.approx((0.75, 0.7, 0.8, -0.1))
    whole, half = section.levels["torch"]
    assert (whole.mean, half.mean, half.change) == pytest.approx((0.9, 0.5, -0.4))


def test_the_page_shows_table_curve_and_source():
    page = experiment_page(pruned(sample.classification(replicates=2)))
    assert '<section id="pruning"' in page
    assert '<a href="#pruning">Pruning</a>' in page
    assert "Han et al., 2015" in page
    assert "1,234" in page
    assert "Keras, by the share of weights that are zero: " in page


def test_a_page_without_pruning_has_no_section():
    assert 'id="pruning"' not in experiment_page(sample.classification())


def test_the_curve_says_its_numbers():
    made = pruned(sample.regression(), "mse")
    drawn = draw_pruning(pruning_section(made.comparison, made.evaluations), "pruning")
    assert "lower is better" in drawn
    assert "0.85" in drawn
    assert "0.75" in drawn
