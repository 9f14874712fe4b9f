"""Data sources, one module each; a new module that defines ``SOURCE`` is found by scanning."""

from __future__ import annotations

import functools
import importlib
import json
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tandem.datasets.source import Options, Rows, Source
from tandem.records import Description

__all__ = ["Description", "Options", "Rows", "Source", "describe", "read_options", "source", "source_names"]

_SHARED_MODULES = {"source", "download", "own", "tables", "inference"}


@functools.cache
def source_names() -> tuple[str, ...]:
    """Return the names of all sources: the module names in this folder."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in names if name not in _SHARED_MODULES))


def source(name: str) -> Source:
    """Return the source that ``tandem/datasets/<name>.py`` defines.

    Raises:
        KeyError: there is no such module.
    """
    if name not in source_names():
        raise KeyError(name)
    found = importlib.import_module(f"{__name__}.{name}").SOURCE
    if not isinstance(found, Source):
        raise TypeError(f"tandem/datasets/{name}.py: SOURCE is no Source")
    return found


def read_options(name: str, declared: Mapping[str, Any]) -> Options:
    """Check the settings of a source.

    Raises:
        ValidationError: they are wrong.
        KeyError: there is no such source.
    """
    return source(name).options.model_validate_json(json.dumps(declared, default=str))


def describe(name: str, declared: Mapping[str, Any]) -> Description:
    """Say what the data of a source is, given its settings; nothing is read.

    Raises:
        ValidationError: the settings are wrong.
        KeyError: there is no such source.
    """
    return source(name).describe(read_options(name, declared))


def all_sources() -> Mapping[str, Source]:
    """Return every source by name."""
    return MappingProxyType({name: source(name) for name in source_names()})
