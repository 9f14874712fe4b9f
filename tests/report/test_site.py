"""The pages of a site: all runs on one, each run on its own; escaped, and complete without JavaScript."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from browsing import headless_browser
from published_runs import make_run, metrics
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from tandem.report.site import (
    FailedStage,
    StoredRun,
    main_metrics,
    newest_first,
    result_lines,
    run_page,
    site_page,
)

from . import sample
from .test_browser import PHONE
from .test_pages import Page

HOSTILE = "<script>alert(1)</script>\"'&{{ 7 * 7 }}"
DIGEST = "0" * 64


def stored(run_id="first", pages=("digits-mlp",), **fields):
    run = make_run(run_id, **fields)
    kept = {name: getattr(run, name) for name in type(run).model_fields}
    return StoredRun(**kept, pages=dict.fromkeys(pages, DIGEST))


def several():
    """Return three runs: of two experiments, of one that failed in part, and of PyTorch alone."""
    both = ("digits-mlp", "coffee")
    return [
        stored("a", both, experiments=both, metrics=metrics("digits-mlp", keras=0.95, torch=0.97)
               + metrics("coffee", keras=0.91, torch=None)),
        stored("b", (), minutes=5, outcome="failed", message="1 failed, 2 skipped", experiments=("digits-mlp",),
               metrics=(), failed=(FailedStage(stage="train@digits-mlp-torch", message="exit status 1: no space"),)),
        stored("c", ("digits-mlp",), minutes=9, frameworks=("torch",), metrics=metrics("digits-mlp", torch=0.93),
               overrides={"optimizer.learning_rate": 0.5, "training.shuffle": False}),
    ]  # fmt: skip


def hostile():
    return stored(
        name=HOSTILE,
        message=HOSTILE,
        outcome="failed",
        targets=(HOSTILE,),
        overrides={HOSTILE: HOSTILE},
        metrics=metrics("digits-mlp", HOSTILE, keras=1.0),
        failed=(FailedStage(stage=HOSTILE, message=HOSTILE),),
        commit=HOSTILE,
    )


# ---------------------------------------------------------------------------------------------------- records


def test_times_are_kept_and_compared_in_utc():
    east = timezone(timedelta(hours=8))
    started = datetime(2026, 11, 21, 4, tzinfo=east)
    run = make_run(started=started, finished=started + timedelta(minutes=2))
    assert (run.started.tzinfo, run.started.hour, run.seconds) == (UTC, 20, 120.0)
    assert "2026-11-20 20:00:00 UTC" in site_page([stored(started=started, finished=started)])


def test_a_time_without_its_zone_is_refused():
    with pytest.raises(ValueError, match="timezone"):
        make_run(started=datetime(2026, 11, 21, 4))


def test_a_clock_that_was_set_back_gives_no_negative_duration():
    assert make_run(finished=make_run().started - timedelta(hours=1)).seconds == 0.0


def test_a_record_comes_back_from_its_json_as_it_was():
    run = several()[2]
    assert StoredRun.model_validate_json(run.model_dump_json()) == run
    assert [type(value) for value in StoredRun.model_validate_json(run.model_dump_json()).overrides.values()] == [
        float,
        bool,
    ]
    nan = stored(metrics=metrics("digits-mlp", keras=math.nan))
    assert StoredRun.model_validate_json(nan.model_dump_json()).metrics[0].value is None


def test_the_main_metric_comes_from_the_comparison():
    comparison = sample.classification(diverged={"torch": (0,)}).comparison
    rows = main_metrics(comparison)
    assert [(row.framework, row.metric) for row in rows] == [("keras", "accuracy"), ("torch", "accuracy")]
    assert rows[0].value == comparison.estimates["keras"][0].samples.value
    assert rows[1].value is None


def test_a_line_per_experiment_has_both_frameworks_side_by_side():
    first, second = result_lines(several()[0])
    assert (first.experiment, first.address, first.metric) == ("digits-mlp", "digits-mlp.html", "accuracy")
    assert first.measured == {"keras": 0.95, "torch": 0.97}
    assert second.measured == {"keras": 0.91, "torch": None}
    (failed,) = result_lines(several()[1])
    assert (failed.experiment, failed.address, failed.metric, failed.measured) == ("digits-mlp", None, None, {})


def test_newest_first_and_by_name_when_at_once():
    runs = [stored("b"), stored("a"), stored("c", minutes=-1)]
    assert [run.id for run in newest_first(runs)] == ["b", "a", "c"]


# ------------------------------------------------------------------------------------------------------ pages


def test_the_index_says_all_of_every_run():
    page = Page(site_page(several()))
    assert "3 runs; the newest started 2026-11-21 09:39:00 UTC and completed." in page.text
    rows = [attributes for tag, attributes in page.elements if tag == "tr" and "data-experiments" in attributes]
    assert [row["data-experiments"] for row in rows] == ["digits-mlp", "digits-mlp", "digits-mlp coffee"]
    assert [row["data-frameworks"] for row in rows] == ["torch", "keras torch", "keras torch"]
    addresses = [a["href"] for tag, a in page.elements if tag == "a" and a["href"].startswith("runs/")]
    assert addresses == [
        "runs/c/index.html", "runs/c/digits-mlp.html", "runs/b/index.html",
        "runs/a/index.html", "runs/a/digits-mlp.html", "runs/a/coffee.html",
    ]  # fmt: skip
    said = page.text.replace("\N{NO-BREAK SPACE}", " ")
    for words in ("name-of-a", "75 s", "1 failed, 2 skipped", "optimizer.learning_rate = 0.5", "shuffle = false"):
        assert words in said
    for words in ("accuracy", "0.9500", "0.9700", "0.9100", "diverged", "Keras", "PyTorch"):
        assert words in said


def test_a_value_is_read_out_with_its_experiment():
    assert re.search(r'hidden-words">coffee: </span>0\.9100', site_page(several()))


def test_without_javascript_the_whole_list_shows_and_no_filter():
    source = site_page(several())
    (form,) = re.findall(r"<form[^>]*>", source)
    assert form.endswith(" hidden>")
    assert not re.search(r"<tr[^>]* hidden", source)


def test_a_runs_page_says_how_it_ended_and_links_to_its_reports():
    completed, failed = (Page(run_page(several()[place])) for place in (0, 1))
    hrefs = [attributes["href"] for tag, attributes in completed.elements if tag == "a"]
    assert hrefs == ["#content", "../../index.html", "digits-mlp.html", "coffee.html", "../../index.html"]
    assert "What failed" not in completed.text
    assert "Targets all stages Overrides none" in completed.text
    assert "failed : 1 failed, 2 skipped" in failed.text
    assert "train@digits-mlp-torch exit status 1: no space" in failed.text
    assert "digits-mlp no report" in failed.text
    changed = Page(run_page(several()[2])).text
    assert "optimizer.learning_rate = 0.5 training.shuffle = false" in changed


def test_a_site_without_runs_says_so():
    page = Page(site_page([]))
    assert "No run has been published yet." in page.text
    assert [tag for tag, _ in page.elements if tag in ("table", "form")] == []


@pytest.mark.parametrize("make", [lambda: site_page([hostile()]), lambda: run_page(hostile())])
def test_whatever_a_run_says_is_escaped(make):
    source = make()
    assert "alert(1)" in source
    assert "<script>alert" not in source
    assert "49" not in Page(source).text
    handlers = [name for _, attributes in Page(source).elements for name in attributes if name.startswith("on")]
    assert handlers == []


@pytest.mark.parametrize("make", [lambda: site_page(several()), lambda: site_page([]), lambda: run_page(several()[0])])
def test_a_page_of_the_site_loads_nothing(make):
    for _, attributes in Page(make()).elements:
        for name in ("src", "href", "action", "srcset"):
            assert not re.match(r"(?i)\s*([a-z]+:)?//", attributes.get(name) or "")
        assert attributes.get("http-equiv", "Content-Security-Policy") == "Content-Security-Policy"


# ------------------------------------------------------------------------------------------------ in a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with headless_browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def visit(browser, tmp_path):
    """Opens a page's source as a file, with nothing emulated."""

    def open_page(source):
        page = tmp_path / "page.html"
        page.write_text(source, encoding="utf-8")
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
        browser.get(page.as_uri())
        return browser

    return open_page


