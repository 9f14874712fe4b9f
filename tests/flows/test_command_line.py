"""The `tandem` command in a scratch project: what it prints, writes and returns."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tandem.config import read_params
from tandem.records import DataDescription, write_record

Call = Callable[..., "subprocess.CompletedProcess[str]"]
ENTRY = "from flows.command_line import main; main()"
SUITES = """\
suites:
  both: {experiments: [digits-mlp, coffee], frameworks: [keras, torch]}
  one: {experiments: [wide], frameworks: [torch]}
"""


@pytest.fixture
def tandem(python: Call, write_params: Callable[..., Path]) -> Call:
    """Run `tandem` in a folder with a small params.yaml of two suites."""
    write_params(("datasets:\n", f"{SUITES}datasets:\n"))

    def call(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return python("-c", ENTRY, *arguments, **more)

    return call


def error(done: subprocess.CompletedProcess[str], status: int = 1) -> str:
    """Return the error's text; nothing else may have been printed."""
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
    return done.stderr.removeprefix("error: ").rstrip("\n")


# ----------------------------------------------------------------------------------------- plan and suite


def test_clean_keeps_the_output_of_the_newest_runs(tmp_path):
    from flows.cleaning import stale_paths
    from tandem.plan import NO_TRIALS, Plan

    for number in range(25):
        run = tmp_path / ".dvcgraph" / "logs" / f"run-{number}"
        run.mkdir(parents=True)
        os.utime(run, (number, number))
    stale = stale_paths(
        Plan(datasets={}, trainings={}, ladders={}, searches={}, runs={}, reports={}, trials=NO_TRIALS), tmp_path
    )
    assert [path.name for path in stale] == [f"run-{number}" for number in range(5)]


def test_plan_writes_the_plan_and_says_so_once(tandem: Call, tmp_path: Path) -> None:
    done = tandem("plan")
    assert (done.returncode, done.stderr) == (0, "")
    header, *rows, last = done.stdout.splitlines()
    assert header.split() == ["experiment", "data", "set", "frameworks"]
    assert [row.split() for row in rows] == [
        ["digits-mlp", "digits", "keras", "torch"],
        ["coffee", "coffee", "keras", "torch"],
    ]
    assert last == "runs.yaml written: 4 runs of 2 experiments"
    before = (tmp_path / "runs.yaml").stat()
    assert tandem("plan").stdout.splitlines()[-1] == "runs.yaml is up to date: 4 runs of 2 experiments"
    assert (tmp_path / "runs.yaml").stat().st_mtime_ns == before.st_mtime_ns


def test_another_folder_can_be_named(tandem: Call, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "params.yaml").rename(tmp_path / "inner/params.yaml")
    assert error(tandem("plan")) == "params.yaml: missing; run the command in a Tandem project, or create the file"
    assert tandem("-C", "inner", "plan").returncode == 0
    assert (tmp_path / "inner/runs.yaml").exists()
    assert error(tandem("-C", "nowhere", "plan")) == "nowhere: No such file or directory; name the project's folder"


def test_every_mistake_of_the_declaration_stops_a_command(
    tandem: Call, write_params: Callable[..., Path], tmp_path: Path
) -> None:
    write_params(("units: 8", "units: 0"), ("loss: mse", "loss: none"))
    expected = [
        "params.yaml:24: experiments.digits-mlp.model.sequential[1].dense.units: 0: must be greater than 0",
        "params.yaml:33: experiments.wide.loss: 'none' is not known; "
        "allowed: binary_cross_entropy, categorical_cross_entropy, cross_entropy, mae, mse, squared_error_sum",
        "nothing was run; correct params.yaml and run again",
    ]
    for command in (["plan"], ["suite", "one"], ["run"]):
        assert error(tandem(*command)).splitlines() == expected
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_suite_lists_the_suites(tandem: Call) -> None:
    done = tandem("suite")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        ["both", "(selected)", "digits-mlp,", "coffee", "keras,", "torch"],
        ["one", "wide", "torch"],
    ]


