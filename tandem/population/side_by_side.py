"""Training several batches at a time, each in a thread of this process.

For frameworks that train an epoch without the interpreter's lock. What a batch learns does not depend on the others.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from tandem.frameworks import Framework
from tandem.population.training import Batch, Fold, OnEpochs, OnLeft, train_batch


class _StoppedError(Exception):
    """Another batch, or what it was told to, has failed."""


def train_side_by_side(
    framework: Framework,
    batches: Sequence[Batch],
    folds: Sequence[Fold],
    epochs: int | None,
    on_left: OnLeft,
    on_epochs: OnEpochs | None,
    at_once: int,
) -> None:
    """Train batches, ``at_once`` at a time; the other arguments are those of :func:`train_batch`.

    ``on_left`` and ``on_epochs`` are called in the thread that calls this, one call at a time. When one of them or a
    training fails, the others end after their epoch, and its error is raised.
    """
    told: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    stop = threading.Event()

    def count(trained: int) -> None:
        if stop.is_set():
            raise _StoppedError
        if on_epochs is not None:
            told.put(lambda: on_epochs(trained))

    def train(batch: Batch) -> None:
        train_batch(framework, batch, folds, epochs, lambda left: told.put(lambda: on_left(left)), count)

    ended: list[Future[None]] = []

    def end(future: Future[None]) -> None:
        ended.append(future)
        future.result()

    with ThreadPoolExecutor(at_once, thread_name_prefix="batch") as pool:
        try:
            for future in [pool.submit(train, batch) for batch in batches]:
                future.add_done_callback(lambda done: told.put(lambda: end(done)))
            while len(ended) < len(batches):
                told.get()()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
