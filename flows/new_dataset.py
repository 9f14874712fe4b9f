"""``tandem new``: a first data set, experiment and suite for a file of one's own, written into params.yaml."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from tandem.config import Holdout, load_yaml, parse_params, read_params
from tandem.datasets.inference import Guess, infer_folder, infer_table
from tandem.errors import DataError, ParameterError
from tandem.part_checks import check_class_rows, check_training_classes
from tandem.records import Task
from tandem.splits import divide
from tandem.storage import write_text

_WIDTH = 110
_FRAMEWORKS = ("keras", "torch")
_LONGEST_NAME = 60
_READ_AS_BOOLEAN = {"y", "n", "yes", "no", "on", "off"}  # by readers of YAML 1.1; Tandem and DVC read them as text
_TABLES = (".csv", ".tsv", ".txt", ".parquet", ".pq")


@dataclass(frozen=True)
class NewOptions:
    """What the command line says besides the file; None: guessed."""

    target: str | None = None
    name: str | None = None
    task: Task | None = None
    delimiter: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    size: tuple[int, int] | None = None


def add_dataset(given: Path, options: NewOptions, params: Path, console: Console) -> None:
    """Read the file, guess its types, and write a data set, an experiment and a suite into params.yaml.

    Raises:
        DataError: the data cannot be trained on; one line for each problem.
        ParameterError: params.yaml is wrong, has the name already, or is written so that nothing can be added.
        StorageError: it could not be written; nothing was written in any of these cases.
    """
    read_params(params)
    name = options.name or _name_of(given)
    _refuse_taken_names(params, name)
    guess = _guess(given, options)
    entries = _entries(name, guess)
    dataset = entries["datasets"][name]
    _check_split(given, guess, dataset["split"])
    text = params.read_bytes().decode("utf-8")
    new = text
    for section, entry in entries.items():
        new = _with_entry(new, params, section, entry, _comments(guess) if section == "datasets" else ())
    _verify(text, new, params, entries)
    parse_params(new, params)
    write_text(params, new)
    _print(name, given, guess, params, console)


def _name_of(given: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", given.stem.lower()).strip("-")[:_LONGEST_NAME].strip("-")
    if not name:
        raise ParameterError(
            f"'{given.stem}' gives no name of lower-case letters, digits and '-'; choose one with --name NAME"
        )
    return name


def _refuse_taken_names(params: Path, name: str) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) or len(name) > _LONGEST_NAME:
        raise ParameterError(
            f"'{name}' is no allowed name; names are lower-case letters, digits and '-', begin with a letter or digit, "
            f"and have at most {_LONGEST_NAME} characters"
        )
    document = load_yaml(params)
    for section, taken in (("datasets", name), ("experiments", f"{name}-mlp"), ("suites", name)):
        if taken in (document.get(section) or {}):
            raise ParameterError(
                f"{params}: '{taken}' is already declared under {section}; choose another name with --name, or remove "
                "the entry"
            )


def _guess(given: Path, options: NewOptions) -> Guess:
    if not given.exists():
        raise DataError(f"{given}: missing; name an existing file or folder")
    root, path = Path.cwd().resolve(), given.expanduser().resolve()
    shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
    if path.is_dir():
        return infer_folder(path, shown, options.target, task=options.task, size=options.size)
    if path.suffix.lower() not in _TABLES:
        raise DataError(
            f"{given}: '{path.suffix}' files cannot be read; allowed: {', '.join(_TABLES)}, a folder with features.npy "
            "and targets.npy, or a folder with a folder of images for each class"
        )
    return infer_table(
        Path(shown),
        shown,
        options.target,
        task=options.task,
        delimiter=options.delimiter,
        encoding=options.encoding,
        decimal=options.decimal,
    )


# ---------------------------------------------------------------------------------------------- entries


def _entries(name: str, guess: Guess) -> dict[str, dict[str, Any]]:
    """Return what is added to each section of params.yaml."""
    experiment = f"{name}-mlp"
    classes, rows = len(guess.known.class_names), len(guess.rows)
    split = {"method": "holdout", "test": 0.2, "valid": 0.2, "seeds": [7, 11]} | ({"stratify": True} if classes else {})
    per = "feature" if guess.known.columns else "all"
    width = 16 if rows < 1_000 else 32 if rows < 10_000 else 64
    layers: list[dict[str, Any]] = [{"flatten": {}}] if len(guess.known.feature_shape) > 1 else []
    layers += [{"dense": {"units": units, "activation": "relu"}} for units in (width, width // 2)]
    loss = "mse" if not classes else "binary_cross_entropy" if classes == 2 else "cross_entropy"
    return {
        "suites": {name: {"experiments": [experiment], "frameworks": list(_FRAMEWORKS)}},
        "datasets": {
            name: {
                "source": {"name": guess.source, **guess.options},
                "split": split,
                "standardize": {"method": "zscore", "per": per},
            }
        },
        "experiments": {
            experiment: {
                "description": f"A first network predicts {guess.known.target_name} from {_inputs(guess)}.",
                "dataset": name,
                "model": {"sequential": layers},
                "loss": loss,
                "optimizer": {"name": "adam", "learning_rate": 0.001 if rows >= 10_000 else 0.003},
                "training": {
                    "epochs": 100 if rows < 10_000 else 30,
                    "batch_size": 32 if rows < 10_000 else 128,
                    "checkpoint": "best",
                    "replicates": 3,
                    "seed": 0,
                    "threads": 1,
                    "early_stopping": {"monitor": "valid_loss", "patience": 10},
                },
            }
        },
    }


def _inputs(guess: Guess) -> str:
    count = len(guess.known.columns)
    if count:
        return f"{count} column{'s' * (count > 1)}"
    return "images" if guess.source == "images" else "arrays"


def _comments(guess: Guess) -> tuple[str, ...]:
    """Return what stands above the new data set: how to correct it, and what it leaves out."""
    if not guess.columns:
        return ("guessed by `tandem new`; correct what is wrong",)
    left = [f"{column.name} ({column.reason})" for column in guess.columns if column.use == "left out"]
    lines = ["guessed by `tandem new`; move columns between numeric and categorical, or out of both, by hand"]
    return (*lines, *(f"left out: {' '.join(text.split())}" for text in left))


def _check_split(given: Path, guess: Guess, split: Mapping[str, Any]) -> None:
    declared = Holdout.model_validate({**split, "seeds": tuple(split["seeds"])})
    together = guess.known.duplicates == "keep-together"
    try:
        check_class_rows(guess.rows, declared, guess.known)
        check_training_classes(divide(guess.rows, None, declared, keep_together=together), guess.known)
    except DataError as error:
        raise DataError(f"{given}: {error}") from None


# ---------------------------------------------------------------------------------------------- writing


def _with_entry(text: str, path: Path, section: str, entry: Mapping[str, Any], comments: tuple[str, ...]) -> str:
    """Return params.yaml with an entry at the end of a section; every other byte stays."""
    newline = "\r\n" if "\r\n" in text else "\n"
    root = YAML(typ="rt").compose(text)
    nodes = {key.value: (key, value) for key, value in root.value}
    if section not in nodes:  # suites alone may be missing; it comes before the data sets
        block = [f"{section}:", *_block(entry, 2, comments), ""]
        place = nodes["datasets"][0].start_mark.line
        return _insert(text, place, block, newline)
    _, value = nodes[section]
    if value.flow_style or not value.value:
        raise ParameterError(
            f"{path}:{value.start_mark.line + 1}: {section} stands in one line; give each entry lines of its own and "
            "try again"
        )
    indent = value.value[0][0].start_mark.column
    lines = text.splitlines()
    last = value.value[-1][0].start_mark.line
    spaced = len(value.value) > 1 and not lines[last - 1].strip()
    block = [*([""] if spaced else []), *_block(entry, indent, comments)]
    return _insert(text, _end_line(value) + 1, block, newline)


def _insert(text: str, line: int, block: list[str], newline: str) -> str:
    lines = text.splitlines(keepends=True)
    if line == len(lines) and lines and not lines[-1].endswith("\n"):
        lines[-1] += newline
    return "".join([*lines[:line], *(added + newline for added in block), *lines[line:]])


def _end_line(node: Any) -> int:
    """Return the last line, from 0, that a node's own text stands on; what follows may be comments."""
    if isinstance(node.value, list) and not node.flow_style:
        last = node.value[-1]
        return _end_line(last[1] if isinstance(last, tuple) else last)
    return node.end_mark.line - (node.end_mark.column == 0 and node.end_mark.line > node.start_mark.line)


