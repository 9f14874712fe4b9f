"""What scikit-learn's ``check_estimator`` asks of an estimator and these do not give."""

from __future__ import annotations

from collections.abc import Mapping

# Name of an estimator → name of a check → why it fails; to be given as ``expected_failed_checks``.
EXPECTED_FAILED_CHECKS: Mapping[str, Mapping[str, str]] = {"TandemClassifier": {}, "TandemRegressor": {}}