def test_suite_selects_one_and_plans_it(tandem: Call, tmp_path: Path) -> None:
    done = tandem("suite", "one")
    assert done.stdout == "suite 'one' selected; `tandem run` or `dvc repro` runs it\n"
    assert read_params(tmp_path / "params.yaml").suite.experiments == ("wide",)
    assert "wide-torch" in (tmp_path / "runs.yaml").read_text()
    assert tandem("suite", "one").stdout.startswith("suite 'one' was selected already;")


def test_an_unknown_suite_is_told_with_the_nearest_one(tandem: Call, tmp_path: Path) -> None:
    before = (tmp_path / "params.yaml").read_bytes()
    assert error(tandem("suite", "bth")) == (
        "suite 'bth' is not declared under suites in params.yaml; allowed: both, one; did you mean 'both'?"
    )
    assert (tmp_path / "params.yaml").read_bytes() == before


# ------------------------------------------------------------------------------------------- run and report


def test_run_refuses_an_unknown_experiment_before_anything_runs(tandem: Call) -> None:
    assert error(tandem("run", "digit-mlp")) == (
        "'digit-mlp' is no experiment of the suite; allowed: coffee, digits-mlp; did you mean 'digits-mlp'?"
    )


def test_report_says_what_is_missing(tandem: Call, tmp_path: Path) -> None:
    assert error(tandem("report")) == "runs.yaml: missing; run `tandem plan` to write it"
    tandem("plan")
    assert error(tandem("report")) == f"{tmp_path}/reports/index.html: missing; run `tandem run` to make it"
    page = f"{tmp_path}/reports/coffee.html"
    assert error(tandem("report", "coffee")) == f"{page}: missing; run `tandem run` to make it"
    assert error(tandem("report", "cofee")) == (
        "'cofee' is no experiment of the suite; allowed: coffee, digits-mlp; did you mean 'coffee'?"
    )


def test_report_says_where_the_page_is(tandem: Call, tmp_path: Path) -> None:
    tandem("plan")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/index.html").write_text("")
    done = tandem("report")
    assert (done.returncode, done.stdout) == (0, f"report: file://{tmp_path}/reports/index.html\n")


def test_a_plan_that_is_none_is_told(tandem: Call, tmp_path: Path) -> None:
    (tmp_path / "runs.yaml").write_text("plan: 3\n")
    for command in ("report", "clean"):
        assert error(tandem(command)) == "runs.yaml: not as `tandem plan` writes it; run `tandem plan` again"
    assert tandem("plan").stdout.splitlines()[-1] == "runs.yaml written: 4 runs of 2 experiments"


# ----------------------------------------------------------------------------------------------------- clean

KEPT = (
    "data/raw/coffee/rows.npy", "data/split/coffee/fit/x.npy", "data/split/coffee/test/x.npy",
    "data/scale/coffee/fold-0.json", "models/coffee/keras/run.json", "models/coffee/.gitignore",
    "models/notes.md", "reports/mine.txt",
    "history/coffee/keras.csv", "timings/coffee/torch.json", "logs/coffee/torch/a", "evaluation/coffee/keras/e.json",
    "metrics/coffee/keras.json", "comparison/coffee/comparison.json", "reports/coffee.html", "reports/index.html",
    "reports/README.md", ".checkpoints/coffee/keras/key/replicate-0.npz", "other/file", "notes.partial-1.txt",
)  # fmt: skip
STALE = (
    "data/raw/old/rows.npy", "data/split/old/fit/x.npy", "models/coffee/jax/run.json", "models/old/keras/run.json",
    "metrics/old/keras.json", "reports/old.html", ".checkpoints/old/keras/key/replicate-0.npz",
    "models/coffee/keras.partial-abc/half.npy", "timings/coffee/torch.partial-9.json",
    ".checkpoints/coffee/keras/key/replicate-0.partial-7.npz",
)  # fmt: skip


OUTS = (
    "data/raw/coffee", "data/split/coffee/fit", "data/split/coffee/test", "data/scale/coffee", "models/coffee/keras",
    "metrics/coffee/keras.json", "comparison/coffee", "reports/coffee.html", "reports/index.html",
    "data/raw/old", "data/split/old/fit", "models/coffee/jax", "models/old/keras", "metrics/old/keras.json",
    "reports/old.html", "models/gone/keras",
)  # fmt: skip


