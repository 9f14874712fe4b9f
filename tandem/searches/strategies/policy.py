"""A small LSTM that emits tokens, with its gradient written out; NumPy alone, for it runs beside either framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

Arrays = dict[str, np.ndarray]
Sample = tuple[tuple[int, int], ...]  # (parameter, token) by step
_BETAS, _EPSILON = (0.9, 0.999), 1e-8
_INITIAL = 0.1  # weights begin within ±0.1


@dataclass(frozen=True)
class _Step:
    """What the backward pass needs of a step.

    Attributes:
        parameter, token: that were emitted.
        before: place of the input in the arrays: ("start", 0), or the embedding and row of the token before.
        x, h_before, c_before: (units,) inputs of the cell.
        gates: (4, units) input, forget and output gate and candidate, after their functions.
        c, h: (units,) cell and output.
        probabilities: (tokens,).
    """

    parameter: int
    token: int
    before: tuple[str, int]
    x: np.ndarray
    h_before: np.ndarray
    c_before: np.ndarray
    gates: np.ndarray
    c: np.ndarray
    h: np.ndarray
    probabilities: np.ndarray


class Policy:
    """Emits one token for each parameter of a setting; each step takes the token before as its input.

    Arrays, with H units: ``start`` (1, H) is the first input, ``embedding_i`` (tokens, H) those after parameter i,
    ``kernel`` (H, 4H), ``recurrent`` (H, 4H) and ``bias`` (4H) the LSTM's, ``head_i`` (H, tokens) and ``head_bias_i``
    (tokens) turn its output into the logits of parameter i.
    """

    def __init__(self, sizes: Sequence[int], *, units: int, learning_rate: float, entropy: float, seed: int) -> None:
        generator = np.random.Generator(np.random.PCG64(seed))
        self._units, self._rate, self._entropy = units, learning_rate, entropy
        shapes: dict[str, tuple[int, ...]] = {"start": (1, units)}
        shapes |= {f"embedding_{place}": (size, units) for place, size in enumerate(sizes)}
        shapes |= {"kernel": (units, 4 * units), "recurrent": (units, 4 * units), "bias": (4 * units,)}
        shapes |= {f"head_{place}": (units, size) for place, size in enumerate(sizes)}
        shapes |= {f"head_bias_{place}": (size,) for place, size in enumerate(sizes)}
        self.arrays: Arrays = {name: generator.uniform(-_INITIAL, _INITIAL, shape) for name, shape in shapes.items()}
        self._means = {name: np.zeros(shape) for name, shape in shapes.items()}
        self._squares = {name: np.zeros(shape) for name, shape in shapes.items()}
        self._steps = 0

    def begin(self, generator: np.random.Generator) -> Drawing:
        """Begin a setting."""
        return Drawing(self, generator)

    def step(self, taken: Sequence[_Step], parameter: int, token: int | None, draw: float = 0.0) -> _Step:
        """Take a step after others.

        Args:
            taken: steps so far.
            parameter: whose token is emitted.
            token: that is emitted; None: the one that ``draw`` falls on.
            draw: from 0 to 1.
        """
        units, arrays = self._units, self.arrays
        before = (f"embedding_{taken[-1].parameter}", taken[-1].token) if taken else ("start", 0)
        x = arrays[before[0]][before[1]]
        h, c = (taken[-1].h, taken[-1].c) if taken else (np.zeros(units), np.zeros(units))
        sums = (x @ arrays["kernel"] + h @ arrays["recurrent"] + arrays["bias"]).reshape(4, units)
        gates = np.concatenate([1 / (1 + np.exp(-sums[:3])), np.tanh(sums[3:])])
        cell = gates[1] * c + gates[0] * gates[3]
        output = gates[2] * np.tanh(cell)
        logits = output @ arrays[f"head_{parameter}"] + arrays[f"head_bias_{parameter}"]
        exponentials = np.exp(logits - logits.max())
        probabilities = exponentials / exponentials.sum()
        if token is None:
            token = min(int(np.searchsorted(np.cumsum(probabilities), draw, side="right")), len(probabilities) - 1)
        return _Step(parameter, token, before, x, h, c, gates, cell, output, probabilities)

    def loss_and_gradients(self, samples: Sequence[Sample], advantages: np.ndarray) -> tuple[float, Arrays]:
        """Return the loss and its gradients: REINFORCE with an entropy term.

        The loss is -1/N Σ_samples (advantage · Σ_t log π(token_t) + entropy · Σ_t H_t), with H_t the entropy of the
        distribution of step t.

        Args:
            samples: N sequences of tokens.
            advantages: (N,) rewards less the baseline.
        """
        gradients = {name: np.zeros_like(array) for name, array in self.arrays.items()}
        loss = 0.0
        for sample, advantage in zip(samples, advantages, strict=True):
            steps: list[_Step] = []
            for parameter, token in sample:
                steps.append(self.step(steps, parameter, token))
            loss += self._add_gradients(gradients, steps, float(advantage), 1 / len(samples))
        return loss, gradients

    def _add_gradients(self, gradients: Arrays, steps: Sequence[_Step], advantage: float, weight: float) -> float:
        """Add one sample's gradients, last step first; return its part of the loss."""
        arrays, loss = self.arrays, 0.0
        of_h, of_c = np.zeros(self._units), np.zeros(self._units)
        for step in reversed(steps):
            logs = np.log(step.probabilities + 1e-300)
            entropy = -float(step.probabilities @ logs)
            loss -= weight * (advantage * logs[step.token] + self._entropy * entropy)
            of_logits = weight * (advantage + self._entropy * (logs + entropy)) * step.probabilities
            of_logits[step.token] -= weight * advantage
            gradients[f"head_{step.parameter}"] += np.outer(step.h, of_logits)
            gradients[f"head_bias_{step.parameter}"] += of_logits
            of_h = of_h + arrays[f"head_{step.parameter}"] @ of_logits
            i, f, o, g = step.gates
            squashed = np.tanh(step.c)
            of_c = of_c + of_h * o * (1 - squashed**2)
            of_gates = (of_c * g * i * (1 - i), of_c * step.c_before * f * (1 - f), of_h * squashed * o * (1 - o))
            of_sums = np.concatenate([*of_gates, of_c * i * (1 - g**2)])
            gradients["kernel"] += np.outer(step.x, of_sums)
            gradients["recurrent"] += np.outer(step.h_before, of_sums)
            gradients["bias"] += of_sums
            gradients[step.before[0]][step.before[1]] += arrays["kernel"] @ of_sums
            of_h, of_c = arrays["recurrent"] @ of_sums, of_c * f
        return loss

    def learn(self, samples: Sequence[Sample], advantages: np.ndarray) -> None:
        """Take a step of Adam (Kingma and Ba, 2014)."""
        _, gradients = self.loss_and_gradients(samples, advantages)
        self._steps += 1
        for name, gradient in gradients.items():
            self._means[name] += (1 - _BETAS[0]) * (gradient - self._means[name])
            self._squares[name] += (1 - _BETAS[1]) * (gradient**2 - self._squares[name])
            mean = self._means[name] / (1 - _BETAS[0] ** self._steps)
            square = self._squares[name] / (1 - _BETAS[1] ** self._steps)
            self.arrays[name] -= self._rate * mean / (np.sqrt(square) + _EPSILON)

    def state(self) -> Arrays:
        """Return all arrays by name, Adam's included."""
        parts = {"weights": self.arrays, "means": self._means, "squares": self._squares}
        kept = {f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()}
        return {"steps": np.array(self._steps), **kept}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what :meth:`state` returned."""
        parts = {"weights": self.arrays, "means": self._means, "squares": self._squares}
        for part, arrays in parts.items():
            for name in arrays:
                arrays[name] = np.array(state[f"{part}/{name}"])
        self._steps = int(state["steps"])


@dataclass
class Drawing:
    """A setting in the making."""

    policy: Policy
    generator: np.random.Generator
    _steps: list[_Step] = field(default_factory=list)

    def token(self, parameter: int) -> int:
        """Emit the token of the next parameter."""
        self._steps.append(self.policy.step(self._steps, parameter, None, self.generator.random()))
        return self._steps[-1].token

    def sample(self) -> Sample:
        """Return what has been emitted."""
        return tuple((step.parameter, step.token) for step in self._steps)
