"""Predicting on new rows in original units, from a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tandem.datasets.images import read_image
from tandem.datasets.own import MISSING_CATEGORY
from tandem.datasets.source import channels_last
from tandem.datasets.tables import Table, read_table
from tandem.errors import DataError, suggest
from tandem.models import Architecture, output_values
from tandem.records import Column, DataDescription

_TABLES = (".csv", ".parquet", ".pq")
_IMAGES = (".png", ".jpg", ".jpeg")


def read_features(path: Path, description: DataDescription) -> np.ndarray:
    """Read rows to predict on, float64 (n, *feature_shape), in original units; NaN where a fill is declared.

    A table (CSV or Parquet) has a header; named features are found by their names, in any order, and other columns
    are ignored. Images in a table have one column for each pixel, row by row. An ``.npy`` file holds
    (n, *feature_shape). Data of images also takes a PNG or JPEG file, or a folder of them, sorted by name.

    Raises:
        DataError: the file is missing or of another kind, a column is missing, a value is no finite number or no
            category that is known, the shape differs, or there are no rows.
    """
    if path.is_dir() and _takes_images(description):
        features = _read_images(sorted(file for file in path.iterdir() if file.suffix.lower() in _IMAGES), description)
    elif not path.is_file():
        raise DataError(f"{path}: missing; name an existing {' or '.join(_allowed(description))} file")
    elif path.suffix == ".npy":
        features = _read_npy(path, description)
    elif path.suffix in _TABLES:
        features = _read_table(path, description)
    elif path.suffix.lower() in _IMAGES and _takes_images(description):
        features = _read_images([path], description)
    else:
        allowed = ", ".join(_allowed(description))
        raise DataError(f"{path}: '{path.suffix}' files cannot be read; allowed: {allowed}")
    if len(features) == 0:
        raise DataError(f"{path}: has no rows; give at least one row to predict on")
    if features.shape[1:] != description.feature_shape:
        raise DataError(
            f"{path}: rows of shape {features.shape[1:]}, '{description.dataset}' has {description.feature_shape}; "
            "reshape the array"
        )
    _check_values(path, features, description)
    return features


def _takes_images(description: DataDescription) -> bool:
    return description.source == "images"


def _allowed(description: DataDescription) -> list[str]:
    return [".csv", ".npy", ".parquet", *(_IMAGES if _takes_images(description) else ())]


def _check_values(path: Path, features: np.ndarray, description: DataDescription) -> None:
    good = np.isfinite(features)
    for place, column in enumerate(description.columns):
        if column.missing not in (None, "category"):
            good[:, place] |= np.isnan(features[:, place])
        if column.kind == "categorical":
            codes = features[:, place]
            wrong = np.flatnonzero(good[:, place] & ~np.isnan(codes) & ~np.isin(codes, range(len(column.categories))))
            if len(wrong):
                raise DataError(
                    f"{path}: row {wrong[0] + 1}, column '{column.name}': {codes[wrong[0]]:g} is no code of its "
                    f"categories; allowed: 0 to {len(column.categories) - 1}"
                )
    bad = np.argwhere(~good)
    if len(bad):
        row, *place_of = bad[0].tolist()
        raise DataError(
            f"{path}: row {row + 1}, {_feature(description, place_of)}: {features[tuple(bad[0])]} is not a finite "
            "number; fill or drop the row"
        )


def _read_npy(path: Path, description: DataDescription) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path}: cannot be read as .npy ({error}); write it with numpy.save") from None
    if array.ndim == 0 or not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise DataError(
            f"{path}: holds {array.dtype} of shape {array.shape}; give an array of numbers, one row a sample"
        )
    if description.channels_first and array.ndim == len(description.feature_shape) + 1:
        array = channels_last(array)
    return array.astype(np.float64)


def _read_images(files: Sequence[Path], description: DataDescription) -> np.ndarray:
    shape = description.feature_shape
    features = np.empty((len(files), *shape))
    for row, file in enumerate(files):
        pixels = read_image(file, (shape[0], shape[1]) if description.resize else None, grey=len(shape) == 2)
        if pixels.shape != shape:
            raise DataError(
                f"{file}: {pixels.shape[0]} by {pixels.shape[1]} pixels (height by width), '{description.dataset}' "
                f"has {shape[0]} by {shape[1]}; resize the image"
            )
        features[row] = pixels
    return features


def _read_table(path: Path, description: DataDescription) -> np.ndarray:
    table = read_table(path, description.table)
    header = list(table.header)
    names = list(description.feature_names)
    if all(_is_number(cell) for cell in header) and not set(names) & set(header):
        raise DataError(f"{path}: line 1 is all numbers, but must name the columns; put a header line before it")
    size = int(np.prod(description.feature_shape))
    if not names:
        if len(header) != size:
            raise DataError(f"{path}: {len(header)} columns, '{description.dataset}' needs {size}, one for each pixel")
        numbered = tuple(f"pixel {place}" for place in range(size))
        pixels = [Column(name=name) for name in numbered]
        return _columns(replace(table, header=numbered), pixels).reshape(-1, *description.feature_shape)
    missing = [name for name in names if name not in header]
    if missing:
        raise DataError(
            f"{path}: column '{missing[0]}' is missing{_others(missing[1:])}; it has "
            f"{suggest(missing[0], header).removeprefix('allowed: ')}"
        )
    twice = [name for name in names if header.count(name) > 1]
    if twice:
        raise DataError(f"{path}: column '{twice[0]}' stands twice; remove one of the two")
    return _columns(table, description.columns)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _columns(table: Table, columns: Sequence[Column]) -> np.ndarray:
    """Return the columns as they stand in the features (n, columns)."""
    return np.column_stack([_column(table, column) for column in columns])


def _column(table: Table, column: Column) -> np.ndarray:
    values, wrong, lacking = table.encode(column)
    unusable = np.union1d(wrong, lacking).astype(np.int64)
    if len(unusable):
        row = int(unusable[0])
        cell = table.column(column.name).iloc[row]
        if column.kind == "numeric":
            raise DataError(
                f"{table.path}: row {row + 1}, column '{column.name}': '{cell}' is not a number; correct the file"
            )
        allowed = ", ".join(name for name in column.categories if name != MISSING_CATEGORY)
        raise DataError(
            f"{table.path}: row {row + 1}, column '{column.name}': '{cell}' is none of its categories; "
            f"allowed: {allowed}; correct the file"
        )
    return values


def _others(names: Sequence[str]) -> str:
    return f" (and {', '.join(names)})" if names else ""


def _feature(description: DataDescription, place: list[int]) -> str:
    if description.feature_names:
        return f"column '{description.feature_names[place[0]]}'"
    return f"position {tuple(place)}"


def predictions_table(architecture: Architecture, raw: Sequence[np.ndarray], description: DataDescription) -> str:
    """Return predictions as CSV.

    Classes: ``label``, ``class`` and a probability for each class; values: one column a head, named after the
    target.

    Args:
        architecture: of the network.
        raw: its raw outputs, (n, units) a head.
        description: of its data.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if description.task == "classification":
        probabilities = output_values(architecture, raw[0])
        writer.writerow(["label", "class", *(f"probability of {name}" for name in description.class_names)])
        for row in probabilities:
            label = int(row.argmax())
            writer.writerow([label, description.class_names[label], *(f"{value:.6g}" for value in row)])
    else:
        learned = [position for position, head in enumerate(architecture.heads) if head.takes != "input"]
        heads = [architecture.heads[position].name for position in learned]
        suffixes = [f" ({name})" for name in heads] if len(heads) > 1 else [""]
        writer.writerow([f"{description.target_name}{suffix}" for suffix in suffixes])
        for row in zip(*(raw[position][:, 0] for position in learned), strict=True):
            writer.writerow([f"{value:.8g}" for value in row])
    return text.getvalue()
