"""A run whose metric is out of bounds: its reports are published, and then it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from workspace import make_workspace

GATE = "\ngate: [{experiment: coffee, metric: accuracy, at_least: 0.9999, framework: torch}]\n"


@pytest.mark.slow
def test_a_gate_fails_a_run_after_its_report_is_published(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, suite=("coffee",), repository=True)
    path = workspace.root / "params.yaml"
    text = path.read_text(encoding="utf-8").replace("frameworks: [keras, torch]", "frameworks: [torch]", 1)
    path.write_text(text + GATE, encoding="utf-8")

    done = workspace.tandem("run")
    said = [line for line in done.stdout.splitlines() if line.startswith(("gate:", "published:", "error:"))]
    value = json.loads((workspace.root / "metrics/coffee/torch.json").read_text(encoding="utf-8"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert said[0].startswith("gate: coffee in torch: accuracy "), (value, done.stdout)
    assert said[0].endswith("is below 0.9999 (params.yaml, gate)")
    assert said[1].startswith("published: file://")
    assert said[-1] == f"error: {said[0]}"
    (run,) = (workspace.root / "published/runs").iterdir()
    assert {page.name for page in run.iterdir()} == {"index.html", "coffee.html", "run.json"}
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert record["outcome"] == "failed"
    assert said[0] in record["message"]

    path.write_text(text, encoding="utf-8")  # without the gate nothing has to run anew but the check
    again = workspace.tandem("run")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "unchanged  train@coffee-torch" in again.stdout
