"""Guessing what a file of one's own holds, to be written down and corrected by hand."""

from __future__ import annotations

import codecs
import csv
import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from tandem import datasets
from tandem.datasets.images import class_folders, first_size, image_files
from tandem.datasets.own import copies_target
from tandem.datasets.source import ArraySource, Rows, group_rows
from tandem.datasets.tables import Table, TableOptions, read_table, table_rows
from tandem.errors import DataError, ParameterError, suggest
from tandem.records import Description, TableFormat, Task
from tandem.storage import load_array

_SAMPLE_BYTES = 1 << 20
_SAMPLE_LINES = 200
_DELIMITERS = (",", ";", "\t", "|")
_MAX_CATEGORIES = 50
_MAX_CLASSES = 100
_FEW_VALUES = 20  # whole numbers with no more values than this are classes


@dataclass(frozen=True)
class ColumnGuess:
    """What a column is taken for.

    Attributes:
        name: as the file has it.
        use: what becomes of it.
        values: its range, or its categories, in words.
        missing: rows without a value.
        rule: what a missing value becomes; empty if none is missing.
        reason: why it is left out; empty otherwise.
        categories: of a categorical column or of a target of classes.
    """

    name: str
    use: Literal["numeric", "categorical", "target", "left out"]
    values: str
    missing: int = 0
    rule: str = ""
    reason: str = ""
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Guess:
    """What a file or folder is taken for, checked by its source.

    Attributes:
        source: module under tandem/datasets.
        options: of the source, as params.yaml declares them.
        known: what they say.
        rows: the samples.
        columns: of a table, in the file's order; empty otherwise.
        notes: what the user should know, a sentence each.
    """

    source: str
    options: dict[str, Any]
    known: Description
    rows: Rows
    columns: tuple[ColumnGuess, ...] = ()
    notes: tuple[str, ...] = field(default=())


def read_task(given: str | None) -> Task | None:
    """Check the name of a task.

    Raises:
        ParameterError: there is no such task.
    """
    for task in get_args(Task):
        if given == task:
            return task
    if given is not None:
        raise ParameterError(f"'{given}' is no task; {suggest(given, get_args(Task))}")
    return None


def infer_table(
    path: Path,
    shown: str,
    target: str | None,
    *,
    task: Task | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
) -> Guess:
    """Guess what a CSV or Parquet file holds.

    Args:
        path: of the file.
        shown: how params.yaml names it.
        target: the column to predict.
        task: None: classes for text and for few whole numbers, values for other numbers.
        delimiter, encoding, decimal: of a text table; None: guessed.

    Raises:
        DataError: it cannot be read, has no such column, or holds what no network can be trained on.
    """
    parquet = path.suffix.lower() in (".parquet", ".pq")
    form = TableFormat() if parquet else guess_format(path, delimiter, encoding, decimal)
    table = read_table(path, form)
    _check_header(table, target)
    assert target is not None  # noqa: S101  (checked above)
    predicted = _guess_target(table, target, task)
    guesses = {name: _guess_column(table, name) for name in table.header if name and name != target}
    guesses = _without_copies(table, predicted, guesses)
    used = [guess for guess in guesses.values() if guess.use != "left out"]
    if not used:
        reasons = "; ".join(f"'{guess.name}': {guess.reason}" for guess in guesses.values())
        raise DataError(
            f"{path}: no column is left to learn from ({reasons or 'there is no other'}); add columns, or declare them "
            "by hand"
        )
    options = _table_options(shown, form if not parquet else None, predicted, used)
    if not predicted.categories:
        unit = _unit(table.numbers(target)[0])
        options |= {"target_unit": unit} if unit != 1 else {}
    columns = tuple(
        predicted if name == target else guesses[name] for name in table.header if name in guesses or name == target
    )
    notes = () if all(table.header) else ("a column without a name is left out",)
    guess = _checked("parquet" if parquet else "csv", options, table)
    return replace(guess, columns=columns, notes=(*_format_notes(form, parquet), *notes, *guess.notes))


def infer_folder(
    folder: Path, shown: str, target: str | None, *, task: Task | None = None, size: tuple[int, int] | None = None
) -> Guess:
    """Guess what a folder of arrays, or of images in a folder for each class, holds.

    Args:
        folder: with features.npy and targets.npy, or with folders of images.
        shown: how params.yaml names it.
        target: what is predicted, for people.
        task: of arrays; None: guessed.
        size: height and width that images are brought to; None: all have that of the first.

    Raises:
        DataError: as :func:`infer_table`.
    """
    named = {"target": target} if target else {}
    if (folder / "features.npy").exists() or (folder / "targets.npy").exists():
        return _infer_arrays(folder, shown, named, task)
    names = class_folders(folder)
    found, grey = first_size(path for name in names for path in image_files(folder / name))
    options: dict[str, Any] = {"folder": shown, **named, "classes": list(names), "size": list(size or found)}
    options |= {"colour": "grey"} if grey else {}
    options |= {"resize": True} if size else {}
    return _checked("images", options)


