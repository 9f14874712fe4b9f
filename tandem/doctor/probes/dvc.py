"""DVC: whether its repository code can be imported."""

from __future__ import annotations

import importlib
from typing import Any


def probe(_request: dict[str, str]) -> dict[str, Any]:
    """Import it."""
    importlib.import_module("dvc.repo")
    return {"version": importlib.import_module("dvc").__version__}
