"""The errors of the runner that a user can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GraphError(Exception):
    """One clear line: what is wrong, where it stands, and the next step."""


class StoppedError(GraphError):
    """The run was stopped before it began."""


class BusyError(Exception):
    """Another DVC process is in the way; nothing was done, and trying again later will do."""


class RepositoryBusyError(BusyError):
    """Another DVC process holds the repository's lock."""


class PathsBusyError(BusyError):
    """Another DVC process works on the same paths."""


def nearest(wrong: str, allowed: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" if one of ``allowed`` resembles ``wrong``, else an empty text."""
    found = difflib.get_close_matches(wrong, list(allowed), n=1, cutoff=0.5)
    return f"; did you mean '{found[0]}'?" if found else ""


def one_line(text: str) -> str:
    """Return ``text`` with its lines and runs of blanks joined by single blanks."""
    return " ".join(text.split())
