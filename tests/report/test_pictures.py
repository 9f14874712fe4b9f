"""Pictures of what a network does: boundaries and fits over the data, calibration, galleries of any rank."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tandem.calibration import calibrate
from tandem.report import calibration, figures, records, surfaces
from tandem.report.pages import experiment_page
from tandem.report.pictures import draw_sample
from tandem.report.samples import SHOWN_FRAMES, kind_of, show_samples
from tandem.surfaces import lay_grid

from . import sample

LARGEST = 150_000  # bytes of a figure
TWO = ("left & right", "up")
HALVES = ("below", sample.HOSTILE)


def describe(task, features, class_names=(), names=TWO):
    data = (sample.classification() if task == "classification" else sample.regression()).data
    return data.model_validate(
        {
            **data.model_dump(exclude={"columns"}),
            "feature_shape": (features,),
            "feature_names": names[:features],
            "class_names": class_names,
            "rows": {"train": 300, "valid": 0, "test": 500},
            "class_counts": {},
        }
    )


def arrays_of(function, features, replicates=1, tested=500, frameworks=sample.BOTH, noise=0.0):
    """Return arrays of ``function(inputs, replicate)``, (n, outputs); its targets are without the replicate."""
    random = np.random.default_rng(3)
    train, test = random.uniform(-1, 1, (300, features)), random.uniform(-1, 1, (tested, features))
    grid = lay_grid(train).points

    def target(rows):
        values = function(rows, 0)
        return values[:, 0] + noise * random.normal(size=len(rows)) if values.shape[1] == 1 else values.argmax(axis=1)

    def predict(rows):
        return {f: np.stack([function(rows, replicate) for replicate in range(replicates)]) for f in frameworks}

    return surfaces.SurfaceArrays(train, target(train), test, target(test), predict(grid), predict(test))


def halves(rows, replicate):
    """Probabilities of two classes, apart where the second feature is 0.1 times the replicate."""
    upper = 1 / (1 + np.exp(-40 * (rows[:, -1] - 0.1 * replicate)))
    return np.column_stack([1 - upper, upper])


def sectors(rows, replicate, classes=8):
    angles = 2 * np.pi * (np.arange(classes) + 0.07 * replicate) / classes
    scores = np.exp(9 * (rows @ np.stack([np.cos(angles), np.sin(angles)])))
    return scores / scores.sum(axis=1, keepdims=True)


def bowl(rows, replicate):
    return np.square(rows).sum(axis=1, keepdims=True) * 4 - 2 + 0.1 * replicate


def area(region):
    """Signed, so that holes count against the outlines around them."""
    return abs(sum(0.5 * np.sum(r[:-1, 0] * r[1:, 1] - r[1:, 0] * r[:-1, 1]) for r in region.rings))


def whole(plot):
    (left, right), (low, high) = plot.limits
    return (right - left) * (high - low)


def words(svg):
    return ElementTree.fromstring(svg).find("desc").text  # noqa: S314 (our own figure)


CASES = {
    "boundary": lambda: (describe("classification", 2, HALVES), arrays_of(halves, 2, 10)),
    "sectors": lambda: (describe("classification", 2, tuple("abcdefgh")), arrays_of(sectors, 2, 10)),
    "levels": lambda: (describe("regression", 2), arrays_of(bowl, 2, 10, noise=0.5)),
    "fit": lambda: (describe("regression", 1), arrays_of(bowl, 1, 10, frameworks=("keras", "torch", "numpy"))),
    "chances": lambda: (describe("classification", 1, HALVES), arrays_of(halves, 1, 10)),
}


def draw_case(name):
    function, shown = surfaces.draw_surfaces(*CASES[name]())
    return [function(record, f"figure-{place}") for place, record in enumerate(shown, 1)]


def draw_all():
    plots = calibration.calibration_plots(*calibrated())
    shown = [svg for name in ("boundary", "fit") for svg in draw_case(name)]
    return [*shown, calibration.draw_reliability(plots[0], "c"), draw_sample(series_samples()[0], "rising", "d")]


def series_samples():
    rows = np.arange(2 * 24 * 3, dtype=float).reshape(2, 24, 3)
    return show_samples(sample.classification(shape=(24, 3)).data, rows)


def calibrated(classes=2):
    inputs = sample.classification(class_names=("no", "yes", "perhaps")[:classes], replicates=2)
    given = {
        framework: record.model_copy(
            update={"calibration": calibrate(inputs.arrays[framework].targets, inputs.arrays[framework].probabilities)}
        )
        for framework, record in inputs.evaluations.items()
    }
    return inputs.data, given


# ------------------------------------------------------------------------------------------ two features


def test_the_border_lies_where_the_likeliest_class_changes():
    (plot, _) = surfaces.boundary_plots(describe("classification", 2, HALVES), arrays_of(halves, 2))
    (line,) = plot.borders
    assert np.abs(line[:, 1]).max() < 1e-3
    assert sorted(line[[0, -1], 0]) == pytest.approx(plot.limits[0])
    assert plot.wrong_rows == 0
    assert plot.replicate_borders == ()


def test_regions_cover_the_area_once():
    (plot, _) = surfaces.boundary_plots(describe("classification", 2, tuple("abcdefgh")), arrays_of(sectors, 2))
    areas = [area(region) / whole(plot) for region in plot.regions]
    assert sum(areas) == pytest.approx(1, abs=0.01)
    assert areas == pytest.approx(plot.shares, abs=0.02)


def test_the_mean_border_lies_among_those_of_the_replicates():
    (plot, _) = surfaces.boundary_plots(describe("classification", 2, HALVES), arrays_of(halves, 2, replicates=3))
    heights = [float(line[:, 1].mean()) for (line,) in plot.replicate_borders]
    assert heights == pytest.approx([0, 0.1, 0.2], abs=1e-3)
    assert float(plot.borders[0][:, 1].mean()) == pytest.approx(0.1, abs=1e-3)


def test_crosses_are_the_test_rows_that_the_mean_gets_wrong():
    arrays = arrays_of(halves, 2, replicates=3)
    (plot, _) = surfaces.boundary_plots(describe("classification", 2, HALVES), arrays)
    between = (arrays.test_features[:, 1] > 0) & (arrays.test_features[:, 1] < 0.1)
    assert plot.wrong_rows == between.sum() > 3
    assert np.array_equal(plot.wrong.places, arrays.test_features[between])
    assert set(plot.wrong.targets) == {1}
    assert f"{500 - plot.wrong_rows} of 500 test rows" in words(surfaces.draw_boundary(plot, "a"))


def test_saturated_probabilities_still_place_the_border_between_two_points_of_the_grid():
    def steep(at):
        def function(rows, _replicate):
            odds = np.exp(np.clip(600 * (rows[:, 0] - at), -60, 60))
            return np.column_stack([1 / (1 + odds), odds / (1 + odds)]).astype(np.float32)

        return function

    axis = lay_grid(arrays_of(steep(0), 2).train_features).axes[0]
    border = 0.8 * axis[55] + 0.2 * axis[56]
    (plot, _) = surfaces.boundary_plots(describe("classification", 2, HALVES), arrays_of(steep(border), 2))
    assert plot.borders[0][:, 0] == pytest.approx(border, abs=0.05 * (axis[1] - axis[0]))


def test_only_training_rows_decide_the_area():
    arrays = arrays_of(halves, 2)
    far = replace(arrays, test_features=arrays.test_features * 100)
    data = describe("classification", 2, HALVES)
    assert surfaces.boundary_plots(data, far)[0].limits == surfaces.boundary_plots(data, arrays)[0].limits


def test_diverged_replicates_are_left_out():
    arrays = arrays_of(halves, 2, replicates=3)
    arrays.outputs["torch"][0], arrays.predictions["torch"][0] = np.nan, np.nan
    arrays.outputs["keras"][:], arrays.predictions["keras"][:] = np.nan, np.nan
    (plot,) = surfaces.boundary_plots(describe("classification", 2, HALVES), arrays)
    assert (plot.framework, plot.replicates) == ("torch", 2)
    assert float(plot.borders[0][:, 1].mean()) == pytest.approx(0.15, abs=1e-3)


def test_levels_share_their_edges_and_cover_the_area():
    plots = surfaces.level_plots(describe("regression", 2), arrays_of(bowl, 2, replicates=2))
    assert len(plots) == 2
    assert plots[0].edges == plots[1].edges
    assert sum(area(region) for region in plots[0].regions) == pytest.approx(whole(plots[0]), rel=0.01)
    assert plots[0].edges[0] <= -2
    assert plots[0].edges[-1] >= plots[0].train.targets.max()
    assert plots[0].rmse == pytest.approx(0.05)


@pytest.mark.parametrize("name", ["boundary", "levels", "fit"])
def test_nothing_is_drawn_where_all_diverged(name):
    data, arrays = CASES[name]()
    for found in (*arrays.outputs.values(), *arrays.predictions.values()):
        found[:] = np.nan
    assert surfaces.draw_surfaces(data, arrays)[1] == ()


def test_more_classes_than_colours_differ_in_their_marker():
    svgs = draw_case("sectors")
    looks = re.findall(r'<use href="#([^"]+)" x="[\d.]+" y="[\d.]+" style="fill: (var\(--class-\d\))', svgs[0])
    assert len({colour for _, colour in looks}) == 6
    by_colour = {colour: {marker for marker, found in looks if found == colour} for _, colour in looks}
    assert len(by_colour["var(--class-1)"]) > len(by_colour["var(--class-5)"])


# ------------------------------------------------------------------------------------------- one feature


def test_a_fit_has_the_mean_and_the_band_of_its_replicates():
    arrays = arrays_of(bowl, 1, replicates=3)
    (plot,) = surfaces.fit_plots(describe("regression", 1), arrays)
    line = plot.lines[0]
    assert np.array_equal(plot.inputs, lay_grid(arrays.train_features).points[:, 0])
    assert line.mean == pytest.approx(4 * plot.inputs**2 - 1.9)
    assert line.high - line.low == pytest.approx(0.2)
    assert line.rmse == pytest.approx(0.1)
    assert np.array_equal(
        plot.train.places[:, 0], arrays.train_features[:, 0][np.linspace(0, 299, surfaces.SHOWN_ROWS).astype(int)]
    )


def test_without_test_rows_the_error_is_the_training_rows():
    arrays = arrays_of(bowl, 1, replicates=3, tested=0)
    (plot,) = surfaces.fit_plots(describe("regression", 1), arrays)
    assert plot.lines[0].rmse == pytest.approx(0.1, rel=1e-3)
    assert "on the training rows" in words(surfaces.draw_fit(plot, "a"))


@pytest.mark.parametrize(("classes", "shown"), [(2, ["probability of b"]), (3, [f"probability of {n}" for n in "abc"])])
def test_classes_along_one_feature_are_probabilities(classes, shown):
    def function(rows, _replicate):
        scores = np.exp(-np.square(5 * (rows - np.linspace(-1, 1, classes))))
        return scores / scores.sum(axis=1, keepdims=True)

    plots = surfaces.fit_plots(describe("classification", 1, tuple("abcdefgh"[:classes])), arrays_of(function, 1))
    assert [plot.target_name for plot in plots] == shown
    assert set(plots[0].train.places[:, 1]) == {0, 1}


# ---------------------------------------------------------------------------------------------- figures


@pytest.mark.parametrize("name", CASES)
def test_a_figure_is_small_named_and_described(name):
    for svg in draw_case(name):
        root = ElementTree.fromstring(svg)  # noqa: S314 (our own figure)
        assert len(svg.encode()) < LARGEST
        assert root.get("role") == "img"
        assert len(root.find("title").text) > 10
        assert len(root.find("desc").text) > 40
        assert "data:image" not in svg
        assert not re.search(r"#0102|#000000|nan", svg)


def test_a_fresh_process_draws_the_same_bytes():
    command = [sys.executable, "-c", "from tests.report.test_pictures import draw_all; print(*draw_all(), end='')"]
    drawn = subprocess.run(
        command,
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        check=True,
    )
    assert drawn.stdout.decode() == " ".join(draw_all())
    assert drawn.stdout.count(b"<svg") == 5


# ------------------------------------------------------------------------------------------ calibration


def test_the_words_say_whether_the_rows_show_anything():
    data, evaluations = calibrated()
    plot = calibration.calibration_plots(data, evaluations)[0]
    assert plot.event == "yes"

    def say(**numbers):
        return replace(plot, found=plot.found.model_copy(update=numbers)).sentence

    error = plot.found.error.model_copy(update={"value": 0.08})
    assert "so these rows show no miscalibration" in say(error=error, chance=0.1)
    assert "Overconfident: 0.900 sure on average and right on 0.800" in say(
        error=error, chance=0.05, confidence=0.9, accuracy=0.8
    )
    assert "Underconfident: " in say(error=error, chance=0.05, confidence=0.7, accuracy=0.8)
    assert "Overconfident in places and underconfident in others" in say(
        error=error, chance=0.05, confidence=0.8, accuracy=0.8
    )


def test_a_reliability_diagram_tells_every_bin():
    data, evaluations = calibrated(classes=3)
    for plot in calibration.calibration_plots(data, evaluations):
        told = words(calibration.draw_reliability(plot, "a"))
        assert told.count("came true") == len(plot.found.bins)
        assert "Probability of the predicted class" in told


def test_the_frameworks_diagrams_share_their_axes():
    data, evaluations = calibrated()
    found = evaluations["torch"].calibration
    sure = tuple(b.model_copy(update={"predicted": 0.9, "low": 0.67}) for b in found.bins)
    both = {
        f: evaluations[f].model_copy(update={"calibration": found.model_copy(update={"bins": sure})})
        for f in evaluations
    }
    assert {plot.start for plot in calibration.calibration_plots(data, both)} == {0.6}
    one = {**both, "torch": evaluations["torch"]}
    assert {plot.start for plot in calibration.calibration_plots(data, one)} == {0.0}


def test_an_evaluation_without_calibration_has_no_diagram():
    inputs = sample.regression()
    assert calibration.calibration_plots(inputs.data, inputs.evaluations) == ()


# -------------------------------------------------------------------------------------------- galleries


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((4,), None), ((28, 28), "image"), ((24, 3), "series"), ((28, 28, 1), "image"), ((32, 32, 3), "image"),
        ((3, 16, 12), "image"), ((6, 16, 12, 3), "video"), ((6, 1, 16, 12), "video"),
    ],
)  # fmt: skip
def test_a_sample_of_any_rank_is_shown_as_what_it_is(shape, kind):
    inputs = sample.classification(shape=shape)
    assert kind_of(inputs.data) == kind
    shown = show_samples(inputs.data, inputs.samples.features)
    assert len(shown or ()) == (15 if kind else 0)
    for drawn in shown or ():
        assert drawn.kind == kind
        assert kind == "series" or 0 <= drawn.values.min() <= drawn.values.max() <= 1


@pytest.mark.parametrize(("shape", "images"), [((24, 3), 0), ((6, 8, 8, 3), 15 + 2 * 12)])
def test_a_page_of_any_rank_has_its_gallery(shape, images):
    page = experiment_page(sample.classification(shape=shape))
    assert page.count("Training sample: ") == 15
    assert page.count("data:image/png") == images
    assert ('class="gallery strips"' in page) == bool(images)
    assert "Worst samples of" not in page


def test_columns_with_names_are_a_series():
    inputs = sample.classification(shape=(30, 8))
    assert kind_of(inputs.data) == "image"
    names = [{"name": f"sensor {number}"} for number in range(8)]
    assert kind_of(inputs.data.model_validate({**inputs.data.model_dump(), "columns": names})) == "series"


@pytest.mark.parametrize("shape", [(9, 16, 12, 3), (9, 3, 16, 12), (3, 9, 16, 12)])
def test_a_video_is_a_strip_of_its_frames(shape):
    data = sample.classification(shape=shape).data
    (strip,) = show_samples(data, np.random.default_rng(0).random((1, *shape)))
    assert strip.values.shape == (16, 12 * SHOWN_FRAMES + SHOWN_FRAMES - 1, 3)


def test_series_share_one_scale_and_have_a_line_per_feature():
    shown = series_samples()
    assert [s.limits for s in shown] == [(0, 143)] * 2
    svg = draw_sample(shown[0], "rising", "a")
    assert all(f"var(--class-{number})" in svg for number in (1, 2, 3))
    heights = [float(y) for y in re.findall(r" ([\d.]+)(?: L|\")", svg)]
    assert max(heights) <= 64


# ------------------------------------------------------------------------------------------------ curves


def test_a_share_has_the_axis_from_0_to_1_and_a_loss_one_from_0():
    inputs = sample.classification()
    panels = {panel.quantity: panel for panel in records.curve_panels(inputs.histories, inputs.runs)}
    assert panels["accuracy"].limits == (0, 1)
    low, high = panels["loss"].limits
    assert low == 0
    assert high == max(value for curve in panels["loss"].curves for value in curve.high)
    marks = [
        float(mark.replace("\N{MINUS SIGN}", "-"))
        for mark in re.findall(r">([\d.]+)</text>", figures.draw_curves(panels["accuracy"], "a"))
    ]
    assert {0.0, 1.0} <= set(marks)


def test_a_logarithmic_axis_is_not_fixed():
    inputs = sample.classification(diverged={"torch": (0,)})
    panel = records.curve_panels(inputs.histories, inputs.runs)[0]
    assert panel.logarithmic
    assert panel.limits is None


# ------------------------------------------------------------------------------------------------- pages


def with_surface(name):
    data, arrays = CASES[name]()
    inputs = sample.classification(replicates=2) if data.task == "classification" else sample.regression()
    given = {
        f: replace(a, wrong_features=a.wrong_features[:, : data.feature_shape[0]]) for f, a in inputs.arrays.items()
    }
    return replace(inputs, data=data, surface=arrays, arrays=given)


@pytest.mark.parametrize(
    ("name", "title"),
    [("boundary", "Decision boundary"), ("levels", "Prediction over the data"), ("fit", "Fit over the data")],
)
def test_a_page_shows_what_the_network_makes_of_every_input(name, title):
    page = experiment_page(with_surface(name))
    assert f'<a href="#surface">{title}</a>' in page
    assert f'<h2 id="surface-head">{title}</h2>' in page
    places = [page.index(f'id="{section}"') for section in ("curves", "surface", "errors")]
    assert all(first < second for first, second in pairwise(places))


def test_a_page_without_a_grid_or_probabilities_has_neither_section():
    page = experiment_page(sample.regression())
    assert 'href="#surface"' not in page
    assert 'href="#calibration"' not in page


def test_a_page_shows_calibration_with_its_table():
    data, evaluations = calibrated()
    page = experiment_page(replace(sample.classification(replicates=2), data=data, evaluations=evaluations))
    assert '<a href="#calibration">Calibration</a>' in page
    assert page.count("Reliability diagram of") == 2
    assert page.index('id="errors"') < page.index('id="calibration"') < page.index('id="wrong"')
    row = re.search(r'id="calibration-table">.*?<tbody>\s*<tr>(.*?)</tr>', page, re.DOTALL)[1]
    assert row.count("<td") == 7
    assert page.count("over seeds") >= 2
