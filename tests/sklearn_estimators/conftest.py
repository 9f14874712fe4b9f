"""What the estimators' tests share."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hermetic import hermetic_environment


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Run the worker with arguments in a process of its own; return what it prints as JSON."""

    def call(*arguments: str) -> Any:
        done = subprocess.run(
            [sys.executable, str(Path(__file__).parent / "estimator_worker.py"), *arguments],
            cwd=tmp_path_factory.mktemp("worker"),
            env=hermetic_environment(tmp_path_factory.mktemp("home")),
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.splitlines()[-1])

    return call
