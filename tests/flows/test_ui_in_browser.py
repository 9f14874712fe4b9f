"""The whole way through the user interface in a browser, on a miniature of the product's own project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import headless_browser
from selenium.webdriver.support.select import Select
from user_interface import Interface, click, find, interface
from workspace import Workspace, make_workspace

pytestmark = [pytest.mark.slow, pytest.mark.browser]

LABEL = "//*[starts-with(normalize-space(text()), '{}')]"
TAB = "//li[contains(@class, 'p-tab')][normalize-space(.)='{}']"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "miniature", suite=("coffee", "five-rule"), repository=True)


@pytest.fixture
def ui(workspace: Workspace) -> Iterator[Interface]:
    with interface(workspace.root, workspace.environment) as started:
        yield started


def test_a_form_is_filled_run_watched_and_its_report_opened(
    ui: Interface, workspace: Workspace, tmp_path: Path
) -> None:
    declared = (workspace.root / "params.yaml").read_bytes()
    with headless_browser(tmp_path / "profile") as page:
        page.get(ui.address)
        click(page, "//a[normalize-space(.)='Deployments']")
        click(page, "//a[normalize-space(.)='pipeline'][contains(@href, '/deployment/')]")
        click(page, TAB.format("Description"))
        find(page, "//body[contains(., 'works in a copy of the project')]")
        click(page, "//button[normalize-space(.)='Run']")
        click(page, "//*[contains(@class, 'p-overflow-menu-item')][contains(., 'Custom run')]")

        find(page, "//*[contains(text(), 'Of the optimizer, for one experiment; empty: as declared.')]")
        experiments, frameworks = (
            Select(find(page, f"{LABEL.format(name)}/following::select[@multiple][1]"))
            for name in ("Experiments", "Frameworks")
        )
        assert [option.text for option in experiments.options] == ["coffee", "five-rule"]
        assert [option.text for option in frameworks.options] == ["keras", "torch"]
        experiments.select_by_value("coffee")
        frameworks.select_by_value("torch")
        find(page, f"{LABEL.format('Learning rate')}/following::input[@type='number'][1]").send_keys("0.025")
        click(page, "//button[normalize-space(.)='Submit']")

        click(page, "//button[normalize-space(.)='View run']")
        find(page, "//*[contains(@class, 'state-badge')][contains(., 'Completed')]")
        run = page.current_url.partition("/flow-run/")[2].partition("?")[0]
        click(page, TAB.format("Artifacts"))
        click(page, "//a[contains(., 'report-coffee')]")
        link = find(page, f"//a[starts-with(@href, '{ui.reports}/runs/')][contains(@href, 'coffee.html')]")
        assert link.text == "coffee"
        page.get(link.get_attribute("href"))
        assert "coffee" in page.title.lower()
        find(page, "//h1")
        entries = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = {entry["params"]["request"]["url"] for entry in entries if entry["method"] == "Network.requestWillBeSent"}
    own = (ui.address, ui.reports, "data:", "blob:", "chrome:", "about:")
    assert [url for url in asked if not url.startswith(own)] == []

    assert ui.end(run)["type"] == "COMPLETED"
    (record,) = (workspace.root / "published/runs").glob("*/run.json")
    assert json.loads(record.read_text())["overrides"] == {"learning_rate": 0.025}
    assert (workspace.root / "params.yaml").read_bytes() == declared
    assert "coffee-" in workspace.dvc("exp", "list", "--name-only", "--all-commits")
