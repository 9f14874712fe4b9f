"""How names of params.yaml and of metrics are written for people."""

from __future__ import annotations

from collections.abc import Sequence

from tandem.records import Margin

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
_LEAST_SHOWN_P = 1e-4


def listing(words: Sequence[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def margin_words(margin: Margin) -> str:
    """Return a margin of equivalence as it is said: "5 % of the error", or "0.01"."""
    return f"{100 * margin.size:g}\N{NO-BREAK SPACE}% of the error" if margin.relative else f"{margin.size:g}"


def format_p(p: float) -> str:
    """Return a p-value: "= 0.013", or "< 0.0001"."""
    return f"< {_LEAST_SHOWN_P:.4f}" if p < _LEAST_SHOWN_P else f"= {p:.2g}"
