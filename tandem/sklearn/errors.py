"""The error of the estimators."""

from __future__ import annotations

from tandem.errors import ParameterError


class EstimatorError(ParameterError, ValueError):
    """A parameter of an estimator is wrong, or does not fit the data; scikit-learn expects a ValueError."""
