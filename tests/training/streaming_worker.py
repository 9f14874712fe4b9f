"""Trains on rows in memory and on streamed ones in one framework, and prints what differs as JSON.

``equal FRAMEWORK FOLDER``, ``gone FRAMEWORK FOLDER``, or ``peak FRAMEWORK FOLDER INPUT``.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from tandem import streaming
from tandem.checkpoints import Checkpoints
from tandem.config import Experiment, Standardize
from tandem.errors import DataError
from tandem.fitdata import FitData, load_fit
from tandem.frameworks import Framework, load_framework
from tandem.records import DataDescription, FoldRows, write_record
from tandem.scaling import fit_scaler
from tandem.storage import save_array
from tandem.training import Session, Trained, peak_memory_bytes, train_replicate

ROWS, VALID = 203, 40  # of a fold; no batch size below divides the training rows
PEAK_ROWS, PEAK_COLUMNS = 50_000, 1_000  # 200 MB in float32


def description(shape: tuple[int, ...], classes: int, folds: int) -> DataDescription:
    names = tuple(f"x{number}" for number in range(shape[0])) if len(shape) == 1 and shape[0] < 10 else ()
    return DataDescription(
        dataset="made", source="made", title="Made", reference="made",
        task="classification" if classes else "regression", feature_shape=shape, feature_names=names,
        class_names=tuple(str(label) for label in range(classes)), target_name="y", rows={}, class_counts={},
        folds=tuple(FoldRows(repeat=0, train=ROWS, valid=VALID) for _ in range(folds)),
    )  # fmt: skip


def write_data(
    folder: Path, shape: tuple[int, ...], classes: int = 0, folds: int = 0, missing: bool = False
) -> tuple[Path, Path]:
    """Write what ``split`` and ``standardize`` would: rows in raw units, their folds, and scalers."""
    generator = np.random.default_rng(5)
    features = generator.normal(3, 2, (ROWS + VALID, *shape))
    if len(shape) > 1:
        features = (40 * features).clip(0, 255).astype(np.uint8)
    summed = np.tanh(features.reshape(len(features), -1)[:, :5].astype(float) - features.mean()).sum(axis=1)
    targets = np.digitize(summed, np.linspace(-2, 2, classes - 1)) if classes else summed
    if missing:
        features[::7, 0] = np.nan
    fit, scaler = folder / "fit", folder / "scaler"
    scaler.mkdir(parents=True)
    for fold in range(max(1, folds)):
        order = generator.permutation(len(features))
        (fit / "folds" / str(fold)).mkdir(parents=True)
        save_array(fit / "folds" / str(fold) / "train.npy", order[:ROWS])
        save_array(fit / "folds" / str(fold) / "valid.npy", order[ROWS:])
        known = np.nan_to_num(features, nan=1.5) if missing else features
        fitted = fit_scaler(known, order[:ROWS], Standardize(method="zscore"))
        fill = (1.5,) * shape[0] if missing else ()
        write_record(fitted.model_copy(update={"fill": fill}), scaler / f"fold-{fold}.json")
    save_array(fit / "features.npy", features)
    save_array(fit / "targets.npy", targets)
    write_record(description(shape, classes, folds), fit / "description.json")
    return fit, scaler


def experiment(loss: str, model: dict, optimizer: dict, **training: object) -> Experiment:
    declared = {
        "description": "made", "dataset": "made", "loss": loss, "model": model, "optimizer": optimizer,
        "training": {"epochs": 2, "batch_size": 10, **training},
    }  # fmt: skip
    return Experiment.model_validate_json(json.dumps(declared))


ADAM, SGD = {"name": "adam", "learning_rate": 0.01}, {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9}
RANDOM = [
    {"dense": {"units": 9, "activation": "relu", "batch_normalization": "before"}},
    {"dropout": {"rate": 0.3}},
]
CONVOLUTION = [
    {"convolution_2d": {"filters": 4, "kernel_size": 3, "activation": "relu"}}, {"flatten": {}},
]  # fmt: skip
# name → shape of a sample, classes, folds, missing values, experiment
CASES = {
    "wide and deep": (
        (7,), 0, 2, True,
        experiment("mse", {"wide_deep": {"wide": [0, 1, 2], "deep": [2, 3, 4, 5, 6], "hidden": [8, 8],
                                         "activation": "relu"}}, SGD),
    ),
    "random layers": (
        (7,), 3, 0, False,
        experiment("cross_entropy", {"sequential": [{"normalization": {}}, *RANDOM]}, ADAM, repeat=2, shuffle=False),
    ),
    "augmented images": (
        (9, 6, 1), 3, 0, False,
        experiment("cross_entropy", {"sequential": CONVOLUTION}, ADAM, augmentation={"flip": "both", "rotation": 20}),
    ),
}  # fmt: skip
NUMPY_CASES = ("wide and deep",)


def train(framework: Framework, declared: Experiment, data: FitData, fold: int | None) -> Trained:
    with tempfile.TemporaryDirectory() as folder:
        session = Session(framework, declared.architecture(data.description), declared, data, fold)
        return train_replicate(session, 0, Checkpoints(Path(folder), "key"))


def compare(framework: Framework, folder: Path, name: str) -> dict[str, object]:
    shape, classes, folds, missing, declared = CASES[name]
    fit, scaler = write_data(folder / name, shape, classes, folds, missing)
    fold = folds - 1 if folds else None
    data = [load_fit(fit, scaler, fold or 0, streamed=streamed) for streamed in (False, True)]
    whole, streamed = (train(framework, declared, given, fold) for given in data)
    losses = whole.history.columns["train_loss"]
    return {
        "kinds": [type(given.train).__name__ for given in data],
        "learned": losses[-1] < losses[0],
        "different weights": [
            key for key in whole.weights if whole.weights[key].tobytes() != streamed.weights[key].tobytes()
        ],
        "same history": whole.history == streamed.history,
    }


def lose(framework: Framework, folder: Path) -> dict[str, str]:
    """Return the error when the file has gone before an epoch."""
    declared = CASES["wide and deep"][-1]
    fit, scaler = write_data(folder / "gone", (7,))
    data = load_fit(fit, scaler, streamed=True)
    session = Session(framework, declared.architecture(data.description), declared, data)
    (fit / "features.npy").unlink()
    try:
        session.trainer.train_epoch(np.arange(ROWS, dtype=np.int32), 10, np.full(21, 0.1), 0)
    except DataError as error:
        return {"error": str(error).replace(str(fit), "FIT")}
    return {"error": ""}


def peak(framework: Framework, folder: Path, given: str) -> dict[str, int]:
    """Return the process's peak after an epoch on a data set that is already there."""
    model = {"sequential": [{"dense": {"units": 4, "activation": "relu"}}]}
    declared = experiment("mse", model, SGD, epochs=1, batch_size=100, input=given)
    data = load_fit(folder / "fit", folder / "scaler", streamed=declared.training.input == "streamed")
    train(framework, declared, data, None)
    return {"peak": peak_memory_bytes()}


def main() -> None:
    action, name, folder, *more = sys.argv[1:]
    framework = load_framework(name, alone=True)
    framework.set_up(1)
    if action == "equal":
        streaming._WINDOW_ROWS = 50  # several windows an epoch, of several steps each
        cases = NUMPY_CASES if name == "numpy" else tuple(CASES)
        found = {case: compare(framework, Path(folder), case) for case in cases}
    else:
        found = lose(framework, Path(folder)) if action == "gone" else peak(framework, Path(folder), *more)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
