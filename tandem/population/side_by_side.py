"""Training several batches at a time, each in a thread of this process.

For frameworks that train an epoch without the interpreter's lock. What a batch learns does not depend on the others.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from tandem.population.training import Batch, OnEpochs

_Told = TypeVar("_Told")
Train = Callable[[Batch, Callable[[_Told], None], OnEpochs | None], None]


class _StoppedError(Exception):
    """Another batch, or what it was told to, has failed."""


def train_side_by_side(
    train: Train[_Told],
    batches: Sequence[Batch],
    on_left: Callable[[_Told], None],
    on_epochs: OnEpochs | None,
    at_once: int,
) -> None:
    """Train batches, several at a time.

    Args:
        train: trains a batch, in a thread of its own; tells what has left it, and after each epoch of how many.
        batches: taken in this order.
        on_left, on_epochs: told what ``train`` tells, in the thread that calls this, one call at a time.
        at_once: how many batches at a time.

    When one of them fails, the other trainings end after their epoch, and its error is raised.
    """
    told: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    stop = threading.Event()

    def count(trained: int) -> None:
        if stop.is_set():
            raise _StoppedError
        if on_epochs is not None:
            told.put(lambda: on_epochs(trained))

    def begin(batch: Batch) -> None:
        train(batch, lambda left: told.put(lambda: on_left(left)), count)

    ended: list[Future[None]] = []

    def end(future: Future[None]) -> None:
        ended.append(future)
        future.result()

    with ThreadPoolExecutor(at_once, thread_name_prefix="batch") as pool:
        try:
            for future in [pool.submit(begin, batch) for batch in batches]:
                future.add_done_callback(lambda done: told.put(lambda: end(done)))
            while len(ended) < len(batches):
                told.get()()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
