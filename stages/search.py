"""Searches for the best settings in one framework, and trains them: ``python -m stages.search SEARCH FRAMEWORK``.

A killed search goes on from the trials that it had finished, and the training of the best from its last checkpoint.
"""

# ruff: noqa: E402  (the clock starts before the imports, which count as start-up)
from __future__ import annotations

import time

_STARTED = time.time()

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stages import paths
from stages.command import limit_threads, run_stage_command, take_arguments
from stages.training import result_key, tell_progress, train_experiment

if TYPE_CHECKING:
    from tandem.config import Experiment
    from tandem.frameworks import Framework
    from tandem.searches.loop import Declaration, Found
    from tandem.searches.progress import SearchProgress


def main(arguments: list[str]) -> None:
    """Try settings, write all trials, and train the best setting as an experiment of its own."""
    name, framework_name = take_arguments(arguments, "search", "SEARCH", "FRAMEWORK")
    from tandem.config import read_experiment, read_search

    search = read_search(paths.PARAMS, name)
    experiment = read_experiment(paths.PARAMS, search.experiment)
    cores = search.threads_of(experiment)
    limit_threads(cores)

    from tandem.frameworks import load_framework
    from tandem.searches.folds import load_folds
    from tandem.searches.loop import Declaration, run_search
    from tandem.searches.processes import Work, training_alone
    from tandem.searches.together import TogetherEvaluator
    from tandem.searches.watching import Watcher

    framework = load_framework(framework_name, alone=True, stacked=True)
    threads = experiment.training.threads
    framework.set_up(threads, batches=cores // threads)
    work = Work(
        framework=framework_name,
        threads=threads,
        metric=search.metric,
        fit=paths.fit(experiment.dataset),
        scaler=paths.scaler(experiment.dataset),
        protocol=search.protocol,
    )
    folds = load_folds(work.fit, work.scaler, work.protocol)
    declaration = Declaration(name, search, experiment, framework.NAME, folds.description)
    watcher = Watcher(declaration, _tell)
    start_up_seconds = time.time() - _STARTED
    with training_alone(framework, work, folds, cores) as alone:
        evaluator = TogetherEvaluator(framework, search.metric, folds, search.chunk_megabytes, alone)
        journal = _journal(declaration, framework)
        found = run_search(declaration, evaluator, journal, watcher.on_trial, watcher.on_epochs)
    best = _write_trials(declaration, found)
    train_experiment(name, best, framework, time.time() - start_up_seconds)
    shutil.rmtree(paths.journal(name, framework.NAME), ignore_errors=True)


def _journal(declaration: Declaration, framework: Framework) -> Path:
    """Return the folder for the trials of exactly this search: its declaration, data, code and versions."""
    from importlib.metadata import version

    from tandem import searches
    from tandem.checkpoints import file_digest

    weights = declaration.experiment.weights_file
    more = {
        "search": declaration.search.model_dump(mode="json"),
        "weights": file_digest(Path(weights)) if weights else None,
        "packages": {name: version(name) for name in ("optuna", "scikit-learn")},
    }
    code = [Path(__file__), *Path(searches.__file__).parent.rglob("*.py")]
    key = result_key(declaration.experiment, framework, more, code)
    return paths.journal(declaration.name, framework.NAME) / key


def _tell(progress: SearchProgress, line: str) -> None:
    """Tell a runner how far the search is, and print what a log should show."""
    from tandem.searches.progress import KEY

    tell_progress({KEY: progress.model_dump(mode="json")})
    if line:
        print(line, flush=True)


def _write_trials(declaration: Declaration, found: Found) -> Experiment:
    """Write what the search came to; return the experiment with the best setting."""
    from tandem.records import write_record
    from tandem.searches.space import base_experiment, vary
    from tandem.searches.tables import best_setting, seconds_table, trials_table
    from tandem.storage import new_directory, write_text

    record = found.record
    assert record.best is not None  # noqa: S101 - run_search says so otherwise
    base = base_experiment(declaration.search, declaration.experiment)
    best = vary(base, record.trials[record.best].parameters, declaration.data)
    best = best.model_copy(update={"description": declaration.search.description})
    with new_directory(paths.trials(record.search, record.framework)) as directory:
        write_record(record, directory / "search.json")
        write_text(directory / "trials.csv", trials_table(record))
        write_text(directory / "best.yaml", best_setting(record, best))
    write_text(paths.trial_timing(record.search, record.framework), seconds_table(dict(enumerate(found.seconds))))
    return best


if __name__ == "__main__":
    sys.exit(run_stage_command(main))
