"""Computes one framework's side of the parity tests in a process of its own: FRAMEWORK FILE."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from cases import BATCH, KINDS, OPTIMIZERS, ROWS

from tandem.frameworks import Framework, load_framework

ORDER = np.arange(ROWS, dtype=np.int32)


def main() -> None:
    name, file = sys.argv[1:]
    framework = load_framework(name)
    framework.set_up(1)
    arrays: dict[str, np.ndarray] = {}
    for kind in KINDS:
        for dtype in ("float64", "float32"):
            for optimizer in OPTIMIZERS if dtype == "float64" and kind in DEEPLY else ["sgd"]:
                _train(framework, kind, dtype, optimizer, arrays)
        arrays |= {f"{kind}/{key}": value for key, value in _save_and_load(framework, kind).items()}
        summary = framework.summarize(framework.build(KINDS[kind].architecture, seed=1, constants="aligned"))
        arrays[f"{kind}/parameters"] = np.array([summary.parameters, summary.trainable])
    other = {"keras": "torch", "torch": "tensorflow"}[name]
    assert other not in sys.modules, f"{name}'s process imported {other}"
    np.savez(file, allow_pickle=False, **arrays)


DEEPLY = ("dense-relu", "batch-normalisation-before", "wide-deep-two-outputs")  # with every optimiser


def _train(framework: Framework, kind: str, dtype: str, optimizer: str, arrays: dict[str, np.ndarray]) -> None:
    case, declared = KINDS[kind], OPTIMIZERS[optimizer]
    rows = case.rows(dtype)
    network = framework.build(case.architecture, seed=3, constants="aligned", dtype=dtype)
    key = f"{kind}/{dtype}/{optimizer}"
    arrays[f"{key}/untrained"] = np.stack(framework.predict(network, rows.features))
    trainer = framework.trainer(network, rows, declared, constants="aligned")
    rate = case.learning_rate if optimizer == "sgd" else declared.learning_rate
    totals = trainer.train_epoch(ORDER, BATCH, np.full(ROWS // BATCH, rate), 0)
    arrays[f"{key}/totals"] = np.array(totals)
    arrays[f"{key}/trained"] = np.stack(framework.predict(network, rows.features))
    for name, weight in framework.weights(network).items():
        arrays[f"{key}/weights/{name}"] = weight


def _save_and_load(framework: Framework, kind: str) -> dict[str, np.ndarray]:
    """Save a network twice and load it; return its predictions before and after, and the sizes of the files."""
    case = KINDS[kind]
    found = {}
    for constants in ("aligned", "native"):
        network = framework.build(case.architecture, seed=5, constants=constants)
        features = case.rows("float32").features
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            framework.save(network, Path(one))
            framework.save(network, Path(two))
            files = sorted(Path(one).iterdir())
            same = all(file.read_bytes() == (Path(two) / file.name).read_bytes() for file in files)
            loaded = framework.load(Path(one), case.architecture, constants)
        found[f"{constants}/saved"] = np.stack(framework.predict(network, features))
        found[f"{constants}/loaded"] = np.stack(framework.predict(loaded, features))
        found[f"{constants}/same bytes"] = np.array(same and bool(files))
    return found


if __name__ == "__main__":
    main()
