"""Training settings one by one in several processes: what cannot share a batch, on all cores that a search has.

Each process (:mod:`tandem.searches.worker`) loads the rows itself and trains one setting at a time, as
:class:`tandem.searches.alone.AloneEvaluator` does in the search's own process, with the same results. A setting that
goes on does so in the process that holds its state. They talk by lines of JSON over pipes; a process ends when its
input closes, however the search ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from pydantic import TypeAdapter

from tandem import errors
from tandem.config import MetricName, Protocol
from tandem.frameworks import Framework
from tandem.records import FoldRows, Record
from tandem.searches.alone import AloneEvaluator
from tandem.searches.evaluator import Evaluator, Result, Setting
from tandem.searches.folds import SearchFolds

_MODULE = "tandem.searches.worker"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # what pools read when they are imported
_LAST_LINES = 12
_END_SECONDS = 5.0
_RESULT = TypeAdapter(Result)
_ERRORS = {kind.__name__: kind for kind in (errors.ParameterError, errors.DataError, errors.ModelError)}


class Work(Record):
    """What a process needs to know to train settings of a search.

    Attributes:
        framework: that trains.
        threads: of the framework, in each process.
        metric: that scores.
        fit: the folder that ``split`` wrote.
        scaler: the folder that ``standardize`` wrote.
        protocol: of the search.
    """

    framework: str
    threads: int
    metric: MetricName
    fit: Path
    scaler: Path
    protocol: Protocol


@contextlib.contextmanager
def training_alone(framework: Framework, work: Work, folds: SearchFolds, cores: int) -> Iterator[Evaluator]:
    """Give what trains settings one by one: the search's own process, or as many others as the cores are enough for.

    Args:
        framework: of the search's own process, set up with the threads of ``work``.
        work: what is trained.
        folds: the rows, as ``work`` names them.
        cores: that the search takes; results do not depend on them.
    """
    if cores == work.threads:
        yield AloneEvaluator(framework, work.metric, folds)
        return
    with ProcessesEvaluator(work, folds.rows, max(1, cores // work.threads)) as evaluator:
        yield evaluator


class ProcessesEvaluator:
    """Trains settings one by one in processes of their own; an Evaluator, and a context manager that ends them.

    Processes start when there is something to train, and end when a training fails or :meth:`close` is called.

    Args:
        work: what is trained.
        folds: rows of each fold.
        processes: at most so many.
    """

    def __init__(self, work: Work, folds: tuple[FoldRows, ...], processes: int) -> None:
        self.folds = folds
        self._work, self._processes = work, processes
        self._workers: list[_Worker] = []
        self._holders: dict[int, _Worker] = {}  # of each setting's state, by its number
        self._answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()

    def train(
        self,
        settings: Sequence[Setting],
        epochs: int,
        on_result: Callable[[Result], None],
        on_epochs: Callable[[int], None] | None = None,
    ) -> None:
        """Train settings up to ``epochs`` epochs in all; see :class:`tandem.searches.evaluator.Evaluator`.

        Raises:
            TandemError: a training failed, or a process ended before its work.
        """
        try:
            self._train(_Waiting(settings, self._holders), epochs, on_result, on_epochs)
        except BaseException:
            self.close()
            raise

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget the state of settings that do not go on."""
        dropped: dict[_Worker, list[int]] = {}
        for number in numbers:
            holder = self._holders.pop(number, None)
            if holder is not None:
                dropped.setdefault(holder, []).append(number)
        for holder, held in dropped.items():
            holder.tell({"drop": held})

    def close(self) -> None:
        """End the processes; what they hold is forgotten."""
        for worker in self._workers:
            worker.dismiss()
        for worker in self._workers:
            worker.end()
        self._workers, self._holders, self._answers = [], {}, queue.SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _train(
        self,
        waiting: _Waiting,
        epochs: int,
        on_result: Callable[[Result], None],
        on_epochs: Callable[[int], None] | None,
    ) -> None:
        while len(self._workers) < min(self._processes, waiting.wanted_workers(self._workers)):
            self._workers.append(_Worker(self._work, self._answers))
        for worker in self._workers:
            self._give(worker, waiting, epochs)
        while any(worker.trains is not None for worker in self._workers):
            worker, answer = self._answers.get()
            if "epochs" in answer:
                if on_epochs is not None:
                    on_epochs(answer["epochs"])
            elif "result" in answer:
                self._give(worker, waiting, epochs)
                on_result(_RESULT.validate_python(answer["result"]))
            else:
                raise worker.failure(answer.get("error"))

    def _give(self, worker: _Worker, waiting: _Waiting, epochs: int) -> None:
        """Give a process that is free its next setting, if one is left that it may train."""
        setting = waiting.next_for(worker)
        worker.trains = None if setting is None else setting.number
        if setting is not None:
            self._holders[setting.number] = worker
            experiment = setting.experiment.model_dump_json()
            worker.tell({"number": setting.number, "experiment": experiment, "epochs": epochs})


