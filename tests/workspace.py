"""Real workspaces for tests: the product's own files in a scratch git + DVC repository, with small data."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hermetic import REPOSITORY, hermetic_environment
from ruamel.yaml import YAML

FILES = ("params.yaml", "runs.yaml", "dvc.yaml", ".dvcignore", ".gitignore")
# Experiments that every workspace declares, besides those that it runs.
BASE = (
    "digits-mlp", "diabetes-wide-deep", "breast-cancer-mlp", "five-rule", "coffee", "fashion-mlp",
    "fashion-selu-alpha-dropout", "housing-mlp", "housing-wide-deep-one-input", "housing-wide-deep",
    "housing-wide-deep-two-outputs",
)  # fmt: skip
FOLDERS = ("tandem", "stages", "flows", "dvcgraph")
# Outs whose bytes hold wall-clock times; everything else is the same in two runs.
TIMED = re.compile(r"timings/.*|logs/.*|reports/.*\.html")

# Writes down, for each process of a stage, what it imported from the workspace and which data it opened.
RECORDER = """
import atexit, os, sys
opened = set()
def note(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        opened.add(os.path.abspath(os.fsdecode(arguments[0])))
sys.addaudithook(note)
def write():
    root = os.getcwd() + os.sep
    stage = getattr(sys.modules.get("__main__"), "__spec__", None)
    if stage is None or not stage.name.startswith("stages."):
        return
    loaded = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
    name = "-".join([stage.name, *sys.argv[1:]]).replace(" ", "+")
    with open(os.path.join(os.environ["TANDEM_TEST_RECORDS"], name), "w") as file:
        for kind, paths in (("import", loaded), ("open", opened)):
            for path in sorted(paths):
                if path.startswith(root):
                    file.write(kind + " " + path[len(root):] + "\\n")
atexit.register(write)
"""


@dataclass(frozen=True)
class Workspace:
    """A scratch project with an environment of its own."""

    root: Path
    environment: dict[str, str]

    def call(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the workspace and wait for it."""
        return subprocess.run(
            command, cwd=self.root, env=self.environment | more, capture_output=True, text=True, check=False
        )

    def stage(self, name: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run ``python -m stages.<name>``."""
        return self.call(sys.executable, "-m", f"stages.{name}", *arguments, **more)

    def run(self, *command: str) -> str:
        """Run a command that must succeed; return its output."""
        done = self.call(*command)
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def dvc(self, *arguments: str) -> str:
        """Run ``dvc``, which must succeed; return its output."""
        return self.run(sys.executable, "-m", "dvc", *arguments)

    def tandem(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run the ``tandem`` command."""
        code = "from flows.command_line import main; main()"
        return self.call(sys.executable, "-c", code, *arguments, **more)

    def edit(self, old: str, new: str) -> None:
        """Replace a text that stands once in params.yaml."""
        path = self.root / "params.yaml"
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in params.yaml"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def prepare(self, dataset: str) -> None:
        """Split and standardize a data set whose raw files are there, or fetch it first."""
        if not (self.root / "data/raw" / dataset).exists():
            assert self.stage("fetch", dataset).returncode == 0
        for name in ("split", "standardize"):
            done = self.stage(name, dataset)
            assert done.returncode == 0, done.stderr


def make_workspace(
    folder: Path, *, suite: tuple[str, ...] = (), searches: str = "", repository: bool = False
) -> Workspace:
    """Copy the product's files into an empty folder, with every experiment in miniature.

    Args:
        folder: to be made.
        suite: experiments that run; none: those of the committed suite.
        searches: more of them that are declared, in YAML; none of them runs.
        repository: also make it a git and DVC repository with one commit.
    """
    root = folder / "project"
    root.mkdir(parents=True)
    for name in FILES:
        shutil.copy(REPOSITORY / name, root / name)
    for name in FOLDERS:
        shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "reports").mkdir()
    params = miniature(without_others((root / "params.yaml").read_text(encoding="utf-8"), {*suite, *BASE}))
    if searches:
        params += searches if "\nsearches:\n" in params else f"\nsearches:\n{searches}"
    if suite:
        params = re.sub(r"(?m)^  experiments: \[.*\]$", f"  experiments: [{', '.join(suite)}]", params, count=1)
    (root / "params.yaml").write_text(params, encoding="utf-8")
    workspace = Workspace(root, hermetic_environment(folder / "home") | {"PYTHONPATH": str(root)})
    planned = workspace.tandem("plan")
    assert planned.returncode == 0, planned.stderr
    if repository:
        shutil.copytree(REPOSITORY / ".dvc", root / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "*.local"))
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
            workspace.run("git", *command)
    return workspace


def divide_into_folds(workspace: Workspace, dataset: str, split: str) -> None:
    """Give a data set of the committed params.yaml another split."""
    path = workspace.root / "params.yaml"
    pattern = rf"(?m)^(  {dataset}:\n    source: .*\n    split: ).*$"
    text, changed = re.subn(pattern, rf"\g<1>{split}", path.read_text(encoding="utf-8"))
    assert changed == 1, f"{dataset} has no split on the line after its source"
    path.write_text(text, encoding="utf-8")


