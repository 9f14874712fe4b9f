"""Pages: self-contained, escaped, verdict first, and complete for every kind of experiment."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tandem.report.pages import IndexInputs, experiment_page, index_page

from . import sample

MADE = {
    "classification": sample.classification,
    "images": lambda: sample.classification(shape=(8, 8)),
    "replicates": lambda: sample.classification(replicates=3),
    "regression": sample.regression,
    "single": lambda: sample.classification(("torch",)),
    "diverged": lambda: sample.classification(diverged={"torch": (0,)}),
    "all diverged": lambda: sample.classification(replicates=2, diverged={"keras": (0, 1), "torch": (0, 1)}),
    "partly diverged": lambda: sample.classification(replicates=3, diverged={"torch": (1,)}),
    "native": lambda: sample.classification(constants="native"),
}
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Collects a page's elements, and complains of elements that are not closed in order."""

    def __init__(self, source):
        super().__init__()
        self.open, self.elements, self.words = [], [], []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script", "desc", "title"} & set(self.open):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def sources():
    made = {name: experiment_page(make()) for name, make in MADE.items()}
    return {**made, "index": index_page(IndexInputs(sample.entries()))}


@pytest.fixture(params=[*MADE, "index"])
def page(request, sources):
    return Page(sources[request.param])


def test_a_page_loads_nothing(page):
    for tag, attributes in page.elements:
        assert tag not in {"iframe", "object", "embed", "audio", "video", "base"}
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            target = attributes.get(name) or ""
            assert not re.match(r"(?i)\s*([a-z]+:)?//", target), (tag, target)
            assert tag != "script" or name != "src" or not target
        assert "url(" not in (attributes.get("style") or "").replace("url(#", "")
    (policy,) = [a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:")


def test_style_sheets_load_nothing(sources):
    for source in sources.values():
        for sheet in re.findall(r"<style>(.*?)</style>", source, re.DOTALL):
            assert "url(" not in sheet
            assert "@import" not in sheet


def test_only_the_pages_own_script_is_a_script(page):
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_ids_are_unique_and_references_resolve(page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        if (attributes.get("href") or "").startswith("#"):
            assert attributes["href"][1:] in ids
        assert set((attributes.get("aria-labelledby") or "").split()) <= set(ids)


def test_every_image_has_a_text_alternative(page):
    for tag, attributes in page.elements:
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-labelledby"]


def test_nothing_missing_shows_as_a_programs_word(page):
    assert not re.search(r"\b(nan|inf|None|null|undefined)\b", page.text)


def test_sentences_are_apart(page):
    assert re.findall(r"[a-z)]\.[A-Z]\w+", page.text) == []


def test_names_from_data_are_escaped(sources):
    for name in ("classification", "replicates", "native"):
        assert "<script>alert" not in sources[name]
        assert sample.HOSTILE in Page(sources[name]).text
        assert "衬衫" in Page(sources[name]).text


def test_all_free_text_is_escaped():
    inputs = sample.classification()
    comparison = inputs.comparison.model_copy(
        update={"verdict": sample.HOSTILE, "description": sample.HOSTILE, "main_metric": "accuracy"}
    )
    source = experiment_page(replace(inputs, comparison=comparison))
    assert "<script>alert" not in source
    assert Page(source).text.count(sample.HOSTILE) > 4


def test_the_verdict_comes_first_and_the_sections_in_order(sources):
    inputs = sample.classification()
    text = Page(sources["classification"]).text
    places = [
        text.index(words)
        for words in (
            inputs.comparison.verdict,
            "Metrics on the test rows",
            "Filled markers",
            "Confusion matrices",
            "gets most wrong",
            "A typical epoch of Keras",
            "Rows per class",
            "266,610 parameters",
            "tensorflow",
            "dvc repro report@digits-mlp",
        )
    ]
    assert places == sorted(places)
    assert places[0] < 150


def test_metrics_show_value_interval_and_difference(sources):
    text = Page(sources["replicates"]).text
    estimate = sample.classification(replicates=3).comparison.estimates["torch"][0].samples
    assert f"{estimate.value:.4f} {estimate.low:.4f} to {estimate.high:.4f}" in text
    assert "PyTorch − Keras" in text
    assert "3 seeds" in text
    assert "3 seeds" not in Page(sources["classification"]).text


def test_a_page_of_one_framework_speaks_of_no_other(sources):
    source = sources["single"].replace(sample.classification().comparison.verdict, "")
    assert "Keras" not in Page(source).text
    assert "Difference" not in Page(source).text


def test_divergence_is_said_above_the_metrics_with_its_reason(sources):
    text = Page(sources["diverged"]).text
    assert text.index("Diverged: PyTorch, replicate 0 (seed 100): The training loss became infinite") < text.index(
        "Metrics on the test rows"
    )
    assert "Diverged" not in Page(sources["classification"]).text


def test_a_page_without_any_result_still_explains_itself(sources):
    assert "No training gave predictions: all diverged." in Page(sources["all diverged"]).text


def test_native_constants_are_explained(sources):
    assert "momentum 0.99 here, 0.9 there" in Page(sources["native"]).text
    assert "momentum" not in Page(sources["classification"]).text


def test_extra_metrics_show_as_they_come(sources):
    assert "loss_joint" in Page(sources["regression"]).text


def test_images_are_shown_and_tables_otherwise(sources):
    assert sources["images"].count("data:image/png") == 15 + 2 * 12
    assert "data:image/png" not in sources["classification"]
    assert "Worst samples of Keras" in sources["regression"]


def test_the_same_inputs_give_the_same_page():
    assert experiment_page(sample.classification()) == experiment_page(sample.classification())


def test_the_index_links_every_page_with_its_main_metric(sources):
    page = Page(sources["index"])
    assert [a["href"] for tag, a in page.elements if tag == "a"][1:] == [
        "digits-mlp.html",
        "housing-wide-deep.html",
        "fast-rate.html",
    ]
    assert "3 experiments on 2 data sets, in Keras and PyTorch." in page.text
    assert "61.2 s" in page.text.replace("\N{NO-BREAK SPACE}", " ")
    assert "tensorflow 2.21.0" in page.text


def test_an_empty_index_says_so():
    assert "No experiment has been compared yet." in Page(index_page(IndexInputs(()))).text
