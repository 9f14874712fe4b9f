"""The pages in a real browser: Chromium opens them from a file and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from browsing import headless_browser
from made_searches import RANDOM, drawn, made_search
from selenium.webdriver.common.keys import Keys

from tandem.report.pages import IndexInputs, Link, experiment_page, index_page
from tandem.report.search import SearchInputs

from . import sample

pytestmark = pytest.mark.browser

PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    searched = {name: made_search(drawn(20), framework=name, space=RANDOM) for name in sample.BOTH}
    links = {"previous": None, "following": Link("housing-wide-deep", "housing-wide-deep.html")}
    made = {
        "digits-mlp": experiment_page(replace(sample.classification(replicates=3, diverged={"torch": (1,)}), **links)),
        "housing-wide-deep": experiment_page(sample.regression()),
        "images": experiment_page(sample.classification(shape=(8, 8))),
        "search": experiment_page(replace(sample.regression(), search=SearchInputs(searched))),
        "index": index_page(IndexInputs(sample.entries())),
    }
    for name, source in made.items():
        (folder / f"{name}.html").write_text(source, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with headless_browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def visit(browser, pages):
    """Opens a page with the browser's logs emptied and no device or colour scheme pretended."""

    def open_page(name):
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
        browser.get("about:blank")
        for log in ("browser", "performance"):
            browser.get_log(log)
        browser.get((pages / f"{name}.html").as_uri())
        return browser

    return open_page


def requested(browser):
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]


def column(browser, table, place):
    script = "return [...document.querySelectorAll(arguments[0])].map(cell => cell.textContent.trim())"
    return browser.execute_script(script, f"#{table} tbody tr > :nth-child({place})")


def head(browser, table, place):
    return browser.find_element("css selector", f"#{table} thead th:nth-child({place})")


@pytest.mark.parametrize("name", ["digits-mlp", "housing-wide-deep", "images", "search", "index"])
def test_a_page_opens_from_a_file_without_a_complaint_or_a_request(visit, name):
    browser = visit(name)
    page = browser.current_url
    assert page.startswith("file://")
    assert browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)") == []
    asked = requested(browser)
    assert page in asked
    assert [url for url in asked if url != page and not url.startswith("data:")] == []
    assert browser.get_log("browser") == []


def test_the_policy_stops_a_load(visit):
    browser = visit("index")
    browser.execute_script("const image = new Image(); image.src = 'http://127.0.0.1:9/x.png';")
    (entry,) = browser.get_log("browser")
    assert "Content Security Policy" in entry["message"]


def test_a_click_sorts_by_number_and_again_the_other_way(visit):
    browser = visit("index")
    names = column(browser, "experiments", 1)
    training = head(browser, "experiments", 8)
    assert training.get_attribute("aria-sort") == "none"
    training.find_element("tag name", "button").click()
    assert training.get_attribute("aria-sort") == "ascending"
    assert column(browser, "experiments", 1) == ["fast-rate", "digits-mlp", "housing-wide-deep"]
    training.find_element("tag name", "button").click()
    assert training.get_attribute("aria-sort") == "descending"
    assert column(browser, "experiments", 1) == ["housing-wide-deep", "digits-mlp", "fast-rate"]
    assert names == ["digits-mlp", "housing-wide-deep", "fast-rate"]


def test_a_table_sorts_by_keyboard_and_one_column_at_a_time(visit):
    browser = visit("index")
    first, last = head(browser, "experiments", 1), head(browser, "experiments", 8)
    browser.execute_script("arguments[0].focus()", first.find_element("tag name", "button"))
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert column(browser, "experiments", 1) == ["digits-mlp", "fast-rate", "housing-wide-deep"]
    for _ in range(7):
        browser.switch_to.active_element.send_keys(Keys.TAB)
    browser.switch_to.active_element.send_keys(Keys.SPACE)
    assert column(browser, "experiments", 1) == ["fast-rate", "digits-mlp", "housing-wide-deep"]
    assert (first.get_attribute("aria-sort"), last.get_attribute("aria-sort")) == ("none", "ascending")


