"""Tables of own data: how a text table or a Parquet file becomes numbers and codes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast, get_args

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from tandem.datasets.own import (
    MISSING_CATEGORY,
    OwnOptions,
    as_text,
    as_texts,
    check_rows,
    existing,
    label_targets,
    mistake,
    rows_text,
)
from tandem.datasets.source import ArraySource, Options, Rows
from tandem.errors import DataError, suggest
from tandem.records import Column, Description, Fill, TableFormat

if TYPE_CHECKING:
    import pandas as pd

Rule = Literal["median", "mean", "most-frequent", "category", "drop-row"]
NUMERIC_RULES: tuple[str, ...] = ("median", "mean", "drop-row", "constant")
CATEGORICAL_RULES: tuple[str, ...] = ("category", "most-frequent", "drop-row", "constant")


# ------------------------------------------------------------------------------------------ declaration


class Constant(Options):
    """A fixed value for what is missing."""

    constant: Annotated[str | float, BeforeValidator(lambda value: value)]


def _as_rule(declared: Any) -> Any:
    if isinstance(declared, str) and declared not in get_args(Rule):
        raise mistake(f"'{declared}' is not known; {suggest(declared, [*get_args(Rule), 'constant'])}")
    if isinstance(declared, dict) and set(declared) != {"constant"}:
        raise mistake("must be a rule's name, or {constant: VALUE}")
    return declared


class TableOptions(OwnOptions):
    """Which file, which columns of it, and what is predicted."""

    file: str = Field(min_length=1, description="The table, from the project's folder.")
    target: str = Field(min_length=1, description="The column to predict.")
    numeric: Annotated[tuple[str, ...], BeforeValidator(as_texts)] = Field(
        default=(), description="Columns of numbers."
    )
    categorical: dict[str, Annotated[tuple[str, ...], BeforeValidator(as_texts)]] = Field(
        default_factory=dict, description="Columns of categories, each with its categories in the order of their codes."
    )
    missing: dict[str, Annotated[Rule | Constant, BeforeValidator(_as_rule)]] = Field(
        default_factory=dict,
        description="What becomes of missing values, by column: median, mean, most-frequent, category (one of their "
        "own), drop-row or {constant: VALUE}; fitted on training rows.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [*self.numeric, *self.categorical]
        if not names:
            raise mistake("names no column to learn from; list columns under numeric or categorical")
        for name in self.categorical:
            if name in self.numeric:
                raise mistake(f"the column '{name}' stands under numeric and categorical; remove one of the two")
        if self.target in names:
            raise mistake(
                f"the target '{self.target}' stands among the columns to learn from; take it out of "
                f"{'numeric' if self.target in self.numeric else 'categorical'}"
            )
        for name, categories in self.categorical.items():
            if len(categories) < 2 or MISSING_CATEGORY in categories:
                raise mistake(
                    f"the column '{name}' needs at least two categories; '{MISSING_CATEGORY}' is none, missing: "
                    "category makes it"
                )
        for name in self.missing:
            self._check_rule(name, names)
        return self

    def _check_rule(self, name: str, names: list[str]) -> None:
        rule = self.missing[name]
        word = rule if isinstance(rule, str) else "constant"
        if name == self.target:
            allowed: tuple[str, ...] = ("drop-row",)
        elif name in names:
            allowed = CATEGORICAL_RULES if name in self.categorical else NUMERIC_RULES
        else:
            raise mistake(f"missing names '{name}', which is no column to learn from; {suggest(name, names)}")
        if word not in allowed:
            raise mistake(f"missing: '{name}': '{word}' does not fit the column; {suggest(word, allowed)}")
        if isinstance(rule, Constant):
            categories = self.categorical.get(name)
            if categories is None and isinstance(rule.constant, str):
                raise mistake(f"missing: '{name}': the constant '{rule.constant}' must be a number")
            if categories is not None and str(as_text(rule.constant)) not in categories:
                raise mistake(
                    f"missing: '{name}': the constant '{rule.constant}' is no category of it; "
                    f"{suggest(str(rule.constant), categories)}"
                )

    @property
    def format(self) -> TableFormat:
        """How the file is written."""
        return TableFormat()

    def columns(self) -> tuple[Column, ...]:
        """Return the columns in the order of the features: numbers first."""
        return (
            *(self._column(name, "numeric", ()) for name in self.numeric),
            *(self._column(name, "categorical", categories) for name, categories in self.categorical.items()),
        )

    def _column(self, name: str, kind: Literal["numeric", "categorical"], categories: tuple[str, ...]) -> Column:
        rule = self.missing.get(name)
        constant: float | None = None
        if isinstance(rule, Constant):
            constant = categories.index(str(as_text(rule.constant))) if categories else float(rule.constant)
        if rule == "category":
            categories = (*categories, MISSING_CATEGORY)
        word = None if rule in (None, "drop-row") else "constant" if isinstance(rule, Constant) else rule
        return Column(name=name, kind=kind, categories=categories, missing=cast("Fill | None", word), constant=constant)


class TableSource(ArraySource):
    """A table in a file."""

    def describe(self, options: Options) -> Description:
        """Say what the options say."""
        assert isinstance(options, TableOptions)  # noqa: S101  (narrows the type)
        columns = options.columns()
        return Description(
            title=options.title or Path(options.file).stem,
            reference=options.reference,
            task="classification" if options.classes else "regression",
            feature_shape=(len(columns),),
            columns=columns,
            class_names=options.class_names,
            target_name=options.named_target(options.target),
            table=options.format,
            duplicates=options.duplicates,
        )

    def location(self, options: Options) -> str:
        """Return the file."""
        assert isinstance(options, TableOptions)  # noqa: S101  (narrows the type)
        return options.file

    def make(self, options: Options) -> tuple[Rows, None]:
        """Read the table and check it."""
        assert isinstance(options, TableOptions)  # noqa: S101  (narrows the type)
        table = read_table(existing(options.file, "file"), options.format)
        return table_rows(table, options), None


# ---------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class Table:
    """The cells of a file, with their header.

    Attributes:
        path: of the file.
        header: names without blanks around them; may hold one twice.
        cells: one column for each name; text as it stands in the file, or typed values of a Parquet file.
        format: how text cells are written.
        parsed: columns read as numbers or text before; a column is parsed once.
    """

    path: Path
    header: tuple[str, ...]
    cells: pd.DataFrame
    format: TableFormat
    parsed: dict[tuple[str, str], Any] = field(default_factory=dict, compare=False, repr=False)

    def column(self, name: str) -> pd.Series:
        """Return a column's cells.

        Raises:
            DataError: there is no such column, or two.
        """
        places = [place for place, found in enumerate(self.header) if found == name]
        if not places:
            known = suggest(name, [found for found in self.header if found]).removeprefix("allowed: ")
            raise DataError(f"{self.path}: column '{name}' is missing; it has {known}")
        if len(places) > 1:
            raise DataError(
                f"{self.path}: two columns are named '{name}' (columns {places[0] + 1} and {places[1] + 1}); "
                "rename one of the two"
            )
        return self.cells.iloc[:, places[0]]

    def texts(self, name: str) -> list[str | None]:
        """Return a column's cells as text, None where missing; whole numbers without a decimal part."""
        key = ("texts", name)
        if key not in self.parsed:
            self.parsed[key] = _listed(_without_fraction(self._stripped(name)))
        return self.parsed[key]

    def numbers(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a column's cells as float64 (n,), NaN where missing, and the rows whose cell is no number."""
        key = ("numbers", name)
        if key not in self.parsed:
            self.parsed[key] = self._parse_numbers(name)
        return self.parsed[key]

    def _parse_numbers(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        import pandas as pd

        cells = self.column(name)
        if pd.api.types.is_numeric_dtype(cells.dtype):
            return cells.to_numpy(dtype=np.float64, na_value=np.nan), np.arange(0)
        texts = self._stripped(name)
        if self.format.decimal != ".":
            texts = texts.str.replace(self.format.decimal, ".", regex=False)
        values = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        return values, np.flatnonzero(np.isnan(values) & texts.notna().to_numpy())

    def _stripped(self, name: str) -> pd.Series:
        """Return a column's cells as strings without blanks around them, missing where nothing stands."""
        import pandas as pd

        cells = self.column(name)
        if not isinstance(cells.dtype, pd.StringDtype):
            cells = pd.Series([None if pd.isna(cell) else str(cell) for cell in cells.tolist()], dtype="str")
        texts = cells.str.strip()
        return texts.mask(texts.isin(self.format.na_values))

    def encode(self, column: Column) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return a column as it stands in the features.

        Returns:
            Numbers or codes (n,), NaN where missing; the rows with a wrong cell; the rows where one is missing and
            nothing is declared for it.
        """
        if column.kind == "numeric":
            values, wrong = self.numbers(column.name)
            absent = np.isnan(values)
            absent[wrong] = False
        else:
            texts = self.texts(column.name)
            codes = {text: code for code, text in enumerate(column.categories)}
            values = np.array(
                [codes.get(text, np.nan) if text is not None else np.nan for text in texts], dtype=np.float64
            )
            absent = np.array([text is None for text in texts], dtype=bool)
            wrong = np.flatnonzero(np.isnan(values) & ~absent)
            if column.missing == "category":
                values[absent] = codes[MISSING_CATEGORY]
        lacking = np.flatnonzero(absent) if column.missing is None else np.arange(0)
        return values, wrong, lacking


def _listed(texts: pd.Series) -> list[str | None]:
    return [text if isinstance(text, str) else None for text in texts.tolist()]


def _without_fraction(texts: pd.Series) -> pd.Series:
    """Turn "3.0" into "3": a column of whole numbers with gaps is often written with a decimal part."""
    return texts.str.replace(r"^([+-]?[0-9]+)\.0+$", r"\1", regex=True)


def read_table(path: Path, form: TableFormat) -> Table:
    """Read a Parquet file, or a text table with a header line.

    Raises:
        DataError: the file is empty, damaged, in another encoding, or has rows longer or shorter than its header.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(path, form)
    return _read_text(path, form)


def _read_parquet(path: Path, form: TableFormat) -> Table:
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except Exception as error:  # pyarrow's own errors are of many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: cannot be read as Parquet ({reason}); write it again") from None
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    return Table(path, tuple(str(name).strip() for name in frame.columns), frame, form)


def _read_text(path: Path, form: TableFormat) -> Table:
    import pandas as pd

    encoding = "utf-8-sig" if form.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else form.encoding
    try:
        # The header is read as a row: pandas would take a cell too many in every row as row labels.
        frame = pd.read_csv(
            path,
            header=None,
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
            encoding=encoding,
            sep=form.delimiter,
        )
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: is empty; give a header line and at least one row") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); name a readable file") from None
    except LookupError:
        raise DataError(f"{path}: the encoding '{form.encoding}' is not known; utf-8 is the usual one") from None
    except (UnicodeError, pd.errors.ParserError) as error:
        raise DataError(
            f"{path}: cannot be read as CSV ({str(error).strip()}); save it as {form.encoding.upper()} CSV"
        ) from None
    if (frame.iloc[:, -1] == "").any():  # pandas fills a row that is cut short
        _refuse_short_rows(path, form, encoding, frame.shape[1])
    return Table(path, tuple(str(name).strip() for name in frame.iloc[0]), frame.iloc[1:].reset_index(drop=True), form)


def _refuse_short_rows(path: Path, form: TableFormat, encoding: str, width: int) -> None:
    with path.open(encoding=encoding, newline="") as file:
        rows = (
            row for row in csv.reader(file, delimiter=form.delimiter, skipinitialspace=True) if "".join(row).strip()
        )
        for number, row in enumerate(rows):
            if len(row) < width:
                raise DataError(
                    f"{path}: row {number:,} has {len(row)} cells, the header has {width} (delimiter "
                    f"{form.delimiter!r}); correct the line"
                )


def table_rows(table: Table, options: TableOptions) -> Rows:
    """Return the rows of a table as declared, checked.

    Raises:
        DataError: with a line for each problem.
    """
    columns, problems = options.columns(), []
    features = np.empty((len(table.cells), len(columns)))
    kept = np.ones(len(features), dtype=bool)
    for place, column in enumerate(columns):
        try:
            values, wrong, lacking = table.encode(column)
        except DataError as error:
            problems.append(str(error))
            continue
        features[:, place] = values
        if len(wrong):
            problems.append(_wrong_cell(table, column, wrong))
        elif options.missing.get(column.name) == "drop-row":
            kept[lacking] = False
        elif len(lacking):
            rules = CATEGORICAL_RULES if column.categories else NUMERIC_RULES
            problems.append(
                f"{table.path}: column '{column.name}': {len(lacking):,} of {len(features):,} values are missing "
                f"({rows_text(lacking)}); declare what they become, `missing: {{{column.name}: RULE}}` with RULE one "
                f"of {', '.join(rules)}, or take the column out of params.yaml"
            )
    targets, known = _targets(table, options, problems)
    if problems:
        raise DataError("\n".join(problems))
    kept &= known
    rows = Rows(features[kept], targets[kept])
    check_rows(table.path, rows, np.flatnonzero(kept), columns, options)
    return rows


def _wrong_cell(table: Table, column: Column, wrong: Sequence[int] | np.ndarray) -> str:
    texts = table.texts(column.name)
    shown = texts[int(wrong[0])]
    if column.kind == "numeric":
        return (
            f"{table.path}: column '{column.name}': '{shown}' is not a number ({len(wrong):,} such, "
            f"{rows_text(wrong)}); correct the cells, or list the column under categorical"
        )
    allowed = ", ".join(name for name in column.categories if name != MISSING_CATEGORY)
    return (
        f"{table.path}: column '{column.name}': '{shown}' is none of its categories ({len(wrong):,} such, "
        f"{rows_text(wrong)}); allowed: {allowed}; add it to the column's categories, or correct the cells"
    )


def _targets(table: Table, options: TableOptions, problems: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the targets (n,), and which rows have one; what is wrong is added to ``problems``."""
    name = options.target
    try:
        if options.classes:
            texts = table.texts(name)
            known = np.array([text is not None for text in texts], dtype=bool)
            targets = label_targets(table.path, texts, options.classes, name)
        else:
            targets, wrong = table.numbers(name)
            known = ~np.isnan(targets)
            targets = targets / options.target_unit
            if len(wrong):
                shown = table.texts(name)[int(wrong[0])]
                problems.append(
                    f"{table.path}: target '{name}': '{shown}' is not a number ({len(wrong):,} such, "
                    f"{rows_text(wrong)}); correct the cells, or declare classes"
                )
                return targets, known
    except DataError as error:
        problems.append(str(error))
        return np.zeros(len(table.cells)), np.ones(len(table.cells), dtype=bool)
    if not known.all() and options.missing.get(name) != "drop-row":
        lacking = np.flatnonzero(~known)
        problems.append(
            f"{table.path}: target '{name}': {len(lacking):,} of {len(known):,} values are missing "
            f"({rows_text(lacking)}); declare `missing: {{{name}: drop-row}}`, or correct the file"
        )
    return targets, known
