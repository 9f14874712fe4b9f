"""scikit-learn estimators around an experiment: a classifier and a regressor, trained by either framework."""

from __future__ import annotations

from tandem.sklearn.checks import EXPECTED_FAILED_CHECKS
from tandem.sklearn.errors import EstimatorError
from tandem.sklearn.estimators import TandemClassifier, TandemRegressor

__all__ = ["EXPECTED_FAILED_CHECKS", "EstimatorError", "TandemClassifier", "TandemRegressor"]
