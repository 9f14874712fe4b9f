"""How a search's parameters are named, written and laid out along an axis."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tandem.report.formats import MINUS, SPACE, format_number, format_value
from tandem.searches.records import SearchedParameter
from tandem.searches.values import is_ordered, value_key

_MOST_LEVELS = 10  # values of an integer that get a place each; more share an axis of numbers


@dataclass(frozen=True)
class ParameterAxis:
    """A parameter as figures lay it out.

    Attributes:
        name: as the space calls it.
        label: its end, as short as tells it from the others.
        ordered: its values are numbers.
        levels: values with a place each, evenly spaced, in order; none on an axis of numbers.
        low, high: ends of an axis of numbers.
        log: it is logarithmic.
        whole: its numbers are whole.
        conditional: not every setting has it.
    """

    name: str
    label: str
    ordered: bool
    levels: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    whole: bool = False
    conditional: bool = False

    @property
    def title(self) -> str:
        """The label, with the scale where it is not plain."""
        return f"{self.label} (logarithmic)" if self.log else self.label

    def place(self, value: Any) -> float:
        """Return where a value lies: from 0 to 1, or at the middle of its level."""
        if self.levels:
            return (self.level(value) + 0.5) / len(self.levels)
        if self.high == self.low:
            return 0.5
        if self.log:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (float(value) - self.low) / (self.high - self.low)

    def level(self, value: Any) -> int:
        """Return which level a value is, from 0."""
        return [value_key(level) for level in self.levels].index(value_key(value))

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Return places and texts: each level, or round numbers."""
        if self.levels:
            return tuple((self.place(level), write_value(level)) for level in self.levels)
        return tuple((self.place(number), write_value(number)) for number in self._round_numbers())

    def _round_numbers(self) -> list[float]:
        if self.high == self.low:
            return [self.low]
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            powers = [10.0**power for power in range(first, last + 1)]
            if len(powers) > 2:
                return powers[:: math.ceil(len(powers) / 6)]
            factors = [f * 10.0**p for p in range(first - 1, last + 1) for f in (1, 2, 5)]
            inside = [number for number in factors if self.low * (1 - 1e-9) <= number <= self.high * (1 + 1e-9)]
            return inside if len(inside) > 1 else [self.low, self.high]
        span = self.high - self.low
        power = 10.0 ** math.floor(math.log10(span))
        steps = [step * power for step in (0.1, 0.2, 0.5, 1.0, 2.0) if span / (step * power) <= 5.5]
        step = max(min(steps), 1.0) if self.whole else min(steps)
        first = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


def parameter_axes(space: Sequence[SearchedParameter]) -> tuple[ParameterAxis, ...]:
    """Return the axes of a space's parameters."""
    labels = short_labels([entry.name for entry in space])
    return tuple(_axis(entry, labels[entry.name]) for entry in space)


def _axis(entry: SearchedParameter, label: str) -> ParameterAxis:
    ordered, conditional = is_ordered(entry), bool(entry.when)
    if entry.kind == "choice":
        levels = tuple(sorted(entry.choices)) if ordered else entry.choices
        return ParameterAxis(entry.name, label, ordered, levels, conditional=conditional)
    low, high = float(entry.low or 0.0), float(entry.high or 0.0)
    whole = entry.kind == "integer"
    if whole and not entry.log and high - low < _MOST_LEVELS:
        return ParameterAxis(entry.name, label, True, tuple(range(int(low), int(high) + 1)), conditional=conditional)
    return ParameterAxis(entry.name, label, True, (), low, high, entry.log, whole, conditional)


def short_labels(names: Sequence[str]) -> dict[str, str]:
    """Return each name's end from a dot on, as short as tells it from the others; ``name`` alone says too little."""
    labels = {}
    for name in names:
        parts = name.split(".")
        ends = [".".join(parts[start:]) for start in range(len(parts) - 1, -1, -1)]
        others = [other for other in names if other != name]
        fit = [e for e in ends if e != "name" and not any(f".{other}".endswith(f".{e}") for other in others)]
        labels[name] = fit[0] if fit else name
    return labels


def write_value(value: Any) -> str:
    """Return a parameter's value as it is read: "0.002", "15", "relu", "true"."""
    if isinstance(value, bool) or value is None or isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False)
    if not isinstance(value, int | float):
        return str(value)
    if value == 0 or float(value).is_integer():
        return format_value(value)
    if not 1e-4 <= abs(value) < 1e6:
        mantissa = f"{abs(value):.3e}".partition("e")[0].rstrip("0").rstrip(".")
        text = format_number(value, len(mantissa.replace(".", "")))
        return text.replace("1\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}", "") if mantissa == "1" else text
    return f"{value:.4g}".replace("-", MINUS)


def write_setting(parameters: Mapping[str, Any], axes: Sequence[ParameterAxis]) -> str:
    """Return a setting as it is said: "units = 15, learning_rate = 0.002"."""
    told = [
        f"{axis.label}{SPACE}={SPACE}{write_value(parameters[axis.name])}" for axis in axes if axis.name in parameters
    ]
    return ", ".join(told) if told else "no such parameter"
