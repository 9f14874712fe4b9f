"""What a strategy is: one module of this folder, found by scanning. It defines

- ``Declaration``: its settings in params.yaml, a :class:`Settings`;
- ``STRATEGY``: a :class:`Strategy` that is made with them.

What it proposes follows from its settings, the search's seed, the number of the batch and the trials of earlier
batches, and from nothing else: a search that was killed asks a new one and is given the same settings.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from tandem.declared import Declared
from tandem.searches.records import Trial

if TYPE_CHECKING:
    from tandem.searches.space import Space, Values


class Settings(Declared):
    """Settings of a strategy; one without any uses this one."""

    def mistakes(self, space: Space, epochs: int, batch: int | None) -> Iterator[tuple[str, str]]:
        """Yield what does not fit a search: the key of the search, with dots below it, and what is wrong.

        Args:
            space: that is searched.
            epochs: of each training at most.
            batch: settings that the search wants proposed at once; None: as many as the strategy does.
        """
        yield from ()


@dataclass(frozen=True)
class Circumstances:
    """What a strategy is told of its search.

    Attributes:
        space: that is searched.
        seed: of the search.
        epochs: of each training at most.
        higher_is_better: of the metric.
        batch: settings that are to be proposed at once; None: as many as the strategy does.
    """

    space: Space
    seed: int
    epochs: int
    higher_is_better: bool
    batch: int | None = None


Declaration = TypeVar("Declaration", bound=Settings)


class Strategy(ABC, Generic[Declaration]):
    """Proposes settings, batch by batch; no setting twice."""

    default_batch = 32

    def __init__(self, settings: Declaration, circumstances: Circumstances) -> None:
        self.settings = settings
        self.circumstances = circumstances

    @property
    def space(self) -> Space:
        """The space that is searched."""
        return self.circumstances.space

    def batch_size(self, batch: int) -> int:
        """Return how many settings it would propose in a batch, numbered from 0."""
        return self.circumstances.batch or self.default_batch

    @abstractmethod
    def propose(self, batch: int, count: int, history: Sequence[Trial]) -> list[Values]:
        """Return settings that were not proposed before.

        Args:
            batch: its number, from 0.
            count: at most so many; what the budget allows.
            history: all trials of earlier batches, by number.

        Returns:
            Fewer than ``count`` where it finds no more that are new; none: the search is at its end.
        """

    def rungs(self, batch: int) -> tuple[int, ...]:
        """Return the epochs after which it decides which settings go on, the last one the most of all."""
        return (self.circumstances.epochs,)

    def most_survivors(self, count: int) -> int:
        """Return how many of so many settings go on at a rung, at most."""
        return count

    def survivors(self, rung: int, values: Mapping[int, float | None]) -> frozenset[int]:
        """Return the trials that go on.

        Args:
            rung: epochs that they have been trained.
            values: by number of the trial; None where training diverged.
        """
        return frozenset(number for number, value in values.items() if value is not None)

    def state(self) -> dict[str, np.ndarray]:
        """Return what it has learnt, to be kept between batches; nothing if its proposals need only the trials."""
        return {}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a kept state."""


def derived_seed(seed: int, *place: int) -> int:
    """Return a seed of 32 bits for one batch of a search."""
    return int(np.random.SeedSequence([seed, *place]).generate_state(1)[0])
