"""Runs with overrides: the numbers that they take, and real runs in copies, saved as DVC experiments."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hermetic import REPOSITORY, hermetic_variables
from workspace import Workspace, make_workspace, read_lock

from flows.copies import COPIES, open_copy
from flows.experiments import experiment_names, save_as_experiment
from flows.overrides import (
    Overrides,
    apply_overrides,
    only_experiment,
    read_overrides,
    run_with_overrides,
    suite_of_one,
)
from tandem.config import Experiment, parse_params
from tandem.errors import ParameterError, TandemError

PARAMS = Path("params.yaml")


def read(text: str, name: str) -> Experiment:
    return parse_params(text, PARAMS).experiments[name]


# ---------------------------------------------------------------------------------------------- the numbers


def test_a_number_is_replaced_and_every_other_byte_stays(params_text):
    edited = apply_overrides(params_text, "digits-mlp", Overrides(learning_rate=0.2, epochs=7))
    assert edited == params_text.replace("learning_rate: 0.05}", "learning_rate: 0.2}").replace(
        "{epochs: 2, batch_size: 32}", "{epochs: 7, batch_size: 32}"
    )


def test_a_number_that_was_left_out_is_added_in_the_style_of_the_file(params_text):
    block = params_text.replace(
        "    training: {epochs: 3, batch_size: 16}\n",
        "    training:  # short\n      # passes\n      epochs: 3  # few\n      batch_size: 16\n",
    )
    edited = apply_overrides(block, "wide", Overrides(replicates=4, seed=9))
    assert edited == block.replace("      epochs: 3  #", "      seed: 9\n      replicates: 4\n      epochs: 3  #")
    flow = apply_overrides(params_text, "wide", Overrides(threads=2))
    assert "training: {threads: 2, epochs: 3, batch_size: 16}" in flow


def test_windows_line_ends_stay(params_text):
    text = params_text.replace("\n", "\r\n")
    edited = apply_overrides(text, "coffee", Overrides(batch_size=4))
    assert edited == text.replace("batch_size: 8", "batch_size: 4")


@pytest.mark.parametrize("rate", [1e-05, 1.5e-07, 3.0, 1e20, 0.1 + 0.2])
def test_a_learning_rate_is_read_as_it_was_given_by_every_yaml_reader(params_text, rate):
    edited = apply_overrides(params_text, "coffee", Overrides(learning_rate=rate))
    assert read(edited, "coffee").optimizer.learning_rate == rate
    (written,) = re.findall(r"name: rmsprop, learning_rate: (.*)\}", edited)
    assert re.fullmatch(r"[0-9]+\.[0-9]*(e[-+][0-9]+)?", written)  # a number in YAML 1.1, too


def test_an_override_that_says_what_is_declared_changes_nothing(params_text):
    assert apply_overrides(params_text, "coffee", Overrides(epochs=4)) == params_text


ANCHORS = {
    "a shared mapping": ("{epochs: 3, batch_size: 16}", "&t {epochs: 3, batch_size: 16}",
                         "{epochs: 4, batch_size: 8, checkpoint: last}", "*t"),
    "a shared number": ("{epochs: 3,", "{epochs: &e 3,", "{epochs: 4,", "{epochs: *e,"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "other", "alias"), ANCHORS.values(), ids=ANCHORS)
@pytest.mark.parametrize("experiment", ["wide", "coffee"])
def test_numbers_that_two_experiments_share_are_not_changed_for_both(params_text, experiment, old, new, other, alias):
    text = params_text.replace(old, new).replace(other, alias)
    assert read(text, "coffee").training.epochs == read(text, "wide").training.epochs == 3
    with pytest.raises(ParameterError) as caught:
        apply_overrides(text, experiment, Overrides(epochs=9))
    assert str(caught.value) == (
        f"params.yaml: experiments.{experiment} shares its numbers with other keys by an anchor (& or *); "
        "write them out and try again"
    )


def test_a_merged_mapping_is_overridden_by_a_number_of_its_own(params_text):
    text = params_text.replace("{epochs: 3, batch_size: 16}", "&t {epochs: 3, batch_size: 16}").replace(
        "{epochs: 4, batch_size: 8, checkpoint: last}", "\n      <<: *t\n      checkpoint: last"
    )
    edited = apply_overrides(text, "coffee", Overrides(epochs=9))
    assert (read(edited, "coffee").training.epochs, read(edited, "wide").training.epochs) == (9, 3)


@pytest.mark.parametrize(
    ("experiment", "overrides", "message"),
    [
        ("cofee", {"epochs": 1},
         "experiment 'cofee' is not declared under experiments in params.yaml; allowed: coffee, digits-mlp, wide; "
         "did you mean 'coffee'?"),
        ("coffee", {},
         "no override is set; set at least one of: learning_rate, epochs, batch_size, replicates, seed, threads"),
    ],
)  # fmt: skip
def test_what_cannot_be_overridden_is_told(params_text, experiment, overrides, message):
    with pytest.raises(ParameterError) as caught:
        apply_overrides(params_text, experiment, Overrides(**overrides))
    assert str(caught.value) == message


def test_a_wrong_file_is_told_before_anything_is_overridden(params_text):
    with pytest.raises(ParameterError, match=r"params\.yaml:27: experiments\.digits-mlp\.training\.epochs: -1: must"):
        apply_overrides(params_text.replace("epochs: 2,", "epochs: -1,"), "coffee", Overrides(epochs=1))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 0}, "override learning_rate: 0: allowed: numbers greater than 0"),
        ({"learning_rate": float("nan")}, "override learning_rate: NaN: allowed: numbers greater than 0"),
        ({"learning_rate": float("inf")}, "override learning_rate: Infinity: allowed: numbers greater than 0"),
        ({"learning_rate": "0.1"}, "override learning_rate: '0.1': allowed: numbers greater than 0"),
        ({"epochs": -1}, "override epochs: -1: allowed: whole numbers from 0 to 1000000"),
        ({"epochs": 2.5}, "override epochs: 2.5: allowed: whole numbers from 0 to 1000000"),
        ({"epochs": True}, "override epochs: true: allowed: whole numbers from 0 to 1000000"),
        ({"batch_size": -1}, "override batch_size: -1: allowed: whole numbers from 1 to 100000000"),
        ({"replicates": 1001}, "override replicates: 1001: allowed: whole numbers from 1 to 1000"),
        ({"seed": 2**31}, "override seed: 2147483648: allowed: whole numbers from 0 to 2147483647"),
        ({"threads": 0}, "override threads: 0: allowed: whole numbers from 1 to 1024"),
        ({"epoch": 3},
         "override 'epoch' is not known; allowed: batch_size, epochs, learning_rate, replicates, seed, threads; "
         "did you mean 'epochs'?"),
        ({"epochs": -1, "threads": 0},
         "override epochs: -1: allowed: whole numbers from 0 to 1000000\n"
         "override threads: 0: allowed: whole numbers from 1 to 1024"),
    ],
)  # fmt: skip
def test_a_value_out_of_its_range_is_told_with_what_is_allowed(values, message):
    with pytest.raises(ParameterError) as caught:
        read_overrides(values)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", Overrides.model_fields)
def test_the_bounds_are_those_of_params_yaml(params_text, name):
    """What an override takes at its bounds params.yaml takes, and what it refuses, params.yaml refuses."""
    section = "optimizer" if name == "learning_rate" else "training"
    for value in (-1, 0, 1, 1000, 1001, 1024, 1025, 10**6, 10**6 + 1, 10**8, 10**8 + 1, 2**31 - 1, 2**31):
        declared = read(params_text, "wide").model_dump()
        declared[section][name] = value
        assert accepts(read_overrides, {name: value}) == accepts(
            Experiment.model_validate_json, json.dumps(declared)
        ), value


def accepts(function: Callable[[Any], object], given: Any) -> bool:
    try:
        function(given)
    except (TandemError, ValueError):
        return False
    return True


def test_what_a_form_leaves_empty_is_no_override():
    overrides = read_overrides({"learning_rate": 1, "epochs": None})
    assert (overrides.given, overrides.text) == ({"learning_rate": 1.0}, "learning_rate=1.0")


@pytest.mark.parametrize(("chosen", "said"), [(["a", "b"], "a, b"), ([], "none")])
def test_overrides_for_other_than_one_experiment_are_refused(chosen, said):
    assert only_experiment(["a"]) == "a"
    with pytest.raises(ParameterError) as caught:
        only_experiment(chosen)
    assert str(caught.value) == f"overrides are for one experiment at a time; chosen: {said}; choose one"


def test_the_suite_of_a_copy_is_the_experiment_in_the_chosen_frameworks(params_text):
    params = parse_params(params_text.replace("[keras, torch]", "[torch, keras]"), PARAMS)
    assert suite_of_one(params, "wide", []).model_dump() == {
        "experiments": ("wide",), "searches": (), "frameworks": ("torch", "keras"),
    }  # fmt: skip
    assert suite_of_one(params, "wide", ["keras", "torch"]).frameworks == ("torch", "keras")
    assert suite_of_one(params, "wide", ["keras"]).frameworks == ("keras",)
    with pytest.raises(
        ParameterError, match="framework 'pytorch' is not known; allowed: keras, numpy, torch; did you mean"
    ):
        suite_of_one(params, "wide", ["pytorch"])


# -------------------------------------------------------------------------------------- copies, without runs


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("template"), suite=("coffee", "five-rule"), repository=True)


@pytest.fixture
def root(template: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of the workspace, with a lock file as after a run, in this process's environment."""
    for name, value in hermetic_variables(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    template.run("git", "clone", "-q", str(template.root), str(tmp_path / "project"))
    lock = {"stages": {"train": {"cmd": "x", "deps": [{"path": "stages"}, {"path": "tandem/new.py"}]}}}
    (tmp_path / "project" / "dvc.lock").write_text(json.dumps(lock))
    return tmp_path / "project"


def call(root: Path, *command: str) -> str:
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout


def files(root: Path, commit: str) -> set[str]:
    return set(call(root, "git", "ls-tree", "-r", "--name-only", commit).splitlines())


def test_an_experiment_holds_what_belongs_to_it_and_nothing_else(root):
    (root / "stages" / "new.py").write_text("")
    (root / "tandem" / "new.py").write_text("")
    (root / "tandem" / "other.py").write_text("")
    (root / ".env").write_text("PASSWORD=secret")
    (root / "README.md").write_text("staged")
    call(root, "git", "add", "README.md")
    (root / "data").mkdir()
    (root / "data" / "big").write_text("ignored")
    with open_copy(root, "one") as copy:
        (copy.project / "params.yaml").write_text("suite: {}\n")
        saved = save_as_experiment(copy, "mine", "a message")
    new = files(root, saved.commit) - files(root, "HEAD")
    assert new == {"stages/new.py", "tandem/new.py", "README.md", "dvc.lock"}
    assert call(root, "git", "show", f"{saved.commit}:params.yaml") == "suite: {}\n"
    assert call(root, "git", "log", "-1", "--format=%s %P", saved.commit).split() == [
        "a", "message", call(root, "git", "rev-parse", "HEAD").strip(),
    ]  # fmt: skip


def test_a_lock_file_that_git_ignores_is_saved_all_the_same(root):
    with (root / ".gitignore").open("a") as file:
        file.write("/dvc.lock\n")
    with open_copy(root, "one") as copy:
        saved = save_as_experiment(copy, "mine", "a message")
    assert "dvc.lock" in files(root, saved.commit)


def test_two_experiments_of_one_name_are_both_kept(root):
    with open_copy(root, "one") as copy:
        first, second = (save_as_experiment(copy, "mine", "a message") for _ in range(2))
    assert [first.name, second.name] == ["mine", "mine-2"]
    assert experiment_names(root) == {"mine", "mine-2"}


SAVE = """
import sys
from pathlib import Path
from flows.copies import open_copy
from flows.experiments import save_as_experiment
print("ready", flush=True)
sys.stdin.readline()
with open_copy(Path.cwd(), "one") as copy:
    (copy.project / "params.yaml").write_text(sys.argv[1])
    print(save_as_experiment(copy, "mine", sys.argv[1]).name)
    copy.remove()
"""


@pytest.mark.slow
def test_experiments_saved_at_the_same_moment_are_all_kept_and_right(root):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SAVE, f"number: {number}"],
            cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(5)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    saved = {}
    for number, process in enumerate(processes):
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        saved[output.strip()] = f"number: {number}"
    assert set(saved) == {"mine", "mine-2", "mine-3", "mine-4", "mine-5"} == experiment_names(root)
    head = call(root, "git", "rev-parse", "HEAD").strip()
    for name, text in saved.items():
        assert call(root, "git", "show", f"refs/exps/{head[:2]}/{head[2:]}/{name}:params.yaml") == text
    assert list((root / COPIES).iterdir()) == []


