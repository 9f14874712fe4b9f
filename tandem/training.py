"""Training rules shared by all frameworks: epochs, early stopping, checkpoints, history and divergence."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tandem import metrics
from tandem.augmentation import draw_transforms
from tandem.batch_size import choose_batch_size
from tandem.checkpoints import Checkpoint, States
from tandem.config import Experiment, Training
from tandem.datasets.source import Rows
from tandem.fitdata import FitData
from tandem.frameworks import Framework, Trainer
from tandem.layers import adapt_layer, adapts
from tandem.models import Architecture
from tandem.records import History, ReplicateRecord, ReplicateTiming
from tandem.schedules import learning_rates
from tandem.weight_file import read_weights

_SEED_RANGE = 2**31
DROPOUT_STREAM, _ORDER_STREAM, _AUGMENTATION_STREAM = 1, 2, 3
PROBE_ROWS = 512  # training rows over which gradient norms are taken

Clock = Callable[[], float]


@dataclass(frozen=True)
class Progress:
    """What is known after an epoch; sent to whoever watches."""

    name: str  # "replicate 0", or "replicate 0 on fold 2"
    replicate: int  # position among all trainings: with folds each replicate is trained on each
    replicates: int
    epoch: int
    epochs: int
    train_loss: float
    valid_loss: float | None
    seconds_left: float  # if no replicate stops early


@dataclass(frozen=True)
class Trained:
    """One replicate's result: the kept weights and what training recorded."""

    weights: Mapping[str, np.ndarray]
    history: History
    record: ReplicateRecord
    timing: ReplicateTiming
    wall_times: tuple[float, ...]  # seconds since 1970 at the end of each epoch
    resumed: bool

    def to_checkpoint(self) -> tuple[dict[str, Any], Mapping[str, np.ndarray]]:
        """Return facts (JSON) and arrays that :meth:`from_checkpoint` takes."""
        facts = {
            "history": self.history.model_dump(mode="json"),
            "record": self.record.model_dump(mode="json"),
            "timing": self.timing.model_dump(mode="json"),
            "wall_times": self.wall_times,
        }
        return facts, self.weights

    @classmethod
    def from_checkpoint(cls, finished: Checkpoint) -> Trained:
        """Return the result of a replicate that a killed training had finished."""
        facts = finished.facts
        return cls(
            weights=finished.arrays,
            history=History.model_validate(facts["history"]),
            record=ReplicateRecord.model_validate(facts["record"]),
            timing=ReplicateTiming.model_validate(facts["timing"]),
            wall_times=tuple(facts["wall_times"]),
            resumed=True,
        )


@dataclass
class Run:
    """State of a training between two epochs; with the trainer's arrays it is all that a resume needs."""

    epoch: int = 0
    learning_rate: list[float] = field(default_factory=list)
    columns: dict[str, list[float]] = field(default_factory=dict)
    gradient_norms: dict[str, list[float]] = field(default_factory=dict)
    train_seconds: list[float] = field(default_factory=list)
    elapsed: list[float] = field(default_factory=list)  # since the start, after each epoch, validation included
    wall_times: list[float] = field(default_factory=list)
    best_loss: float = math.inf
    best_epoch: int = 0
    reference: float = math.inf  # early stopping's best value
    reference_epoch: int = 0
    waited: int = 0
    stopped: str = ""  # why, once training has ended
    outcome: str = "finished"


def epoch_seed(seed: int, epoch: int, stream: int) -> int:
    """Return the seed of one stream of random numbers in one epoch."""
    return int(np.random.SeedSequence([seed, epoch, stream]).generate_state(1)[0]) % _SEED_RANGE


def epoch_order(rows: int, repeat: int, seed: int, epoch: int, *, shuffle: bool = True) -> np.ndarray:
    """Return the order in which training rows are shown, int32 (rows · repeat,): the same in all frameworks."""
    if not shuffle:
        return np.tile(np.arange(rows, dtype=np.int32), repeat)
    generator = np.random.default_rng(epoch_seed(seed, epoch, _ORDER_STREAM))
    return (generator.permutation(rows * repeat) % rows).astype(np.int32)


def epoch_transforms(declared: Training, shown: int, seed: int, epoch: int) -> np.ndarray | None:
    """Return what happens to each image that an epoch shows, the same in all frameworks; None without augmentation."""
    if declared.augmentation is None:
        return None
    return draw_transforms(declared.augmentation, shown, epoch_seed(seed, epoch, _AUGMENTATION_STREAM))