def _infer_arrays(folder: Path, shown: str, named: dict[str, Any], task: Task | None) -> Guess:
    shape, values = (
        load_array(folder / f"{name}.npy") if (folder / f"{name}.npy").exists() else None
        for name in ("features", "targets")
    )
    if shape is None or values is None:
        missing = "features" if shape is None else "targets"
        raise DataError(f"{folder / missing}.npy: missing; write it with numpy.save")
    options: dict[str, Any] = {"folder": shown, **named, "shape": list(shape.shape[1:])}
    notes: tuple[str, ...] = ()
    if shape.ndim == 4 and shape.shape[1] in (1, 3) and shape.shape[3] not in (1, 3):
        options |= {"channel_order": "first"}
        notes = (f"samples of shape {shape.shape[1:]} are taken for images with their channels first",)
    whole = values.dtype.kind != "f" or bool(np.all(values == np.floor(values)))
    distinct = np.unique(values)
    if task == "classification" or (
        task is None and whole and (values.dtype.kind not in "fiu" or len(distinct) <= _FEW_VALUES)
    ):
        if len(distinct) > _MAX_CLASSES:
            raise DataError(f"{folder / 'targets.npy'}: {len(distinct)} different values are no classes")
        distinct = distinct.astype(np.int64) if values.dtype.kind == "f" else distinct
        options |= {"classes": [str(value) for value in distinct.tolist()]}
    else:
        unit = _unit(values)
        options |= {"target_unit": unit} if unit != 1 else {}
    guess = _checked("npy", options)
    return replace(guess, notes=(*notes, *guess.notes))


def _checked(source: str, options: dict[str, Any], table: Table | None = None) -> Guess:
    """Read the data as guessed, with every check of its source; a table has been read already."""
    found = datasets.source(source)
    assert isinstance(found, ArraySource)  # noqa: S101  (sources of own data are)
    parsed = datasets.read_options(source, {**options, "duplicates": "allow"})
    if table is not None and isinstance(parsed, TableOptions):
        rows = table_rows(table, parsed)
    else:
        rows, _ = found.make(parsed)
    repeated = len(rows) - len(group_rows(rows.features)[1])
    if not repeated:
        return Guess(source, options, datasets.describe(source, options), rows)
    count = (
        f"{repeated:,} of {len(rows):,} rows {'have' if repeated > 1 else 'has'} the same features as an earlier one"
    )
    if repeated > len(rows) / 2:
        options = {**options, "duplicates": "allow"}
        note = f"{count}, as happens with few different values; such rows may stand on both sides of the split"
    else:
        options = {**options, "duplicates": "keep-together"}
        note = f"{count}; such rows are kept on one side of the split"
    return Guess(source, options, datasets.describe(source, options), rows, notes=(note,))


# ------------------------------------------------------------------------------------------ text format