def no_run(_project: Path, _environment: object) -> bool:
    raise AssertionError("nothing may run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "../up"}, "'../up' is no allowed name for an experiment; names are at most 80 lower-case letters, "
                            "digits and '-', and begin with a letter or digit"),
        ({"name": "taken"}, "the DVC experiment 'taken' is there already; choose another name"),
        ({"frameworks": ["jax"]}, "framework 'jax' is not known; allowed: keras, numpy, torch"),
        ({"experiment": "tea"}, "experiment 'tea' is not declared under experiments in params.yaml; allowed: "),
        ({"overrides": Overrides()}, "no override is set; "),
    ],
)  # fmt: skip
def test_a_wrong_request_leaves_nothing_behind(root, arguments, message):
    head = call(root, "git", "rev-parse", "HEAD").strip()
    call(root, "git", "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/taken", head)
    given = {"experiment": "coffee", "frameworks": [], "overrides": Overrides(epochs=1), "name": None} | arguments
    with pytest.raises(ParameterError) as caught, run_with_overrides(root, run=no_run, variables={}, **given):
        pass
    assert str(caught.value).startswith(message)
    assert not (root / COPIES).exists() or list((root / COPIES).iterdir()) == []


def test_a_run_that_fails_is_not_saved_and_its_copy_is_kept(root):
    seen = []

    def fail(project: Path, _environment: object) -> bool:
        seen.append(parse_params((project / "params.yaml").read_text(), PARAMS))
        return False

    with run_with_overrides(root, "five-rule", ["torch"], Overrides(epochs=3), fail, variables={}) as run:
        assert (run.succeeded, run.saved, run.page, run.metrics) == (False, None, None, {"torch": None})
        assert re.fullmatch(r"five-rule-\d{8}-\d{6}-[0-9a-f]{4}", run.copy.name)
    assert run.copy.folder.exists()
    assert experiment_names(root) == frozenset()
    assert ".tandem" not in call(root, sys.executable, "-m", "dvc", "stage", "list", "--all")
    assert seen[0].suite.experiments == ("five-rule",)
    assert seen[0].experiments["five-rule"].training.epochs == 3
    assert "five-rule-torch" in (run.copy.project / "runs.yaml").read_text()
    assert "five-rule-keras" not in (run.copy.project / "runs.yaml").read_text()


