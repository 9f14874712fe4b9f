"""The deployment `search`: its form, what its choices mean, and the way through the pages of Prefect."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import headless_browser
from selenium.webdriver.support.select import Select
from user_interface import Interface, click, find, interface, wait_for
from workspace import Workspace, make_workspace

from tandem.config import read_params
from tandem.errors import ParameterError
from tandem.plan import make_plan

SEARCHES = """\
  rates:
    description: Rates of a network.
    experiment: wide
    strategy: grid
    space: {optimizer.learning_rate: {choices: [0.1, 0.2]}}
    metric: mse
  rates-in-torch:
    description: Rates of a network in one framework.
    experiment: wide
    strategy: grid
    space: {optimizer.learning_rate: {choices: [0.1, 0.2]}}
    metric: mse
    frameworks: [torch]
"""


@pytest.fixture
def declared(write_params: Any) -> Path:
    path: Path = write_params()
    path.write_text(f"{path.read_text()}searches:\n{SEARCHES}")
    return path


def test_the_form_offers_each_declared_search_and_its_frameworks(declared: Path) -> None:
    from flows.deployments import search_deployment

    deployment = search_deployment(read_params(declared))
    schema = deployment._parameter_openapi_schema
    fields = {
        name: {key: value for key, value in field.items() if key not in ("position", "description")}
        for name, field in schema.properties.items()
    }
    assert fields == {
        "search": {"title": "Search", "type": "string", "enum": ["rates", "rates-in-torch"]},
        "frameworks": {
            "title": "Frameworks", "type": "array", "uniqueItems": True, "default": [],
            "items": {"type": "string", "enum": ["keras", "torch"]},
        },
        "force": {"title": "Force", "type": "boolean", "default": False},
        "parallel": {"title": "Parallel", "type": "integer", "minimum": 1, "maximum": 256},
    }  # fmt: skip
    assert schema.required == ["search"]
    assert all(field["description"] for field in schema.properties.values())
    assert "share the devices" in deployment.description
    assert deployment.enforce_parameter_schema


@pytest.mark.parametrize(
    ("name", "frameworks", "targets"),
    [
        ("rates", [], ("report@rates",)),
        ("rates", ["torch", "keras"], ("report@rates",)),
        ("rates", ["keras"], ("evaluate@rates-keras",)),
        ("rates-in-torch", ["torch"], ("report@rates-in-torch",)),
    ],
)
def test_choices_mean_targets_and_put_the_search_into_the_suite(
    declared: Path, name: str, frameworks: list[str], targets: tuple[str, ...]
) -> None:
    from flows.searching import plan_search, planning, search_targets

    root = declared.parent
    with planning(root):
        params, plan, added = plan_search(root, name, frameworks)
    assert search_targets(plan, name, frameworks) == targets
    assert added
    assert params == read_params(declared)
    assert params.suite.searches == (name,)
    assert plan == make_plan(params)
    with planning(root):
        assert plan_search(root, name, frameworks)[2] is False


def test_a_framework_that_the_search_has_not_is_refused_before_anything_is_written(declared: Path) -> None:
    from flows.searching import plan_search

    before = declared.read_bytes()
    with pytest.raises(ParameterError, match=r"search 'rates-in-torch' has no framework 'keras'; allowed: torch$"):
        plan_search(declared.parent, "rates-in-torch", ["keras"])
    assert declared.read_bytes() == before
    assert not (declared.parent / "runs.yaml").exists()


def test_clean_removes_the_trials_of_searches_that_are_not_planned(declared: Path) -> None:
    from flows.cleaning import stale_paths
    from flows.searching import plan_search

    root = declared.parent
    for name, framework in (("rates", "torch"), ("rates", "numpy"), ("gone", "torch")):
        (root / ".searches" / name / framework / "key").mkdir(parents=True)
    _, plan, _ = plan_search(root, "rates", [])
    assert [path.as_posix() for path in stale_paths(plan, root)] == [".searches/gone/torch", ".searches/rates/numpy"]


# -------------------------------------------------------------------------------------------- in a browser

LABEL = "//*[starts-with(normalize-space(text()), '{}')]"
RULE = """\
  rule:
    description: Sizes of batches for a rule.
    experiment: five-rule
    strategy: grid
    space:
      training.batch_size: {choices: [10, 20, 40]}
    metric: accuracy
    epochs: 3
"""


VIEW = "//button[normalize-space(.)='View run']"


def submit_until_taken(page: Any) -> None:
    """Submit the form; again where the server's database was busy, which the page says in a corner."""
    for _ in range(3):
        click(page, "//button[normalize-space(.)='Submit']")
        with contextlib.suppress(AssertionError):
            wait_for(lambda: page.find_elements("xpath", VIEW), seconds=15)
            return


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "searching", suite=("five-rule",), searches=RULE, repository=True)


@pytest.fixture
def ui(workspace: Workspace) -> Iterator[Interface]:
    with interface(workspace.root, workspace.environment) as started:
        yield started


@pytest.mark.slow
@pytest.mark.browser
def test_a_search_is_chosen_run_and_its_best_trials_shown(ui: Interface, workspace: Workspace, tmp_path: Path) -> None:
    with headless_browser(tmp_path / "profile") as page:
        page.get(f"{ui.address}/deployments/deployment/{ui.deployment('search')['id']}/run")
        find(page, "//*[contains(text(), 'Which of the searches that params.yaml declares.')]")
        search = Select(find(page, f"{LABEL.format('Search')}/following::select[1]"))
        frameworks = Select(find(page, f"{LABEL.format('Frameworks')}/following::select[@multiple][1]"))
        assert "rule" in [option.text for option in search.options]
        search.select_by_value("rule")
        assert [option.text for option in frameworks.options] == ["keras", "torch"]
        frameworks.select_by_value("torch")
        submit_until_taken(page)
        click(page, VIEW)
        find(page, "//*[contains(@class, 'state-badge')][contains(., 'Completed')]")
        run = page.current_url.partition("/flow-run/")[2].partition("?")[0]
    table = ui.artifacts(run)["best-rule-torch"]
    assert {row["training.batch_size"] for row in json.loads(table["data"])} == {10, 20, 40}
    assert table["description"] == "rule in torch: the best of 3 trials so far"
    assert read_params(workspace.root / "params.yaml").suite.searches == ("rule",)
    assert ui.tasks(run)["search@rule-torch"] == ("COMPLETED", "Completed")
