"""Settings drawn independently of one another and of what was found."""

from __future__ import annotations

from collections.abc import Sequence

from tandem.searches.records import Trial
from tandem.searches.space import Values
from tandem.searches.strategies.strategy import Settings, Strategy, derived_seed
from tandem.searches.strategies.study import ask, import_optuna, make_study


class Declaration(Settings):
    """Independent draws; takes no settings of its own."""


class Random(Strategy[Declaration]):
    """Optuna's RandomSampler; a setting that was drawn before is drawn again (Bergstra and Bengio, 2012)."""

    default_batch = 64

    def propose(self, batch: int, count: int, history: Sequence[Trial]) -> list[Values]:
        """Return new draws."""
        sampler = import_optuna().samplers.RandomSampler(seed=derived_seed(self.circumstances.seed, batch))
        study = make_study(sampler, self.space, (), self.circumstances.higher_is_better)
        return ask(study, self.space, count, history)


STRATEGY = Random
