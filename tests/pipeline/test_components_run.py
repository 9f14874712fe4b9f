"""Augmentation, an automatic batch size and pruning through the stages, in one framework."""

from __future__ import annotations

import json
import re
import sys

import pytest
from workspace import Workspace, make_workspace

from tandem.records import EvaluationRecord, RunRecord, read_record

pytestmark = [pytest.mark.slow, pytest.mark.long]

EXPERIMENT = "digits-mlp"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = make_workspace(tmp_path_factory.mktemp("components"), suite=(EXPERIMENT,))
    change(workspace, r"batch_size: \d+", "batch_size: auto, augmentation: {flip: horizontal, rotation: 10}")
    change(workspace, r"loss: cross_entropy\n", "loss: cross_entropy\n    pruning: [0.5, 0.95]\n")
    workspace.prepare("digits")
    for stage, *arguments in (
        ("check",),
        ("train", EXPERIMENT, "torch"),
        ("parity", EXPERIMENT, "torch"),
        ("evaluate", EXPERIMENT, "torch"),
        ("ladder", EXPERIMENT, "torch"),
        ("compare", EXPERIMENT, "torch"),
        ("report", EXPERIMENT, "torch"),
    ):
        workspace.run(sys.executable, "-m", f"stages.{stage}", *arguments)
    return workspace


def change(workspace: Workspace, pattern: str, new: str) -> None:
    """Replace what a pattern finds first in the experiment."""
    path = workspace.root / "params.yaml"
    before, name, after = path.read_text(encoding="utf-8").partition(f"\n  {EXPERIMENT}:\n")
    changed, count = re.subn(pattern, new, after, count=1)
    assert count == 1
    path.write_text(before + name + changed, encoding="utf-8")


def page(workspace: Workspace) -> str:
    return (workspace.root / f"reports/{EXPERIMENT}.html").read_text(encoding="utf-8")


def test_the_chosen_batch_size_is_recorded_and_shown(made):
    run = read_record(RunRecord, made.root / f"models/{EXPERIMENT}/torch/run.json")
    rows = json.loads((made.root / "data/split/digits/fit/description.json").read_text())["rows"]["train"]
    assert run.declaration["training"]["batch_size"] == "auto"
    assert run.batch_size == 512 <= rows < 1024, "a small network: the rows are the bound"
    assert re.search(r"batch size \(auto\)</th><td>512</td>", page(made))
    assert "so are the results; to keep them, declare the number above" in page(made)


def test_the_pruned_networks_are_scored_on_the_test_rows(made):
    record = read_record(EvaluationRecord, made.root / f"evaluation/{EXPERIMENT}/torch/evaluation.json")
    run = read_record(RunRecord, made.root / f"models/{EXPERIMENT}/torch/run.json")
    assert record.pruning is not None
    assert record.pruning.weights < run.model.parameters
    whole, *pruned = record.pruning.levels
    assert whole.metrics["accuracy"] == record.metrics["test"]["accuracy"]
    assert [level.share for level in pruned] == [0.5, 0.95]
    assert pruned[-1].metrics["log_loss"] != whole.metrics["log_loss"]
    assert '<section id="pruning"' in page(made)


def test_the_same_augmentation_gives_the_same_bytes_and_another_one_others(made):
    model = made.root / f"models/{EXPERIMENT}/torch/replicate-0/model.pt"
    first = model.read_bytes()
    made.run(sys.executable, "-m", "stages.train", EXPERIMENT, "torch")
    assert model.read_bytes() == first
    change(made, "rotation: 10", "rotation: 0")
    made.run(sys.executable, "-m", "stages.train", EXPERIMENT, "torch")
    assert model.read_bytes() != first
