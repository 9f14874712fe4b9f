"""Evaluates one run on all parts of its data: ``python -m stages.evaluate EXPERIMENT FRAMEWORK``.

The only stage that reads the test part. What was declared it reads from the run's own record: a search has no
declaration of its best setting, and each framework finds another.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np

from stages import paths
from stages.command import run_stage_command, take_arguments
from tandem import metrics
from tandem.config import Experiment, Training, declared_experiment
from tandem.datasets import Rows
from tandem.evaluation import Outputs, evaluate, read_outputs
from tandem.fitdata import load_fit, load_scaler, load_test
from tandem.folds import Folds
from tandem.frameworks import Framework, load_framework
from tandem.models import Architecture, output_values
from tandem.pruning import Scores, pruning_record, score_pruned
from tandem.records import (
    DataDescription,
    EvaluationRecord,
    History,
    Part,
    PruningRecord,
    ReplicateRecord,
    RunRecord,
    read_record,
    write_record,
)
from tandem.storage import load_array, new_directory, save_array, write_json
from tandem.surfaces import Grid, has_grid, lay_grid


def main(arguments: list[str]) -> None:
    """Evaluate every training with its saved model, on the rows of its fold and on the test rows."""
    name, framework_name = take_arguments(arguments, "evaluate", "EXPERIMENT", "FRAMEWORK")
    models = paths.model(name, framework_name)
    run = read_record(RunRecord, models / "run.json")
    experiment = declared_experiment(run)
    framework = load_framework(framework_name, alone=True)
    framework.set_up(experiment.training.threads)
    description = read_record(DataDescription, paths.fit(experiment.dataset) / "description.json")
    architecture = experiment.architecture(description)
    grid = _lay_grid(experiment.dataset, description)
    outputs, surface, targets = _predict(framework, experiment, architecture, run, grid)
    record = evaluate(
        experiment=name,
        framework=framework_name,
        task=architecture.task,
        classes=len(description.class_names),
        outputs=outputs,
        targets=targets,
        recorded_valid=[_recorded_valid(models, entry) for entry in run.replicates],
        folds=_folds(experiment.training, description, run),
        pruning=_prune(framework, experiment, architecture, run) if experiment.pruning else None,
    )
    raw_features = load_array(paths.test(experiment.dataset) / "features.npy")
    with new_directory(paths.evaluation(name, framework_name)) as directory:
        write_record(record, directory / "evaluation.json")
        save_array(directory / "targets.npy", targets)
        wrong = np.array([sample.row for sample in record.wrong], dtype=np.int64)
        save_array(directory / "wrong_features.npy", raw_features[wrong])
        for file, array in _arrays(outputs["test"], len(targets), description.class_names).items():
            save_array(directory / f"{file}.npy", array)
        if grid is not None:
            save_array(directory / "surface.npy", _stack(surface, len(grid.points), len(description.class_names) or 1))
            save_array(directory / "test_features.npy", raw_features)
    write_json(paths.metrics(name, framework_name), flat_metrics(record, run))


def _predict(
    framework: Framework, experiment: Experiment, architecture: Architecture, run: RunRecord, grid: Grid | None
) -> tuple[dict[Part, list[Outputs | None]], list[np.ndarray | None], np.ndarray]:
    """Return each training's outputs by part and over the grid, None where it diverged, and the test rows' targets."""
    outputs: dict[Part, list[Outputs | None]] = {}
    surface: list[np.ndarray | None] = []
    for fold, trainings in itertools.groupby(run.replicates, key=lambda entry: entry.fold or 0):
        rows = _load_rows(experiment, fold)
        architecture.check_rows(rows["test"].features, "test")
        for training in trainings:
            network = None
            if training.outcome != "diverged":
                folder = paths.model(run.experiment, run.framework) / training.name
                network = framework.load(folder, architecture, experiment.constants)
            for part, given in rows.items():
                raw = None if network is None else framework.predict(network, given.features)
                read = None if raw is None else read_outputs(architecture, raw, given.targets)
                outputs.setdefault(part, []).append(read)
            if grid is not None:
                inputs = load_scaler(paths.scaler(experiment.dataset), fold).transform(grid.points)
                raw = None if network is None else framework.predict(network, inputs)
                surface.append(None if raw is None else output_values(architecture, raw[0]))
    return outputs, surface, rows["test"].targets


def _prune(framework: Framework, experiment: Experiment, architecture: Architecture, run: RunRecord) -> PruningRecord:
    """Return how each training's network scores on the test rows as its smallest weights are set to zero."""
    scores: list[Scores | None] = []
    for fold, trainings in itertools.groupby(run.replicates, key=lambda entry: entry.fold or 0):
        rows = load_test(paths.test(experiment.dataset), paths.scaler(experiment.dataset), fold)
        for training in trainings:
            if training.outcome == "diverged":
                scores.append(None)
                continue
            folder = paths.model(run.experiment, run.framework) / training.name
            network = framework.load(folder, architecture, experiment.constants)
            scores.append(score_pruned(framework, network, architecture, experiment.pruning, rows))
    return pruning_record(architecture, experiment.pruning, scores)


