"""Several searches at once whose settings are trained in common batches; each finds what it would find alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from tandem.searches.evaluator import Evaluator, Result, Setting

_STRIDE = 1_000_000  # between the numbers of two searches' trials
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class _Asked:
    seat: int
    settings: Sequence[Setting]
    epochs: int
    on_result: Callable[[Result], None]


class Pool:
    """Waits until every search that still runs has asked for training, then trains all of it."""

    def __init__(self, evaluator: Evaluator, seats: int) -> None:
        self._evaluator, self._seats = evaluator, seats
        self._changed = threading.Condition()
        self._asked: list[_Asked] = []
        self._round = 0
        self._failure: BaseException | None = None

    def run(self, searches: Sequence[Callable[[Evaluator], Answer]]) -> list[Answer]:
        """Run searches, each in a thread of its own with an evaluator of its own; return what they return."""
        answers: dict[int, Answer] = {}

        def work(seat: int, search: Callable[[Evaluator], Answer]) -> None:
            try:
                answers[seat] = search(_Seat(self, seat, self._evaluator))
            except BaseException as error:  # told to the thread that waits for all
                self._failure = self._failure or error
            finally:
                self._leave()

        threads = [threading.Thread(target=work, args=(seat, search)) for seat, search in enumerate(searches)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failure is not None:
            raise self._failure
        return [answers[seat] for seat in range(len(searches))]

    def ask(self, asked: _Asked) -> None:
        """Have settings trained, with those of the others."""
        with self._changed:
            self._asked.append(asked)
            current = self._round
            if len(self._asked) == self._seats:
                self._train()
            else:
                self._changed.wait_for(lambda: self._round > current)

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget settings."""
        self._evaluator.drop(numbers)

    def _leave(self) -> None:
        with self._changed:
            self._seats -= 1
            if self._asked and len(self._asked) == self._seats:
                self._train()

    def _train(self) -> None:
        asked, self._asked = sorted(self._asked, key=lambda one: one.seat), []
        by_seat = {one.seat: one for one in asked}

        def take(result: Result) -> None:
            seat, number = divmod(result.number, _STRIDE)
            by_seat[seat].on_result(replace(result, number=number))

        try:
            for epochs in sorted({one.epochs for one in asked}):
                together = [
                    replace(setting, number=one.seat * _STRIDE + setting.number)
                    for one in asked
                    if one.epochs == epochs
                    for setting in one.settings
                ]
                self._evaluator.train(together, epochs, take)
        except BaseException as error:  # told to the thread that waits for all
            self._failure = self._failure or error
        finally:
            self._round += 1
            self._changed.notify_all()


class _Seat:
    """A search's own evaluator; see :class:`tandem.searches.evaluator.Evaluator`."""

    def __init__(self, pool: Pool, seat: int, evaluator: Evaluator) -> None:
        self._pool, self._seat, self.folds = pool, seat, evaluator.folds

    def train(
        self,
        settings: Sequence[Setting],
        epochs: int,
        on_result: Callable[[Result], None],
        on_epochs: Callable[[int], None] | None = None,
    ) -> None:
        """Have settings trained with those of the other searches."""
        del on_epochs
        self._pool.ask(_Asked(self._seat, settings, epochs, on_result))

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget settings."""
        self._pool.drop([self._seat * _STRIDE + number for number in numbers])
