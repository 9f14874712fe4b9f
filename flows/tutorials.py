"""Reads the results of the tutorials' experiments and writes docs/tutorials.md."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from stages import paths
from tandem.config import Experiment, Params, read_params
from tandem.plan import frameworks_of
from tandem.records import DataDescription, EvaluationRecord, History, RunRecord, read_record
from tandem.storage import load_array, write_text
from tandem.tutorials.page import tutorials_page
from tandem.tutorials.results import Result
from tandem.tutorials.systems import GROUPS

PAGE = Path("docs/tutorials.md")


def write_page(page: Path = PAGE, note: str = "") -> dict[tuple[str, str], Result]:
    """Write the page from what lies in the workspace; return the results that it rests on.

    Raises:
        ParameterError: params.yaml is wrong.
        DataError: a result is damaged.
    """
    results = read_results(read_params(paths.PARAMS))
    page.parent.mkdir(parents=True, exist_ok=True)
    write_text(page, tutorials_page(results, note))
    return results


def read_results(params: Params) -> dict[tuple[str, str], Result]:
    """Read the results of every experiment of the tutorials' suites that has been evaluated."""
    suites = [params.suites[group.suite] for group in GROUPS if group.suite in params.suites]
    experiments = dict.fromkeys(name for suite in suites for name in suite.experiments)
    results: dict[tuple[str, str], Result] = {}
    for experiment in experiments:
        for framework in frameworks_of(params, experiment):
            if (paths.evaluation(experiment, framework) / "evaluation.json").exists():
                results[experiment, framework] = _read(params, experiment, framework)
    return results


def _read(params: Params, experiment: str, framework: str) -> Result:
    model, evaluation = paths.model(experiment, framework), paths.evaluation(experiment, framework)
    run = read_record(RunRecord, model / "run.json")
    record = read_record(EvaluationRecord, evaluation / "evaluation.json")
    kind = "probabilities" if record.task == "classification" else "predictions"
    declared = params.experiments[experiment]
    return Result(
        run=run,
        evaluation=record,
        histories=tuple(read_record(History, model / entry.name / "history.json") for entry in run.replicates),
        data=read_record(DataDescription, paths.fit(declared.dataset) / "description.json"),
        outputs=np.asarray(load_array(evaluation / f"{kind}.npy")),
        features=load_array(paths.test(declared.dataset) / "features.npy"),
        current=_as_declared(run) == declared,
    )


def _as_declared(run: RunRecord) -> Experiment | None:
    """Return what was trained, with today's defaults for what could not be declared then; None if it no longer can."""
    try:
        return Experiment.model_validate_json(json.dumps(run.declaration))
    except ValidationError:
        return None
