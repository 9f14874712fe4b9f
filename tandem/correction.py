"""The correction of p-values for several comparisons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tandem.records import Significance

ALPHA = 0.05


def holm(p_values: Sequence[float]) -> list[Significance]:
    """Correct p-values for their number by Holm's step-down method (1979), which holds for dependent ones too."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return [
        Significance(p=p, adjusted=float(corrected), comparisons=len(p_values))
        for p, corrected in zip(p_values, adjusted, strict=True)
    ]
