"""A trained network as arrays and text, without any object of a framework."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.models import Architecture, Constants, output_values, read_architecture
from tandem.scaling import Scaler
from tandem.sklearn import process


@dataclass(frozen=True)
class FittedNetwork:
    """A trained network, its scaler, and what builds it again wherever it is asked for predictions.

    Attributes:
        framework: that trained it, and predicts.
        threads: that it computes with.
        constants: as declared.
        architecture: JSON, see :func:`tandem.models.write_architecture`.
        scaler: JSON of the :class:`tandem.scaling.Scaler` that samples go through first.
        weights: arrays by "layer/parameter", in Keras's layout.
    """

    framework: str
    threads: int
    constants: Constants
    architecture: str
    scaler: str
    weights: Mapping[str, np.ndarray]

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "weights": dict(self.weights)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name in type(self).__dataclass_fields__:
            object.__setattr__(self, name, state[name])  # the class is frozen

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Return values (n, 1), or probabilities (n, classes), float64, of rows (n, columns) in original units.

        Raises:
            EstimatorError: the process cannot use the framework.
            DataError: the network does not take the rows.
        """
        architecture = _architecture(self.architecture)
        samples = rows.reshape(len(rows), *architecture.input_shape)
        # In float32 a row's numbers would depend on which rows stand beside it.
        features = Scaler.model_validate_json(self.scaler).transform(samples, "float64")
        architecture.check_rows(features)
        with process.TURN:
            framework = process.framework_for(self.framework, self.threads, training=False)
            network = process.network_for(framework, architecture, self.constants)
            framework.load_weights(network, self.weights)
            raw = framework.predict(network, features)[0]
        return output_values(architecture, raw)


@functools.lru_cache(maxsize=process.KEPT)
def _architecture(text: str) -> Architecture:
    return read_architecture(text)
