"""The errors that Tandem raises on purpose; every one prints as clear lines, without a traceback."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import Any


class TandemError(Exception):
    """Root of all errors that a user can act on.

    The message names the wrong value, where it stands, the allowed values and the next step.
    """


class ParameterError(TandemError):
    """params.yaml or runs.yaml is wrong; one line for each mistake."""


class DataError(TandemError):
    """A data file is missing, damaged or of the wrong shape."""


class ModelError(TandemError):
    """A saved model is missing or damaged, or does not fit its declaration."""


class StorageError(TandemError):
    """A file could not be written; nothing half-written is left."""


def suggest(wrong: str, allowed: Iterable[str]) -> str:
    """Return "allowed: a, b; did you mean 'a'?" for a value that is not one of ``allowed``."""
    names = sorted(str(name) for name in allowed)
    nearest = difflib.get_close_matches(str(wrong), names, n=1, cutoff=0.5)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else ""
    return f"allowed: {', '.join(names)}{hint}"


def show_value(value: Any) -> str:
    """Return a wrong value as a message shows it: text in quotes, the rest as JSON, cut where it is long."""
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
