"""Runs one search with several seeds at once and prints what each found as JSON.

Run as ``python -m benchmarks.search_quality_worker FRAMEWORK WORKSPACE SEEDS`` the search as JSON on standard input;
WORKSPACE holds the data set as the stages leave it.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pooled import Pool
from stages import paths
from tandem import metrics
from tandem.config import Experiment, Search, read_experiment
from tandem.fitdata import load_fit, load_test
from tandem.frameworks import Framework, load_framework
from tandem.population.stack import Member
from tandem.population.training import Candidate, Left, make_batches, train_batch
from tandem.searches.alone import AloneEvaluator
from tandem.searches.evaluator import Evaluator
from tandem.searches.folds import FoldData, load_folds
from tandem.searches.loop import Declaration, Found, run_search
from tandem.searches.space import base_experiment, vary
from tandem.searches.together import TogetherEvaluator


def main() -> None:
    """Search and print."""
    framework_name, workspace, seeds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    search = Search.model_validate_json(sys.stdin.read())
    experiment = read_experiment(workspace / paths.PARAMS, search.experiment)
    framework = load_framework(framework_name, stacked=True)
    framework.set_up(1)
    data = experiment.dataset
    folds = load_folds(workspace / paths.fit(data), workspace / paths.scaler(data), search.protocol)
    alone = AloneEvaluator(framework, search.metric, folds)
    evaluator = TogetherEvaluator(framework, search.metric, folds, search.chunk_megabytes, alone)
    with tempfile.TemporaryDirectory() as folder:
        found = Pool(evaluator, seeds).run(
            [
                _search(
                    search.model_copy(update={"seed": seed}), experiment, framework, folds.description, Path(folder)
                )
                for seed in range(seeds)
            ]
        )
    winners = [_winner(search, experiment, one, folds.description) for one in found]
    tested = _test(framework, winners, workspace)
    print(json.dumps([_facts(one, test) for one, test in zip(found, tested, strict=True)]))


def _search(
    search: Search, experiment: Experiment, framework: Framework, data: Any, folder: Path
) -> Callable[[Evaluator], Found]:
    declaration = Declaration(f"seed-{search.seed}", search, experiment, framework.NAME, data)
    return lambda evaluator: run_search(declaration, evaluator, folder / declaration.name)


def _winner(search: Search, experiment: Experiment, found: Found, data: Any) -> Experiment:
    best = found.record.best
    assert best is not None, "run_search says so otherwise"
    return vary(base_experiment(search, experiment), found.record.trials[best].parameters, data)


def _test(framework: Framework, winners: list[Experiment], workspace: Path) -> list[float | None]:
    """Return each winner's error on the test rows, trained once on all training rows."""
    dataset = winners[0].dataset
    fit, scaler = workspace / paths.fit(dataset), workspace / paths.scaler(dataset)
    rows = load_fit(fit, scaler)
    fold = FoldData(rows.train, rows.valid, load_test(workspace / paths.test(dataset), scaler))
    members = [Member(one, one.architecture(rows.description), one.training.seed) for one in winners]
    found: dict[Any, float | None] = {}

    def take(left: Left) -> None:
        values = metrics.main_values(left.candidate.member.architecture, left.outputs)
        value = metrics.compute("regression", fold.score.targets, values)["mse"]
        found[left.candidate.name] = value if math.isfinite(value) else None

    for batch in make_batches([Candidate(number, member) for number, member in enumerate(members)], [fold], 256):
        train_batch(framework, batch, [fold], None, take)
    return [found[number] for number in range(len(members))]


def _facts(found: Found, test: float | None) -> dict[str, Any]:
    record = found.record
    assert record.best is not None, "run_search says so otherwise"
    return {
        "best": record.trials[record.best].value,
        "parameters": record.trials[record.best].parameters,
        "test": test,
        "epochs": sum(trial.epochs for trial in record.trials),
        "trials": len(record.trials),
        "states": {
            state: int(np.sum([trial.state == state for trial in record.trials]))
            for state in ("finished", "pruned", "diverged")
        },
    }


if __name__ == "__main__":
    main()
