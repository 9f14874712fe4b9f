"""The environment of a process that sees no file of the user's, no mirror and no switch of Tandem's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
_NOT_INHERITED = ("TANDEM_", "PREFECT_", "DVC", "GIT_")


def hermetic_variables(home: Path) -> dict[str, str]:
    """Return the variables that keep git, DVC, Prefect and Chromium away from the user's own files."""
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "DVC_SITE_CACHE_DIR": str(home / "dvc-site"),
        "DVC_GLOBAL_CONFIG_DIR": str(home / "dvc-global"),
        "DVC_SYSTEM_CONFIG_DIR": str(home / "dvc-system"),
        "DVC_NO_ANALYTICS": "1",
        "TANDEM_LEASES": str(home / "leases"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
        "GIT_AUTHOR_NAME": "Test",
        "GIT_AUTHOR_EMAIL": "test@example.com",
        "GIT_COMMITTER_NAME": "Test",
        "GIT_COMMITTER_EMAIL": "test@example.com",
        "SHELL": "/bin/sh",
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def hermetic_environment(home: Path) -> dict[str, str]:
    """Return a whole environment: what a process needs of ours, with :func:`hermetic_variables` over it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    return kept | hermetic_variables(home) | {"COLUMNS": "200"}
