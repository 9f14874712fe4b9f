"""What all tests share: a small valid declaration, and a hermetic environment for commands in processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hermetic import hermetic_environment

PARAMS = """\
suite:
  experiments: [digits-mlp, coffee]
  frameworks: [keras, torch]
datasets:
  digits:
    source: digits
    split: {method: holdout, test: 0.25, valid: 0.25, seeds: [7, 11], stratify: true}
    standardize: {method: zscore, per: all}
  diabetes:
    source: diabetes
    split: {method: holdout, test: 0.25, valid: 0.25, seeds: [7, 11]}
    standardize: {method: zscore}
  coffee:
    source: {name: coffee, samples: 200}
    split: {method: first-n, valid: 0}
    standardize: {method: zscore}
experiments:
  digits-mlp:
    description: Reads digits.
    dataset: digits
    model:
      sequential:
        - flatten: {}
        - dense: {units: 8, activation: relu}
    loss: cross_entropy
    optimizer: {name: sgd, learning_rate: 0.05}
    training: {epochs: 2, batch_size: 32}
  wide:
    description: Wide and deep.
    dataset: diabetes
    model:
      wide_deep: {wide: [0, 1], deep: [2, 3], hidden: [4]}
    loss: mse
    optimizer: {name: adam, learning_rate: 0.01}
    training: {epochs: 3, batch_size: 16}
  coffee:
    description: Roasts.
    dataset: coffee
    model:
      sequential: []
    loss: binary_cross_entropy
    optimizer: {name: rmsprop, learning_rate: 0.01}
    training: {epochs: 4, batch_size: 8, checkpoint: last}
"""


def pytest_configure() -> None:
    """Let Ctrl-C reach what the tests start: a shell that runs pytest in the background has it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def params_text() -> str:
    """A small valid params.yaml of three data sets and three experiments."""
    return PARAMS


@pytest.fixture
def write_params(tmp_path: Path) -> Callable[..., Path]:
    """Write the small params.yaml, each (old, new) pair replaced once; an ``old`` that is not there fails."""

    def write(*changes: tuple[str, str]) -> Path:
        text = PARAMS
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the declaration"
            text = text.replace(old, new)
        path = tmp_path / "params.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def hermetic(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that sees no file of the user's, no mirror and no switch of Tandem's."""
    return hermetic_environment(tmp_path_factory.mktemp("home")) | {
        "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect"))
    }


@pytest.fixture
def python(hermetic: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python with arguments in ``tmp_path``; keyword arguments are more environment variables."""

    def call(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=hermetic | more,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return call


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder with the genuine data files, named by TANDEM_DATA."""
    folder = os.environ.get("TANDEM_DATA")
    if not folder:
        pytest.skip("TANDEM_DATA is unset: it names the folder with the genuine data files")
    return Path(folder)
