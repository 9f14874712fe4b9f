"""What a stage needs of the machine: read from ``meta:`` of the stage in dvc.yaml."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dvcgraph.errors import GraphError

_KEYS = ("threads", "device", "count", "memory", "required")
_UNITS = {"MIB": 2**20, "GIB": 2**30, "TIB": 2**40, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")
_SIZES = "a size such as 8 GiB (units: MiB, GiB, TiB, MB, GB, TB; without one GiB is meant)"
_RESEMBLANCE = 0.85  # of a key to ours; below it, the key is the user's own


@dataclass(frozen=True)
class Needs:
    """What one stage needs; without ``device`` it takes no lease and its environment is left alone."""

    threads: int = 1  # for each device
    device: Literal["gpu", "cpu"] | None = None
    count: int = 1
    memory: int | None = None  # bytes that each GPU must have in all
    required: bool = False  # must have a GPU: no fallback to the CPU

    @property
    def all_threads(self) -> int:
        """The threads of all devices together, which count against the cores."""
        return self.threads * self.count


def read_needs(meta: Any, stage: str, parameter: Callable[[str], Any]) -> Needs:
    """Read the needs of a stage from its ``meta:``.

    Args:
        meta: what dvc.yaml holds there; keys other than ours are the user's own and left alone.
        stage: the stage's name, for errors.
        parameter: returns the value of a parameter by its dotted name; None if it is not there.

    Raises:
        GraphError: a key of ours is misspelt, or its value is not allowed.
    """
    if not isinstance(meta, Mapping):
        return Needs()
    place = f"stage '{stage}': meta in dvc.yaml"
    _refuse_misspelt_keys(meta, place)
    device = _device(meta, place)
    needs = Needs(
        threads=_number(meta.get("threads"), f"{place}: threads", parameter),
        device=device,
        count=_number(meta.get("count"), f"{place}: count", parameter),
        memory=_memory(meta.get("memory"), place),
        required=_truth(meta.get("required", False), place),
    )
    for key, allowed in (("count", device is not None), ("memory", device == "gpu"), ("required", device == "gpu")):
        if not allowed and meta.get(key) is not None and meta[key] is not False:
            kind = "gpu or cpu" if key == "count" else "gpu"
            stands = f"device is {device}" if device else "no device is named"
            raise GraphError(f"{place}: {key} goes with device: {kind}, but {stands}; add the one or remove the other")
    return needs


def read_size(value: Any) -> int | None:
    """Return the bytes that "8 GiB", "16GB" or a bare number of GiB stands for; None if it is no such size."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        size = value * 2**30
    elif isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        unit = _UNITS.get(match[2].upper() or "GIB")
        size = float(match[1]) * unit if unit else 0
    else:
        return None
    return int(size) if math.isfinite(size) and size >= 1 else None


def _refuse_misspelt_keys(meta: Mapping[Any, Any], place: str) -> None:
    for key in meta:
        if not isinstance(key, str) or key in _KEYS:
            continue
        found = difflib.get_close_matches(key.lower(), _KEYS, n=1, cutoff=_RESEMBLANCE)
        if found:
            raise GraphError(
                f"{place}: '{key}' is not known; did you mean '{found[0]}'? "
                "(a key of your own must differ more from ours)"
            )


def _device(meta: Mapping[Any, Any], place: str) -> Literal["gpu", "cpu"] | None:
    match meta.get("device"):
        case None:
            return None
        case "gpu":
            return "gpu"
        case "cpu":
            return "cpu"
        case wrong:
            raise GraphError(f"{place}: device is {wrong!r}; allowed: gpu, cpu")


def _number(value: Any, place: str, parameter: Callable[[str], Any]) -> int:
    if value is None:
        return 1
    if isinstance(value, str) and not value.strip().isdecimal():
        found = parameter(value)
        return 1 if found is None else _whole_number(found, f"{place}: the parameter {value}")
    return _whole_number(value, place, ", or the dotted name of a parameter")


def _whole_number(value: Any, place: str, more: str = "") -> int:
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)  # DVC's templates give text where more than the number stands in the line
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise GraphError(f"{place} is {value!r}; allowed: a whole number of at least 1{more}")
    return value


def _memory(value: Any, place: str) -> int | None:
    if value is None:
        return None
    size = read_size(value)
    if size is None:
        raise GraphError(f"{place}: memory is {value!r}; allowed: {_SIZES}")
    return size


def _truth(value: Any, place: str) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise GraphError(f"{place}: required is {value!r}; allowed: true (must have a GPU), false")
    return value