def _block(entry: Mapping[str, Any], indent: int, comments: tuple[str, ...]) -> list[str]:
    """Return an entry as lines of YAML: mappings on lines of their own down to the third level, the rest in one."""
    yaml = YAML(typ="rt")
    yaml.width = _WIDTH
    yaml.allow_unicode = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(_styled(dict(entry), ()), stream)
    margin = " " * indent
    lines = [f"# {line}" for line in comments] + [line.rstrip() for line in stream.getvalue().splitlines()]
    return [margin + line for line in lines]


def _styled(value: Any, place: tuple[str, ...]) -> Any:
    """Lay a value out as params.yaml is: short things in one line."""
    if isinstance(value, dict):
        made = CommentedMap({key: _styled(inner, (*place, str(key))) for key, inner in value.items()})
        if place and not _opens(place):
            made.fa.set_flow_style()
        return made
    if isinstance(value, str) and (place[-1] in ("delimiter", "decimal") or value.lower() in _READ_AS_BOOLEAN):
        return DoubleQuotedScalarString(value)
    if isinstance(value, list):
        listed = CommentedSeq([_styled(inner, (*place, "*")) for inner in value])
        if place[-1] != "sequential":
            listed.fa.set_flow_style()
        return listed
    return value


def _opens(place: tuple[str, ...]) -> bool:
    """Return whether a mapping's keys stand on lines of their own."""
    opened = (("source",), ("model",), ("training",), ("source", "categorical"), ("model", "sequential", "*"))
    return len(place) == 1 or place[1:] in opened