def test_an_interrupted_run_is_not_saved_and_its_copy_is_free(root):
    def interrupt(_project: Path, _environment: object) -> bool:
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        run_with_overrides(root, "coffee", [], Overrides(epochs=3), interrupt, variables={}, name="mine"),
    ):
        pass
    assert experiment_names(root) == frozenset()
    with run_with_overrides(root, "coffee", [], Overrides(epochs=3), lambda *_: True, variables={}, name="mine") as run:
        assert run.saved is not None
        assert (run.copy.name, run.saved.name) == ("mine-2", "mine")
    assert [path.name for path in sorted((root / COPIES).iterdir())] == ["mine", "mine.lock"]


# -------------------------------------------------------------------------------- real runs, three at once

RUNNER = """
import json, os, sys
from pathlib import Path
from dvcgraph.events import Ended
from dvcgraph.schedule import reproduce
from flows.overrides import read_overrides, run_with_overrides

states = {}

def listen(event):
    if isinstance(event, Ended):
        states[event.stage] = event.outcome.state

def run(project, environment):
    return not reproduce(project, (), jobs=1, on_event=listen, environment=environment).failed

overrides = read_overrides({"learning_rate": float(sys.argv[2])})
with run_with_overrides(
    Path.cwd(), "coffee", [], overrides, run, variables=os.environ, name=sys.argv[1]
) as ended:
    page = ended.page.read_text(encoding="utf-8")
    print(json.dumps({"states": states, "metrics": ended.metrics, "page": page, "name": ended.saved.name}))
"""