def test_the_best_settings_sort_by_value_and_by_parameter(visit):
    browser = visit("search")
    values = [float(text.split()[0]) for text in column(browser, "search-best-1", 2)]
    assert values == sorted(values, reverse=True)
    head(browser, "search-best-1", 2).find_element("tag name", "button").click()
    assert [float(text.split()[0]) for text in column(browser, "search-best-1", 2)] == sorted(values)
    head(browser, "search-best-1", 6).find_element("tag name", "button").click()
    units = [int(text) for text in column(browser, "search-best-1", 6)]
    assert units == sorted(units)


def test_the_first_tab_reaches_the_skip_link_and_it_skips(visit):
    browser = visit("digits-mlp")
    browser.find_element("tag name", "body").send_keys(Keys.TAB)
    link = browser.switch_to.active_element
    assert link.text == "Skip to the content"
    assert link.rect["x"] >= 0
    assert browser.execute_script("return getComputedStyle(arguments[0]).outlineStyle", link) == "solid"
    link.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "content"


def test_every_figure_has_a_name_and_a_description_for_a_screen_reader(visit):
    for name in ("digits-mlp", "housing-wide-deep", "images", "search"):
        browser = visit(name)
        figures = browser.find_elements("css selector", "svg")
        assert len(figures) >= 4
        for figure in figures:
            assert figure.aria_role in ("image", "img")
            assert len(figure.accessible_name) > 15


def test_figures_have_a_size_and_hold_their_images(visit):
    browser = visit("images")
    for figure in browser.find_elements("css selector", "svg"):
        assert min(figure.size["width"], figure.size["height"]) > 30
    assert len(browser.find_elements("css selector", ".gallery svg image")) == 39


def test_chinese_names_show(visit):
    browser = visit("digits-mlp")
    labels = [text.text for text in browser.find_elements("css selector", "svg text")]
    assert "衬衫" in labels
    script = """
        const width = text => { const c = document.createElement("canvas").getContext("2d");
          c.font = `40px ${getComputedStyle(document.querySelector("svg text")).fontFamily}`;
          c.fillText(text, 0, 60); return c.getImageData(0, 0, 120, 90).data.join(); };
        return width("衬") !== width("衫") && width("衬") !== width("\\uFFFE");"""
    assert browser.execute_script(script), "no font here has the characters"


@pytest.mark.parametrize("name", ["digits-mlp", "housing-wide-deep", "images", "search", "index"])
def test_a_phone_scrolls_tables_but_never_the_page_sideways(visit, name):
    browser = visit(name)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    width = "return document.documentElement.scrollWidth"
    assert browser.execute_script("return innerWidth") == 360
    assert browser.execute_script(width) == 360
    boxes = browser.find_elements("css selector", ".scroll")
    wide = [
        box
        for box in boxes
        if browser.execute_script("return arguments[0].scrollWidth > arguments[0].clientWidth", box)
    ]
    assert wide
    for box in boxes:
        assert box.get_attribute("tabindex") == "0"
        assert box.get_attribute("aria-label")


def test_the_dark_changes_paper_text_and_figures(visit):
    browser = visit("digits-mlp")
    script = """const of = (query, name) => getComputedStyle(document.querySelector(query))[name];
        return [of("html", "backgroundColor"), of("body", "color"), of("svg text", "fill"),
          of("svg path[style*='--series-1']", "stroke")];"""
    schemes = {}
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        schemes[scheme] = browser.execute_script(script)
    for light, dark in zip(schemes["light"], schemes["dark"], strict=True):
        assert light != dark
    assert schemes["dark"][1] == schemes["dark"][2]


def test_print_is_dark_on_white_and_shows_the_declaration(visit):
    browser = visit("digits-mlp")
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": features})
    style = "return getComputedStyle(document.documentElement)"
    assert browser.execute_script(f"{style}.backgroundColor") == "rgb(255, 255, 255)"
    assert browser.execute_script(f"{style}.color") == "rgb(0, 0, 0)"
    assert not browser.find_element("css selector", ".contents").is_displayed()


def test_pages_lead_to_one_another(visit):
    browser = visit("index")
    browser.find_element("link text", "digits-mlp").click()
    assert browser.find_element("id", "verdict").is_displayed()
    browser.find_element("partial link text", "housing-wide-deep").click()
    assert browser.current_url.endswith("/housing-wide-deep.html")
    browser.find_element("link text", "All experiments").click()
    assert browser.current_url.endswith("/index.html")
