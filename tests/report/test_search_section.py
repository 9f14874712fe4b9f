"""The page's section on a search: what it says, what it draws, and what it escapes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from made_searches import (
    GRID,
    RANDOM,
    RATE,
    REPEAT,
    ROWS,
    UNITS,
    as_record,
    drawn,
    grid,
    halved,
    made_search,
)

from tandem.report.pages import IndexInputs, experiment_page, index_page
from tandem.report.search import SearchInputs, SearchSection, search_section
from tandem.report.search_axes import parameter_axes, short_labels, write_setting, write_value
from tandem.report.search_figures import draw_contour, draw_history, draw_parallel, draw_slice
from tandem.report.search_words import search_words
from tandem.searches.records import SearchedParameter, SearchRecord, Trial

from . import sample

FEW = [setting for setting in grid() if setting[UNITS] in (10, 15) and setting[REPEAT] <= 3]
SECONDS = {name: {number: 0.5 + number / 1000 for number in range(30)} for name in sample.BOTH}
SPACE = "\N{NO-BREAK SPACE}"


def both(**changed) -> dict[str, SearchRecord]:
    return {name: made_search(FEW, framework=name, seed=seed, **changed) for seed, name in enumerate(sample.BOTH)}


def section_of(records: dict[str, SearchRecord], seconds=None) -> SearchSection:
    found = search_section(SearchInputs(records, seconds or {}))
    assert found is not None
    return found


def page_of(records: dict[str, SearchRecord], seconds=None) -> str:
    base = sample.regression(frameworks=tuple(records))
    return experiment_page(replace(base, search=SearchInputs(records, seconds or {})))


def html_of(page: str) -> str:
    found = re.search(r'<section id="search".*?</section>', page, re.DOTALL)
    return "" if found is None else found[0]


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def said(records: dict[str, SearchRecord]) -> str:
    """Return the verdict and what each framework's card says, spaces plain."""
    words = search_words(section_of(records))
    cards = [sentence for each in words.each for sentence in (each.winner, each.runner_up, each.optimism)]
    return " ".join([words.verdict, *cards, *words.agreements]).replace(SPACE, " ")


def peak(parameters, rate=2e-3):
    """Return a mean in which one setting stands out by far."""
    best = parameters[RATE] == rate and parameters[REPEAT] == 2 and parameters[UNITS] == 15
    return 0.9 if best else 0.2 + 0.001 * parameters[UNITS]


def test_a_page_without_a_search_has_no_section():
    page = experiment_page(sample.regression())
    assert not html_of(page)
    assert "search" not in page.lower().replace("researches", "")


@pytest.fixture(scope="module")
def page() -> str:
    return page_of(both(noise=0.005), SECONDS)


def test_the_verdict_stands_first_on_the_page(page):
    assert page.index('id="search-verdict"') < page.index('id="verdict"') < page.index('<section id="search"')
    assert page.index('<section id="search"') < page.index('<section id="metrics"')
    assert '<a href="#search">Search</a>' in page


def test_a_winner_that_stands_out_is_said_to_be_better_than_each():
    words = said({name: made_search(FEW, peak, framework=name, noise=0.0005) for name in sample.BOTH})
    assert words.startswith(
        "Keras and PyTorch prefer the same setting: repeat = 2, units = 15, learning_rate = 0.002. "
    )
    assert "It is better than each of the other 29." in words
    assert "corrected for 29 comparisons." in words
    assert "Without any one of the folds the same setting wins: the choice among 30 hardly flatters 0.9" in words
    assert "Keras and PyTorch both finished 30 settings and order them nearly alike" in words


def test_a_winner_that_both_share_may_still_be_no_better():
    words = said({name: made_search(FEW, lambda _: 0.5, framework=name, noise=0.02) for name in sample.BOTH})
    assert "; the folds cannot tell it from 29 others in Keras and 29 others in PyTorch. " in words


def test_a_winner_that_noise_made_is_said_to_be_no_better():
    words = said({"torch": made_search(FEW, lambda _: 0.5, framework="torch", noise=0.02)})
    assert words.startswith("PyTorch’s best of 30 settings is ")
    assert "The folds cannot tell it from any of the other 29: as far as they show, it is no better." in words
    assert "is the best of 30 and flatters for that reason: chosen on all folds but one" in words
    assert "p = 1 corrected for 29 comparisons" in words


def test_some_of_the_others_cannot_be_told_from_the_winner():
    words = said({"keras": made_search(FEW, noise=0.01)})
    assert re.search(r"Of the other 27, \d+ cannot be told from it\.", words)


