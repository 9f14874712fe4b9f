"""Keras and PyTorch climb the committed experiments' parity ladders: every rung is reached, or its reason is known."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from workspace import REPOSITORY, Workspace, make_workspace

from stages import paths
from tandem.config import read_params
from tandem.parity.records import LadderRecord, RungRecord
from tandem.records import read_record

WORKER = Path(__file__).parent / "ladder_worker.py"
PARAMS = read_params(REPOSITORY / "params.yaml")
NEED_FILES = ("fashion_mnist", "california_housing")


def climb(folder: Path, experiments: tuple[str, ...], **more: str) -> dict[str, LadderRecord]:
    """Return the ladders of experiments, as they are committed."""
    workspace = make_workspace(folder)
    (workspace.root / "params.yaml").write_bytes((REPOSITORY / "params.yaml").read_bytes())
    workspace = Workspace(workspace.root, workspace.environment | more)
    for dataset in dict.fromkeys(PARAMS.experiments[name].dataset for name in experiments):
        workspace.prepare(dataset)
    for framework in ("keras", "torch"):
        workspace.run(sys.executable, str(WORKER), framework, *experiments)
    found = {}
    for name in experiments:
        done = workspace.stage("ladder", name, "keras torch")
        assert done.returncode == 0, done.stderr
        found[name] = read_record(LadderRecord, workspace.root / paths.ladder(name))
    return found


def missed(ladder: LadderRecord) -> list[RungRecord]:
    return [rung for pair in ladder.pairs for rung in pair.rungs if not rung.reached]


@pytest.mark.slow
@pytest.mark.long
def test_the_default_suite_reaches_every_rung_in_both_number_types(tmp_path):
    ladders = climb(tmp_path, PARAMS.suites["default"].experiments)
    assert {name: found for name, ladder in ladders.items() if (found := missed(ladder))} == {}
    assert ladders["breast-cancer-mlp"].stilled == ("dropout_1",)
    assert ladders["digits-mlp"].witness == "numpy"
    assert len(ladders["digits-mlp"].pairs) == 2


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.long
def test_on_genuine_data_nothing_but_rounding_or_divergence_stands_in_the_way(tmp_path):
    """A rung that is not reached without such a reason is a misaligned constant."""
    experiments = tuple(
        name
        for name, declared in PARAMS.experiments.items()
        if PARAMS.datasets[declared.dataset].source.name in NEED_FILES and declared.constants != "native"
    )
    ladders = climb(tmp_path, experiments, TANDEM_DATA=os.environ["TANDEM_DATA"])
    assert len(ladders) >= 6
    reasons = {name: {rung.reason for rung in missed(ladder)} for name, ladder in ladders.items()}
    assert set().union(*reasons.values()) <= {"rounding", "not_finite"}, reasons
