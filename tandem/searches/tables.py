"""A search's results as tables, and its best setting as a declaration: the same bytes for the same trials."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ruamel.yaml import YAML

from tandem.config import Experiment
from tandem.searches.records import SearchRecord, Trial


def trials_table(record: SearchRecord) -> str:
    """Return the trials as CSV, one a row: number, batch, state, value, epochs, way, parameters and each fold's value.

    What a trial does not have is an empty cell. Text stands as it is; numbers, and what is neither, as JSON.
    """
    names = [parameter.name for parameter in record.space]
    folds = [f"fold {number}" for number in range(len(record.folds))]
    rows = [["trial", "batch", "state", record.metric, "epochs", "way", *names, *folds]]
    rows += [_row(trial, names, len(folds)) for trial in record.trials]
    return _csv(rows)


def _row(trial: Trial, names: Iterable[str], folds: int) -> list[str]:
    values = [score.value for score in trial.folds] or [None] * folds
    return [
        str(trial.number),
        str(trial.batch),
        trial.state,
        _cell(trial.value),
        str(trial.epochs),
        trial.way or "",
        *(_cell(trial.parameters[name]) if name in trial.parameters else "" for name in names),
        *map(_cell, values),
    ]


def _cell(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, sort_keys=True)


def seconds_table(seconds: Mapping[int, float]) -> str:
    """Return what each trial took as CSV: its number and seconds of wall time."""
    return _csv([["trial", "seconds"], *([str(trial), repr(seconds[trial])] for trial in sorted(seconds))])


def _csv(rows: Iterable[Iterable[str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def best_setting(record: SearchRecord, experiment: Experiment) -> str:
    """Return YAML with the best trial's values, and the experiment with them in place, as params.yaml declares one.

    Args:
        record: of a search in which a trial finished.
        experiment: the one that was trained with the values.
    """
    assert record.best is not None  # noqa: S101 - told by the caller
    best = record.trials[record.best]
    title = f"Trial {best.number} of {len(record.trials)} of the search '{record.search}' in {record.framework}"
    declared = experiment.model_dump(mode="json", exclude_unset=True)
    stream = io.StringIO()
    stream.write(f"# {title}: {record.metric} {best.value:.6g}.\n")
    stream.write("# The entry below experiments can be copied into params.yaml.\n")
    yaml = YAML(typ="rt")
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    content = {"values": best.parameters, "experiments": {f"{record.search}-{record.framework}": declared}}
    yaml.dump(content, stream)
    return stream.getvalue()
