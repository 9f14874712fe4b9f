"""Breast cancer diagnoses from 30 measurements of cell nuclei, shipped inside scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from tandem.datasets.source import ArraySource, KnownSource, Options, Rows, numeric_columns
from tandem.records import Description

_MEASURES = (
    "radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points",
    "symmetry", "fractal dimension",
)  # fmt: skip


class _BreastCancer(ArraySource, KnownSource):
    def make(self, options: Options) -> tuple[Rows, None]:
        from sklearn.datasets import load_breast_cancer

        data: Any = load_breast_cancer()
        return Rows(data.data.astype(np.float64), data.target.astype(np.int64)), None


SOURCE = _BreastCancer(
    Description(
        title="Breast cancer Wisconsin (diagnostic)",
        reference="W. Street, W. Wolberg and O. Mangasarian, UCI Machine Learning Repository, 1995; "
        "as shipped with scikit-learn",
        task="classification",
        feature_shape=(30,),
        columns=numeric_columns(
            *(f"mean {name}" for name in _MEASURES),
            *(f"{name} error" for name in _MEASURES),
            *(f"worst {name}" for name in _MEASURES),
        ),
        class_names=("malignant", "benign"),
        target_name="diagnosis",
    ),
)
