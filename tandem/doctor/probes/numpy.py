"""NumPy: version, and a small matrix product."""

from __future__ import annotations

import importlib
from typing import Any

_SIZE = 8


def probe(_request: dict[str, str]) -> dict[str, Any]:
    """Import it and compute."""
    numpy = importlib.import_module("numpy")
    rows = [[float(row * column % 7) for column in range(_SIZE)] for row in range(_SIZE)]
    expected = [[sum(a * b for a, b in zip(row, column)) for column in zip(*rows)] for row in rows]  # noqa: B905
    right = (numpy.array(rows) @ numpy.array(rows)).tolist() == expected
    failure = "" if right else "the product of two small matrices is wrong"
    return {
        "versions": {"numpy": numpy.__version__},
        "origin": str(numpy.__file__),
        "devices": [{"name": "CPU", "kind": "cpu", "failure": failure}],
    }
