"""The tutorials' systems, trained as they are declared: their numbers are what the tutorials state.

The small suites are trained once, with few replicates, through their stages; those on genuine data in full.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from workspace import REPOSITORY, Workspace, make_workspace

from tandem.config import read_params
from tandem.plan import frameworks_of
from tandem.tutorials.systems import GROUPS, Group

PARAMS = read_params(REPOSITORY / "params.yaml")
FRAMEWORKS = ("keras", "torch", "numpy")
SMALL_GROUPS = [group for group in GROUPS if group.suite in ("basics", "sparse", "ranks")]
SMALL = tuple(dict.fromkeys(system.experiment for group in SMALL_GROUPS for system in group.systems))
# One of each kind, so that CI has the time.
FEW = (
    "five-rule", "coffee-by-hand", "parabola", "square-minimum", "two-linear-layers", "softmax-cross-entropy",
    "shoppers-deep", "shoppers-wide-deep", "rank-series-lstm", "rank-images-channels-first",
)  # fmt: skip
TRAIN = """
import sys
from stages import evaluate, train
framework, *experiments = sys.argv[1:]
for experiment in experiments:
    train.main([experiment, framework])
    evaluate.main([experiment, framework])
"""
JUDGE = """
import sys
from flows.tutorials import write_page
from pathlib import Path
write_page(Path(sys.argv[1]))
"""


def train(workspace: Workspace, experiments: tuple[str, ...]) -> list[list[str]]:
    """Train and evaluate experiments in all of their frameworks; return the rows of the page with results."""
    for dataset in {PARAMS.experiments[name].dataset for name in experiments}:
        workspace.prepare(dataset)
    for framework in FRAMEWORKS:
        named = [name for name in experiments if framework in frameworks_of(PARAMS, name)]
        if named:
            workspace.run(sys.executable, "-c", TRAIN, framework, *named)
    workspace.run(sys.executable, "-c", JUDGE, "tutorials.md")
    lines = (workspace.root / "tutorials.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if re.match(r"\| [MD]\d", line)]
    return [row for row in rows if row[-1] != "not run"]


def declared(folder: Path, environment: dict[str, str] | None = None, *, replicates: int | None = None) -> Workspace:
    """Make a workspace with the committed declarations, if need be with fewer replicates."""
    made = make_workspace(folder)
    shutil.copy(REPOSITORY / "params.yaml", made.root / "params.yaml")
    if replicates is not None:
        path = made.root / "params.yaml"
        path.write_text(re.sub(r"\breplicates: \d+", f"replicates: {replicates}", path.read_text("utf-8")), "utf-8")
    return Workspace(made.root, made.environment | (environment or {}))


# --------------------------------------------------------------------------------------------- small suites


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, list[list[str]]]:
    workspace = declared(tmp_path_factory.mktemp("small"), replicates=1)
    return workspace, train(workspace, FEW)


def numbers_of(experiments: tuple[str, ...], groups: list[Group]) -> int:
    systems = [system for group in groups for system in group.systems if system.experiment in experiments]
    return sum(len(system.checks) for system in systems)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_numbers_of_the_small_suites_are_within_their_bounds(small):
    _, rows = small
    assert len(rows) == numbers_of(FEW, SMALL_GROUPS)
    assert [row for row in rows if row[-1] not in ("within", "shown")] == []


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_number_of_the_small_suites_is_within_its_bounds_with_all_replicates(tmp_path):
    rows = train(declared(tmp_path), SMALL)
    assert len(rows) == numbers_of(SMALL, SMALL_GROUPS)
    assert [row for row in rows if row[-1] not in ("within", "shown")] == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("framework", ["keras", "torch", "numpy"])
def test_roasts_by_hand_have_the_courses_probabilities(small, framework, tmp_path):
    workspace, _ = small
    roasts = tmp_path / "roasts.csv"
    roasts.write_text("temperature (°C),duration (min)\n200,13.9\n200,17\n", encoding="utf-8")
    done = workspace.tandem("predict", "coffee-by-hand", str(roasts), "--framework", framework)
    assert done.returncode == 0, done.stderr
    good = [float(row["probability of good roast"]) for row in csv.DictReader(io.StringIO(done.stdout))]
    assert good == [pytest.approx(0.9625, abs=5e-4), pytest.approx(3.0e-8, rel=0.05)]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_a_saved_parabola_is_read_by_another_process(small, framework, tmp_path):
    workspace, _ = small
    place = tmp_path / "x.npy"
    np.save(place, np.array([[0.5]]))
    done = workspace.tandem("predict", "parabola", str(place), "--framework", framework)
    assert done.returncode == 0, done.stderr
    (row,) = csv.reader(io.StringIO(done.stdout.splitlines()[1]))
    assert float(row[0]) == pytest.approx(2.0358 * 0.25 + 2.9610 * 0.5 + 4.0075, abs=2e-4)


FOUR_VECTORS = """\
0.97889086, 0.15229675, 0.31082123, 0.03504317, 0.88920843
0.74963533, 0.5524256, 0.95758807, 0.95520434, 0.84890681
0.00797868, 0.67482528, 0.13625847, 0.34675372, 0.19871392
0.09349776, 0.59416669, 0.92579291, 0.41567412, 0.1358894
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_the_saved_five_rule_classifies_four_vectors(small, framework, tmp_path):
    workspace, _ = small
    vectors = tmp_path / "vectors.npy"
    values = np.array([[float(number) for number in line.split(",")] for line in FOUR_VECTORS.splitlines()])
    np.save(vectors, values)
    done = workspace.tandem("predict", "five-rule", str(vectors), "--framework", framework)
    assert done.returncode == 0, done.stderr
    labels = [int(row["label"]) for row in csv.DictReader(io.StringIO(done.stdout))]
    assert labels == (values[:, 0] > values[:, 4]).astype(int).tolist()


# --------------------------------------------------------------------------------------------- genuine data


@pytest.fixture(scope="module", params=["housing", "fashion"])
def genuine(
    request: pytest.FixtureRequest, mirror: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[list[str]]]:
    suite = request.param
    workspace = declared(tmp_path_factory.mktemp(suite), {"TANDEM_DATA": str(mirror)})
    return suite, train(workspace, PARAMS.suites[suite].experiments)


@pytest.mark.long
@pytest.mark.data
@pytest.mark.timeout(4 * 3600)
def test_every_number_on_genuine_data_is_within_its_bounds(genuine):
    suite, rows = genuine
    (group,) = [group for group in GROUPS if group.suite == suite]
    assert len(rows) == numbers_of(PARAMS.suites[suite].experiments, [group])
    assert [row for row in rows if row[-1] not in ("within", "shown")] == []