class Session:
    """A network with its trainer, put together once and used for every replicate.

    Args:
        framework: which trains.
        architecture: the network.
        experiment: its settings.
        data: scaled rows.
        fold: on whose rows it trains; None with a single validation part.
        batch_size: rows a step, chosen before; none: as declared, and chosen here where that is ``auto``.
        gradient_norms: whether they are recorded; it costs a pass over some rows each epoch.
    """

    def __init__(
        self,
        framework: Framework,
        architecture: Architecture,
        experiment: Experiment,
        data: FitData,
        fold: int | None = None,
        batch_size: int | None = None,
        *,
        gradient_norms: bool = True,
    ) -> None:
        self.framework, self.architecture, self.fold = framework, architecture, fold
        self._records_norms = gradient_norms
        self._take(experiment, data, batch_size)
        self.network = framework.build(architecture, seed=experiment.training.seed, constants=experiment.constants)
        self.trainer = framework.trainer(
            self.network,
            data.train,
            experiment.optimizer,
            constants=experiment.constants,
            devices=experiment.training.devices,
        )

    def _take(self, experiment: Experiment, data: FitData, batch_size: int | None) -> None:
        self.experiment, self.data = experiment, data
        for part, rows in (("training", data.train), ("validation", data.valid)):
            self.architecture.check_rows(rows.features, part)
        self.batch_size = batch_size or choose_batch_size(self.framework, self.architecture, experiment, data.train)
        adapted = adapted_weights(self.architecture, data.train.features)
        self._given = {**adapted, **given_weights(experiment, self.architecture)}
        self._probe = Rows(data.train.features[:PROBE_ROWS], data.train.targets[:PROBE_ROWS])

    def take(self, experiment: Experiment, data: FitData) -> None:
        """Train on other rows, with other settings, from now on; what was compiled is kept for rows of the same shape.

        Args:
            experiment: of the same network, constants, devices and optimiser; its learning rate may be another.
            data: scaled rows.
        """
        self._take(experiment, data, None)
        self.trainer.take_rows(data.train)

    def drop_rows(self) -> None:
        """Let go of the rows, until :meth:`take` brings others."""
        none = Rows(self.data.train.features[:0].copy(), self.data.train.targets[:0].copy())
        self.data, self._probe = FitData(none, none, self.data.description), none
        self.trainer.take_rows(none)

    @property
    def trainings(self) -> int:
        """How many trainings the experiment has in this framework: each replicate on each fold."""
        return self.experiment.training.replicates * max(1, len(self.data.description.folds))

    def number(self, replicate: int) -> int:
        """Return the position of a replicate's training on this fold among all trainings."""
        return (self.fold or 0) * self.experiment.training.replicates + replicate

    def name(self, replicate: int) -> str:
        """Return what people call a replicate's training on this fold."""
        return f"replicate {replicate}" + ("" if self.fold is None else f" on fold {self.fold}")

    def restart(self, seed: int) -> None:
        """Give the network the initial weights of a seed, or those declared, and the optimiser no memory."""
        fresh = self.framework.build(self.architecture, seed=seed, constants=self.experiment.constants)
        self.trainer.restart({**self.framework.weights(fresh), **self._given})

    def gradient_norms(self) -> dict[str, float]:
        """Return the Euclidean norm of the loss's gradient over the probe, for each layer with trainable arrays.

        Nothing where none are recorded.
        """
        if not self._records_norms:
            return {}
        _, gradients = self.framework.gradients(self.network, self._probe)
        return layer_norms(gradients)