def _load_rows(experiment: Experiment, fold: int) -> dict[Part, Rows]:
    """Return the parts that have rows, scaled by the fold's scaler."""
    dataset, scaler = experiment.dataset, paths.scaler(experiment.dataset)
    data = load_fit(paths.fit(dataset), scaler, fold, streamed=experiment.training.input == "streamed")
    rows: dict[Part, Rows] = {
        "train": data.train,
        "valid": data.valid,
        "test": load_test(paths.test(dataset), scaler, fold),
    }
    return {part: given for part, given in rows.items() if len(given)}


def _lay_grid(dataset: str, description: DataDescription) -> Grid | None:
    """Return the inputs that a report draws outputs over, from the first fold's training rows."""
    if not has_grid(description.feature_shape, description.categorical):
        return None
    fit = paths.fit(dataset)
    return lay_grid(load_array(fit / "features.npy")[load_array(fit / "folds" / "0" / "train.npy")])


def _stack(outputs: list[np.ndarray | None], points: int, units: int) -> np.ndarray:
    """Return the trainings' outputs over the grid, (trainings, points, units); NaN where one diverged."""
    unknown = np.full((points, units), np.nan)
    return np.stack([unknown if values is None else values for values in outputs]).astype(np.float32)


def _folds(training: Training, description: DataDescription, run: RunRecord) -> Folds | None:
    if not description.folds:
        return None
    stopping = training.early_stopping
    return Folds(
        protocol=description.protocol,
        rows=description.folds,
        trained_on=tuple(entry.fold or 0 for entry in run.replicates),
        watched=training.checkpoint == "best" or (stopping is not None and stopping.monitor == "valid_loss"),
    )


def _recorded_valid(models: Path, entry: ReplicateRecord) -> float | None:
    history = read_record(History, models / entry.name / "history.json")
    column = history.columns.get("valid_loss")
    return column[entry.kept_epoch - 1] if column and entry.kept_epoch else None


def _arrays(outputs: list[Outputs | None], count: int, classes: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return predictions (trainings, n) and, for classes, probabilities (trainings, n, classes)."""
    if not classes:
        nothing = np.full(count, np.nan)
        return {"predictions": np.stack([nothing if output is None else output.values for output in outputs])}
    unknown = np.full((count, len(classes)), np.nan)
    probabilities = np.stack([unknown if output is None else output.values for output in outputs])
    labels = [np.full(count, -1) if output is None else output.values.argmax(axis=1) for output in outputs]
    return {"predictions": np.stack(labels).astype(np.int64), "probabilities": probabilities}


def flat_metrics(record: EvaluationRecord, run: RunRecord) -> dict:
    """Return what ``dvc metrics`` shows: means over the trainings on the test and validation rows."""
    shown: dict[str, object] = {}
    for estimate in record.estimates:
        value = estimate.samples.value  # NaN: the R² of a single row
        shown[f"test_{estimate.metric}"] = value if value is not None and np.isfinite(value) else None
    for part in ("valid", "train"):
        values = record.metrics.get(part, {})
        main = next((name for name in metrics.MAIN_METRIC.values() if name in values), None)
        finite = [value for value in values.get(main or "", ()) if value is not None]
        if finite:
            shown[f"{part}_{main}"] = float(np.mean(finite))
    shown["parameters"] = run.model.parameters
    shown["epochs"] = float(np.mean([entry.epochs for entry in run.replicates]))
    shown["replicates"] = len(run.replicates)
    if record.folds is not None:
        shown["folds"] = len(record.folds.rows)
    shown["diverged"] = len(record.diverged)
    return shown


if __name__ == "__main__":
    sys.exit(run_stage_command(main))
