"""Predicting on new rows in original units, from a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tandem.errors import DataError, suggest
from tandem.models import Architecture, output_values
from tandem.records import DataDescription


def read_features(path: Path, description: DataDescription) -> np.ndarray:
    """Read rows to predict on, float64 (n, *feature_shape), in original units.

    A CSV has a header; named features are found by their names, in any order, and other columns are ignored.
    Images have one column for each pixel, row by row. An ``.npy`` file holds (n, *feature_shape).

    Raises:
        DataError: the file is missing or of another kind, a column is missing, a value is no finite number, the
            shape differs, or there are no rows.
    """
    if not path.is_file():
        raise DataError(f"{path}: missing; name an existing .csv or .npy file")
    if path.suffix == ".npy":
        features = _read_npy(path)
    elif path.suffix == ".csv":
        features = _read_csv(path, description)
    else:
        raise DataError(f"{path}: '{path.suffix}' files cannot be read; allowed: .csv, .npy")
    if len(features) == 0:
        raise DataError(f"{path}: has no rows; give at least one row to predict on")
    if features.shape[1:] != description.feature_shape:
        raise DataError(
            f"{path}: rows of shape {features.shape[1:]}, '{description.dataset}' has {description.feature_shape}; "
            "reshape the array"
        )
    bad = np.argwhere(~np.isfinite(features))
    if len(bad):
        row, *place = bad[0].tolist()
        raise DataError(
            f"{path}: row {row + 1}, {_feature(description, place)}: {features[tuple(bad[0])]} is not a finite number; "
            "fill or drop the row"
        )
    return features


def _read_npy(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path}: cannot be read as .npy ({error}); write it with numpy.save") from None
    if array.ndim == 0 or not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise DataError(
            f"{path}: holds {array.dtype} of shape {array.shape}; give an array of numbers, one row a sample"
        )
    return array.astype(np.float64)


def _read_csv(path: Path, description: DataDescription) -> np.ndarray:
    try:
        # The header is read as a row: pandas would take a cell too many in every row as row labels.
        table = pd.read_csv(
            path, header=None, dtype=str, keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig"
        )
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: is empty; give a header line and at least one row") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); name a readable file") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as CSV ({str(error).strip()}); save it as UTF-8 CSV") from None
    header, table = [str(name) for name in table.iloc[0]], table.iloc[1:]
    if all(_is_number(cell) for cell in header):
        raise DataError(f"{path}: line 1 is all numbers, but must name the columns; put a header line before it")
    names = list(description.feature_names)
    size = int(np.prod(description.feature_shape))
    if not names:
        if len(header) != size:
            raise DataError(f"{path}: {len(header)} columns, '{description.dataset}' needs {size}, one for each pixel")
        return _table_numbers(path, table, dict(enumerate(header))).reshape(-1, *description.feature_shape)
    missing = [name for name in names if name not in header]
    if missing:
        raise DataError(
            f"{path}: column '{missing[0]}' is missing{_others(missing[1:])}; it has "
            f"{suggest(missing[0], header).removeprefix('allowed: ')}"
        )
    twice = [name for name in names if header.count(name) > 1]
    if twice:
        raise DataError(f"{path}: column '{twice[0]}' stands twice; remove one of the two")
    return _table_numbers(path, table, {header.index(name): name for name in names})


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _table_numbers(path: Path, table: pd.DataFrame, columns: Mapping[int, str]) -> np.ndarray:
    """Return the numbers (n, columns) of some columns, by position and name."""
    return np.column_stack([_numbers(path, table.iloc[:, place], name) for place, name in columns.items()])


def _numbers(path: Path, column: pd.Series, name: str) -> np.ndarray:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    wrong = np.flatnonzero(np.isnan(numbers))
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            f"{path}: row {row + 1}, column '{name}': '{column.iloc[row]}' is not a number; correct the file"
        )
    return numbers


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
