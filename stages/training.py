"""Trains an experiment and writes what training leaves: for the stage ``train``, and for a search's best setting.

A killed training goes on from its last checkpoint when it is asked for again.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages import paths
from tandem.errors import ParameterError

if TYPE_CHECKING:
    from tandem.checkpoints import Checkpoints
    from tandem.config import Experiment
    from tandem.frameworks import Framework
    from tandem.training import Progress, Session, Trained

PROGRESS_VARIABLE = "DVCGRAPH_PROGRESS"
_SAVE_SECONDS_VARIABLE = "TANDEM_CHECKPOINT_SECONDS"


def train_experiment(name: str, experiment: Experiment, framework: Framework, started: float) -> None:
    """Train every replicate on every fold and write the models, records, logs and timings.

    Args:
        name: under which the results are written: the experiment's, or a search's.
        experiment: its settings.
        framework: which trains; it has been set up.
        started: when the start-up began that is told as such, in seconds since 1970.
    """
    from tandem.fitdata import load_fit
    from tandem.population.replicates import trains_together
    from tandem.training import Session

    streamed = experiment.training.input == "streamed"
    data = load_fit(paths.fit(experiment.dataset), paths.scaler(experiment.dataset), streamed=streamed)
    architecture = experiment.architecture(data.description)
    folds = len(data.description.folds)
    session = Session(framework, architecture, experiment, data, 0 if folds else None)
    checkpoints = _checkpoints(name, session)
    start_up_seconds = time.time() - started
    together = trains_together(framework, architecture, experiment, data)
    results = list(_train_together(session, checkpoints) if together else _train_replicates(session, checkpoints))
    for fold in range(1, 0 if together else folds):
        data = load_fit(paths.fit(experiment.dataset), paths.scaler(experiment.dataset), fold, streamed=streamed)
        session = Session(framework, architecture, experiment, data, fold, session.batch_size)
        results += _train_replicates(session, checkpoints)
    _write(name, session, results, start_up_seconds, together=together)
    checkpoints.clear()


def tell_progress(facts: Mapping[str, Any]) -> None:
    """Append a line to the file that a runner watches, if there is one."""
    watched = os.environ.get(PROGRESS_VARIABLE)
    if watched:
        with Path(watched).open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(facts)) + "\n")


def _checkpoints(name: str, session: Session) -> Checkpoints:
    """Open the checkpoints of exactly this training: its settings, data, code and versions."""
    from tandem.checkpoints import SAVE_SECONDS, Checkpoints, file_digest

    experiment, framework = session.experiment, session.framework
    more = {
        "batch size": session.batch_size,
        "weights": file_digest(Path(experiment.weights_file)) if experiment.weights_file else None,
    }
    given = os.environ.get(_SAVE_SECONDS_VARIABLE, str(SAVE_SECONDS))
    try:
        seconds = float(given)
    except ValueError:
        raise ParameterError(f"{_SAVE_SECONDS_VARIABLE}: '{given}' is no number of seconds; unset it") from None
    return Checkpoints(paths.checkpoints(name, framework.NAME), result_key(experiment, framework, more), seconds)


def result_key(experiment: Experiment, framework: Framework, more: Mapping[str, Any], code: Iterable[Path] = ()) -> str:
    """Return a digest of what a result depends on: settings, data, code and versions.

    Args:
        experiment: whose settings and data count.
        framework: whose code and versions count.
        more: other facts (JSON).
        code: more source files.
    """
    import numpy

    import tandem
    from tandem.checkpoints import digest_of
    from tandem.fitdata import fit_digest

    library = Path(tandem.__file__).parent
    patterns = ("*.py", "layers/*.py", "population/*.py", "frameworks/*.py", f"frameworks/{framework.NAME}/**/*.py")
    facts = {
        "experiment": experiment.model_dump(mode="json"),
        "data": fit_digest(paths.fit(experiment.dataset), paths.scaler(experiment.dataset)),
        "versions": framework.versions(),
        "machine": platform.machine(),
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        **more,
    }
    return digest_of(facts, [Path(__file__), *code, *(path for pattern in patterns for path in library.glob(pattern))])


def _train_replicates(session: Session, checkpoints: Checkpoints) -> Iterator[Trained]:
    """Yield each replicate's result; those that a killed training had finished are read back."""
    from tandem.training import Trained, train_replicate

    for replicate in range(session.experiment.training.replicates):
        number = session.number(replicate)
        finished = checkpoints.load_finished(number)
        if finished is not None:
            yield Trained.from_checkpoint(finished)
            continue
        result = train_replicate(session, replicate, checkpoints, on_epoch=_tell_epoch, on_resume=_tell_resume)
        _tell_result(result)
        if session.trainings > 1:
            checkpoints.save_finished(number, *result.to_checkpoint())
        yield result


