"""The text of lock files: as DVC writes it, entry by entry."""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

from dvcgraph.lockfile import simple_yaml, write_entries

TRICKY = [
    "123", "0x1f", "1e5", "12e34567890123456789012345678901", "0o17", "1_000", "true", "No", "null", "~", "", " a",
    "a ", "a  b", "- a", "a: b", "a:", "a #b", "#a", "2001-01-01", "1.5", ".5", ".inf", "=", "<<", "a, b", "[a]",
    "{a}", "*a", "&a", "!a", "%a", "@a", "`a`", "'a'", '"a"', "é", "日本", "a\tb", "a\nb", "x" * 100, "a " * 60,
    "echo \"hi\" > a", "cat a > b; echo c >> b",
    "?", "? a", ":a", "a|b", "|", ">", "-", "--a", "a/b.txt", "./a", "../a",
]  # fmt: skip


def random_entry(generator: random.Random) -> dict[str, Any]:
    def text() -> str:
        if generator.random() < 0.1:
            return generator.choice(TRICKY)
        letters = string.ascii_letters + string.digits + "./_-@ " * 2
        return "".join(generator.choice(letters) for _ in range(generator.randrange(1, 90)))

    def file() -> dict[str, Any]:
        found: dict[str, Any] = {"path": text(), "hash": "md5"}
        found["md5"] = "".join(generator.choice("0123456789abcdef") for _ in range(32))
        found["size"] = generator.randrange(10**6)
        if generator.random() < 0.2:
            found["isexec"] = True
        return found

    entry: dict[str, Any] = {"cmd": text()}
    if generator.random() < 0.8:
        entry["deps"] = [file() for _ in range(generator.randrange(1, 3))]
    if generator.random() < 0.3:
        value = generator.choice([0.1, 1e-7, True, None, [1, 2], {"a": 1}, "x", [], {}])
        entry["params"] = {"params.yaml": {"rate": value}}
    entry["outs"] = [file()]
    return entry


def test_simple_yaml_is_the_text_that_dvc_writes() -> None:
    generator = random.Random(0)
    simple = 0
    for _ in range(800):
        data = {"stages": {generator.choice(["a", "train@x-1"] * 30 + TRICKY): random_entry(generator)}}
        text = simple_yaml(data)
        if text is not None:
            simple += 1
            assert text == dumps_yaml(data)
    assert simple > 20, "the quick way was hardly ever taken"


def test_the_usual_record_takes_the_quick_way() -> None:
    file = {"path": "o/1.txt", "hash": "md5", "md5": "b1946ac92492d2347c6235b4d2611184", "size": 6}
    data = {"cmd": "python -m stages.train digits-mlp keras", "deps": [dict(file), dict(file)], "outs": [file]}
    assert simple_yaml(data) == dumps_yaml(data)


@pytest.mark.parametrize(
    "before",
    [
        "",
        "schema: '2.0'\nstages:\n  a:\n    cmd: old\n  b:\n    cmd: kept\n",
        "# a comment\nschema: '2.0'\nstages:\n  b:\n    cmd: kept # why\n",
        "schema: '2.0'\nstages:\n  b: {cmd: kept}\n",
        "schema: '2.0'\nstages:\n  ? b\n  : cmd: kept\ndatasets: []\n",
        "schema: '2.0'\n",
    ],
)
def test_entries_are_put_into_any_lock_file(tmp_path: Path, before: str) -> None:
    path = tmp_path / "dvc.lock"
    if before:
        path.write_text(before, encoding="utf-8")
    write_entries(path, {"a": {"cmd": "new"}, "c: d": {"cmd": "x"}}, dumps_yaml, parse_yaml_for_update)
    text = path.read_text(encoding="utf-8")
    data = parse_yaml_for_update(text, str(path))
    assert data["schema"] == "2.0"
    expected = {"a": {"cmd": "new"}, "c: d": {"cmd": "x"}}
    assert data["stages"] == expected | ({"b": {"cmd": "kept"}} if "kept" in before else {})
    assert ("comment" in before) == ("comment" in text)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_says_it_already_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "dvc.lock"
    path.write_text("schema: '2.0'\nstages:\n  a:\n    cmd: old\n", encoding="utf-8")
    before = path.stat()
    write_entries(path, {"a": {"cmd": "old"}}, dumps_yaml, parse_yaml_for_update)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
