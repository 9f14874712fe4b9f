"""The section on a search: which settings are best, by how much, and whether the frameworks prefer the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tandem.searches.records import SearchRecord


@dataclass(frozen=True)
class SearchInputs:
    """All that the section rests on; dictionaries are by framework, in the order compared."""

    records: Mapping[str, SearchRecord]
    seconds: Mapping[str, Mapping[int, float]] = field(default_factory=dict)  # number of a trial → wall time
