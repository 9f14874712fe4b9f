"""Writes entries into a ``dvc.lock`` as DVC would, but atomically and, for hundreds of stages, quickly.

DVC parses the whole file and writes it anew for every stage, which takes seconds at hundreds of stages, and a
reader may see half of it. Here the text of the entries that did not change is kept as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

_HEAD = "schema: '2.0'\nstages:\n"
# The line that begins an entry; keys that YAML writes in any other way are left to the slow way.
_ENTRY = re.compile(r"  (?:[A-Za-z0-9_./@-][^#'\"&*?|>%]*|'[^']*'):\n")

# Text that YAML 1.2 writes without quotes, in one line, and reads as text again; there is more of it.
_PLAIN = re.compile(
    r"(?!0[xob])(?=[^ ]*[a-df-mp-wyzA-DF-MP-WYZ])"  # no number, of any kind
    r"[A-Za-z0-9_/][A-Za-z0-9_./@=+;<>$()-]*(?: [A-Za-z0-9_./@=+;<>$()-]+)*"
)
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_WIDTH = 78  # columns; YAML folds longer lines

AsYaml = Callable[[Any], str]
ParseYaml = Callable[[str, str], Any]


def write_entries(path: Path, entries: Mapping[str, Mapping[str, Any]], as_yaml: AsYaml, parse: ParseYaml) -> None:
    """Put entries into a lock file, in place of older ones of the same names; all else stays.

    Args:
        path: the lock file; made if it is not there. It is read anew, so that what other processes wrote
            since it was loaded is kept.
        entries: stage name → what DVC records for it.
        as_yaml: DVC's way to write YAML.
        parse: DVC's way to read YAML for changing it: text and path → data that keeps comments.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    new = _spliced(text, entries, as_yaml)
    if new is None:
        new = _rewritten(text, path, entries, as_yaml, parse)
    if new != text:
        replace_file(path, new)


def _spliced(text: str, entries: Mapping[str, Mapping[str, Any]], as_yaml: AsYaml) -> str | None:
    """Return the text with the entries' own lines replaced or appended; ``None`` if it is not as DVC writes it."""
    text = text or _HEAD
    if not text.startswith(_HEAD) or not text.endswith("\n"):
        return None
    blocks: dict[str, list[str]] = {}
    block: list[str] | None = None
    for line in text[len(_HEAD) :].splitlines(keepends=True):
        if line.startswith("   "):
            if block is None:
                return None
            block.append(line)
        elif _ENTRY.fullmatch(line) and line not in blocks:
            block = blocks[line] = [line]
        else:
            return None
    for name, entry in entries.items():
        written = as_yaml({"stages": {name: entry}}).partition("\n")[2]
        first, end, _ = written.partition("\n")
        if not _ENTRY.fullmatch(first + end):
            return None
        blocks[first + end] = [written]
    return _HEAD + "".join(line for lines in blocks.values() for line in lines)


def _rewritten(
    text: str, path: Path, entries: Mapping[str, Mapping[str, Any]], as_yaml: AsYaml, parse: ParseYaml
) -> str:
    data = parse(text, str(path)) if text else {}
    if not data:
        data["schema"] = "2.0"
    stages = data.get("stages")
    if stages is None:
        stages = data["stages"] = {}
    if all(stages.get(name) == entry for name, entry in entries.items()):
        return text
    stages.update(entries)
    return as_yaml(data)


def replace_file(path: Path, text: str, *, durable: bool = True, folder: Path | None = None) -> None:
    """Write a file so that a reader, or a killed writer, leaves the old one or the new one.

    Args:
        path: the file.
        text: all of it.
        durable: also when the power fails.
        folder: where it is written first, on the same file system; by default beside it.
    """
    path = path.resolve()
    partial = (folder or path.parent) / f".{path.name}.partial-{os.getpid()}"
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if path.exists():
            partial.chmod(path.stat().st_mode & 0o7777)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def drop_partials(folder: Path) -> None:
    """Remove what killed processes left of :func:`replace_file` in a folder."""
    for partial in folder.glob(".*.partial-*"):
        process = partial.name.rpartition("-")[2]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            partial.unlink(missing_ok=True)


def simple_yaml(data: Mapping[str, Any], indent: int = 0) -> str | None:
    """Return the YAML of nested mappings, lists of mappings, plain text, whole numbers and truths.

    The text is the one that ruamel.yaml's round-trip dumper, DVC's, gives, several times as fast; ``None`` for
    anything that is not so simple.
    """
    lines: list[str] = []
    return "".join(lines) if data and _add_mapping(lines, data, " " * indent, "") else None


def _add_mapping(lines: list[str], data: Mapping[str, Any], indent: str, first: str) -> bool:
    """Add a mapping's lines, the first one behind ``first``; say whether all of it was simple."""
    for key, value in data.items():
        head = f"{indent}{first}{key}:"
        rest = indent if not first else f"{indent}  "
        if not isinstance(key, str) or not _is_plain(key, 0):
            return False
        if isinstance(value, bool):
            lines.append(f"{head} {'true' if value else 'false'}\n")
        elif isinstance(value, int):
            lines.append(f"{head} {value}\n")
        elif isinstance(value, str):
            if not _is_plain(value, len(head) + 1):
                return False
            lines.append(f"{head} {value}\n")
        elif isinstance(value, list) and value and all(isinstance(item, dict) and item for item in value):
            lines.append(f"{head}\n")
            if not all(_add_mapping(lines, item, rest, "- ") for item in value):
                return False
        elif isinstance(value, dict) and value:
            lines.append(f"{head}\n")
            if not _add_mapping(lines, value, f"{rest}  ", ""):
                return False
        else:
            return False
        if first:
            indent, first = rest, ""
    return True


def _is_plain(text: str, column: int) -> bool:
    return column + len(text) <= _WIDTH and bool(_PLAIN.fullmatch(text)) and text.lower() not in _WORDS
