"""How names of params.yaml and of metrics are written for people."""

from __future__ import annotations

FRAMEWORKS = {"keras": "Keras", "torch": "PyTorch", "numpy": "NumPy"}
METRICS = {
    "accuracy": "accuracy",
    "log_loss": "log loss",
    "mse": "mean squared error",
    "rmse": "root mean squared error",
    "mae": "mean absolute error",
    "r2": "R²",
}
# For tables and axes.
SHORT_METRICS = {**METRICS, "mse": "MSE", "rmse": "RMSE", "mae": "MAE"}
