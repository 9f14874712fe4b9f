"""Runs the contract's cases in one framework, in a process of its own: FRAMEWORK FILE [CASE ...]."""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from contract import Case, cases

from tandem.frameworks import Framework, load_framework
from tandem.layers import layer_kind, layer_kinds
from tandem.layers.layer import Layer

OTHERS = {"keras": ("torch",), "torch": ("tensorflow", "keras"), "numpy": ("torch", "tensorflow", "keras")}
Arrays = dict[str, np.ndarray]
DROPOUT_ROWS, DROPOUT_COLUMNS = 500, 400
NATIVE_TOO = ("aligned", "native")


def main() -> None:
    name, file, *chosen = sys.argv[1:]
    framework = load_framework(name, alone=True)
    framework.set_up(1)
    found: dict[str, Arrays] = {}
    for case in cases().values():
        if name in case.frameworks and (not chosen or case.name in chosen):
            try:
                found[case.name] = _run(framework, case)
            except Exception as error:
                error.add_note(f"in {name}, case {case.name!r}")
                raise
    found["random"] = _random_outputs(name)
    imported = [other for other in OTHERS[name] if other in sys.modules]
    assert not imported, f"{name}'s process imported {imported}"
    _write(Path(file), found, _tables(name))


def _write(file: Path, found: dict[str, Arrays], tables: dict[str, list[str]]) -> None:
    """Write all numbers as one vector with an index: thousands of small arrays would take longer than the cases."""
    listed = [(case, key, np.asarray(array)) for case, arrays in found.items() for key, array in arrays.items()]
    index = {"arrays": [(case, key, array.shape) for case, key, array in listed], "tables": tables}
    values = np.concatenate([array.astype(np.float64).ravel() for _, _, array in listed])
    np.savez(file, allow_pickle=False, values=values, index=np.array(json.dumps(index)))


def _tables(name: str) -> dict[str, list[str]]:
    """Return the names that the framework's tables hold."""
    return {
        module: sorted(getattr(importlib.import_module(f"tandem.frameworks.{name}.{module}"), table))
        for module, table in TABLES[name].items()
    }


TABLES = {
    "keras": {"activations": "ACTIVATIONS", "losses": "SAMPLE_LOSSES", "optimizers": "OPTIMIZERS"},
    "torch": {"activations": "ACTIVATIONS", "losses": "LOSS_FUNCTIONS", "optimizers": "OPTIMIZERS"},
    "numpy": {"activations": "ACTIVATIONS", "losses": "GRADIENTS", "optimizers": "OPTIMIZERS"},
}


def _compile(framework: Framework, compiled: bool) -> None:
    """Have Keras compile its steps, or run them one by one: compiling takes half a second a network."""
    if framework.NAME == "keras":
        import tensorflow as tf

        tf.config.run_functions_eagerly(not compiled)


def _run(framework: Framework, case: Case) -> Arrays:
    found: Arrays = {}
    for dtype in case.dtypes:
        _compile(framework, case.compiled and dtype == "float32")  # what users train in; each shape takes a second
        found |= {f"{dtype} {key}": value for key, value in _train(framework, case, dtype).items()}
    _compile(framework, False)
    if case.saved:
        for constants in NATIVE_TOO if case.compiled else NATIVE_TOO[:1]:
            found |= {f"{constants} {key}": value for key, value in _save(framework, case, constants).items()}
    return found


def _train(framework: Framework, case: Case, dtype: str) -> Arrays:
    """Return outputs and gradients before, and all arrays after one step and after two epochs."""
    rows, weights = case.data(dtype), case.weights()
    network = framework.build(case.architecture, seed=3, constants=case.constants, dtype=dtype)
    framework.load_weights(network, weights)
    found = {f"output {head}": values for head, values in enumerate(framework.predict(network, rows.features))}
    if dtype == "float64":
        given = framework.layer_outputs(network, rows.features)
        found |= {f"layer {name}": values for name, values in given.items()}
        loss, gradients = framework.gradients(network, rows)
        found["loss"] = np.array(loss)
        found |= {f"gradient {name}": gradient for name, gradient in gradients.items()}
        summary = framework.summarize(network)
        found |= {f"counts {row.name}": np.array([row.parameters, row.trainable]) for row in summary.layers}
        found |= {f"shape {row.name}": np.array(row.output_shape) for row in summary.layers}
    if not case.steps:
        return found
    trainer = framework.trainer(network, rows, case.optimizer, constants=case.constants)
    trainer.restart(weights)
    order, first = np.arange(case.rows, dtype=np.int32), case.batch
    totals = [trainer.train_epoch(order[:first], case.batch, case.rates(0)[:1], 0)]
    found |= {f"one step {name}": array for name, array in framework.weights(network).items()}
    if dtype == "float64" and case.steps == 10:
        totals.append(trainer.train_epoch(order[first:], case.batch, case.rates(0)[1:], 0))
        totals.append(trainer.train_epoch(order, case.batch, case.rates(1), 1))
        found["totals"] = np.array(totals)
        found |= {f"ten steps {name}": array for name, array in framework.weights(network).items()}
    for seed in ("1", "1 again", "2") if case.random and case.compiled else ():
        trainer.restart(weights)
        trainer.train_epoch(order[:first], case.batch, case.rates(0)[:1], int(seed[0]))
        found |= {f"seed {seed}: {name}": array for name, array in framework.weights(network).items()}
    return found


def _save(framework: Framework, case: Case, constants: Any) -> Arrays:
    """Save a network twice and load it; return its predictions before and after, and whether the files are equal."""
    network = framework.build(case.architecture, seed=5, constants=constants)
    if constants == "aligned":
        framework.load_weights(network, case.weights())
    features = case.data("float32").features
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        framework.save(network, Path(one))
        framework.save(network, Path(two))
        files = sorted(Path(one).iterdir())
        same = all(file.read_bytes() == (Path(two) / file.name).read_bytes() for file in files)
        loaded = framework.load(Path(one), case.architecture, constants)
    found = {"same bytes": np.array(same and bool(files))}
    for head, values in enumerate(framework.predict(network, features)):
        found[f"saved {head}"] = values
    for head, values in enumerate(framework.predict(loaded, features)):
        found[f"loaded {head}"] = values
    return found


def _random_outputs(name: str) -> Arrays:
    """Return what each random kind of layer gives in training for normally distributed numbers."""
    values = np.random.default_rng(5).normal(size=(DROPOUT_ROWS, DROPOUT_COLUMNS))
    found = {"inputs": values}
    for kind in layer_kinds():
        module = layer_kind(kind)
        if hasattr(module, "STILL") and name in ("keras", "torch"):
            declared = module.Declaration.model_validate_json(json.dumps(dict(module.EXAMPLES[0].declared)))
            (draft,) = module.resolve(declared, (DROPOUT_COLUMNS,), ())
            layer = Layer.from_draft(f"{kind}_1", draft, (DROPOUT_COLUMNS,))
            found[kind] = _in_training(name, layer, values)
    return found


def _in_training(name: str, layer: Layer, values: np.ndarray) -> np.ndarray:
    layers = importlib.import_module(f"tandem.frameworks.{name}.layers")
    if name == "keras":
        return np.array(layers.build_layer(layer, "aligned", "float64")(values, training=True))
    import torch

    return layers.build_layer(layer, "aligned").train()(torch.from_numpy(values)).numpy()


if __name__ == "__main__":
    main()
