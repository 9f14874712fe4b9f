"""A recurrent network that emits a setting token by token, trained by policy gradient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from pydantic import Field

from tandem.searches.records import SearchedParameter, Trial
from tandem.searches.space import Values, bounds, grid_values
from tandem.searches.strategies.policy import Drawing, Policy, Sample
from tandem.searches.strategies.strategy import Circumstances, Settings, Strategy, derived_seed
from tandem.searches.values import setting_key

_REDRAWS = 20  # for each new setting, on average, before the space counts as exhausted


class Declaration(Settings):
    """A recurrent controller (Zoph and Le, 2017), trained by REINFORCE (Williams, 1992)."""

    units: int = Field(default=32, ge=1, le=1_000, description="Width of the controller's LSTM.")
    learning_rate: float = Field(default=0.05, gt=0, le=1, description="Of Adam, which trains the controller.")
    entropy: float = Field(default=0.1, ge=0, le=10, description="Weight of the entropy: more keeps it curious longer.")
    decay: float = Field(default=0.8, ge=0, lt=1, description="Of the moving mean that rewards are compared with.")
    levels: int = Field(default=10, ge=2, le=1_000, description="Values that a range of numbers is cut into.")


def tokens_of(parameter: SearchedParameter, levels: int) -> tuple[object, ...]:
    """Return the values that a token of a parameter stands for.

    Args:
        parameter: of the space.
        levels: values of a range, evenly spaced from bound to bound, in the logarithm if it is drawn so; a range of
            fewer whole numbers has one for each.
    """
    if parameter.kind == "choice":
        return tuple(parameter.choices)
    low, high = bounds(parameter)
    if parameter.kind == "integer" and high - low < levels:
        return tuple(grid_values(parameter))
    spaced = (np.geomspace if parameter.log else np.linspace)(low, high, levels)
    if parameter.kind == "integer":
        return tuple(dict.fromkeys(round(float(value)) for value in spaced))
    return (low, *(float(value) for value in spaced[1:-1]), high)


class Controller(Strategy[Declaration]):
    """Emits batches of settings and learns from what they reached.

    A setting's reward is the share of all trials so far that it is better than, from 0 to 1: the scale of the metric
    does not matter. One that diverged or cannot be built is worse than every other. A setting that it emits again
    costs nothing: it learns from the recorded result once more.
    """

    default_batch = 10

    def __init__(self, settings: Declaration, circumstances: Circumstances) -> None:
        super().__init__(settings, circumstances)
        self._tokens = [tokens_of(parameter, settings.levels) for parameter in self.space.parameters]
        self._places = {parameter.name: place for place, parameter in enumerate(self.space.parameters)}
        self._policy = Policy(
            [len(values) for values in self._tokens],
            units=settings.units,
            learning_rate=settings.learning_rate,
            entropy=settings.entropy,
            seed=derived_seed(circumstances.seed),
        )
        self._baseline: float | None = None
        self._learnt = 0  # batches

    def propose(self, batch: int, count: int, history: Sequence[Trial]) -> list[Values]:
        """Return what it emits, after it has learnt from every batch before."""
        while self._learnt < batch:
            self._learn(history)
        earlier = {setting_key(trial.parameters) for trial in history}
        return [values for values, _, is_new in self._emit(batch, count, earlier) if is_new]

    def _emit(self, batch: int, count: int, earlier: set[str]) -> Iterator[tuple[Values, Sample | None, bool]]:
        """Yield settings with what was emitted and whether they are new, until ``count`` are.

        Where the controller is so sure of itself that it repeats settings, uniform draws fill the batch: nothing is
        emitted by them, and it does not learn from them.
        """
        generator = np.random.Generator(np.random.PCG64([self.circumstances.seed, batch]))
        known, most = set(earlier), _REDRAWS * self.batch_size(batch)
        for attempt in range(2 * most):
            if count == 0:
                return
            drawing = self._policy.begin(generator) if attempt < most else None
            values = self.space.draw(lambda parameter, drawing=drawing: self._value(parameter, drawing, generator))  # type: ignore[misc]
            is_new = setting_key(values) not in known
            known.add(setting_key(values))
            count -= is_new
            yield values, drawing.sample() if drawing is not None else None, is_new

    def _value(self, parameter: SearchedParameter, drawing: Drawing | None, generator: np.random.Generator) -> object:
        place = self._places[parameter.name]
        tokens = self._tokens[place]
        return tokens[int(generator.integers(len(tokens))) if drawing is None else drawing.token(place)]

    def _learn(self, history: Sequence[Trial]) -> None:
        """Emit the next batch again, as it was, and learn from its results."""
        batch = self._learnt
        past = [trial for trial in history if trial.batch <= batch]
        earlier = {setting_key(trial.parameters) for trial in past if trial.batch < batch}
        rewards = self._rewards(past)
        count = sum(trial.batch == batch for trial in past)
        emitted = [
            (rewards[setting_key(values)], sample)
            for values, sample, _ in self._emit(batch, count, earlier)
            if sample is not None
        ]
        self._learnt += 1
        if emitted:
            reached = np.array([reward for reward, _ in emitted])
            mean, decay = float(reached.mean()), self.settings.decay
            self._baseline = mean if self._baseline is None else self._baseline
            self._policy.learn([sample for _, sample in emitted], reached - self._baseline)
            self._baseline = decay * self._baseline + (1 - decay) * mean

    def _rewards(self, trials: Sequence[Trial]) -> dict[str, float]:
        """Return the reward of each setting: the share of the trials that are worse, equal ones counting half."""
        sign = 1 if self.circumstances.higher_is_better else -1
        values = np.array([-np.inf if trial.value is None else sign * trial.value for trial in trials])
        below = (values[:, None] > values[None, :]).sum(axis=1)
        equal = (values[:, None] == values[None, :]).sum(axis=1) - 1
        shares = (below + equal / 2) / max(1, len(trials) - 1)
        shares[np.isneginf(values)] = 0.0
        return {setting_key(trial.parameters): float(share) for trial, share in zip(trials, shares, strict=True)}

    def state(self) -> dict[str, np.ndarray]:
        """Return the policy's arrays, the baseline and the number of batches learnt from."""
        baseline = np.nan if self._baseline is None else self._baseline
        return {"learnt": np.array(self._learnt), "baseline": np.array(baseline), **self._policy.state()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a kept state."""
        self._policy.restore(state)
        self._learnt, self._baseline = int(state["learnt"]), float(state["baseline"])
        if np.isnan(self._baseline):
            self._baseline = None


STRATEGY = Controller
