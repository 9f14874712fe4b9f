"""Strategies that propose settings, one module each, found by scanning.

:mod:`tandem.searches.strategies.strategy` says what a module defines.
"""

from __future__ import annotations

import functools
import importlib
import json
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from tandem.searches.strategies.strategy import Circumstances, Settings, Strategy

__all__ = [
    "Circumstances", "Settings", "Strategy", "declaration", "make_strategy", "read_settings", "strategy_names",
]  # fmt: skip

_SHARED_MODULES = {"strategy", "study", "policy"}


@functools.cache
def strategy_names() -> tuple[str, ...]:
    """Return the names of all strategies: the module names in this folder."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in names if name not in _SHARED_MODULES))


def _module(name: str) -> ModuleType:
    if name not in strategy_names():
        raise KeyError(name)
    return importlib.import_module(f"{__name__}.{name}")


def declaration(name: str) -> type[Settings]:
    """Return the settings that a strategy takes.

    Raises:
        KeyError: there is no such module.
    """
    found: type[Settings] = _module(name).Declaration
    return found


def read_settings(name: str, declared: Mapping[str, Any]) -> Settings:
    """Check the settings of a strategy.

    Raises:
        ValidationError: they are wrong.
        KeyError: there is no such strategy.
    """
    return declaration(name).model_validate_json(json.dumps(declared, default=str))


def make_strategy(name: str, declared: Mapping[str, Any], circumstances: Circumstances) -> Strategy:
    """Return a strategy that has proposed nothing yet.

    Raises:
        ValidationError: its settings are wrong.
        KeyError: there is no such strategy.
    """
    made: Strategy = _module(name).STRATEGY(read_settings(name, declared), circumstances)
    return made
