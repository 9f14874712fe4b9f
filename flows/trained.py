"""Trained networks by the words of a command line: which one is meant, whether it can be used, and loading it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages import paths
from tandem.config import FRAMEWORKS, Experiment, declared_experiment, read_params
from tandem.errors import ModelError, ParameterError, suggest
from tandem.fitdata import load_scaler
from tandem.models import Architecture
from tandem.records import DataDescription, ReplicateRecord, RunRecord, read_record
from tandem.scaling import Scaler

if TYPE_CHECKING:
    from tandem.frameworks import Framework


@dataclass(frozen=True)
class TrainedNetwork:
    """A training that ended with a network, which is not loaded yet."""

    experiment: str
    framework: str
    declared: Experiment
    description: DataDescription
    training: ReplicateRecord

    @property
    def architecture(self) -> Architecture:
        """The network's layers."""
        return self.declared.architecture(self.description)

    def load_scaler(self) -> Scaler:
        """Read the scaler of its features."""
        return load_scaler(paths.scaler(self.declared.dataset), self.training.fold or 0)

    def load(self) -> tuple[Framework, Any]:
        """Import its framework, and read the network."""
        from tandem.frameworks import load_framework

        framework = load_framework(self.framework, alone=True)
        framework.set_up(self.declared.training.threads)
        folder: Path = paths.model(self.experiment, self.framework) / self.training.name
        return framework, framework.load(folder, self.architecture, self.declared.constants)


def find_trained(experiment: str, framework: str, replicate: int, fold: int | None) -> TrainedNetwork:
    """Return the training that is meant.

    Raises:
        ParameterError: there is none, or its declaration has changed since.
        ModelError: it diverged.
        DataError: it was not trained yet.
    """
    params = read_params(paths.PARAMS)
    known = [*params.experiments, *params.searches]
    if experiment not in known:
        places = "experiments or searches" if params.searches else "experiments"
        raise ParameterError(
            f"'{experiment}' is not declared under {places} in {paths.PARAMS}; {suggest(experiment, known)}"
        )
    if framework not in FRAMEWORKS:
        raise ParameterError(f"'{framework}' is no framework; {suggest(framework, FRAMEWORKS)}")
    record = read_record(RunRecord, paths.model(experiment, framework) / "run.json")
    trained = _trained_on(record, fold)
    if replicate >= len(trained):
        raise ParameterError(f"replicate {replicate} of '{experiment}' is not there; allowed: 0 to {len(trained) - 1}")
    declared = params.experiments.get(experiment) or declared_experiment(record)  # a search's best setting
    if record.declaration != declared.model_dump(mode="json", exclude_none=True):
        raise ParameterError(
            f"'{experiment}' has changed in {paths.PARAMS} since its {framework} networks were trained; "
            f"run `tandem run {experiment}` first, or take the change back"
        )
    chosen = trained[replicate]
    if chosen.outcome == "diverged":
        finished = [str(entry.replicate) for entry in trained if entry.outcome != "diverged"]
        raise ModelError(
            f"replicate {replicate} of '{experiment}' diverged in {framework} and predicts nothing; "
            + (f"choose another with --replicate: {', '.join(finished)}" if finished else "lower its learning rate")
        )
    description = read_record(DataDescription, paths.fit(declared.dataset) / "description.json")
    return TrainedNetwork(experiment, framework, declared, description, chosen)


def _trained_on(record: RunRecord, fold: int | None) -> list[ReplicateRecord]:
    """Return the replicates trained on a fold, by default the first; without folds all of them."""
    folds = [entry.fold for entry in record.replicates if entry.fold is not None]
    if fold is not None and fold not in folds:
        allowed = f"allowed: 0 to {max(folds)}" if folds else "its data set has no folds; leave --fold out"
        raise ParameterError(f"fold {fold} of '{record.experiment}' is not there; {allowed}")
    wanted = fold if fold is not None else min(folds, default=None)
    return [entry for entry in record.replicates if entry.fold == wanted]
