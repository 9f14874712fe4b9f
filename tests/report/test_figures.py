"""Figures: the same bytes in any process, text as text, and everything said in words too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from tandem.report import figures, records

from . import sample

DRAW = "from tests.report.test_figures import draw_all; print(*draw_all().values())"


def draw_all():
    inputs = sample.classification(replicates=3)
    houses = sample.regression()
    panel = records.curve_panels(inputs.histories, inputs.runs)[0]
    return {
        "intervals": figures.draw_intervals(records.interval_plot(inputs.comparison), "a"),
        "curves": figures.draw_curves(panel, "b"),
        "confusion": figures.draw_confusion(records.confusions(inputs.evaluations, sample.CLASSES)[0], "c"),
        "residuals": figures.draw_residuals(records.residuals(houses.arrays, houses.data.target_name)[0], "d"),
        "balance": figures.draw_class_balance(records.class_balance(inputs.data), "e"),
        "picture": figures.draw_picture(np.eye(8), "An eye & a <hand>", "f"),
    }


@pytest.fixture(scope="module")
def drawn():
    return draw_all()


def parse(svg):
    return ElementTree.fromstring(svg)  # noqa: S314 (our own figure)


def texts(svg):
    return [element.text for element in parse(svg).iter("text")]


def describe(svg):
    return parse(svg).find("desc").text


def draw_in_a_fresh_process(hash_seed):
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", DRAW]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, check=True).stdout


def test_two_fresh_processes_draw_the_same_bytes():
    first, second = draw_in_a_fresh_process("1"), draw_in_a_fresh_process("2")
    assert first == second
    assert first.count(b"<svg") == 6


@pytest.mark.parametrize("name", ["intervals", "curves", "confusion", "residuals", "balance", "picture"])
def test_every_figure_is_an_image_with_a_name_and_a_description(drawn, name):
    root = parse(drawn[name])
    assert root.get("role") == "img"
    assert root.get("viewBox")
    assert root.get("width") == "100%"
    assert root.find("title").text
    assert root.find("desc").text
    named = {root.find("title").get("id"), root.find("desc").get("id")}
    assert set(root.get("aria-labelledby").split()) == named


def test_descriptions_state_the_numbers(drawn):
    assert re.search(
        r"Keras, validation: loss goes from 1\.\d+ in epoch 1 to 0\.\d+ in epoch 10",
        describe(drawn["curves"]),
    )
    assert "mean of 3 replicates" in describe(drawn["curves"])
    assert re.match(r"Keras gets \d+ of 360 right", describe(drawn["confusion"]))
    assert "root mean squared error 0." in describe(drawn["residuals"])
    assert "衬衫: 100 training, 33 validation" in describe(drawn["balance"])
    assert "PyTorch, 3 seeds: 0." in describe(drawn["intervals"])
    assert describe(drawn["picture"]) == "An eye & a <hand>"


def test_text_stays_text_in_any_script_and_is_never_mathematics(drawn):
    assert "衬衫" in texts(drawn["balance"])
    assert sample.HOSTILE[:23] + "…" in texts(drawn["balance"])
    assert "target: house value in $100,000" in texts(drawn["residuals"])
    assert "<script" not in "".join(drawn.values())


def test_a_name_with_dollars_is_no_formula():
    balance = records.ClassBalance(("$a_1$", "$\\frac{1}{2}$"), {"train": (1, 2)})
    assert {"$a_1$", "$\\frac{1}{2}$"} <= set(texts(figures.draw_class_balance(balance, "math")))


def test_curves_that_coincide_both_show():
    curves = tuple(
        records.Curve(f, "valid", (1, 2), (2.0, 1.0), (2.0, 1.0), (2.0, 1.0), 1, 0, None) for f in ("keras", "torch")
    )
    svg = figures.draw_curves(records.CurvePanel("loss", curves, logarithmic=False), "same")
    widths = {
        name: float(re.search(rf"stroke: var\(--series-{place}\); stroke-width: ([\d.]+)", svg)[1])
        for place, name in ((1, "keras"), (2, "torch"))
    }
    assert widths["keras"] > 2 * widths["torch"]
    assert svg.index("var(--series-1)") < svg.index("var(--series-2)")


def test_logarithmic_axes_are_labelled_in_plain_numbers():
    inputs = sample.classification(diverged={"torch": (0,)})
    panel = records.curve_panels(inputs.histories, inputs.runs)[0]
    svg = figures.draw_curves(panel, "log")
    assert panel.logarithmic
    assert "10" in texts(svg)
    assert not any("$" in text for text in texts(svg))
    assert "and diverges" in describe(svg)


def test_a_run_that_diverged_in_its_first_epoch_is_drawn_and_said():
    curve = records.Curve("torch", "train", (), (), (), (), replicates=1, diverged=1, kept_epoch=None)
    panel = records.CurvePanel("loss", (curve,), logarithmic=False)
    assert "diverged in the first epoch" in describe(figures.draw_curves(panel, "none"))


def test_colours_are_the_pages_own(drawn):
    joined = "".join(drawn.values())
    assert "var(--series-1)" in joined
    assert "var(--ink)" in joined
    assert not re.search(r"#0102|#000000|#ffffff", joined)


def test_ids_of_two_figures_do_not_collide(drawn):
    ids = [name for svg in drawn.values() for name in re.findall(r' id="([^"]+)"', svg)]
    assert len(ids) == len(set(ids)) > 10
    references = re.findall(r'(?:href="#|url\(#)([^")]+)', "".join(drawn.values()))
    assert set(references) <= set(ids)


def test_an_image_keeps_its_pixels_in_the_page(drawn):
    assert 'href="data:image/png;base64,' in drawn["picture"]


@pytest.mark.parametrize("classes", [1, 2, 14, 15, 60])
def test_confusion_matrices_of_any_size_are_drawn(classes):
    counts = tuple(tuple(int(i == j) for j in range(classes)) for i in range(classes))
    names = tuple(f"class {i}" for i in range(classes))
    confusion = records.Confusion("keras", names, counts, classes, classes)
    assert f"{classes} of {classes} right (100.0" in describe(figures.draw_confusion(confusion, "big"))


def test_names_that_the_measuring_font_lacks_are_drawn_without_a_warning(recwarn):
    balance = records.ClassBalance(("衬衫",), {"train": (1,)})
    assert "衬衫" in texts(figures.draw_class_balance(balance, "glyphs"))
    assert recwarn.list == []
