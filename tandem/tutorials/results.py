"""Results of the tutorials' experiments, as the stages wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tandem.records import DataDescription, EvaluationRecord, History, RunRecord


@dataclass(frozen=True)
class Result:
    """One experiment in one framework.

    Attributes:
        run, evaluation, histories, data: what the stages recorded; a history a training.
        outputs: of the first head on the test rows: (trainings, n, classes) probabilities, or (trainings, n) values;
            NaN where a training diverged.
        features: (n, ...) of the test rows, raw.
        current: the declaration is still the one that was trained.
    """

    run: RunRecord
    evaluation: EvaluationRecord
    histories: tuple[History, ...]
    data: DataDescription
    outputs: np.ndarray
    features: np.ndarray
    current: bool = True


# (experiment, framework) → its result; those that were never run are left out.
Results = Mapping[tuple[str, str], Result]
