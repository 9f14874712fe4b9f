"""What sources of the user's own data share: their options, and the checks of their rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from tandem.datasets.source import Options, Rows, group_rows
from tandem.errors import DataError
from tandem.records import Column, Duplicates

_SHOWN = 5
_SAMPLE = 1_000
MISSING_CATEGORY = "(missing)"


def mistake(text: str) -> PydanticCustomError:
    """Return an error about options whose text is whole."""
    return PydanticCustomError("own_data", "{text}", {"text": text})


def as_text(value: Any) -> Any:
    """Take a whole number for the text that stands in the file."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def as_texts(values: Any) -> Any:
    """Take the whole numbers of a list for texts, and refuse a value that stands twice."""
    if not isinstance(values, list):
        return values
    texts = [as_text(value) for value in values]
    twice = [text for position, text in enumerate(texts) if text in texts[:position]]
    if twice:
        raise mistake(f"'{twice[0]}' stands twice; remove one of the two")
    return tuple(texts)


def _as_classes(declared: Any) -> Any:
    """Turn a list of values into a mapping of values to names, each named after itself."""
    if isinstance(declared, list):
        texts = as_texts(declared)
        declared = {text: text for text in texts} if all(isinstance(text, str) for text in texts) else declared
    if isinstance(declared, dict):
        declared = {key: as_text(name) for key, name in declared.items()}
        names = list(declared.values())
        if len(names) < 2:
            raise mistake(f"{names}: a classification needs at least two classes; leave the key out for a regression")
        twice = [str(name) for name in names if names.count(name) > 1]
        if twice:
            raise mistake(f"two classes are named '{twice[0]}'; give each a name of its own")
    return declared


Classes = Annotated[dict[str, str], BeforeValidator(_as_classes)]


class OwnOptions(Options):
    """What every source of own data takes."""

    title: str | None = Field(default=None, description="For people; by default the file's name.")
    reference: str = Field(default="own data", description="Where the data comes from, in a line.")
    classes: Classes | None = Field(
        default=None,
        description="Values of the target by label, as a list or as a mapping to their names; none: a regression.",
    )
    target_unit: float = Field(default=1.0, gt=0, description="What a regression's targets are divided by.")
    duplicates: Duplicates = Field(
        default="refuse", description="Rows with the same features: refuse, keep-together on one side, or allow."
    )

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by label; empty for a regression."""
        return tuple((self.classes or {}).values())

    def named_target(self, name: str) -> str:
        """Return the target's name with its unit."""
        return name if self.target_unit == 1 else f"{name} ({self.target_unit:,.15g})"


def existing(path: str, kind: str) -> Path:
    """Return the path of the user's file or folder.

    Raises:
        DataError: it is missing, or the other of the two.
    """
    found = Path(path).expanduser()
    if found.is_dir() if kind == "folder" else found.is_file():
        return found
    problem = f"is no {kind}" if found.exists() else "missing"
    raise DataError(f"{path}: {problem}; put the {kind} there, or correct its path under datasets in params.yaml")


def rows_text(rows: Sequence[int] | np.ndarray) -> str:
    """Say which rows: "row 3", "rows 3, 5 and 7", "rows 1, 2, 3, 4, 5 and 12 more"; counted from 1."""
    numbers = [f"{int(row) + 1:,}" for row in rows[:_SHOWN]]
    if len(rows) > _SHOWN:
        return f"rows {', '.join(numbers)} and {len(rows) - _SHOWN:,} more"
    if len(rows) == 1:
        return f"row {numbers[0]}"
    return f"rows {', '.join(numbers[:-1])} and {numbers[-1]}"


def label_targets(path: Path, texts: Sequence[str | None], classes: dict[str, str], name: str) -> np.ndarray:
    """Return the label (n,) of each target's text.

    Raises:
        DataError: a text is no declared class.
    """
    labels = {text: label for label, text in enumerate(classes)}
    found = np.array([labels.get(text, -1) if text is not None else -1 for text in texts], dtype=np.int64)
    unknown = sorted({str(text) for text in texts if text is not None and text not in labels})
    if unknown:
        rows = [row for row, text in enumerate(texts) if text == unknown[0]]
        more = f", and {len(unknown) - 1} other values" if len(unknown) > 1 else ""
        raise DataError(
            f"{path}: target '{name}': '{unknown[0]}' ({rows_text(rows)}){more}: no declared class; allowed: "
            f"{', '.join(classes)}; add it to classes, or correct the file"
        )
    return found


# ---------------------------------------------------------------------------------------------- checks