@dataclass(frozen=True)
class Together:
    """What two runs with overrides and a ``dvc repro`` beside them left."""

    workspace: Workspace
    before: dict[str, Any]
    after: dict[str, Any]
    runs: dict[str, dict[str, Any]]
    repro: subprocess.CompletedProcess[str]


def own_files(workspace: Workspace) -> dict[str, Any]:
    """Return what the user edits, git's view of it, and the results of coffee."""
    root = workspace.root
    patterns = (
        "*.yaml",
        "*.txt",
        "tandem/**/*.py",
        "stages/*.py",
        "*/coffee/**/*",
        "reports/coffee.html",
        ".dvc/config*",
    )
    found = {str(path): path.read_bytes() for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    for command in (["status", "--porcelain=v2", "-uall"], ["diff"], ["diff", "--cached"], ["stash", "list"]):
        found[" ".join(command)] = workspace.run("git", *command)
    return found | {stage: entry for stage, entry in read_lock(workspace).items() if "coffee" in stage}


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Together:
    workspace = make_workspace(tmp_path_factory.mktemp("together"), suite=("coffee", "breast-cancer-mlp"))
    workspace.edit("breast-cancer-mlp]\n  searches: []\n  frameworks: [keras, torch]",
                   "breast-cancer-mlp]\n  searches: []\n  frameworks: [torch]")  # fmt: skip
    assert workspace.tandem("plan").returncode == 0
    (workspace.root / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        (workspace.root / ".dvc" / name).write_bytes((REPOSITORY / ".dvc" / name).read_bytes())
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
        workspace.run("git", *command)
    workspace.dvc("repro", "report@coffee")
    workspace.edit("    description: Three hidden units", "    # not committed\n    description: Three hidden units")
    (workspace.root / "note.txt").write_text("untracked\n")
    before = own_files(workspace)
    runs: dict[str, dict[str, Any]] = {}

    def override(name: str, rate: str) -> None:
        done = workspace.call(sys.executable, "-c", RUNNER, name, rate)
        assert done.returncode == 0, done.stderr
        runs[name] = json.loads(done.stdout)

    threads = [threading.Thread(target=override, args=entry) for entry in (("slow", "0.001"), ("fast", "0.5"))]
    for thread in threads:
        thread.start()
    repro = workspace.call(sys.executable, "-m", "dvc", "repro")
    for thread in threads:
        thread.join()
    return Together(workspace, before, own_files(workspace), runs, repro)


@pytest.mark.slow
def test_only_what_the_override_changes_runs_in_the_copy(together):
    expected = {f"{stage}@coffee": "restored" for stage in ("fetch", "split", "standardize")}
    expected |= {f"{stage}@coffee-torch": "completed" for stage in ("train", "evaluate", "parity")}
    expected |= {f"{stage}@coffee": "completed" for stage in ("compare", "ladder", "report")}
    expected |= {"check": "completed", "index": "completed"}
    assert together.runs["slow"]["states"] == together.runs["fast"]["states"] == expected


@pytest.mark.slow
def test_two_runs_with_overrides_and_a_repro_beside_them_do_not_disturb_one_another(together):
    assert together.repro.returncode == 0, together.repro.stderr
    assert "Running stage 'train@breast-cancer-mlp-torch'" in together.repro.stdout
    assert together.after == together.before
    workspace = together.workspace
    assert workspace.dvc("status").strip() == "Data and pipelines are up to date."
    declared = json.loads((workspace.root / "metrics/coffee/torch.json").read_text())
    losses = [
        entry["test_log_loss"] for entry in (declared, *(run["metrics"]["torch"] for run in together.runs.values()))
    ]
    assert len(set(losses)) == 3
    assert list((workspace.root / COPIES).iterdir()) == []
    assert workspace.run("git", "worktree", "list").count("\n") == 1


@pytest.mark.slow
def test_dvc_lists_the_runs_with_their_parameters_and_metrics(together):
    (base,) = [entry for entry in json.loads(together.workspace.dvc("exp", "show", "--json")) if entry["experiments"]]
    shown = {}
    for entry in base["experiments"]:
        (revision,) = entry["revs"]
        data = revision["data"]
        assert {error for metrics in data["metrics"].values() for error in [metrics.get("error")]} == {None}
        rate = data["params"]["params.yaml"]["data"]["experiments"]["coffee"]["optimizer"]["learning_rate"]
        shown[revision["name"]] = (rate, {"torch": data["metrics"]["metrics/coffee/torch.json"]["data"]})
    assert shown == {
        "slow": (0.001, together.runs["slow"]["metrics"]),
        "fast": (0.5, together.runs["fast"]["metrics"]),
    }


@pytest.mark.slow
def test_a_gate_is_checked_and_changes_no_result(together):
    workspace = together.workspace
    path = workspace.root / "params.yaml"
    text = path.read_text()
    path.write_text(f"{text}\ngate: [{{experiment: coffee, metric: accuracy, at_least: 0.9}}]\n")
    try:
        changed = [line for line in workspace.dvc("status").splitlines() if not line.startswith("\t")]
    finally:
        path.write_text(text)
    assert changed == ["check:"]  # its out is constant: nothing that depends on it runs


@pytest.mark.slow
def test_an_experiment_that_is_applied_brings_its_numbers_and_its_results(together):
    workspace = together.workspace
    workspace.dvc("exp", "apply", "fast")
    assert workspace.dvc("status").strip() == "Data and pipelines are up to date."
    text = (workspace.root / "params.yaml").read_text()
    assert "learning_rate: 0.5" in text
    assert "# not committed" in text
    metrics = json.loads((workspace.root / "metrics/coffee/torch.json").read_text())
    assert metrics == together.runs["fast"]["metrics"]["torch"]
    assert (workspace.root / "reports/coffee.html").read_text(encoding="utf-8") == together.runs["fast"]["page"]
    assert (workspace.root / "note.txt").read_text() == "untracked\n"
