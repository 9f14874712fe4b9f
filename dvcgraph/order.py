"""Which stage goes first: the one with the longest path of work still behind it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from dvcgraph.adapter import StageNode


def remaining_seconds(nodes: Sequence[StageNode], durations: Mapping[str, float]) -> dict[str, float]:
    """Return, for each stage, the seconds of the longest path that begins with it.

    Starting the stage with the longest remaining path first is the critical-path rule of list scheduling
    (Graham, "Bounds on multiprocessing timing anomalies", SIAM J. Appl. Math. 17, 1969).

    Args:
        nodes: the stages, inputs before what depends on them.
        durations: seconds that stages took when they last ran; one that is not known is taken to last as long
            as the median of those that are.
    """
    usual = statistics.median(durations.values()) if durations else 1.0
    remaining = dict.fromkeys((node.name for node in nodes), 0.0)
    for node in reversed(nodes):
        remaining[node.name] += durations.get(node.name, usual)
        for before in (*node.upstream, *node.after):
            remaining[before] = max(remaining[before], remaining[node.name])
    return remaining