def check_rows(
    path: Path,
    rows: Rows,
    numbers: np.ndarray,
    columns: Sequence[Column],
    options: OwnOptions,
    files: Sequence[Path] = (),
) -> None:
    """Check all that can be known before rows are split.

    Args:
        path: of the user's file, for messages.
        rows: the samples; a missing value is NaN.
        numbers: of the rows in the file (n,), from 0.
        columns: of a table; empty for images and arrays of a higher rank.
        options: as declared.
        files: of the rows, where each has its own.

    Raises:
        DataError: with a line for each problem.
    """
    if len(rows) == 0:
        raise DataError(f"{path}: has no rows to train on; add rows")
    problems = _infinite(rows, numbers, columns) + _class_problems(rows, options)
    if not problems and columns:
        problems = _constant(rows, columns) + _target_copies(rows, columns, options)
    if not problems and options.duplicates == "refuse":
        problems = _duplicates(rows, files or [f"row {number + 1:,}" for number in numbers])
    if problems:
        raise DataError("\n".join(f"{path}: {problem}" for problem in problems))


def _infinite(rows: Rows, numbers: np.ndarray, columns: Sequence[Column]) -> list[str]:
    problems = []
    if np.issubdtype(rows.features.dtype, np.floating):
        flat = rows.features.reshape(len(rows), -1)
        for place in np.flatnonzero(np.isinf(flat).any(axis=0))[:_SHOWN]:
            where = f"column '{columns[place].name}'" if columns else f"position {place} of a sample"
            bad = numbers[np.flatnonzero(np.isinf(flat[:, place]))]
            problems.append(f"{where}: infinite in {rows_text(bad)}; correct the values, or remove the rows")
    if np.issubdtype(rows.targets.dtype, np.floating) and len(bad := np.flatnonzero(~np.isfinite(rows.targets))):
        problems.append(f"target: not finite in {rows_text(numbers[bad])}; correct the values, or remove the rows")
    return problems


def _class_problems(rows: Rows, options: OwnOptions) -> list[str]:
    names = options.class_names
    if not names:
        constant = len(rows) > 1 and bool(np.all(rows.targets == rows.targets[0]))
        return [f"target: is {rows.targets[0]:g} in every row, there is nothing to learn"] if constant else []
    counts = np.bincount(rows.targets, minlength=len(names))
    present = [name for name, count in zip(names, counts, strict=True) if count]
    if len(present) == 1:
        return [f"target: all {len(rows):,} rows are of the class '{present[0]}', there is nothing to tell apart"]
    return [
        f"target: no row is of the class '{name}'; take it out of classes, or add rows"
        for name, count in zip(names, counts, strict=True)
        if not count
    ]


def _constant(rows: Rows, columns: Sequence[Column]) -> list[str]:
    problems = []
    for column, values in zip(columns, rows.features.T, strict=True):
        known = values[~np.isnan(values)]
        if len(known) == 0:
            problems.append(f"column '{column.name}': every value is missing; take the column out of params.yaml")
        elif np.all(known == known[0]) and (len(known) == len(values) or column.missing != "constant"):
            value = column.categories[int(known[0])] if column.categories else f"{known[0]:g}"
            problems.append(
                f"column '{column.name}': is '{value}' in all {len(known):,} rows, so it tells nothing; "
                "take the column out of params.yaml"
            )
    return problems


def _target_copies(rows: Rows, columns: Sequence[Column], options: OwnOptions) -> list[str]:
    problems = []
    for column, values in zip(columns, rows.features.T, strict=True):
        if copies_target(values, rows.targets, len(options.class_names)):
            problems.append(
                f"column '{column.name}': tells the target exactly, each value stands for one target; a network would "
                "learn to copy it; take the column out of params.yaml"
            )
    return problems


def copies_target(values: np.ndarray, targets: np.ndarray, classes: int) -> bool:
    """Return whether a column is the target in other words.

    For classes: one value for each class and one class for each value; for numbers: the same up to a factor.

    Args:
        values: (n,); NaN where missing.
        targets: (n,) labels or values.
        classes: their number; 0 for a regression.
    """
    if np.isnan(values).any():
        return False
    if classes:
        if len(np.unique(values[:_SAMPLE])) > classes:
            return False
        pairs = np.unique(np.column_stack([values, targets]), axis=0)
        return len(pairs) == len(np.unique(values)) == len(np.unique(targets))
    with np.errstate(all="ignore"):
        ratios = targets[targets != 0] / values[targets != 0]
    same_zeros = np.array_equal(values == 0, targets == 0)
    return same_zeros and len(ratios) > 2 and bool(np.allclose(ratios, ratios[0], rtol=1e-12, atol=0))


def _duplicates(rows: Rows, names: Sequence[Path | str]) -> list[str]:
    groups, first = group_rows(rows.features)
    later = np.setdiff1d(np.arange(len(rows)), first)
    if len(later) == 0:
        return []
    copy, original = names[later[0]], names[first[groups[later[0]]]]
    count = f"{len(later):,} rows have" if len(later) > 1 else "1 row has"
    return [
        f"{count} the same features as an earlier one ({copy} as {original}), so that a "
        "network could be tested on what it was trained on; declare `duplicates: keep-together` (on one side of the "
        "split) or `allow`, or remove them from the file"
    ]