def layer_norms(gradients: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the Euclidean norm of each layer's gradients, given by "layer/parameter"."""
    squares: dict[str, float] = {}
    with np.errstate(all="ignore"):  # a diverged network has no finite gradients
        for name, gradient in gradients.items():
            layer = name.partition("/")[0]
            squares[layer] = squares.get(layer, 0.0) + float(np.square(gradient, dtype=np.float64).sum())
    return {layer: math.sqrt(square) for layer, square in squares.items()}


def adapted_weights(architecture: Architecture, features: np.ndarray) -> dict[str, np.ndarray]:
    """Return the arrays that a first layer takes from the training rows' features (n, *shape), by "layer/parameter".

    Raises:
        DataError: the layer does not take these rows.
    """
    if not architecture.body:
        return {}
    first = architecture.body[0]
    if not adapts(first):
        return {}
    adapted = adapt_layer(first, architecture.inputs(features[:])[-1])  # of streamed features, [:] reads all rows
    return {f"{first.name}/{name}": array for name, array in adapted.items()}


def given_weights(experiment: Experiment, architecture: Architecture) -> dict[str, np.ndarray]:
    """Return the arrays that an experiment declares to begin with, float64 by "layer/parameter".

    Raises:
        DataError: they are in a file that is missing, damaged or of another network.
    """
    if experiment.weights_file is not None:
        return read_weights(Path(experiment.weights_file), architecture)
    return {name: np.asarray(given, dtype=np.float64) for name, given in experiment.initial_weights.items()}


def train_replicate(
    session: Session,
    replicate: int,
    checkpoints: States | None,
    *,
    on_epoch: Callable[[Progress], None] | None = None,
    on_resume: Callable[[str, int], None] | None = None,
    clock: Clock = time.perf_counter,
) -> Trained:
    """Train one replicate on the session's fold, from its checkpoint, or from the beginning where there is none.

    Args:
        session: the network and its trainer.
        replicate: its number; added to the declared seed.
        checkpoints: where an unfinished training is kept; None: nowhere.
        on_epoch: told after each epoch.
        on_resume: told the training's name and the epoch after which it goes on.
        clock: seconds, monotonic.
    """
    framework, experiment, data = session.framework, session.experiment, session.data
    network, trainer, declared = session.network, session.trainer, experiment.training
    seed = declared.seed + replicate
    session.restart(seed)
    run, best = Run(), framework.weights(network)
    resumed = checkpoints.load(session.number(replicate)) if checkpoints is not None else None
    if resumed is not None:
        run = Run(**resumed.facts)
        trainer.load_state({name: array for name, array in resumed.arrays.items() if not name.startswith("best/")})
        best = {name[5:]: array for name, array in resumed.arrays.items() if name.startswith("best/")}
        if on_resume is not None:
            on_resume(session.name(replicate), run.epoch)
    start = clock() - (run.elapsed[-1] if run.elapsed else 0.0)
    if not run.epoch:
        _note_gradients(run, session)
        run.stopped = "" if declared.epochs else "no epoch was asked for"
    while not run.stopped:
        before = clock()
        order = epoch_order(len(data.train), declared.repeat, seed, run.epoch, shuffle=declared.shuffle)
        rates = _rates(session, run.epoch, len(order))
        loss, metric = trainer.train_epoch(
            order,
            session.batch_size,
            rates,
            epoch_seed(seed, run.epoch, DROPOUT_STREAM),
            epoch_transforms(declared, len(order), seed, run.epoch),
        )
        run.train_seconds.append(clock() - before)
        run.epoch += 1
        run.learning_rate.append(float(rates[0]))
        _note_gradients(run, session)
        values = {"train_loss": loss, f"train_{metrics.EPOCH_METRIC[session.architecture.task]}": metric}
        if len(data.valid):
            raw = framework.predict(network, data.valid.features)
            values |= {
                f"valid_{name}": value
                for name, value in metrics.epoch_values(session.architecture, raw, data.valid.targets).items()
            }
        for name, value in values.items():
            run.columns.setdefault(name, []).append(value)
        run.elapsed.append(clock() - start)
        run.wall_times.append(time.time())
        if note_epoch(run, values, declared):
            best = framework.weights(network)
        if checkpoints is not None and not run.stopped:
            kept = {f"best/{name}": array for name, array in best.items()}
            checkpoints.save(session.number(replicate), vars(run), partial(_state_with, trainer, kept))
        if on_epoch is not None:
            on_epoch(_progress(run, session, replicate))
    # What a diverged training ends with are no numbers: its best epoch is kept, or the initial weights.
    keep_best = declared.checkpoint == "best" or run.outcome == "diverged"
    weights = best if keep_best else framework.weights(network)
    kept_epoch = run.best_epoch if keep_best else run.epoch
    return finish(
        run,
        weights,
        experiment,
        replicate=replicate,
        fold=session.fold,
        kept_epoch=kept_epoch,
        resumed=resumed is not None,
    )


def _state_with(trainer: Trainer, kept: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    return {**trainer.state(), **kept}


def _rates(session: Session, epoch: int, shown: int) -> np.ndarray:
    """Return the learning rate of each step of an epoch that shows so many rows."""
    optimizer = session.experiment.optimizer
    steps = math.ceil(shown / session.batch_size)
    return learning_rates(optimizer.schedule, optimizer.learning_rate, epoch, steps)


def _note_gradients(run: Run, session: Session) -> None:
    for layer, norm in session.gradient_norms().items():
        run.gradient_norms.setdefault(layer, []).append(norm)


def note_epoch(run: Run, values: Mapping[str, float], declared: Training) -> bool:
    """Take the values of the epoch just counted into account; return whether it is the best so far.

    Early stopping counts as Keras's callback does: an epoch is better if it undercuts the best by more than
    ``min_delta``.
    """
    if not all(math.isfinite(values[name]) for name in ("train_loss", "valid_loss") if name in values):
        run.outcome = "diverged"
        run.stopped = f"the loss was no longer finite in epoch {run.epoch}"
        return False
    watched = values.get("valid_loss", values["train_loss"])
    is_best = watched < run.best_loss
    if is_best:
        run.best_loss, run.best_epoch = watched, run.epoch
    if declared.stop_below is not None and values["train_loss"] < declared.stop_below:
        run.outcome = "stopped early"
        run.stopped = f"train_loss {values['train_loss']:.4g} is below {declared.stop_below:g}"
        return is_best
    stopping = declared.early_stopping
    if stopping is not None:
        value = values[stopping.monitor]
        if value < run.reference - stopping.min_delta:
            run.reference, run.reference_epoch, run.waited = value, run.epoch, 0
        else:
            run.waited += 1
        if run.waited >= stopping.patience:
            run.outcome = "stopped early"
            margin = f" by more than {stopping.min_delta:g}" if stopping.min_delta else ""
            run.stopped = (
                f"{stopping.monitor} had not fallen{margin} since epoch {run.reference_epoch}, "
                f"{stopping.patience} epochs before"
            )
            return is_best
    if run.epoch >= declared.epochs:
        run.stopped = f"all {declared.epochs} epochs were trained"
    return is_best


def _progress(run: Run, session: Session, replicate: int) -> Progress:
    declared, number = session.experiment.training, session.number(replicate)
    left = declared.epochs - run.epoch + declared.epochs * (session.trainings - number - 1)
    typical = float(np.median(np.diff([0.0, *run.elapsed])))
    valid = run.columns.get("valid_loss")
    return Progress(
        name=session.name(replicate),
        replicate=number,
        replicates=session.trainings,
        epoch=run.epoch,
        epochs=declared.epochs,
        train_loss=run.columns["train_loss"][-1],
        valid_loss=valid[-1] if valid else None,
        seconds_left=left * typical,
    )


def finish(
    run: Run,
    weights: Mapping[str, np.ndarray],
    experiment: Experiment,
    *,
    replicate: int,
    fold: int | None,
    kept_epoch: int,
    resumed: bool,
) -> Trained:
    """Return the result of a training that has ended.

    Args:
        run: what was noted of its epochs.
        weights: that are kept.
        experiment: its settings.
        replicate: its number.
        fold: on whose rows it trained; None with a single validation part.
        kept_epoch: whose weights are kept; 0: the initial ones.
        resumed: it went on from a checkpoint.
    """
    outcome: Any = run.outcome
    columns = {name: tuple(_finite(value) for value in values) for name, values in run.columns.items()}
    return Trained(
        weights=weights,
        history=History(
            epochs=tuple(range(1, run.epoch + 1)),
            learning_rate=tuple(run.learning_rate),
            columns=columns,
            gradient_norms={
                layer: tuple(_finite(norm) for norm in norms) for layer, norms in run.gradient_norms.items()
            },
        ),
        record=ReplicateRecord(
            replicate=replicate,
            fold=fold,
            seed=experiment.training.seed + replicate,
            outcome=outcome,
            epochs=run.epoch,
            kept_epoch=kept_epoch,
            explanation=run.stopped,
        ),
        timing=ReplicateTiming(
            seconds=run.elapsed[-1] if run.elapsed else 0.0,
            seconds_per_epoch=tuple(run.train_seconds),
            seconds_to_kept_epoch=run.elapsed[kept_epoch - 1] if kept_epoch else 0.0,
        ),
        wall_times=tuple(run.wall_times),
        resumed=resumed,
    )


def history_table(histories: Sequence[History]) -> str:
    """Return the epochs as CSV: epoch, learning_rate and the recorded columns, means over the replicates there."""
    names = list(dict.fromkeys(name for history in histories for name in history.columns))
    lines = [",".join(["epoch", "learning_rate", *names])]
    for position in range(max(len(history.epochs) for history in histories)):
        reached = [history for history in histories if position < len(history.epochs)]
        cells = [str(position + 1), repr(reached[0].learning_rate[position])]
        for name in names:
            values = [value for history in reached if (value := history.columns[name][position]) is not None]
            cells.append(repr(float(np.mean(values))) if values else "")
        lines.append(",".join(cells))
    return "\n".join(lines) + "\n"


def peak_memory_bytes() -> int:
    """Return the largest resident set that this process has had."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
