"""Pictures and galleries on a phone, in a real browser."""

from __future__ import annotations

from dataclasses import replace

import pytest
from browsing import headless_browser

from tandem.report.pages import experiment_page

from . import sample
from .test_pictures import calibrated, with_surface

pytestmark = pytest.mark.browser


def test_a_phone_shows_pictures_and_captions_whole(tmp_path):
    long = ("walking upstairs", "Donaudampfschifffahrtsgesellschaft", "衬衫" * 9)
    made = {
        "boundary": with_surface("boundary"),
        "fit": with_surface("fit"),
        "series": sample.classification(shape=(24, 3), class_names=long),
        "video": sample.classification(shape=(6, 8, 8), class_names=long),
    }
    _, evaluations = calibrated()
    made["boundary"] = replace(made["boundary"], evaluations=evaluations)
    clipped = """return [...document.querySelectorAll(".gallery li")]
        .filter(item => item.scrollWidth > item.clientWidth || item.scrollHeight > item.clientHeight).length"""
    with headless_browser(tmp_path / "profile") as browser:
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
        )
        for name, inputs in made.items():
            (tmp_path / f"{name}.html").write_text(experiment_page(inputs), encoding="utf-8")
            browser.get((tmp_path / f"{name}.html").as_uri())
            assert browser.execute_script("return document.documentElement.scrollWidth") == 360, name
            assert browser.execute_script(clipped) == 0, name
            for figure in browser.find_elements("css selector", "#surface svg, #calibration svg"):
                assert figure.size["width"] > 250
                assert len(figure.accessible_name) > 15