def shown(browser):
    rows = browser.find_elements("css selector", "#runs tbody tr")
    return [
        row.find_element("css selector", ".words").text.removeprefix("name-of-") for row in rows if row.is_displayed()
    ]


def button(browser, label):
    (found,) = [b for b in browser.find_elements("css selector", "#runs th button") if b.text.strip() == label]
    return found


def choose(browser, field, value):
    Select(browser.find_element("id", field)).select_by_value(value)


@pytest.mark.browser
def test_filters_narrow_the_list_and_say_how_many_are_left(visit):
    browser = visit(site_page(several()))
    count = browser.find_element("id", "count")
    assert (shown(browser), count.text) == (["c", "b", "a"], "3 runs")
    choose(browser, "framework", "keras")
    assert (shown(browser), count.text) == (["b", "a"], "2 of 3 runs")
    choose(browser, "experiment", "coffee")
    assert shown(browser) == ["a"]
    lines = browser.find_elements("css selector", "#runs tbody li[data-experiment]")
    assert {line.get_attribute("data-experiment") for line in lines if line.is_displayed()} == {"coffee"}
    for field in ("framework", "experiment"):
        choose(browser, field, "")
    words = browser.find_element("id", "words")
    words.send_keys("FAILED skipped")
    assert shown(browser) == ["b"]
    words.send_keys(Keys.ENTER)  # sends no form away
    words.send_keys(" nonsense")
    assert (shown(browser), count.text) == ([], "0 of 3 runs")
    words.clear()
    assert shown(browser) == ["c", "b", "a"]
    assert browser.get_log("browser") == []


