"""An experiment's replicates and folds trained together, where that is faster than one after another."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.checkpoints import Checkpoint, Checkpoints
from tandem.config import Experiment
from tandem.datasets.source import Rows
from tandem.fitdata import FitData
from tandem.frameworks import Framework
from tandem.models import Architecture
from tandem.population.costs import pays_together
from tandem.population.stack import Member, why_alone, work_of
from tandem.population.training import Candidate, Held, Left, kept_weights, make_batches, train_batch
from tandem.training import Progress, Run, Trained, finish

_MEGABYTES = 256  # for what is trained at once; results do not depend on it


@dataclass(frozen=True)
class _Rows:
    """A fold's rows as a batch takes them; nothing is scored here."""

    train: Rows
    watch: Rows

    @property
    def score(self) -> Rows:
        return Rows(self.watch.features[:0], self.watch.targets[:0])


def trains_together(framework: Framework, architecture: Architecture, experiment: Experiment, data: FitData) -> bool:
    """Return whether an experiment's trainings share their batches; that hangs on its declaration and rows alone.

    Args:
        framework: which trains.
        architecture: the network.
        experiment: its settings.
        data: of its first fold.
    """
    folds = max(1, len(data.description.folds))
    networks = experiment.training.replicates * folds
    member = Member(experiment, architecture, experiment.training.seed)
    if networks == 1 or framework.STACK_COSTS is None or why_alone(member) is not None:
        return False
    return pays_together(framework.STACK_COSTS, work_of(member, networks, folds, len(data.train)))


def train_together(
    framework: Framework,
    architecture: Architecture,
    experiment: Experiment,
    data: Sequence[FitData],
    checkpoints: Checkpoints,
    *,
    on_epoch: Callable[[Progress], None] | None = None,
    on_resume: Callable[[str, int], None] | None = None,
) -> list[Trained]:
    """Train every replicate on every fold, from their checkpoints, or from the beginning where there is none.

    Args:
        framework: which trains.
        architecture: the network.
        experiment: its settings.
        data: of each fold.
        checkpoints: where unfinished and finished trainings are kept.
        on_epoch: told after each epoch of a batch.
        on_resume: told what goes on, and after which epoch.

    Returns:
        One result a training, fold by fold.
    """
    run = _Replicates(framework, architecture, experiment, data, checkpoints, on_epoch, on_resume)
    return run.train()


@dataclass(frozen=True)
class _Replicates:
    framework: Framework
    architecture: Architecture
    experiment: Experiment
    data: Sequence[FitData]
    checkpoints: Checkpoints
    on_epoch: Callable[[Progress], None] | None
    on_resume: Callable[[str, int], None] | None

    def train(self) -> list[Trained]:
        replicates = self.experiment.training.replicates
        numbers = range(replicates * len(self.data))
        results = {
            number: Trained.from_checkpoint(finished)
            for number in numbers
            if (finished := self.checkpoints.load_finished(number)) is not None
        }
        kept = self._load(len(numbers))
        for data in self.data:
            for part, rows in (("training", data.train), ("validation", data.valid)):
                self.architecture.check_rows(rows.features, part)
        folds = [_Rows(data.train, data.valid) for data in self.data]
        candidates = [
            Candidate(number, self._member(number), kept.get(number)) for number in numbers if number not in results
        ]
        for batch in make_batches(candidates, folds, _MEGABYTES):
            waiting = {one.name: one.held for one in candidates if one.name not in results and one.held is not None}

            def take(left: Left) -> None:
                number: Any = left.candidate.name
                results[number] = self._result(number, left, number in kept)
                self.checkpoints.save_finished(number, *results[number].to_checkpoint())

            def follow(
                runs: Mapping[Hashable, Run],
                states: Callable[[], Mapping[Hashable, Held]],
                waiting: Mapping[Any, Held] = waiting,
            ) -> None:
                last = next(iter(runs.values()))
                self.checkpoints.save(len(numbers), {"epoch": last.epoch}, lambda: _to_arrays({**waiting, **states()}))
                if self.on_epoch is not None:
                    self.on_epoch(self._progress(runs, len(results), len(numbers)))

            train_batch(self.framework, batch, folds, None, take, follow=follow)
        return [results[number] for number in numbers]

    def _member(self, number: int) -> Member:
        fold, replicate = divmod(number, self.experiment.training.replicates)
        return Member(self.experiment, self.architecture, self.experiment.training.seed + replicate, fold)

    def _load(self, number: int) -> dict[int, Held]:
        """Return the states that an unfinished batch left."""
        found = self.checkpoints.load(number)
        if found is None:
            return {}
        held = _from_arrays(found)
        if held and self.on_resume is not None:
            self.on_resume(f"{len(held)} trainings together", max(one.run.epoch for one in held.values()))
        return held

    def _result(self, number: int, left: Left, resumed: bool) -> Trained:
        run, member = left.held.run, left.candidate.member
        fold, replicate = divmod(number, self.experiment.training.replicates)
        keeps_best = self.experiment.training.checkpoint == "best" or run.outcome == "diverged"
        return finish(
            run,
            kept_weights(member, left.held),
            self.experiment,
            replicate=replicate,
            fold=fold if self.data[0].description.folds else None,
            kept_epoch=run.best_epoch if keeps_best else run.epoch,
            resumed=resumed,
        )

    def _progress(self, runs: Mapping[Hashable, Run], finished: int, trainings: int) -> Progress:
        epochs = self.experiment.training.epochs
        last = next(iter(runs.values()))
        seconds = float(np.median(last.train_seconds)) * len(runs)
        valid = [run.columns["valid_loss"][-1] for run in runs.values() if "valid_loss" in run.columns]
        return Progress(
            name=f"{len(runs)} trainings together",
            replicate=finished,
            replicates=trainings,
            epoch=last.epoch,
            epochs=epochs,
            train_loss=float(np.mean([run.columns["train_loss"][-1] for run in runs.values()])),
            valid_loss=float(np.mean(valid)) if valid else None,
            seconds_left=(epochs - last.epoch) * seconds,
        )


def _to_arrays(states: Mapping[Any, Held]) -> dict[str, np.ndarray]:
    """Return states as arrays by "number/kind/name"; what was noted of the epochs as one array of JSON text."""

    arrays = {}
    for number, held in states.items():
        facts = {"run": vars(held.run), "steps": held.steps}
        arrays[f"{number}/facts"] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
        for kind, given in (("weights", held.weights), ("slots", held.slots), ("best", held.best or {})):
            arrays |= {f"{number}/{kind}/{name}": array for name, array in given.items()}
    return arrays


def _from_arrays(found: Checkpoint) -> dict[int, Held]:

    parts: dict[int, dict[str, Any]] = {}
    for key, array in found.arrays.items():
        number, kind, *name = key.split("/", 2)
        of = parts.setdefault(int(number), {"weights": {}, "slots": {}, "best": {}})
        if kind == "facts":
            of["facts"] = json.loads(array.tobytes())
        else:
            of[kind][name[0]] = array
    return {
        number: Held(Run(**of["facts"]["run"]), of["weights"], of["slots"], of["facts"]["steps"], of["best"] or None)
        for number, of in parts.items()
    }
