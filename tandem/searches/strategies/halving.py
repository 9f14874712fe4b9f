"""Many settings are trained a little, the best of them longer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from pydantic import Field

from tandem.searches.records import Trial
from tandem.searches.space import Space, Values
from tandem.searches.strategies.strategy import Settings, Strategy, derived_seed
from tandem.searches.strategies.study import ask, import_optuna, make_study


class Declaration(Settings):
    """Successive halving (Jamieson and Talwalkar, 2016)."""

    factor: int = Field(default=3, ge=2, le=100, description="Of so many settings one goes on, so many times as long.")
    minimum_epochs: int = Field(default=1, ge=1, le=1_000_000, description="Of the shortest training, at least.")

    def mistakes(self, space: Space, epochs: int, batch: int | None) -> Iterator[tuple[str, str]]:
        """Refuse a shortest training that is no shorter."""
        if self.minimum_epochs * self.factor > epochs:
            most = epochs // self.factor
            allowed = f"allowed: 1 to {most}" if most else f"train at least {self.factor} epochs"
            yield (
                "strategy.minimum_epochs",
                f"{self.minimum_epochs}: {self.factor} times as long is more than the {epochs} epochs of a training; "
                f"{allowed}",
            )

    def halvings(self, epochs: int) -> int:
        """Return how often the settings can be thinned: the largest s with minimum · factor^s ≤ epochs."""
        times = 0
        while self.minimum_epochs * self.factor ** (times + 1) <= epochs:
            times += 1
        return times


class Halving(Strategy[Declaration]):
    """Brackets of random settings, thinned by Optuna's SuccessiveHalvingPruner.

    A batch is a bracket. Its settings are trained to the first rung; of n settings the best n / factor, rounded down
    but at least one, go on to the next. Optuna's pruner decides on each one as if it came last, so that the order in
    which results come in does not count; settings of equal value go on in the order of their numbers.
    """

    def batch_size(self, batch: int) -> int:
        """Return as many as leave one for the last rung."""
        return self.circumstances.batch or self.settings.factor ** self._halvings(batch)

    def _halvings(self, batch: int) -> int:
        return self.settings.halvings(self.circumstances.epochs)

    def rungs(self, batch: int) -> tuple[int, ...]:
        """Return the most epochs, before it that divided by the factor, and so on."""
        times = self._halvings(batch)
        return tuple(self.circumstances.epochs // self.settings.factor ** (times - rung) for rung in range(times + 1))

    def propose(self, batch: int, count: int, history: Sequence[Trial]) -> list[Values]:
        """Return new random settings."""
        sampler = import_optuna().samplers.RandomSampler(seed=derived_seed(self.circumstances.seed, batch))
        study = make_study(sampler, self.space, (), self.circumstances.higher_is_better)
        return ask(study, self.space, count, history)

    def most_survivors(self, count: int) -> int:
        """Return how many of so many settings go on at a rung, at most."""
        return max(1, count // self.settings.factor)

    def survivors(self, rung: int, values: Mapping[int, float | None]) -> frozenset[int]:
        """Return the trials that go on; one that diverged does not, but counts among the n."""
        sign = -1 if self.circumstances.higher_is_better else 1
        known = {number: value for number, value in sorted(values.items()) if value is not None}
        worst = {number: known.get(number, sign * math.inf) for number in sorted(values)}
        kept = [number for number in known if self._goes_on(number, rung, worst)]
        kept.sort(key=lambda number: (sign * known[number], number))
        return frozenset(kept[: self.most_survivors(len(values))])

    def _goes_on(self, number: int, rung: int, values: Mapping[int, float]) -> bool:
        """Ask Optuna's pruner on one trial, after all others."""
        optuna = import_optuna()
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=rung, reduction_factor=self.settings.factor)
        direction = "maximize" if self.circumstances.higher_is_better else "minimize"
        study = optuna.create_study(direction=direction, pruner=pruner)
        others = [other for other in values if other != number]
        for one in [*others, number]:
            trial = study.ask()
            trial.report(values[one], step=rung)
            pruned = trial.should_prune()
        return not pruned


STRATEGY = Halving
