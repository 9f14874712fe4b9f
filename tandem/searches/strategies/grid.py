"""Every combination of the values, in an order that the seed shuffles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from tandem.searches.records import Trial
from tandem.searches.space import Space, Values, grid_values
from tandem.searches.strategies.strategy import Circumstances, Settings, Strategy, derived_seed
from tandem.searches.strategies.study import import_optuna
from tandem.searches.values import setting_key

MOST_SETTINGS = 10_000


class Declaration(Settings):
    """Every combination; takes choices and ranges of whole numbers, no settings of its own."""

    def mistakes(self, space: Space, epochs: int, batch: int | None) -> Iterator[tuple[str, str]]:
        """Refuse ranges without an end of values, and grids that nobody would wait for."""
        ranges = [parameter for parameter in space.parameters if parameter.kind == "uniform"]
        for parameter in ranges:
            kind = "log_uniform" if parameter.log else "uniform"
            yield (
                f"space.{parameter.name}",
                f"a grid has no end of values in '{kind}'; write choices, integer or log_integer, "
                "or take another strategy",
            )
        size = 0 if ranges else prod(len(grid_values(parameter)) for parameter in space.parameters)
        if size > MOST_SETTINGS:
            yield (
                "space",
                f"a grid of {size} settings; allowed: at most {MOST_SETTINGS}; take values out, or another strategy",
            )


class Grid(Strategy[Declaration]):
    """Optuna's GridSampler. Where the budget ends it early, the seed has spread what was tried."""

    default_batch = 256

    def __init__(self, settings: Declaration, circumstances: Circumstances) -> None:
        super().__init__(settings, circumstances)
        self._settings = self._in_order()

    def propose(self, batch: int, count: int, history: Sequence[Trial]) -> list[Values]:
        """Return the next combinations."""
        known = {setting_key(trial.parameters) for trial in history}
        proposed: list[Values] = []
        while len(proposed) < count and (values := next(self._settings, None)) is not None:
            if setting_key(values) not in known:  # conditions make combinations alike
                known.add(setting_key(values))
                proposed.append(values)
        return proposed

    def _in_order(self) -> Iterator[Values]:
        optuna = import_optuna()
        places = {parameter.name: range(len(grid_values(parameter))) for parameter in self.space.parameters}
        seed = derived_seed(self.circumstances.seed)  # one order for all batches
        grid = {name: list(values) for name, values in places.items()}
        study = optuna.create_study(sampler=optuna.samplers.GridSampler(grid, seed=seed))
        for _ in range(prod(map(len, grid.values()))):
            trial = study.ask()
            yield self.space.draw(
                lambda parameter, trial=trial: grid_values(parameter)[  # type: ignore[misc]
                    trial.suggest_categorical(parameter.name, places[parameter.name])
                ]
            )


STRATEGY = Grid