def test_a_hold_out_says_nothing_of_noise():
    records = {"keras": made_search(FEW, folds=ROWS[:1], protocol="the validation rows")}
    words = said(records)
    assert "with a single validation part nothing can be said about noise" in words
    assert "cannot be told" not in words
    html = html_of(page_of(records))
    assert "Told apart" not in html
    assert "Nadeau" not in html
    assert "small differences may be noise" in html
    assert "<span>Time</span>" not in re.search(r'id="search-best-1".*?</table>', html, re.DOTALL)[0]


def test_frameworks_with_other_preferences_are_told_apart():
    def torch(parameters):
        return peak(parameters, 2e-2)

    records = {
        "keras": made_search(FEW, peak, framework="keras", noise=0.0005),
        "torch": made_search(FEW, torch, framework="torch", noise=0.0005),
    }
    words = said(records)
    told = "Keras prefers learning_rate = 0.002, PyTorch learning_rate = 0.02, both with repeat = 2, units = 15; "
    assert words.startswith(told)
    assert "the folds tell these settings apart in both." in words
    assert re.search(r"Keras’s winner is number \d+ of 30 in PyTorch, and worse than the winner there\.", words)


def test_winners_that_differ_by_noise_alone_show_no_preference():
    records = {
        name: made_search(FEW, framework=name, seed=seed, noise=0.03) for seed, name in enumerate(sample.BOTH, 1)
    }
    words = said(records)
    assert "but the folds cannot tell the two settings apart: no preference is shown." in words
    assert "and cannot be told from the winner there." in words


def test_settings_that_only_one_framework_tried_are_not_compared():
    records = {
        name: made_search(drawn(20, seed=seed), framework=name, space=RANDOM) for seed, name in enumerate(sample.BOTH)
    }
    words = said(records)
    assert "neither framework finished the other’s setting, so that nothing compares the two." in words
    assert "No setting finished in both Keras and PyTorch: their orders cannot be compared." in words
    assert "Keras’s winner was not tried in PyTorch." in words


def test_all_but_one_diverged():
    records = {"keras": made_search(grid()[:12], lambda p: 0.5 if p[UNITS] == 10 and p[RATE] == 1e-3 else None)}
    words = said(records)
    assert "the 1 setting that finished, of 12 tried, is" in words
    assert "It alone finished: there is nothing to compare it with." in words
    html = html_of(page_of(records))
    assert "1 setting finished, and fewer than 10 tell nothing" in html
    assert "Parallel coordinates" not in html
    assert "the loss is not finite in epoch" in html


def test_none_finished_in_either_or_in_one():
    lost = {name: made_search(grid()[:6], lambda _: None, framework=name) for name in sample.BOTH}
    assert said(lost).startswith("No setting finished in Keras and PyTorch: there is no winner.")
    html = html_of(page_of(lost))
    assert "Keras: none of the 6 settings tried finished (6 diverged)." in html
    assert "History" not in html
    half = lost | {"torch": made_search(grid()[:6], framework="torch")}
    assert said(half).startswith("PyTorch’s best of 6 settings is")
    assert html_of(page_of(half)).count("<svg") >= 2


def test_a_single_trial():
    html = html_of(page_of({"torch": made_search(grid()[:1], framework="torch")}))
    assert "PyTorch: no importance, since 1 setting finished" in html
    assert html.count("<svg") == 2


def test_pruned_settings_are_summed_up_with_their_rungs():
    records = {"keras": halved(60)}
    text = text_of(html_of(page_of(records)))
    assert "Keras pruned 48 pruned after 1 epochs: not among the best third" in text
    assert "Keras 1 54 18 36 " in text
    assert "since too few finished" in text
    section = section_of(records)
    assert [row.trial.state for row in section.frameworks[0].best] == ["finished"] * 6 + ["pruned"] * 4
    assert all(row.difference is None for row in section.frameworks[0].best[6:])


def test_regions_say_where_settings_diverge():
    words = search_words(section_of({"keras": made_search(grid())}))
    assert words.regions[0] == "Keras, learning_rate = 0.02: 18 of 30 diverged, elsewhere 0 of 120."


def test_settings_that_cannot_be_built_are_told_with_their_reasons():
    trials = [
        *made_search(grid()[:12]).trials,
        *(
            Trial(number=12 + n, batch=0, parameters=grid()[n], state="invalid", explanation=f"units: {n} is too few")
            for n in range(3)
        ),
    ]
    section = section_of({"keras": as_record(trials)})
    (row,) = section.endings
    assert (row.state, row.count, row.explanation) == ("invalid", 3, "units: 0 is too few")
    assert section.lost


