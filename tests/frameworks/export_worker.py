"""Exports networks of one framework in every format and reads them back by the framework's own means: FRAMEWORK."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tandem.errors import TandemError
from tandem.export import EXPORT_FORMATS, ExportRecord, export_network
from tandem.frameworks import Framework, load_framework
from tandem.models import Architecture, ModelDeclaration, read_architecture, resolve
from tandem.records import DataDescription, read_record
from tandem.scaling import Scaler

DENSE = {"dense": {"units": 8, "activation": "relu"}}
MODELS = {
    "dense": ({"sequential": [DENSE, {"dense": {"units": 4, "activation": "tanh"}}]}, (6,)),
    "normalised": (
        {"sequential": [{"dense": {"units": 6, "activation": "maxout", "pieces": 2}}, {"batch_normalization": {}},
                        {"dropout": {"rate": 0.3}}]},
        (6,),
    ),
    "images": (
        {"sequential": [{"convolution_2d": {"filters": 3, "kernel_size": 3, "activation": "relu"}}, {"flatten": {}}]},
        (7, 6, 2),
    ),
    "two inputs": ({"wide_deep": {"wide": [0, 1], "deep": [2, 3, 4, 5], "hidden": [5], "outputs": ["joint", "deep"]}},
                   (6,)),
    "subclassed": ({"wide_deep": {"wide": [0, 1], "deep": [2, 3, 4, 5], "hidden": [5], "style": "subclassed"}}, (6,)),
}  # fmt: skip
FOR_NUMPY = ("dense",)


def resolved(kind: str) -> Architecture:
    declared, shape = MODELS[kind]
    return resolve(ModelDeclaration.model_validate_json(json.dumps(declared)), shape, "classification",
                   "cross_entropy", 3)  # fmt: skip


def description(shape: tuple[int, ...]) -> DataDescription:
    return DataDescription(
        dataset="made", source="made", title="Made", reference="made", task="classification", feature_shape=shape,
        feature_names=tuple("abcdef") if len(shape) == 1 else (), class_names=("x", "y", "z"), target_name="t",
        rows={}, class_counts={},
    )  # fmt: skip


def export(framework: Framework, network: Any, kind: str, name: str, target: Path) -> ExportRecord:
    return export_network(
        framework, network, resolved(kind), name, target, description=description(MODELS[kind][1]),
        scaler=Scaler(method="none", per="feature", center=(0.0,), scale=(1.0,)), experiment="made",
    )  # fmt: skip


def trained(framework: Framework, kind: str) -> Any:
    """Return a network whose arrays, biases too, are all different numbers."""
    network = framework.build(resolved(kind), seed=1, constants="aligned")
    generator = np.random.default_rng(3)
    drawn = {name: generator.uniform(0.1, 1, array.shape) for name, array in framework.weights(network).items()}
    framework.load_weights(network, drawn)
    return network


def read_keras(folder: Path, name: str, network: Any, kind: str) -> Callable[..., Any]:
    import keras
    import tensorflow as tf

    if name == "saved-model":
        loaded = tf.saved_model.load(str(folder / "saved_model"))
        return lambda inputs: loaded.serve(inputs)
    if name == "json":
        model = keras.models.model_from_json((folder / "architecture.json").read_text())
        if kind == "subclassed":
            model.build([(None, *part.shape) for part in resolved(kind).parts])
        model.set_weights(network.get_weights())
    else:
        file = folder / {"keras": "model.keras", "h5": "model.h5"}[name]
        model = keras.models.load_model(file, compile=False, safe_mode=True)
    return lambda inputs: model(inputs, training=False)


def read_torch(folder: Path, name: str, network: Any, kind: str) -> Callable[..., Any]:
    import torch

    framework = load_framework("torch")
    if name == "json":
        architecture = read_architecture((folder / "architecture.json").read_text())
        assert architecture == resolved(kind)
        module = framework.build(architecture, seed=7, constants="aligned")
        module.load_state_dict(network.state_dict())
    else:
        module = framework.build(resolved(kind), seed=7, constants="aligned")
        module.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
    module.eval()
    return lambda inputs: module(*(inputs if isinstance(inputs, list) else [inputs]))


def read_numpy(folder: Path, name: str, network: Any, kind: str) -> Callable[..., Any]:
    framework = load_framework("numpy")
    architecture = resolved(kind)
    if name == "json":
        architecture = read_architecture((folder / "architecture.json").read_text())
        assert architecture == resolved(kind)
        arrays: Mapping[str, np.ndarray] = framework.weights(network)
    else:
        with np.load(folder / "model.npz", allow_pickle=False) as archive:
            arrays = {file.replace(".", "/"): archive[file] for file in archive.files}
    other = framework.build(architecture, seed=7, constants="aligned")
    framework.load_weights(other, arrays)
    return lambda inputs: list(framework.predict(other, inputs))


def tensors(framework: str, arrays: tuple[np.ndarray, ...]) -> Any:
    """Return the inputs as people of the framework hand them over: one bare, several as a list."""
    given: list[Any] = list(arrays)
    if framework == "torch":
        import torch

        given = [torch.from_numpy(array) for array in arrays]
    elif framework == "keras":
        import tensorflow as tf

        given = [tf.constant(array) for array in arrays]
    return given if len(given) > 1 else given[0]


def main() -> None:
    name = sys.argv[1]
    framework = load_framework(name)
    framework.set_up(1)
    read = {"keras": read_keras, "torch": read_torch, "numpy": read_numpy}[name]
    found: dict[str, Any] = {}
    for kind in MODELS if name != "numpy" else FOR_NUMPY:
        network = trained(framework, kind)
        features = np.random.default_rng(5).normal(size=(9, *MODELS[kind][1])).astype(np.float32)
        expected = framework.predict(network, features)
        for written in EXPORT_FORMATS:
            with tempfile.TemporaryDirectory() as folder:
                target = Path(folder) / "exported"
                try:
                    export(framework, network, kind, written, target)
                except TandemError as error:
                    found[f"{kind}/{written}"] = {"error": str(error), "left": [p.name for p in Path(folder).iterdir()]}
                    continue
                record = read_record(ExportRecord, target / "export.json")
                outputs = read(target, written, network, kind)(tensors(name, resolved(kind).inputs(features)))
                listed = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
                arrays = [np.asarray(getattr(output, "detach", lambda kept=output: kept)()) for output in listed]
                found[f"{kind}/{written}"] = {
                    "off": max(float(np.abs(a - b).max()) for a, b in zip(arrays, expected, strict=True)),
                    "spread": float(np.ptp(expected[0])),
                    "files": sorted(path.name for path in target.iterdir()),
                    "record": record.model_dump(mode="json"),
                }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
