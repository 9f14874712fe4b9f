"""The section on differences over replicates: rows, conclusions, figure; and pages of three frameworks."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from tandem.records import EquivalenceTest, Interval, Margin, MetricDifference, Significance
from tandem.report import drawing, figures, records
from tandem.report.differences import difference_section, draw_equivalence, suite_correction
from tandem.report.pages import IndexInputs, experiment_page, index_page

from . import sample
from .test_pages import Page

THREE = ("keras", "torch", "numpy")
STYLE = Path(records.__file__).parent / "templates" / "style.css"


def difference(count: int, p: float = 0.5, tost: float = 0.5, gap: float = 0.01) -> MetricDifference:
    interval = Interval(value=gap, low=gap - 0.02, high=gap + 0.02, over="seeds", n=count)
    return MetricDifference(
        metric="mse",
        higher_is_better=False,
        first="keras",
        second="numpy",
        samples=interval.model_copy(update={"over": "test samples", "n": 300}),
        seeds=interval,
        values=(1.0, 1.0 + gap),
        rounding=1e-6,
        each=dict.fromkeys(range(count), gap),
        deviation=0.02,
        seeds_test=Significance(p=p / 2, adjusted=p, comparisons=2),
        equivalence=EquivalenceTest(
            margin=Margin(size=0.05, relative=True),
            reach=0.05,
            interval=interval,
            test=Significance(p=tost / 2, adjusted=tost, comparisons=2),
            needed=None,
        ),
    )


def section_of(*found: MetricDifference):
    comparison = sample.regression().comparison
    return difference_section(comparison.model_copy(update={"differences": found}))


@pytest.mark.parametrize(
    ("found", "conclusion"),
    [
        (difference(10), "undecided"),
        (difference(10, p=0.01), "differ"),
        (difference(10, tost=0.01), "equivalent"),
        (difference(10, p=0.01, tost=0.01), "differ, within the margin"),
        (difference(4, p=0.01, tost=0.01), "too few replicates"),
        (
            difference(10, p=0.01).model_copy(
                update={"samples": Interval(value=9e-9, low=8e-9, high=1e-8, over="test samples", n=300)}
            ),
            "equal to rounding",
        ),
    ],
)
def test_a_row_concludes_from_the_corrected_p_values(found, conclusion):
    (row,) = section_of(found).rows
    assert row.conclusion == conclusion
    assert (row.pair, row.replicates, row.rows) == ("NumPy − Keras", len(found.each), 300)
    assert row.margin.replace("\N{NO-BREAK SPACE}", " ") == "5 % of the error"


def test_a_single_replicate_has_no_rows_but_its_caution():
    inputs = sample.classification(replicates=1)
    section = difference_section(inputs.comparison)
    assert (section.rows, section.plot) == ((), None)
    assert section.cautions
    text = Page(experiment_page(inputs)).text
    assert section.cautions[0] in text
    assert "Labels on the shared test rows" in text


def test_one_framework_has_no_such_section():
    assert difference_section(sample.classification(("torch",), replicates=10).comparison) is None


def test_three_frameworks_have_a_row_for_each_pair_and_metric():
    section = difference_section(sample.classification(THREE, replicates=10).comparison)
    pairs = [f"{b} − {a}" for a, b in combinations(("Keras", "PyTorch", "NumPy"), 2)]
    assert [(row.metric, row.pair) for row in section.rows] == [
        (m, pair) for m in ("accuracy", "loss") for pair in pairs
    ]
    assert [bar.pair for bar in section.plot.bars] == pairs
    assert [(row.first, row.second) for row in section.labels] == [
        ("Keras", "PyTorch"), ("Keras", "NumPy"), ("PyTorch", "NumPy"),
    ]  # fmt: skip


def test_the_figure_says_its_numbers_and_keeps_the_frameworks_looks():
    plot = difference_section(sample.classification(THREE, replicates=10).comparison).plot
    svg = draw_equivalence(plot, "a")
    words = ElementTree.fromstring(svg).find("desc").text  # noqa: S314 (our own figure)
    assert words.count("90 % interval") == 3
    assert "NumPy − PyTorch, 10 replicates: mean " in words
    assert "margin ±0.01000" in words
    assert {"var(--series-2)", "var(--series-3)"} <= set(re.findall(r"var\(--series-\d\)", svg))
    assert draw_equivalence(plot, "a") == svg


def test_equal_errors_of_0_are_drawn_without_a_warning(recwarn):
    nothing = Interval(value=0, low=0, high=0, over="seeds", n=6)
    found = difference(6, gap=0.0)
    test = found.equivalence.model_copy(update={"interval": nothing, "reach": 0.0})
    section = section_of(found.model_copy(update={"equivalence": test}))
    assert "mean 0, 90" in draw_equivalence(section.plot, "zero")
    assert recwarn.list == []


def test_the_page_shows_raw_and_corrected_p_values_with_what_they_rest_on():
    text = Page(experiment_page(sample.classification(replicates=10))).text.replace("\N{NO-BREAK SPACE}", " ")
    assert "0.004 0.008 corrected" in text
    assert "each rests on the same 120 test rows" in text
    assert "for the 2 comparisons of each kind on this page" in text
    assert "±0.0200 5 % of the error" in text
    assert "Keras and PyTorch are equivalent within 0.01." in text
    few = Page(experiment_page(sample.classification(replicates=3))).text
    assert "needs five replicates" in few
    assert "Fewer than five replicates: nothing can be concluded over seeds." in few
    assert "rest on five replicates or more" in few


def test_labels_are_shown_over_all_replicates_and_one_by_one():
    inputs = sample.classification(replicates=3)
    (test,) = inputs.comparison.mcnemar
    text = Page(experiment_page(inputs)).text
    first, second = (sum(getattr(one, side) for one in test.replicates) for side in ("first_only", "second_only"))
    assert f"{first} in Keras, {second} in PyTorch" in text
    assert "Keras and PyTorch, replicate by replicate" in text


@pytest.mark.parametrize("make", [sample.classification, sample.regression])
@pytest.mark.parametrize("replicates", [1, 3, 10])
def test_a_page_of_three_frameworks_tells_all_three(make, replicates):
    inputs = make(THREE, replicates=replicates)
    page = Page(experiment_page(inputs))
    assert "Keras, PyTorch and NumPy · " in page.text
    assert "The lines of Keras, PyTorch and NumPy become thinner in this order" in page.text
    assert "A typical epoch of Keras is 2.4 times as fast as one of PyTorch and 3.8 times as fast as one of NumPy" in (
        page.text
    )
    assert not re.search(r"\b(nan|inf|None|null|undefined)\b", page.text)
    head = page.text[page.text.index("Interval over") : page.text.index("In grey")]
    assert "Difference" not in head, "a table of its own tells of three frameworks' differences"
    if make is sample.classification:
        assert re.search(r"wrong in all of them; 4 in Keras alone, 4 in PyTorch alone and 4 in NumPy alone", page.text)


def test_the_index_tells_all_three_frameworks():
    inputs = sample.classification(THREE)
    entry = replace(
        sample.entries()[0], comparison=inputs.comparison, runs=dict(inputs.runs), timings=dict(inputs.timings)
    )
    source = index_page(IndexInputs((entry,)))
    assert "1 experiment on 1 data set, in Keras, PyTorch and NumPy." in Page(source).text
    assert "<title>Experiments: Keras, PyTorch and NumPy</title>" in source


def suite_of(*found: MetricDifference):
    comparison = sample.regression().comparison
    return [
        comparison.model_copy(update={"experiment": f"trial-{number}", "differences": (each,)})
        for number, each in enumerate(found)
    ]


def test_the_index_corrects_all_experiments_together():
    """Raw p-values are half of those given: 0.01 and 0.02 of three comparisons become 0.03 and 0.04."""
    comparisons = suite_of(difference(10, p=0.02, tost=0.9), difference(10, p=0.04, tost=0.02), difference(10))
    assert suite_correction(comparisons) == (
        "Corrected together (Holm), of the 3 comparisons of main metrics with enough replicates 2 (trial-0 and "
        "trial-1) show a difference over seeds, and 1 (trial-1) shows equivalence."
    )
    more = suite_of(*(difference(10, p=0.04, tost=0.5) for _ in range(4)))
    assert "none shows a difference over seeds, and none shows equivalence." in suite_correction(more)
    assert suite_correction(suite_of(difference(10), difference(3))) == ""


def test_three_curves_that_coincide_all_show():
    curves = tuple(
        records.Curve(f, part, (1, 2), (2.0, 1.0), (2.0, 1.0), (2.0, 1.0), 1, 0, None)
        for f in THREE
        for part in ("train", "valid")
    )
    svg = figures.draw_curves(records.CurvePanel("loss", curves, logarithmic=False), "same")
    widths = [
        float(re.search(rf"stroke: var\(--series-{place}\); stroke-width: ([\d.]+)", svg)[1]) for place in (1, 2, 3)
    ]
    assert widths[0] > 1.5 * widths[1] > 1.5 * 1.5 * widths[2]
    texts = [element.text for element in ElementTree.fromstring(svg).iter("text")]  # noqa: S314 (our own figure)
    assert [text for text in texts if ", " in (text or "")] == [
        f"{name}, {part}" for part in ("training", "validation") for name in ("Keras", "PyTorch", "NumPy")
    ]


# Of Machado, Oliveira and Fernandes (2009): how colours look without the red or the green cones.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


def lab(rgb):
    """Return CIE L*a*b* of linear RGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.9505, 1, 1.089])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def linear(colour):
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("scheme", [0, 1, 2])
def test_the_frameworks_colours_can_be_told_apart(scheme, blindness):
    """In the light, the dark and in print; 20 in L*a*b* is a difference that nobody overlooks."""
    found = re.findall(r"--series-1: (#\w+); --series-2: (#\w+); --series-3: (#\w+);", STYLE.read_text())
    assert len(found) == 3
    seen = [lab(BLINDNESS[blindness] @ linear(colour)) for colour in found[scheme]]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 20


def test_every_framework_has_a_look_of_its_own():
    looks = [drawing.look_of(name) for name in (*THREE, "another")]
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == 4