def test_the_best_ten_have_their_differences_and_times(page):
    section = section_of(both(noise=0.005), SECONDS)
    found = section.frameworks[0]
    assert len(found.best) == 10
    winner, second = found.best[:2]
    assert winner.is_winner
    assert (winner.difference, winner.told_apart) == (None, None)
    values = [fold.value for fold in second.trial.folds], [fold.value for fold in winner.trial.folds]
    assert second.difference.value == pytest.approx(np.mean(np.subtract(*values)))
    assert found.seconds == pytest.approx(sum(SECONDS["keras"].values()))
    html = html_of(page)
    assert '<table class="sortable" id="search-best-1">' in html
    assert html.count("<tr") == 3 + 4 + 2 * 11 + 1 + len(section.endings)


def test_conditional_parameters_are_left_out_where_they_are_not_set():
    record = made_search(drawn(40), space=RANDOM)
    section = section_of({"keras": record})
    momentum = next(place for place, axis in enumerate(section.axes) if axis.label == "momentum")
    for row in section.frameworks[0].best:
        assert (row.values[momentum] is None) == ("optimizer.momentum" not in row.trial.parameters)
    drawn_lines = draw_parallel(section.parallels[0], "figure-1")
    assert ">none<" in drawn_lines
    (slice_,) = (plot for plot in section.slices if plot.axis.label == "momentum")
    assert len(slice_.points["keras"].places) == sum(
        "optimizer.momentum" in trial.parameters for trial in record.trials if trial.state == "finished"
    )


def test_what_came_from_data_is_escaped_and_chinese_is_written():
    space = (
        SearchedParameter(name="model.激活", kind="choice", choices=(sample.HOSTILE, "激活函数", "relu")),
        SearchedParameter(name=f"loss.{sample.HOSTILE}", kind="uniform", low=0, high=1),
    )
    generator = np.random.default_rng(0)
    settings = [
        {space[0].name: choice, space[1].name: float(generator.random())}
        for choice in space[0].choices
        for _ in range(9)
    ]
    record = made_search(
        settings,
        lambda p: None if p[space[0].name] == "relu" else p[space[1].name],
        space=space,
        protocol=sample.HOSTILE,
        description=sample.HOSTILE,
        strategy=sample.HOSTILE,
    )
    trials = [
        t.model_copy(update={"explanation": sample.HOSTILE}) if t.state == "diverged" else t for t in record.trials
    ]
    page = page_of({"keras": record.model_copy(update={"trials": tuple(trials)})})
    assert "<script>alert" not in page
    assert html_of(page).count("&lt;script&gt;") >= 8
    assert "激活函数" in html_of(page)


def test_figures_are_well_formed_described_and_the_same_each_time():
    section = section_of({"keras": made_search(FEW)})
    for draw, plots in (
        (draw_history, section.histories),
        (draw_parallel, section.parallels),
        (draw_slice, section.slices),
        (draw_contour, section.contours),
    ):
        assert plots
        for plot in plots:
            drawn_once = draw(plot, "figure-1")
            assert drawn_once == draw(plot, "figure-1")
            root = ElementTree.fromstring(drawn_once)  # noqa: S314 (matplotlib wrote it)
            assert root.get("role") == "img"
            assert len(root.find("title").text) > 10
            assert len(root.find("desc").text) > 30


def test_the_history_keeps_the_best_so_far():
    record = made_search(FEW, noise=0.02)
    by_trial, by_epoch = section_of({"keras": record}).histories
    (line,) = by_trial.lines
    values = np.array([np.nan if value is None else value for value in line.values])
    assert np.fmax.accumulate(values).tolist() == pytest.approx(line.best)
    assert by_epoch.lines[0].places[-1] == sum(trial.epochs for trial in record.trials)
    lower = as_record(record.trials, higher_is_better=False)
    (line,) = section_of({"keras": lower}).histories[0].lines
    assert np.fmin.accumulate(values).tolist() == pytest.approx(line.best)


