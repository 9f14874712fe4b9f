"""The stages that write pages: they read what the other stages wrote, and say clearly what is missing."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from stages import index, paths, report
from stages.command import run_stage_command
from tandem.errors import DataError, ParameterError
from tandem.plan import NO_TRIALS, Plan, ReportEntry, write_plan
from tandem.records import write_record

from . import sample


def save(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, np.ndarray):
        np.save(path, content)
    else:
        write_record(content, path)


def write_results(inputs):
    """Write one experiment's inputs where its stages would have."""
    name, dataset = inputs.comparison.experiment, inputs.data.dataset
    rows = sum(count for part, count in inputs.data.rows.items() if part != "test")
    save(paths.fit(dataset) / "description.json", inputs.data)
    save(paths.fit(dataset) / "features.npy", np.zeros((rows, *inputs.data.feature_shape)))
    save(paths.fit(dataset) / "targets.npy", np.arange(rows) % len(inputs.data.class_names))
    save(paths.fit(dataset) / "folds/0/train.npy", np.arange(rows)[1::2])
    save(paths.scaler(dataset) / "summary.json", inputs.scaling)
    save(paths.comparison(name) / "comparison.json", inputs.comparison)
    save(paths.comparison(name) / "diagnosis.json", inputs.diagnosis)
    save(paths.ladder(name), inputs.ladder)
    for framework in inputs.comparison.frameworks:
        model, evaluation = paths.model(name, framework), paths.evaluation(name, framework)
        save(model / "run.json", inputs.runs[framework])
        for replicate, history in enumerate(inputs.histories[framework]):
            save(model / f"replicate-{replicate}/history.json", history)
        save(paths.timing(name, framework), inputs.timings[framework])
        save(evaluation / "evaluation.json", inputs.evaluations[framework])
        for array in ("targets", "predictions", "probabilities", "wrong_features"):
            save(evaluation / f"{array}.npy", getattr(inputs.arrays[framework], array))


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inputs = sample.classification(shape=(8, 8), replicates=11)
    write_results(inputs)
    plan = Plan(
        datasets={}, trainings={}, ladders={}, searches={}, runs={}, trials=NO_TRIALS,
        reports={
            "digits-mlp": ReportEntry(
                experiment="digits-mlp", dataset="digits", frameworks="keras torch",
                ladder="ladder/digits-mlp.json", trials=NO_TRIALS,
            )
        },
    )  # fmt: skip
    write_plan(plan, tmp_path / "runs.yaml")
    return tmp_path


def test_report_writes_the_experiments_page(workspace):
    report.main(["digits-mlp", "keras torch"])
    page = (workspace / "reports/digits-mlp.html").read_text(encoding="utf-8")
    assert sample.classification().comparison.verdict in page
    assert "mean of 11 replicates" in page
    assert page.count("Training sample: ") == 15
    assert [path.name for path in (workspace / "reports").iterdir()] == ["digits-mlp.html"]


def test_a_gallery_starts_with_the_first_training_rows(workspace):
    report.main(["digits-mlp", "keras torch"])
    page = (workspace / "reports/digits-mlp.html").read_text(encoding="utf-8")
    assert page.index("Training sample: Ankle boot") < page.index("Training sample: 衬衫")


def test_index_writes_one_row_per_experiment_of_the_plan(workspace):
    index.main([])
    assert 'href="digits-mlp.html"' in (workspace / "reports/index.html").read_text(encoding="utf-8")


def test_a_missing_file_is_named_and_no_page_is_written(workspace):
    (workspace / paths.evaluation("digits-mlp", "torch") / "predictions.npy").unlink()
    with pytest.raises(DataError, match=r"evaluation/digits-mlp/torch/predictions\.npy: missing; run `dvc repro`"):
        report.main(["digits-mlp", "keras torch"])
    assert not (workspace / "reports/digits-mlp.html").exists()


@pytest.mark.usefixtures("workspace")
def test_a_comparison_of_other_frameworks_is_refused():
    with pytest.raises(DataError, match="compares keras torch, but the page is asked for keras; run"):
        report.main(["digits-mlp", "keras"])


@pytest.mark.parametrize("arguments", [[], ["digits-mlp"], ["digits-mlp", "keras", "torch"]])
def test_wrong_arguments_show_the_usage(arguments):
    with pytest.raises(ParameterError, match=r"usage: python -m stages\.report EXPERIMENT"):
        report.main(arguments)


@pytest.mark.usefixtures("workspace")
def test_an_error_is_one_line_and_exit_status_1(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["report", "nowhere", "keras"])
    assert run_stage_command(report.main) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "comparison/nowhere/comparison.json: missing" in printed.err
    assert printed.err.count("\n") == 1