def without_others(params: str, kept: set[str]) -> str:
    """Leave the experiments out of a params.yaml that are not kept, with their searches and the suites left empty.

    Those that are kept, and all else, stay as they are written.
    """
    params, searches = params.split("\nsearches:\n")
    searching = re.split(r"(?m)(?=^  [a-z0-9-]+:$)", searches)
    of = {block: re.search(r"\n    experiment: (.*)\n", block) for block in searching}
    searching = [block for block, found in of.items() if found is None or found[1] in kept]
    kept = kept | {block.partition(":")[0].strip() for block in searching}
    head, experiments = params.split("\nexperiments:\n")
    blocks = re.split(r"(?m)(?=^  [a-z0-9-]+:$)", experiments)
    blocks = [block for block in blocks if not (name := re.match(r"  ([a-z0-9-]+):\n", block)) or name[1] in kept]
    before, suites = head.split("\nsuites:\n")
    suites, after = suites.split("\ndatasets:\n")
    entries = re.split(r"(?m)(?=^  [a-z0-9-]+:$)", suites)
    listed = [
        re.sub(r"(?m)^      - ([a-z0-9-]+)\n", lambda line: line[0] if line[1] in kept else "", entry)
        for entry in entries
    ]
    listed = [entry for entry in listed if not re.search(r"(experiments|searches):\n    frameworks", entry)]
    made = f"{before}\nsuites:\n{''.join(listed)}\ndatasets:\n{after}\nexperiments:\n{''.join(blocks)}"
    return made + (f"\nsearches:\n{''.join(searching)}" if any(block.strip() for block in searching) else "")


def miniature(params: str) -> str:
    """Shrink every experiment and search of a params.yaml to seconds, and leave all else as it is."""
    params, searches = (*params.split("\nsearches:\n"), "")[:2]
    smaller = {"epochs": 2, "replicates": 2, "repeat": 2, "patience": 2, "folds": 2, "repeats": 2}
    for key, value in smaller.items():
        params = re.sub(rf"\b{key}: [1-9]\d*", f"{key}: {value}", params)
    params = params.replace("samples: 6000, test_samples: 20000", "samples: 300, test_samples: 200")
    params = params.replace("test_samples: 2000,", "test_samples: 300,")
    params = params.replace("{method: first-n, valid: 1000}", "{method: first-n, valid: 60}")
    params = params.replace("{method: first-n, valid: 5000}", "{method: first-n, valid: 100}")
    for pattern, small in ((r"^    epochs: \d+", "    epochs: 4"), (r"{epochs: \d+", "{epochs: 64"),
                           (r"trials: \d+", "trials: 4"), (r"_epochs: \d+", "_epochs: 1"),
                           (r"folds: \d+", "folds: 2")):  # fmt: skip
        searches = re.sub(f"(?m){pattern}", small, searches)
    return f"{params}\nsearches:\n{searches}" if searches else params


def write_raw_files(root: Path) -> None:
    """Write small files in the formats of the data sets that are otherwise downloaded."""
    generator = np.random.default_rng(0)
    fashion = root / "data/raw/fashion"
    fashion.mkdir(parents=True)
    for prefix, count in (("train", 400), ("t10k", 150)):
        labels = generator.integers(0, 10, count)
        images = np.clip(generator.normal(30 + 20 * labels[:, None, None], 40, (count, 28, 28)), 0, 255)
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, dtype=">u4").tobytes()
            data = gzip.compress(head + values.astype(np.uint8).tobytes(), mtime=0)
            (fashion / f"{prefix}-{kind}-ubyte.gz").write_bytes(data)
    housing = root / "data/raw/housing"
    housing.mkdir(parents=True)
    count = 400
    columns = [
        generator.uniform(-124, -114, count), generator.uniform(32, 42, count), generator.integers(1, 52, count),
        generator.integers(500, 5000, count), generator.integers(100, 900, count), generator.integers(300, 3000, count),
        generator.integers(100, 900, count), generator.uniform(0.5, 10, count), generator.uniform(2e4, 5e5, count),
    ]  # fmt: skip
    np.savetxt(housing / "cal_housing.data", np.column_stack(columns), delimiter=",", fmt="%.6f")


def read_lock(workspace: Workspace) -> dict:
    return YAML(typ="safe").load((workspace.root / "dvc.lock").read_text(encoding="utf-8"))["stages"]


def outs_of(lock: dict) -> dict[str, str]:
    return {out["path"]: out["md5"] for entry in lock.values() for out in entry.get("outs", [])}


def differing_outs(one: dict, two: dict) -> set[str]:
    first, second = outs_of(one), outs_of(two)
    shared = set(first) & set(second)
    assert shared
    return {path for path in shared if first[path] != second[path]}


def untimed(lock: dict) -> dict:
    """Drop what holds or depends on wall-clock times."""
    timed = {"timings", "logs", "reports"}

    def kept(parts: list[dict]) -> list[dict]:
        return [part for part in parts if part["path"].split("/")[0] not in timed]

    return {
        stage: entry | {kind: kept(entry[kind]) for kind in ("deps", "outs") if kind in entry}
        for stage, entry in lock.items()
    }
