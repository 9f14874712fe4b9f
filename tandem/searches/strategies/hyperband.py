"""Brackets of successive halving, from many settings trained shortly to few trained long."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from tandem.searches.space import Space
from tandem.searches.strategies import halving


class Declaration(halving.Declaration):
    """Hyperband (Li et al., 2018)."""

    def mistakes(self, space: Space, epochs: int, batch: int | None) -> Iterator[tuple[str, str]]:
        """Refuse a size of the brackets, which follows from the epochs."""
        yield from super().mistakes(space, epochs, batch)
        if batch is not None:
            yield "batch", f"{batch}: hyperband sizes its brackets itself; remove the key, or take halving"


class Hyperband(halving.Halving):
    """Rounds of brackets s = S, …, 0, with S the number of halvings that the epochs allow.

    Bracket s has ⌈(S + 1) / (s + 1) · factor^s⌉ settings that are thinned s times; those of bracket 0 are all trained
    to the end. After bracket 0 a new round begins.
    """

    def _halvings(self, batch: int) -> int:
        most = self.settings.halvings(self.circumstances.epochs)
        return most - batch % (most + 1)

    def batch_size(self, batch: int) -> int:
        """Return the settings of a bracket."""
        most, times = self.settings.halvings(self.circumstances.epochs), self._halvings(batch)
        return ceil((most + 1) * self.settings.factor**times / (times + 1))


STRATEGY = Hyperband
