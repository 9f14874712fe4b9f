"""Diabetes progression of 442 patients, shipped inside scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from tandem.datasets.source import ArraySource, KnownSource, Options, Rows, numeric_columns
from tandem.records import Description


class _Diabetes(ArraySource, KnownSource):
    def make(self, options: Options) -> tuple[Rows, None]:
        from sklearn.datasets import load_diabetes

        data: Any = load_diabetes(scaled=False)
        return Rows(data.data.astype(np.float64), data.target.astype(np.float64)), None


SOURCE = _Diabetes(
    Description(
        title="Diabetes progression",
        reference="B. Efron, T. Hastie, I. Johnstone and R. Tibshirani, Least angle regression, 2004; "
        "as shipped with scikit-learn",
        task="regression",
        feature_shape=(10,),
        columns=numeric_columns("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"),
        target_name="disease progression one year after baseline",
    ),
)
