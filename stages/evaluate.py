"""Evaluates one run on all parts of its data: ``python -m stages.evaluate EXPERIMENT FRAMEWORK``.

The only stage that reads the test part.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from stages import paths
from stages.command import run_stage_command, take_arguments
from tandem import metrics
from tandem.config import read_experiment
from tandem.datasets import Rows
from tandem.evaluation import Outputs, evaluate, read_outputs
from tandem.fitdata import load_fit, load_test
from tandem.frameworks import load_framework
from tandem.records import (
    EvaluationRecord,
    History,
    Part,
    ReplicateRecord,
    RunRecord,
    read_record,
    write_record,
)
from tandem.storage import load_array, new_directory, save_array, write_json


def main(arguments: list[str]) -> None:
    """Evaluate every replicate with its saved model."""
    name, framework_name = take_arguments(arguments, "evaluate", "EXPERIMENT", "FRAMEWORK")
    experiment = read_experiment(paths.PARAMS, name)
    framework = load_framework(framework_name)
    framework.set_up(experiment.training.threads)
    models = paths.model(name, framework_name)
    run = read_record(RunRecord, models / "run.json")
    scaler = paths.scaler(experiment.dataset)
    data = load_fit(paths.fit(experiment.dataset), scaler)
    architecture = experiment.architecture(data.description)
    rows: dict[Part, Rows] = {
        "train": data.train,
        "valid": data.valid,
        "test": load_test(paths.test(experiment.dataset), scaler),
    }
    outputs: dict[Part, list[Outputs | None]] = {"train": [], "valid": [], "test": []}
    for replicate in run.replicates:
        network = None
        if replicate.outcome != "diverged":
            folder = models / f"replicate-{replicate.replicate}"
            network = framework.load(folder, architecture, experiment.constants)
        for part, given in outputs.items():
            if network is None or not len(rows[part]):
                given.append(None)
            else:
                raw = framework.predict(network, rows[part].features)
                given.append(read_outputs(architecture, raw, rows[part].targets))
    record = evaluate(
        experiment=name,
        framework=framework_name,
        task=architecture.task,
        classes=len(data.description.class_names),
        outputs=outputs,
        targets={part: given.targets for part, given in rows.items()},
        recorded_valid=[_recorded_valid(models, entry) for entry in run.replicates],
    )
    raw_features = load_array(paths.test(experiment.dataset) / "features.npy")
    with new_directory(paths.evaluation(name, framework_name)) as directory:
        write_record(record, directory / "evaluation.json")
        save_array(directory / "targets.npy", rows["test"].targets)
        wrong = np.array([sample.row for sample in record.wrong], dtype=np.int64)
        save_array(directory / "wrong_features.npy", raw_features[wrong])
        for file, array in _arrays(outputs["test"], len(rows["test"]), data.description.class_names).items():
            save_array(directory / f"{file}.npy", array)
    write_json(paths.metrics(name, framework_name), flat_metrics(record, run))


def _recorded_valid(models: Path, entry: ReplicateRecord) -> float | None:
    history = read_record(History, models / f"replicate-{entry.replicate}" / "history.json")
    column = history.columns.get("valid_loss")
    return column[entry.kept_epoch - 1] if column and entry.kept_epoch else None


def _arrays(outputs: list[Outputs | None], count: int, classes: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return predictions (replicates, n) and, for classes, probabilities (replicates, n, classes)."""
    if not classes:
        nothing = np.full(count, np.nan)
        return {"predictions": np.stack([nothing if output is None else output.values for output in outputs])}
    unknown = np.full((count, len(classes)), np.nan)
    probabilities = np.stack([unknown if output is None else output.values for output in outputs])
    labels = [np.full(count, -1) if output is None else output.values.argmax(axis=1) for output in outputs]
    return {"predictions": np.stack(labels).astype(np.int64), "probabilities": probabilities}


def flat_metrics(record: EvaluationRecord, run: RunRecord) -> dict:
    """Return what ``dvc metrics`` shows: means over replicates on the test and validation rows."""
    shown: dict[str, object] = {}
    for estimate in record.estimates:
        shown[f"test_{estimate.metric}"] = estimate.samples.value
    for part in ("valid", "train"):
        values = record.metrics.get(part, {})
        main = next((name for name in metrics.MAIN_METRIC.values() if name in values), None)
        finite = [value for value in values.get(main or "", ()) if value is not None]
        if finite:
            shown[f"{part}_{main}"] = float(np.mean(finite))
    shown["parameters"] = run.model.parameters
    shown["epochs"] = float(np.mean([entry.epochs for entry in run.replicates]))
    shown["replicates"] = len(run.replicates)
    shown["diverged"] = len(record.diverged)
    return shown


if __name__ == "__main__":
    sys.exit(run_stage_command(main))