@pytest.mark.browser
def test_the_values_of_one_experiment_can_be_sorted_those_of_several_cannot(visit):
    browser = visit(site_page(several()))
    assert not button(browser, "PyTorch").is_enabled()
    choose(browser, "experiment", "digits-mlp")
    button(browser, "PyTorch").click()
    assert shown(browser) == ["c", "a", "b"]  # 0.93, 0.97, none
    choose(browser, "experiment", "")
    assert not button(browser, "PyTorch").is_enabled()
    assert button(browser, "PyTorch").find_element("xpath", "..").get_attribute("aria-sort") == "none"


@pytest.mark.browser
def test_runs_sort_by_date_and_the_keyboard_reaches_everything(visit):
    browser = visit(site_page(several()))
    browser.execute_script("document.getElementById('words').focus()")
    for _ in range(2):  # past the table's scrolling region
        browser.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text.strip() == "Run"
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert shown(browser) == ["a", "b", "c"]


@pytest.mark.browser
def test_five_hundred_runs_are_filtered_and_sorted(visit):
    runs = [stored(f"run-{n}", minutes=n, metrics=metrics("digits-mlp", keras=n / 500, torch=0.5)) for n in range(500)]
    browser = visit(site_page(runs))
    browser.find_element("id", "words").send_keys("run-49")
    assert browser.find_element("id", "count").text == "11 of 500 runs"
    choose(browser, "experiment", "digits-mlp")
    button(browser, "Keras").click()
    assert shown(browser)[:2] == ["run-49", "run-490"]


@pytest.mark.browser
def test_without_scripts_every_run_shows_newest_first(visit):
    browser = visit(site_page(several()))
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.refresh()
        assert shown(browser) == ["c", "b", "a"]
        assert not browser.find_element("css selector", ".filters").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.browser
@pytest.mark.parametrize("make", [lambda: site_page(several()), lambda: run_page(several()[1]), lambda: site_page([])])
def test_a_phone_never_scrolls_the_page_sideways_and_the_dark_is_dark(visit, make):
    browser = visit(make())
    paper = "return getComputedStyle(document.documentElement).backgroundColor"
    light = browser.execute_script(paper)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    assert browser.execute_script("return document.documentElement.scrollWidth") == 360
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": dark})
    assert browser.execute_script(paper) != light
    for field in browser.find_elements("css selector", ".filters select, .filters input"):
        assert field.value_of_css_property("background-color") != "rgba(255, 255, 255, 1)"
        assert field.accessible_name in ("Experiment", "Framework", "Words")


@pytest.mark.browser
def test_print_leaves_the_filters_out(visit):
    browser = visit(site_page(several()))
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    assert not browser.find_element("css selector", ".filters").is_displayed()