@pytest.fixture
def littered(tandem: Call, tmp_path: Path) -> Path:
    tandem("plan")
    for name in (*KEPT, *STALE):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x" * 100)
    record(tmp_path, *OUTS)
    return tmp_path


def record(root: Path, *outs: str) -> None:
    """Let dvc.lock name outs, as if stages had made them."""
    entries = [{"path": out, "md5": "0"} for out in outs]
    (root / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": {"made": {"cmd": "x", "outs": entries}}}))


def present(root: Path, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if (root / name).exists()]


def test_clean_removes_what_the_plan_does_not_name_and_nothing_else(tandem: Call, littered: Path) -> None:
    done = tandem("clean")
    assert (done.returncode, done.stderr) == (0, "")
    assert present(littered, KEPT) == list(KEPT)
    assert present(littered, STALE) == []
    *removed, last = done.stdout.splitlines()
    assert "removed models/old/keras" in removed
    assert not (littered / "models/old").exists()
    assert "removed reports/old.html" in removed
    assert "removed models/coffee/keras.partial-abc" in removed
    assert last == f"{len(removed)} paths, 0.0 MB removed from the workspace"
    assert tandem("clean").stdout == "0 paths, 0.0 MB removed from the workspace\n"


def test_clean_can_say_what_it_would_remove(tandem: Call, littered: Path) -> None:
    done = tandem("clean", "--dry-run")
    assert done.returncode == 0
    assert present(littered, STALE) == list(STALE)
    assert "would remove models/old/keras" in done.stdout.splitlines()
    assert done.stdout.endswith(" would be removed from the workspace\n")


def test_clean_removes_links_and_not_what_they_lead_to(tandem: Call, littered: Path) -> None:
    (littered / "models/linked").symlink_to(littered / "other")
    record(littered, *OUTS, "models/linked")
    assert "removed models/linked" in tandem("clean").stdout.splitlines()
    assert (littered / "other/file").exists()
    assert not (littered / "models/linked").is_symlink()


def test_a_plan_takes_the_results_of_other_plans_out_of_shared_folders(tandem: Call, littered: Path) -> None:
    done = tandem("plan")
    assert "2 results of other plans left the workspace; they stay in DVC's cache" in done.stdout
    assert present(littered, ("models/coffee/jax/run.json", "models/old/keras/run.json")) == []
    assert present(littered, ("reports/old.html", "metrics/old/keras.json")) != []
    assert present(littered, KEPT) == list(KEPT)


def test_clean_without_a_plan_removes_nothing(tandem: Call, littered: Path) -> None:
    (littered / "runs.yaml").unlink()
    assert error(tandem("clean")) == "runs.yaml: missing; run `tandem plan` to write it"
    assert present(littered, STALE) == list(STALE)


def test_an_empty_workspace_is_clean(tandem: Call) -> None:
    tandem("plan")
    assert tandem("clean").stdout == "0 paths, 0.0 MB removed from the workspace\n"


# --------------------------------------------------------------------------------------------------- predict


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Write the records of a trained run of `coffee`, without its network."""
    models, fit = tmp_path / "models/coffee/torch", tmp_path / "data/split/coffee/fit"
    for folder in (models, fit):
        folder.mkdir(parents=True)
    replicate = {"replicate": 0, "seed": 0, "outcome": "finished", "epochs": 1, "kept_epoch": 1, "explanation": ""}
    declared = read_params(tmp_path / "params.yaml").experiments["coffee"]
    declaration = declared.model_dump(mode="json", exclude_none=True)
    record = {
        "experiment": "coffee", "framework": "torch", "dataset": "coffee", "constants": "aligned", "threads": 1,
        "device": "", "versions": {}, "platform": "", "declaration": declaration, "differences": [],
        "replicates": [replicate],
        "model": {"layers": [], "parameters": 0, "trainable": 0},
    }  # fmt: skip
    (models / "run.json").write_text(json.dumps(record))
    description = DataDescription(
        dataset="coffee", source="coffee", title="", reference="", task="classification", feature_shape=(2,),
        feature_names=("temperature (°C)", "duration (min)"), class_names=("bad roast", "good roast"),
        target_name="roast", rows={}, class_counts={},
    )  # fmt: skip
    write_record(description, fit / "description.json")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cofee", "rows.csv", "-F", "torch"],
         "'cofee' is not declared under experiments in params.yaml; allowed: coffee, digits-mlp, wide; "
         "did you mean 'coffee'?"),
        (["coffee", "rows.csv", "-F", "pytorch"],
         "'pytorch' is no framework; allowed: keras, numpy, torch; did you mean 'torch'?"),
        (["coffee", "rows.csv", "-F", "keras"], "models/coffee/keras/run.json: missing; run `dvc repro` to make it"),
        (["coffee", "rows.csv", "-F", "torch", "--replicate", "3"],
         "replicate 3 of 'coffee' is not there; allowed: 0 to 0"),
        (["coffee", "rows.csv", "-F", "torch", "--fold", "1"],
         "fold 1 of 'coffee' is not there; its data set has no folds; leave --fold out"),
        (["coffee", "rows.csv", "-F", "torch"], "rows.csv: missing; name an existing .csv or .npy or .parquet file"),
        (["coffee", "params.yaml", "-F", "torch"],
         "params.yaml: '.yaml' files cannot be read; allowed: .csv, .npy, .parquet"),
        (["coffee", "short.csv", "-F", "torch"],
         "short.csv: column 'duration (min)' is missing; it has temperature (°C)"),
        (["coffee", "wrong.npy", "-F", "torch"],
         "wrong.npy: rows of shape (3,), 'coffee' has (2,); reshape the array"),
    ],
)  # fmt: skip
def test_predict_says_what_is_wrong(tandem: Call, trained: Path, arguments: list[str], message: str) -> None:
    (trained / "short.csv").write_text("temperature (°C)\n200\n", encoding="utf-8")
    np.save(trained / "wrong.npy", np.zeros((4, 3)))
    assert error(tandem("predict", *arguments)) == message


def test_predict_refuses_networks_of_another_declaration(tandem: Call, trained: Path) -> None:
    path = trained / "params.yaml"
    path.write_text(
        path.read_text().replace("name: rmsprop, learning_rate: 0.01", "name: rmsprop, learning_rate: 0.02")
    )
    assert error(tandem("predict", "coffee", "rows.csv", "-F", "torch")) == (
        "'coffee' has changed in params.yaml since its torch networks were trained; run `tandem run coffee` first, "
        "or take the change back"
    )


def test_predict_refuses_a_replicate_that_diverged(tandem: Call, trained: Path) -> None:
    path = trained / "models/coffee/torch/run.json"
    path.write_text(path.read_text().replace('"finished"', '"diverged"'))
    assert error(tandem("predict", "coffee", "rows.csv", "-F", "torch")) == (
        "replicate 0 of 'coffee' diverged in torch and predicts nothing; lower its learning rate"
    )


# ----------------------------------------------------------------------------------------- the command itself


@pytest.mark.parametrize("arguments", [["--debug", "report"], ["report", "--debug"]], ids=["before", "after"])
def test_debug_shows_the_traceback(tandem: Call, arguments: list[str]) -> None:
    done = tandem(*arguments)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "tandem.errors.ParameterError: runs.yaml: missing" in done.stderr


def test_the_environment_can_ask_for_the_traceback_too(tandem: Call) -> None:
    assert "Traceback" in tandem("report", TANDEM_DEBUG="1").stderr


@pytest.mark.parametrize("arguments", [["plam"], ["suite", "a", "b"], ["predict", "coffee"], ["run", "--fast"]])
def test_a_wrong_command_line_exits_with_2_and_shows_the_usage(tandem: Call, arguments: list[str]) -> None:
    done = tandem(*arguments)
    assert done.returncode == 2
    assert "Usage: " in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_command(tandem: Call) -> None:
    done = tandem("--help")
    assert done.returncode == 0
    for command in ("run", "plan", "suite", "predict", "report", "clean", "--debug"):
        assert command in done.stdout


def test_a_reader_that_stops_reading_is_no_error(hermetic: dict[str, str], tandem: Call, tmp_path: Path) -> None:
    assert tandem("plan").returncode == 0
    script = f'"$0" -c "{ENTRY}" plan | true'
    done = subprocess.run(
        ["bash", "-c", script, _python()], cwd=tmp_path, env=hermetic, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def _python() -> str:
    import sys

    return sys.executable
