"""A population whose best settings are crossed and changed."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from tandem.searches.records import Trial
from tandem.searches.space import Values
from tandem.searches.strategies.strategy import Circumstances, Settings, Strategy, derived_seed
from tandem.searches.strategies.study import ask, import_optuna, make_study

_GENERATION = "NSGAIISampler:generation"  # where Optuna's sampler keeps it with each trial


class Declaration(Settings):
    """A genetic algorithm, NSGA-II (Deb et al., 2002), of one objective."""

    population: int = Field(default=12, ge=2, le=10_000, description="Settings of a generation.")
    crossover: float = Field(default=0.9, ge=0, le=1, description="Probability that a setting has two parents.")
    swapping: float = Field(default=0.5, ge=0, le=1, description="Probability of each value to be the second parent's.")
    mutation: float | None = Field(
        default=None, ge=0, le=1, description="Probability of each value to be drawn anew; none: one in a setting."
    )


class Genetic(Strategy[Declaration]):
    """Optuna's NSGAIISampler; a batch is a generation unless the search says how large it is.

    Selection keeps the best of a generation and its parents together, which are the best of all trials so far. So these
    are told as one generation, from which a population is selected as soon as there are so many.
    """

    def __init__(self, settings: Declaration, circumstances: Circumstances) -> None:
        super().__init__(settings, circumstances)
        self.default_batch = settings.population

    def propose(self, batch: int, count: int, history: Sequence[Trial]) -> list[Values]:
        """Return children of the best so far; at first, random settings."""
        sampler = import_optuna().samplers.NSGAIISampler(
            seed=derived_seed(self.circumstances.seed, batch),
            population_size=self.settings.population,
            crossover_prob=self.settings.crossover,
            swapping_prob=self.settings.swapping,
            mutation_prob=self.settings.mutation,
        )
        study = make_study(sampler, self.space, history, self.circumstances.higher_is_better, {_GENERATION: 0})
        return ask(study, self.space, count, history)


STRATEGY = Genetic