def _train_together(session: Session, checkpoints: Checkpoints) -> list[Trained]:
    """Return the results of all replicates on all folds, trained as one batch."""
    from tandem.fitdata import load_fit
    from tandem.population.replicates import train_together

    experiment = session.experiment
    folder, scaler = paths.fit(experiment.dataset), paths.scaler(experiment.dataset)
    more = range(1, len(session.data.description.folds))
    data = [session.data, *(load_fit(folder, scaler, fold) for fold in more)]
    results = train_together(
        session.framework,
        session.architecture,
        experiment,
        data,
        checkpoints,
        on_epoch=_tell_epoch,
        on_resume=_tell_resume,
    )
    for result in results:
        _tell_result(result)
    return results


def _tell_result(result: Trained) -> None:
    record = result.record
    where = "" if record.fold is None else f" on fold {record.fold}"
    print(f"replicate {record.replicate}{where}: {record.outcome} after {record.epochs} epochs: {record.explanation}",
          flush=True)  # fmt: skip


def _tell_resume(training: str, epoch: int) -> None:
    print(f"{training}: goes on from its checkpoint, after epoch {epoch}", flush=True)


def _tell_epoch(progress: Progress) -> None:
    """Tell a runner of an epoch, and print one of those that a log should show."""
    tell_progress(vars(progress))
    every = max(1, progress.epochs // 10)
    if progress.epoch % every == 0 or progress.epoch in (1, progress.epochs):
        valid = "" if progress.valid_loss is None else f", valid_loss {progress.valid_loss:.4g}"
        print(f"{progress.name} epoch {progress.epoch}/{progress.epochs}: "
              f"train_loss {progress.train_loss:.4g}{valid}", flush=True)  # fmt: skip


def _write(name: str, session: Session, results: list[Trained], start_up_seconds: float, *, together: bool) -> None:
    """Write every out of the stage, each all or nothing."""
    import numpy as np

    from tandem.records import RunRecord, TimingRecord, write_record
    from tandem.storage import new_directory, new_file, write_text
    from tandem.tensorboard import write_logs
    from tandem.training import history_table, peak_memory_bytes

    framework, experiment, network = session.framework, session.experiment, session.network
    record = RunRecord(
        experiment=name,
        framework=framework.NAME,
        dataset=experiment.dataset,
        constants=experiment.constants,
        threads=experiment.training.threads,
        batch_size=session.batch_size,
        together=together,
        device=framework.device(experiment.training.devices),
        versions={"python": platform.python_version(), "numpy": np.__version__, **framework.versions()},
        platform=f"{platform.system()} {platform.machine()}",
        declaration=experiment.model_dump(mode="json", exclude_none=True),
        model=framework.summarize(network),
        differences=tuple(
            text
            for topic, text in framework.NATIVE_DIFFERENCES.items()
            if experiment.constants == "native" and topic in experiment.native_topics(session.architecture)
        ),
        replicates=tuple(result.record for result in results),
    )
    with new_directory(paths.model(name, framework.NAME)) as directory:
        write_record(record, directory / "run.json")
        for result in results:
            folder = directory / result.record.name
            folder.mkdir()
            framework.load_weights(network, result.weights)
            framework.save(network, folder)
            write_record(result.history, folder / "history.json")
    write_text(paths.history(name, framework.NAME), history_table([result.history for result in results]))
    with new_directory(paths.logs(name, framework.NAME)) as directory:
        for result in results:
            write_logs(result.history, directory / result.record.name, result.wall_times)
    timing = TimingRecord(
        experiment=name,
        framework=framework.NAME,
        start_up_seconds=start_up_seconds,
        peak_memory_bytes=peak_memory_bytes(),
        samples_per_epoch=len(session.data.train) * experiment.training.repeat,
        replicates=tuple(result.timing for result in results),
        resumed=any(result.resumed for result in results),
    )
    with new_file(paths.timing(name, framework.NAME)) as partial:
        write_record(timing, partial)
