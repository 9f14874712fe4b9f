"""Prefect: whether its server can be imported, which a wrong FastAPI breaks."""

from __future__ import annotations

import importlib
from typing import Any


def probe(_request: dict[str, str]) -> dict[str, Any]:
    """Import it."""
    importlib.import_module("prefect.server")
    return {"version": importlib.import_module("prefect").__version__}