def guess_format(path: Path, delimiter: str | None, encoding: str | None, decimal: str | None) -> TableFormat:
    """Guess how a text table is written, from its beginning.

    Raises:
        DataError: it is empty, or binary.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_SAMPLE_BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); name a readable file") from None
    if not start.strip():
        raise DataError(f"{path}: is empty; give a header line and at least one row")
    encoding = encoding or _guess_encoding(start)
    try:
        text = start.decode("utf-8-sig" if encoding == "utf-8" else encoding, errors="replace")
    except LookupError:
        raise DataError(f"{path}: the encoding '{encoding}' is not known; utf-8 is the usual one") from None
    if "\0" in text:
        raise DataError(f"{path}: is no text table; give a .csv or .parquet file (export a spreadsheet as CSV)")
    lines = text.splitlines(keepends=True)
    lines = (lines if len(start) < _SAMPLE_BYTES else lines[:-1])[:_SAMPLE_LINES]
    delimiter = delimiter or max(_DELIMITERS, key=lambda sign: _regularity(lines, sign))
    decimal = decimal or _guess_decimal(lines, delimiter)
    return TableFormat(delimiter=delimiter, encoding=encoding, decimal=decimal)


def _guess_encoding(start: bytes) -> str:
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if start.startswith(mark):
            return encoding
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start, final=len(start) < _SAMPLE_BYTES)
    except UnicodeDecodeError:
        # Chinese text in GB 18030 is pairs of bytes above 127; accented letters in Windows-1252 stand alone.
        runs = re.findall(rb"[\x80-\xff]+", start)
        paired = sum(len(run) for run in runs if len(run) % 2 == 0)
        return "gb18030" if paired >= 0.8 * sum(map(len, runs)) else "cp1252"
    return "utf-8"


def _regularity(lines: list[str], delimiter: str) -> tuple[float, int]:
    """Return the share of rows that have as many cells as the first, and that number; (0, 0) for a single cell."""
    rows = [row for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True) if row]
    if not rows or len(rows[0]) < 2:
        return 0, 0
    return sum(len(row) == len(rows[0]) for row in rows) / len(rows), len(rows[0])


def _guess_decimal(lines: list[str], delimiter: str) -> str:
    if delimiter == ",":
        return "."
    cells = [cell.strip() for row in csv.reader(lines[1:], delimiter=delimiter) for cell in row]
    commas, points = (
        sum(re.fullmatch(rf"[+-]?\d+{sign}\d+", cell) is not None for cell in cells) for sign in (",", r"\.")
    )
    return "," if commas > points else "."


def _format_notes(form: TableFormat, parquet: bool) -> tuple[str, ...]:
    if parquet or (form.delimiter, form.encoding, form.decimal) == (",", "utf-8", "."):
        return ()
    names = {"\t": "tab", ",": "comma", ";": "semicolon"}
    return (
        f"the text is taken for {form.encoding}, its cells parted by a {names.get(form.delimiter, form.delimiter)}, "
        f"its decimals by a {'comma' if form.decimal == ',' else 'point'}",
    )


# ---------------------------------------------------------------------------------------------- columns


def _check_header(table: Table, target: str | None) -> None:
    names = [name for name in table.header if name]
    twice = next((name for position, name in enumerate(names) if name in names[:position]), None)
    if twice is not None:
        table.column(twice)  # says which two
    if names and all(re.fullmatch(r"[+-]?\d+([.,]\d+)?", name) for name in names):
        raise DataError(f"{table.path}: line 1 is all numbers, but must name the columns; put a header line before it")
    if target is None:
        raise DataError(f"{table.path}: name the column to predict, --target COLUMN; {suggest('', names)}")
    table.column(target)
    if len(table.cells) == 0:
        raise DataError(f"{table.path}: has a header and no rows; add rows")


def _is_boolean(table: Table, name: str) -> bool:
    return table.column(name).dtype.kind == "b"


def _guess_target(table: Table, name: str, task: Task | None) -> ColumnGuess:
    texts = [text for text in table.texts(name) if text is not None]
    distinct = set(texts)
    values, wrong = table.numbers(name)
    numeric = len(wrong) == 0 and bool(distinct) and not _is_boolean(table, name)
    known = values[~np.isnan(values)]
    whole = numeric and bool(np.all(known == np.floor(known)))
    missing = len(values) - len(texts)
    rule = "drop-row" if missing else ""
    if not distinct:
        raise DataError(f"{table.path}: target '{name}': every value is missing; name another column")
    if task is None:
        task = "classification" if not numeric or (whole and len(distinct) <= _FEW_VALUES) else "regression"
    if task == "regression":
        if not numeric:
            raise DataError(
                f"{table.path}: target '{name}': '{table.texts(name)[int(wrong[0])] if len(wrong) else texts[0]}' is "
                "not a number, as --task regression needs; correct it, or take --task classification"
            )
        return ColumnGuess(name, "target", f"values {_range(known)}", missing, rule)
    if len(distinct) > _MAX_CLASSES:
        raise DataError(
            f"{table.path}: target '{name}': {len(distinct):,} different values in {len(texts):,} rows are too many "
            f"for classes (at most {_MAX_CLASSES}); name another column" + (" or take --task regression" * numeric)
        )
    if len(distinct) == 1:
        raise DataError(
            f"{table.path}: target '{name}': all {len(texts):,} rows are '{texts[0]}', there is nothing to tell apart; "
            "name another column, or add rows of other classes"
        )
    classes = _sorted(distinct)
    return ColumnGuess(name, "target", f"{len(classes)} classes: {_listed(classes)}", missing, rule, "", classes)


def _guess_column(table: Table, name: str) -> ColumnGuess:
    texts = table.texts(name)
    present = [text for text in texts if text is not None]
    distinct = set(present)
    missing = len(texts) - len(present)

    def left_out(reason: str, values: str = "") -> ColumnGuess:
        return ColumnGuess(name, "left out", values, missing, "", reason)

    if not present:
        return left_out("every value is missing")
    if len(distinct) == 1:
        return left_out(f"is '{present[0]}' in every row that has a value")
    values, wrong = table.numbers(name)
    known = values[~np.isnan(values)]
    numeric = len(wrong) == 0 and not _is_boolean(table, name)
    shown = _range(known, len(distinct)) if numeric else _listed(_sorted(distinct))
    if missing > len(texts) / 2:
        return left_out(f"{missing / len(texts):.0%} of its values are missing", shown)
    if numeric:
        if len(known) > 2 and not missing and bool(np.all(np.diff(known) == 1)):
            return left_out("numbers the rows", shown)
        return ColumnGuess(name, "numeric", shown, missing, "median" if missing else "")
    if len(wrong) and len(wrong) <= len(present) / 10:
        return left_out(f"text: '{texts[int(wrong[0])]}' in row {int(wrong[0]) + 1:,} is no number", shown)
    if len(distinct) > min(_MAX_CATEGORIES, max(2, len(present) / 2)):
        example = present[0] if len(present[0]) <= 20 else f"{present[0][:19]}…"
        return left_out(f"text with {len(distinct):,} different values, '{example}' for one", shown)
    rule = "category" if missing else ""
    return ColumnGuess(name, "categorical", shown, missing, rule, "", _sorted(distinct))


def _without_copies(table: Table, predicted: ColumnGuess, guesses: dict[str, ColumnGuess]) -> dict[str, ColumnGuess]:
    """Leave out columns that are the target in other words; take row numbers where nothing else is there."""
    texts = table.texts(predicted.name)
    if predicted.categories:
        targets = np.array([-1 if text is None else predicted.categories.index(text) for text in texts])
        known = targets >= 0
    else:
        targets = table.numbers(predicted.name)[0]
        known = ~np.isnan(targets)
    kept = {}
    for name, guess in guesses.items():
        if guess.use != "left out":
            codes = {text: code for code, text in enumerate(guess.categories)}
            numbers = (
                np.array([np.nan if text is None else codes[text] for text in table.texts(name)])
                if codes
                else table.numbers(name)[0]
            )
            if copies_target(numbers[known], targets[known], len(predicted.categories)):
                guess = replace(guess, use="left out", rule="", reason="tells the target exactly")
        kept[name] = guess
    if all(guess.use == "left out" for guess in kept.values()):
        kept = {
            name: replace(guess, use="numeric", reason="") if guess.reason == "numbers the rows" else guess
            for name, guess in kept.items()
        }
    return kept


def _table_options(
    shown: str, form: TableFormat | None, predicted: ColumnGuess, used: list[ColumnGuess]
) -> dict[str, Any]:
    options: dict[str, Any] = {"file": shown}
    if form is not None:
        options |= {"delimiter": form.delimiter, "encoding": form.encoding, "decimal": form.decimal}
    options |= {"target": predicted.name}
    if predicted.categories:
        options |= {"classes": list(predicted.categories)}
    numeric = [guess.name for guess in used if guess.use == "numeric"]
    categorical = {guess.name: list(guess.categories) for guess in used if guess.use == "categorical"}
    missing = {guess.name: guess.rule for guess in [*used, predicted] if guess.rule}
    options |= {"numeric": numeric} if numeric else {}
    options |= {"categorical": categorical} if categorical else {}
    options |= {"missing": missing} if missing else {}
    return options


def _sorted(texts: set[str]) -> tuple[str, ...]:
    """Sort numbers by value, and other texts by their characters."""
    try:
        return tuple(sorted(texts, key=lambda text: (float(text), text)))
    except ValueError:
        return tuple(sorted(texts))


def _listed(texts: tuple[str, ...]) -> str:
    shown = ", ".join(text if len(text) <= 20 else f"{text[:19]}…" for text in texts[:4])
    return shown if len(texts) <= 4 else f"{shown}, … ({len(texts):,})"


def _range(values: np.ndarray, distinct: int | None = None) -> str:
    few = f" ({distinct} values)" if distinct is not None and distinct <= 10 else ""
    return f"{values.min():.6g} to {values.max():.6g}{few}"


def _unit(targets: np.ndarray) -> float:
    """Return the power of ten that brings the targets' standard deviation near 1: large targets train badly."""
    known = targets[np.isfinite(targets)].astype(np.float64)
    deviation = float(known.std()) if len(known) else 0.0
    if 0.1 <= deviation <= 10 or deviation == 0:
        return 1.0
    return 10.0 ** round(math.log10(deviation))
