"""The report's section on parity: the ladder as a table, its words, and the layers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tandem.parity.compare import compare_climbs
from tandem.report.pages import experiment_page
from tandem.report.parity import parity_section

from . import sample
from .made_ladder import made_climb, made_ladder


def section_of(page: str) -> str:
    part = page[page.index('<section id="parity"') :]
    return part[: part.index("</section>")]


def test_a_page_shows_each_rung_of_each_framework_against_the_first():
    page = experiment_page(sample.classification(replicates=3))
    section = section_of(page)
    assert 'href="#parity"' in page
    assert section.count("✓") >= 20
    assert "✗</span>" not in section
    assert "Keras and PyTorch reach every rung: after ten steps their largest relative difference is" in section
    assert "Keras and NumPy reach every rung" in section
    assert '<th scope="colgroup" colspan="2">PyTorch</th><th scope="colgroup" colspan="2">NumPy</th>' in section
    assert "3 replicates are too few" in section
    assert "not trained: a witness" in section


def test_a_rung_that_is_missed_has_a_cross_and_its_reason():
    climbs = [made_climb("digits-mlp", "keras"), made_climb("digits-mlp", "torch", noise=1e5)]
    inputs = replace(sample.classification(), ladder=compare_climbs(climbs))
    section = section_of(experiment_page(inputs))
    assert section.count('<span class="diverged" title="more than 10⁻¹²">') >= 4
    assert "Rounding does not explain it" in section


def test_the_layers_are_listed_from_input_to_output():
    found = parity_section(made_ladder("digits-mlp", ("keras", "torch")), None)
    assert found is not None
    table = found.layers[0]
    assert [name for name, _ in table.rows] == ["dense_1", "output"]
    assert all(len(cells) == 2 * len(table.rungs) for _, cells in table.rows)


@pytest.mark.parametrize("frameworks", [("keras",), ("keras", "torch", "numpy")])
def test_any_number_of_frameworks_climbs(frameworks):
    found = parity_section(made_ladder("digits-mlp", frameworks), None)
    assert found is not None
    assert found.others == (("NumPy",) if frameworks == ("keras",) else ("PyTorch", "NumPy"))


def test_a_framework_alone_has_no_section():
    assert parity_section(compare_climbs([made_climb("digits-mlp", "keras")]), None) is None
    assert "#parity" not in experiment_page(replace(sample.classification(), ladder=None))