def _verify(old: str, new: str, path: Path, entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that the new text says what the old one said and the entries, and nothing else."""
    safe = YAML(typ="safe", pure=True)
    try:
        before, after = safe.load(old), safe.load(new)
    except YAMLError:
        after = None
    expected = {**before, **{key: {**(before.get(key) or {}), **entry} for key, entry in entries.items()}}
    if after != expected:
        raise ParameterError(
            f"{path}: is laid out so that nothing can be added safely; put each entry of datasets, experiments and "
            "suites on lines of its own and try again"
        )


# --------------------------------------------------------------------------------------------- printing


def _print(name: str, given: Path, guess: Guess, params: Path, console: Console) -> None:
    known = guess.known
    kind = f"{len(known.class_names)} classes" if known.class_names else "values"
    console.print(
        Text(f"{given}: {len(guess.rows):,} rows, to predict {known.target_name} ({kind}), read as {guess.source}")
    )
    if guess.columns:
        table = Table("column", "taken for", "values, or why not", "missing → becomes", box=None, pad_edge=False)
        for column in guess.columns:
            missing = f"{column.missing:,} → {column.rule}" if column.rule else f"{column.missing:,}"
            style = "dim" if column.use == "left out" else ""
            cells = (column.name, column.use, column.reason or column.values, missing if column.missing else "")
            table.add_row(*(Text(cell) for cell in cells), style=style)
        console.print(table)
    else:
        shape = " × ".join(map(str, known.feature_shape))
        console.print(Text(f"samples of {shape}" + (f", classes: {', '.join(known.class_names)}" if kind else "")))
    for note in guess.notes:
        console.print(Text(f"note: {note}"))
    location = guess.options.get("file") or guess.options["folder"]
    if Path(location).is_absolute():
        console.print(
            Text(
                f"note: {params} names {location}, outside of the project; on another machine it must stand at the "
                "same place. Copy it into the project, to own/ for instance, to avoid that"
            )
        )
    console.print(Text(f"{params}: data set '{name}', experiment '{name}-mlp' and suite '{name}' added"))
    console.print(
        Text(f"next: look at the data set there, correct what is wrong; then `tandem suite {name}`, `tandem run`")
    )