def test_a_grid_is_a_heat_map_of_means_and_scattered_settings_are_smoothed():
    (plot,) = section_of({"keras": made_search(grid(), noise=0.0)}).contours
    assert (plot.axes[0].label, plot.cells.shape) == ("learning_rate", (5, 5))
    column = plot.axes[0].level(2e-3)
    row = plot.axes[1].level(2)
    record = made_search(grid(), noise=0.0)
    values = [t.value for t in record.trials if t.parameters[RATE] == 2e-3 and t.parameters[REPEAT] == 2]
    assert plot.cells[row, column] == pytest.approx(np.mean(values))
    assert np.isnan(plot.cells[4, 4])  # all diverged
    assert plot.edges[0] <= np.nanmin(plot.cells)
    assert plot.edges[-1] >= np.nanmax(plot.cells)
    (smooth,) = section_of({"keras": made_search(drawn(60), space=RANDOM)}).contours
    assert smooth.counts is None
    assert smooth.axes[0].log


def test_errors_of_very_different_size_share_a_logarithmic_axis():
    def error(parameters):
        return 10 ** abs(np.log10(parameters[RATE] / 2e-3))

    record = made_search(FEW, error, noise=0.001, higher_is_better=False, metric="mse")
    section = section_of({"keras": record})
    assert section.histories[0].log
    assert "MSE (logarithmic), lower is better" in draw_history(section.histories[0], "figure-1")
    assert ">MSE (log)<" in draw_slice(section.slices[0], "figure-1")
    assert ">MSE (log)<" in draw_parallel(section.parallels[0], "figure-1")
    assert not section_of({"keras": made_search(FEW)}).histories[0].log


def test_values_far_below_the_rest_do_not_set_the_scale():
    record = made_search(FEW)
    lost = record.trials[0].model_copy(update={"value": -1e6})
    section = section_of({"keras": as_record([lost, *record.trials[1:]])})
    assert section.beyond == 1
    assert section.histories[0].limits[0] > -1
    assert section.slices[0].points["keras"].values.min() > -1


@pytest.mark.slow
def test_a_search_of_750_settings_stays_small():
    records = {
        name: made_search(drawn(750, seed=seed), framework=name, space=RANDOM, seed=seed)
        for seed, name in enumerate(sample.BOTH)
    }
    assert len(html_of(page_of(records)).encode()) < 1_000_000


def test_the_index_marks_a_search():
    first, second, *rest = sample.entries()
    page = index_page(IndexInputs((replace(first, search="tpe & co"), second, *rest)))
    assert page.count("search: ") == 1
    assert "search: tpe &amp; co" in page


def test_labels_are_as_short_as_tells_them_apart():
    names = ["model.sequential.0.dense.units", "model.sequential.1.dense.units", "optimizer.name", "optimizer.rate"]
    assert list(short_labels(names).values()) == ["0.dense.units", "1.dense.units", "optimizer.name", "rate"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.002, "0.002"), (15, "15"), (2.0, "2"), (0.00118412, "0.001184"), (1e-5, "10⁻⁵"),
        (2.5e-5, f"2.5{SPACE}×{SPACE}10⁻⁵"), (-0.5, "−0.5"), (0, "0"), (True, "true"), (None, "null"),
        ("relu", "relu"), ([1, "衬"], '[1, "衬"]'), (12345, "12,345"),
    ],
)  # fmt: skip
def test_values_are_written_for_readers(value, text):
    assert write_value(value) == text


def test_a_setting_names_what_it_has():
    axes = parameter_axes(GRID)
    assert write_setting({RATE: 0.002, REPEAT: 2}, axes).replace(SPACE, " ") == "repeat = 2, learning_rate = 0.002"


@pytest.mark.parametrize(
    ("parameter", "texts"),
    [
        (SearchedParameter(name="x", kind="uniform", low=1e-3, high=1, log=True), ["0.001", "0.01", "0.1", "1"]),
        (SearchedParameter(name="x", kind="uniform", low=0.0, high=0.9), ["0", "0.2", "0.4", "0.6", "0.8"]),
        (SearchedParameter(name="x", kind="integer", low=1, high=99), ["20", "40", "60", "80"]),
        (SearchedParameter(name="x", kind="integer", low=2, high=4), ["2", "3", "4"]),
        (SearchedParameter(name="x", kind="integer", low=8, high=60, log=True), ["10", "20", "50"]),
        (SearchedParameter(name="x", kind="choice", choices=(1e-4, 2e-3, 1e-3)), ["0.0001", "0.001", "0.002"]),
        (SearchedParameter(name="x", kind="choice", choices=("b", "a")), ["b", "a"]),
        (SearchedParameter(name="x", kind="uniform", low=3, high=3), ["3"]),
    ],
)  # fmt: skip
def test_axes_have_round_ticks_inside_their_ends(parameter, texts):
    (axis,) = parameter_axes([parameter])
    assert [text for _, text in axis.ticks()] == texts
    assert all(0 <= place <= 1 for place, _ in axis.ticks())
