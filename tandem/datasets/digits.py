"""Handwritten digits, 8 by 8 pixels, shipped inside scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from tandem.datasets.source import ArraySource, KnownSource, Options, Rows
from tandem.records import Description


class _Digits(ArraySource, KnownSource):
    def make(self, options: Options) -> tuple[Rows, None]:
        from sklearn.datasets import load_digits

        data: Any = load_digits()
        return Rows(data.images.astype(np.float32), data.target.astype(np.int64)), None


SOURCE = _Digits(
    Description(
        title="Optical recognition of handwritten digits",
        reference="E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998; as shipped with scikit-learn",
        task="classification",
        feature_shape=(8, 8),
        class_names=tuple(str(digit) for digit in range(10)),
        target_name="digit",
    ),
)
