"""PyTorch: version, devices, a small matrix product on each."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

_SIZE = 8


def probe(_request: dict[str, str]) -> dict[str, Any]:
    """Import it and compute."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch = importlib.import_module("torch")
        found = [("CPU", "cpu", "cpu")]
        if torch.cuda.is_available():
            count = torch.cuda.device_count()
            found += [(f"GPU {i} {torch.cuda.get_device_name(i)}", "gpu", f"cuda:{i}") for i in range(count)]
        devices = [{"name": name, "kind": kind, "failure": _multiply(torch, place)} for name, kind, place in found]
    return {
        "versions": {"torch": torch.__version__},
        "origin": str(torch.__file__),
        "devices": devices,
        "cuda": torch.version.cuda,
        "warnings": [" ".join(str(warning.message).split())[:300] for warning in caught if _matters(warning)],
    }


def _matters(warning: warnings.WarningMessage) -> bool:
    return not issubclass(warning.category, (DeprecationWarning, FutureWarning, PendingDeprecationWarning))


def _multiply(torch: Any, place: str) -> str:
    """Return why the product of two small matrices is wrong on a device; empty: it is right."""
    rows = [[float(row * column % 7) for column in range(_SIZE)] for row in range(_SIZE)]
    expected = [[sum(a * b for a, b in zip(row, column)) for column in zip(*rows)] for row in rows]  # noqa: B905
    try:
        matrix = torch.tensor(rows, device=place)
        product = (matrix @ matrix).cpu().tolist()
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return "" if product == expected else "the product of two small matrices is wrong"
