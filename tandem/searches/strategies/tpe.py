"""A model of which values good settings have proposes more of them."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from tandem.searches.records import Trial
from tandem.searches.space import Values
from tandem.searches.strategies.strategy import Settings, Strategy, derived_seed
from tandem.searches.strategies.study import ask, import_optuna, make_study


class Declaration(Settings):
    """The tree-structured Parzen estimator (Bergstra et al., 2011)."""

    startup: int = Field(default=10, ge=1, le=10_000, description="Settings drawn at random before the model counts.")
    candidates: int = Field(default=24, ge=1, le=10_000, description="Draws of which the model proposes the best.")


class Tpe(Strategy[Declaration]):
    """Optuna's TPESampler; what a batch proposes already counts as bad, so that its settings keep apart."""

    default_batch = 10

    def propose(self, batch: int, count: int, history: Sequence[Trial]) -> list[Values]:
        """Return draws from the model of the trials so far."""
        sampler = import_optuna().samplers.TPESampler(
            seed=derived_seed(self.circumstances.seed, batch),
            n_startup_trials=self.settings.startup,
            n_ei_candidates=self.settings.candidates,
            multivariate=True,
            constant_liar=True,
        )
        study = make_study(sampler, self.space, history, self.circumstances.higher_is_better)
        return ask(study, self.space, count, history)


STRATEGY = Tpe
