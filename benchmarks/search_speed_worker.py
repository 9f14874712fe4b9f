"""Runs the tutorials' grid (H2), or a part of it, on one side and prints seconds and scores as JSON.

Run as ``python -m benchmarks.search_speed_worker SIDE WORKSPACE THREADS EVERY [SEED]``; SIDE is "keras" or "torch"
(Tandem in that framework), "scikeras" (scikeras and scikit-learn's GridSearchCV) or "optuna" (Optuna's grid sampler
and a plain PyTorch loop in two processes); EVERY takes each so many-th setting. Imports are not timed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from stages import paths
from tandem.config import Search, read_experiment, read_search
from tandem.fitdata import load_fit
from tandem.searches.folds import load_folds
from tandem.searches.space import make_space

SEARCH, EPOCHS, BATCH, FOLDS = "housing-grid", 5, 32, 5
LAYERS, UNITS, RATE = ("model.sequential.0.dense.repeat", "model.sequential.0.dense.units", "optimizer.learning_rate")
Grid = list[tuple[int, int, float]]


def main() -> None:
    """Run a side and print."""
    side, folder, threads, every, *seed = sys.argv[1:]
    workspace = Path(folder)
    search = read_search(workspace / paths.PARAMS, SEARCH)
    chosen = _grid(search)[:: int(every)]
    if side in ("keras", "torch"):
        found = tandem(side, workspace, search, chosen, int(threads), int(seed[0]) if seed else 0)
    elif side == "scikeras":
        found = scikeras(workspace, search, chosen)
    elif side == "optuna":
        found = optuna(workspace, search, chosen)
    else:
        found = optuna_half(workspace, search, chosen, Path(seed[0]))
    print(json.dumps(found))


def _grid(search: Search) -> Grid:
    parameters = {parameter.name: parameter.choices for parameter in make_space(search.space).parameters}
    return [
        (int(layers), int(units), float(rate))
        for layers in parameters[LAYERS]
        for units in parameters[UNITS]
        for rate in parameters[RATE]
    ]


def tandem(name: str, workspace: Path, search: Search, chosen: Grid, threads: int, seed: int) -> dict[str, Any]:
    """Search as the stage does, on the settings of the grid that are chosen."""
    from tandem.frameworks import load_framework
    from tandem.searches.alone import AloneEvaluator
    from tandem.searches.evaluator import Result, Setting
    from tandem.searches.space import base_experiment, vary
    from tandem.searches.together import TogetherEvaluator

    framework = load_framework(name, alone=True, stacked=True)
    framework.set_up(1, batches=threads)
    experiment = read_experiment(workspace / paths.PARAMS, search.experiment)
    experiment = experiment.model_copy(update={"training": experiment.training.model_copy(update={"seed": seed})})
    base = base_experiment(search, experiment)
    scores: dict[int, list[float | None]] = {}

    def take(result: Result) -> None:
        scores[result.number] = [fold.value for fold in result.folds]

    began = time.perf_counter()
    data = experiment.dataset
    folds = load_folds(workspace / paths.fit(data), workspace / paths.scaler(data), search.protocol)
    alone = AloneEvaluator(framework, search.metric, folds)
    evaluator = TogetherEvaluator(framework, search.metric, folds, search.chunk_megabytes, alone)
    settings = [
        Setting(number, vary(base, {LAYERS: layers, UNITS: units, RATE: rate}, folds.description))
        for number, (layers, units, rate) in enumerate(chosen)
    ]
    evaluator.train(settings, EPOCHS, take)
    seconds = time.perf_counter() - began
    rows = sum(fold.train for fold in folds.rows)
    return {
        "seconds": seconds,
        "scores": [_mean(scores[number]) for number in range(len(chosen))],
        "folds": [scores[number] for number in range(len(chosen))],
        "operations": sum(_operations(*setting) for setting in chosen) * rows * EPOCHS,
    }


def _operations(layers: int, units: int, _rate: float) -> int:
    """Return the floating-point operations of a training step per row: two for each weight and pass."""
    first, others = 8 * units, (layers - 1) * units * units + units
    return 4 * first + 6 * others  # nothing is carried back to the features


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _raw(workspace: Path, search: Search) -> tuple[np.ndarray, np.ndarray]:
    """Return the training rows, scaled once: the alternatives scale inside each fold again."""
    data = read_experiment(workspace / paths.PARAMS, search.experiment).dataset
    rows = load_fit(workspace / paths.fit(data), workspace / paths.scaler(data)).train
    return rows.features, rows.targets


def scikeras(workspace: Path, search: Search, chosen: Grid) -> dict[str, Any]:
    """Search with scikeras and GridSearchCV, one process that takes all cores."""
    import keras
    from scikeras.wrappers import KerasRegressor
    from sklearn.model_selection import GridSearchCV, KFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def build(layers: int, units: int, rate: float) -> keras.Model:
        hidden = [keras.layers.Dense(units, activation="relu") for _ in range(layers)]
        model = keras.Sequential([keras.layers.Input((8,)), *hidden, keras.layers.Dense(1)])
        model.compile(loss="mse", optimizer=keras.optimizers.SGD(rate))
        return model

    features, targets = _raw(workspace, search)
    regressor = KerasRegressor(build, layers=1, units=5, rate=0.001, epochs=EPOCHS, batch_size=BATCH, verbose=0)
    name = "kerasregressor"
    grid = [{f"{name}__layers": [a], f"{name}__units": [b], f"{name}__rate": [c]} for a, b, c in chosen]
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    pipeline = make_pipeline(StandardScaler(), regressor)
    searched = GridSearchCV(pipeline, grid, cv=folds, scoring="r2", refit=False, error_score=np.nan)
    began = time.perf_counter()
    searched.fit(features, targets)
    seconds = time.perf_counter() - began
    by_fold = np.stack([searched.cv_results_[f"split{fold}_test_score"] for fold in range(FOLDS)], axis=1)
    folds = [[float(value) if np.isfinite(value) else None for value in row] for row in by_fold]
    return {"seconds": seconds, "scores": [_mean(row) for row in folds], "folds": folds}


def optuna(workspace: Path, _search: Search, chosen: Grid) -> dict[str, Any]:
    """Search with Optuna's grid sampler and a plain PyTorch loop, in two processes that share a study."""
    del chosen  # the processes draw them anew
    with tempfile.TemporaryDirectory() as folder:
        journal = str(Path(folder) / "journal.log")
        command = [
            sys.executable,
            "-m",
            "benchmarks.search_speed_worker",
            "optuna-half",
            str(workspace),
            "1",
            sys.argv[4],
            journal,
        ]
        halves = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        found = [json.loads(half.communicate()[0].strip().splitlines()[-1]) for half in halves]
    scores = {int(number): score for half in found for number, score in half["scores"].items()}
    return {
        "seconds": max(half["seconds"] for half in found),
        "scores": [scores[number] for number in sorted(scores)],
    }


