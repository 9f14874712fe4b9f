"""What a parameter's values are: numbers or names, and when two are equal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tandem.searches.records import SearchedParameter


def value_key(value: Any) -> str:
    """Return what equal values have in common: 1 is 1.0, and true is not 1."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value))
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def setting_key(parameters: Mapping[str, Any]) -> str:
    """Return what equal settings have in common."""
    return json.dumps({name: value_key(value) for name, value in parameters.items()}, sort_keys=True)


def is_ordered(entry: SearchedParameter) -> bool:
    """Say whether a parameter's values are numbers."""
    return entry.kind != "choice" or all(
        isinstance(choice, int | float) and not isinstance(choice, bool) for choice in entry.choices
    )