class _Waiting:
    """Settings that are still to be trained: those whose state a process holds wait for it, the others for anyone."""

    def __init__(self, settings: Sequence[Setting], holders: Mapping[int, _Worker]) -> None:
        self._held: dict[_Worker, deque[Setting]] = {}
        self._free: deque[Setting] = deque()
        for setting in settings:
            holder = holders.get(setting.number)
            queued = self._free if holder is None else self._held.setdefault(holder, deque())
            queued.append(setting)

    def wanted_workers(self, workers: Sequence[_Worker]) -> int:
        """Return how many processes would have something to do: those there are, and one for each setting more."""
        idle = sum(worker not in self._held for worker in workers)
        return len(workers) + max(0, len(self._free) - idle)

    def next_for(self, worker: _Worker) -> Setting | None:
        """Return what a process is to train next; None: nothing is left for it."""
        queued = self._held.get(worker) or self._free
        return queued.popleft() if queued else None


class _Worker:
    """A process that trains settings, one at a time.

    Attributes:
        trains: number of the setting that it has been given last; None: it is free.
    """

    def __init__(self, work: Work, answers: queue.SimpleQueue[_Answer]) -> None:
        # Everything else that a framework reads from the environment is as in this process, so that results are, too.
        environment = os.environ | dict.fromkeys(_THREADS, str(work.threads))
        self.trains: int | None = None
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._process = subprocess.Popen(
            [sys.executable, "-m", _MODULE],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
        )  # fmt: skip
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin is not None and stdout is not None and stderr is not None  # noqa: S101, PT018  (narrows types)
        self._commands = stdin
        self._readers = [
            threading.Thread(target=self._read_answers, args=(stdout, answers), daemon=True),
            threading.Thread(target=self._read_chatter, args=(stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self.tell(work.model_dump(mode="json"))

    def tell(self, command: Mapping[str, Any]) -> None:
        """Send a command; a process that has ended is noticed by its answers, which end."""
        with contextlib.suppress(BrokenPipeError):
            self._commands.write(json.dumps(dict(command)).encode() + b"\n")
            self._commands.flush()

    def failure(self, told: Mapping[str, Any] | None) -> errors.TandemError:
        """Return the error that says why this process has ended.

        Args:
            told: what it said of an error; None: it said nothing.
        """
        if told is not None and told["clear"]:
            return _ERRORS.get(told["kind"], errors.TandemError)(told["text"])
        code = self._process.wait()
        for reader in self._readers:
            reader.join(_END_SECONDS)
        training = "" if self.trains is None else f"trial {self.trains}: "
        if told is not None:
            problem = f"{training}{told['kind']}: {told['text']}"
        else:
            how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            problem = (
                f"{training}the process that trains settings ended ({how}); run again to go on from the finished "
                "trials, and lower the search's threads if memory is short"
            )
        said = "".join(f"\n  {line}" for line in self._last)
        return errors.TandemError(problem + (f"; it last said:{said}" if said else "; it said nothing"))

    def dismiss(self) -> None:
        """Have the process end, without waiting for it."""
        with contextlib.suppress(OSError):
            self._commands.close()

    def end(self) -> None:
        """Wait until the dismissed process has ended; kill it if it takes long."""
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join(_END_SECONDS)

    def _read_answers(self, pipe: IO[bytes], answers: queue.SimpleQueue[_Answer]) -> None:
        with pipe:
            for line in pipe:
                if line.endswith(b"\n"):  # else a kill has cut it off
                    answers.put((self, json.loads(line)))
        answers.put((self, {}))

    def _read_chatter(self, pipe: IO[bytes]) -> None:
        """Pass on what libraries print, and keep the last of it for an error."""
        with pipe:
            for line in pipe:
                text = line.decode("utf-8", errors="replace").rstrip()
                self._last.append(text)
                print(text, file=sys.stderr, flush=True)


_Answer = tuple[_Worker, dict[str, Any]]