def optuna_half(workspace: Path, search: Search, chosen: Grid, journal: Path) -> dict[str, Any]:
    """Take settings from a study that two processes share, until all are tried."""
    import optuna as library
    import torch
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from sklearn.metrics import r2_score
    from sklearn.model_selection import KFold
    from sklearn.preprocessing import StandardScaler
    from torch.utils.data import DataLoader, TensorDataset

    torch.set_num_threads(1)
    library.logging.set_verbosity(library.logging.ERROR)
    features, targets = _raw(workspace, search)
    own: dict[int, float | None] = {}

    def train(layers: int, units: int, rate: float, x: np.ndarray, y: np.ndarray) -> torch.nn.Module:
        widths = [8] + [units] * layers
        hidden = [part for a, b in pairwise(widths) for part in (torch.nn.Linear(a, b), torch.nn.ReLU())]
        network = torch.nn.Sequential(*hidden, torch.nn.Linear(units, 1))
        optimizer = torch.optim.SGD(network.parameters(), lr=rate)
        data = TensorDataset(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y.astype(np.float32)))
        for _ in range(EPOCHS):
            for rows, wanted in DataLoader(data, batch_size=BATCH, shuffle=True):
                optimizer.zero_grad()
                loss = torch.nn.functional.mse_loss(network(rows)[:, 0], wanted)
                loss.backward()
                optimizer.step()
        return network

    def objective(trial: library.Trial) -> float:
        number = trial.suggest_categorical("setting", list(range(len(chosen))))
        scores = []
        for fit, held in KFold(FOLDS, shuffle=True, random_state=0).split(features):
            scaler = StandardScaler().fit(features[fit])
            network = train(*chosen[number], scaler.transform(features[fit]), targets[fit])
            with torch.no_grad():
                predicted = network(torch.from_numpy(scaler.transform(features[held]).astype(np.float32)))[:, 0].numpy()
            scores.append(float(r2_score(targets[held], predicted)) if np.isfinite(predicted).all() else None)
        own[number] = _mean(scores)
        return own[number] if own[number] is not None else float("nan")

    storage = JournalStorage(JournalFileBackend(str(journal)))
    sampler = library.samplers.GridSampler({"setting": list(range(len(chosen)))}, seed=0)
    study = library.create_study(
        study_name="h2", storage=storage, sampler=sampler, direction="maximize", load_if_exists=True
    )
    began = time.perf_counter()
    study.optimize(objective)  # the sampler ends it
    return {"seconds": time.perf_counter() - began, "scores": own}


if __name__ == "__main__":
    main()
