"""`tandem new`: what it guesses and writes into params.yaml; it writes nothing where something is wrong."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from flows.new_dataset import NewOptions, add_dataset
from tandem.config import Params, read_params
from tandem.datasets.inference import guess_format
from tandem.errors import ParameterError, TandemError

COLOURS = ("red", "green", "blue")


def table(rows: int = 60) -> pd.DataFrame:
    """Rows of every kind of column; the target hangs on none of them."""
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": np.arange(1, rows + 1),
            "age": draw.integers(1, 90, rows).astype(float),
            "colour": draw.choice(COLOURS, rows),
            "name": [f"Row, number {row}" for row in range(rows)],
            "unit": "cm",
            "deck": np.where(draw.random(rows) < 0.9, None, "A"),
            "kind": draw.choice(["yes", "no"], rows),
        }
    )


@pytest.fixture
def project(write_params: Callable[..., Path], tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_params()
    return tmp_path


@pytest.fixture
def new(project: Path) -> Callable[..., str]:  # noqa: ARG001  (it works in the project)
    """Run `tandem new` on a frame, text or bytes in people.csv, or on a path; return what it prints."""

    def call(data: pd.DataFrame | str | bytes | None = None, target: str | None = "kind", **options) -> str:
        path = Path(options.pop("path", "people.csv"))
        if isinstance(data, pd.DataFrame):
            data.to_csv(path, index=False)
        elif data is not None:
            path.write_bytes(data if isinstance(data, bytes) else data.encode())
        stream = io.StringIO()
        console = Console(file=stream, width=200)
        add_dataset(path, NewOptions(target=target, **options), Path("params.yaml"), console)
        return stream.getvalue()

    return call


@pytest.fixture
def refusal(new: Callable[..., str], project: Path) -> Callable[..., str]:
    """The error of a call that writes nothing."""

    def call(*arguments, **options) -> str:
        before = (project / "params.yaml").read_bytes()
        with pytest.raises(TandemError) as caught:
            new(*arguments, **options)
        assert (project / "params.yaml").read_bytes() == before
        assert not list(project.glob("*.partial-*"))
        return str(caught.value)

    return call


def params() -> Params:
    return read_params(Path("params.yaml"))


def source(name: str = "people") -> dict:
    return params().datasets[name].source.options


# ------------------------------------------------------------------------------------------------ guessing


def test_a_table_becomes_a_data_set_an_experiment_and_a_suite(new):
    printed = new(table())
    declared = params()
    assert source() == {
        "file": "people.csv",
        "delimiter": ",",
        "encoding": "utf-8",
        "decimal": ".",
        "target": "kind",
        "classes": ["no", "yes"],
        "numeric": ["age"],
        "categorical": {"colour": ["blue", "green", "red"]},
        "duplicates": "keep-together",
    }
    experiment = declared.experiments["people-mlp"]
    assert experiment.dataset == "people"
    assert experiment.loss == "binary_cross_entropy"
    assert experiment.description == "A first network predicts kind from 2 columns."
    assert declared.datasets["people"].split.stratify
    assert declared.suites["people"].experiments == ("people-mlp",)
    assert declared.suites["people"].frameworks == ("keras", "torch")
    lines = [re.split(r"  +", line.strip()) for line in printed.splitlines()]
    assert lines[0] == ["people.csv: 60 rows, to predict kind (2 classes), read as csv"]
    assert lines[2:9] == [
        ["id", "left out", "numbers the rows"],
        ["age", "numeric", "1 to 89"],
        ["colour", "categorical", "blue, green, red"],
        ["name", "left out", "text with 60 different values, 'Row, number 0' for one"],
        ["unit", "left out", "is 'cm' in every row that has a value"],
        ["deck", "left out", "is 'A' in every row that has a value", str(int(table().deck.isna().sum()))],
        ["kind", "target", "2 classes: no, yes"],
    ]
    assert "note: " in printed
    assert printed.endswith(
        "params.yaml: data set 'people', experiment 'people-mlp' and suite 'people' added\n"
        "next: look at the data set there, correct what is wrong; then `tandem suite people`, `tandem run`\n"
    )


def test_the_rest_of_params_keeps_every_byte(new, project):
    before = (project / "params.yaml").read_text(encoding="utf-8").splitlines()
    new(table())
    after = (project / "params.yaml").read_text(encoding="utf-8").splitlines()
    remaining = iter(after)
    assert all(line in remaining for line in before), "a line was changed or moved"
    assert "  # left out: name (text with 60 different values, 'Row, number 0' for one)" in after


def test_comments_stay_and_new_entries_stand_at_the_end_of_their_sections(new, project):
    path = project / "params.yaml"
    text = path.read_text(encoding="utf-8")
    text = "# mine\n" + text.replace("experiments:\n  digits-mlp", "# networks\nexperiments:\n  digits-mlp") + "\n# end"
    text = text.replace(
        "datasets:\n", "suites:\n  one: {experiments: [wide], frameworks: [torch]}  # here\ndatasets:\n"
    )
    path.write_text(text, encoding="utf-8")
    new(table())
    after = path.read_text(encoding="utf-8")
    for comment in ("# mine\n", "# networks\n", "# here\n", "# end"):
        assert comment in after
    assert after.index("one:") < after.index("\n  people:") < after.index("datasets:")
    assert after.index("\n  people:", after.index("datasets:")) < after.index("# networks")
    assert after.index("people-mlp:") < after.index("# end")


def test_windows_line_ends_of_params_stay(new, project):
    path = project / "params.yaml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    new(table())
    assert b"\n" not in path.read_bytes().replace(b"\r\n", b"")


def test_missing_values_get_a_rule_for_each_kind(new):
    frame = table()
    frame.loc[3, "age"] = np.nan
    frame.loc[[5, 6], "colour"] = None
    frame.loc[7, "kind"] = None
    printed = new(frame)
    assert source()["missing"] == {"age": "median", "colour": "category", "kind": "drop-row"}
    assert "2 → category" in printed


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        ([0, 1] * 30, None, ["0", "1"]),
        (["True", "False"] * 30, None, ["False", "True"]),
        (["да", "нет", "не знаю"] * 20, None, ["да", "не знаю", "нет"]),
        (list(range(5)) * 12, None, [str(digit) for digit in range(5)]),
        (list(range(10)) * 6, "regression", None),
        ([value / 7 for value in range(60)], None, None),
        (list(range(60)), None, None),
    ],
)
def test_the_task_follows_from_the_target(new, values, task, classes):
    frame = table().assign(kind=values)
    new(frame, task=task)
    assert source().get("classes") == classes
    assert params().experiments["people-mlp"].loss == (
        "mse" if classes is None else "binary_cross_entropy" if len(classes) == 2 else "cross_entropy"
    )


@pytest.mark.parametrize(("scale", "unit"), [(1, None), (9_000, 10_000.0), (1e-4, 1e-4)])
def test_values_of_another_size_get_a_unit(new, scale, unit):
    draws = np.random.default_rng(0).normal(20, 1, 60) * scale
    new(table().assign(kind=draws))
    assert source().get("target_unit") == unit


def test_rows_that_repeat_since_their_columns_have_few_values_are_allowed(new):
    printed = new(table()[["colour", "kind"]])
    assert source()["duplicates"] == "allow"
    assert "note: 57 of 60 rows have the same features as an earlier one, as happens with few" in printed


def test_columns_that_are_the_target_in_other_words_are_left_out(new):
    frame = table().assign(code=lambda frame: (frame.kind == "yes").astype(int))
    assert "tells the target exactly" in new(frame)
    assert source()["numeric"] == ["age"]


def test_row_numbers_are_used_where_nothing_else_is_there(new):
    frame = pd.DataFrame({"x": range(40), "kind": np.random.default_rng(0).choice(["a", "b"], 40)})
    new(frame)
    assert source()["numeric"] == ["x"]


def test_a_column_with_a_few_texts_among_numbers_is_left_out_with_the_first(new):
    frame = table().assign(age=lambda frame: frame.age.astype(str).where(frame.index != 4, "old"))
    assert "text: 'old' in row 5 is no number" in new(frame)
    assert "numeric" not in source()


def german(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, sep=";", decimal=",").encode("cp1252")


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda frame: frame.to_csv(index=False).encode("utf-8-sig"), (",", "utf-8", ".")),
        (lambda frame: frame.to_csv(index=False, sep="\t").encode("utf-16"), ("\t", "utf-16", ".")),
        (lambda frame: frame.rename(columns={"age": "年龄"}).assign(colour="红色").to_csv(index=False)
         .encode("gb18030"), (",", "gb18030", ".")),
        (lambda frame: german(frame.assign(age=frame.age / 3, colour="grün")), (";", "cp1252", ",")),
        (lambda frame: frame.to_csv(index=False, sep="|", lineterminator="\r\n").encode(), ("|", "utf-8", ".")),
    ],
    ids=["byte order mark", "utf-16", "gb18030", "german", "windows"],
)  # fmt: skip
def test_how_a_text_is_written_is_guessed(tmp_path, write, expected):
    path = tmp_path / "t.csv"
    path.write_bytes(write(table()))
    form = guess_format(path, None, None, None)
    assert (form.delimiter, form.encoding, form.decimal) == expected


def test_a_table_of_another_format_is_written_down_and_said(new):
    printed = new(german(table().assign(age=table().age / 3)))
    assert "cells parted by a semicolon, its decimals by a comma" in printed
    assert (source()["delimiter"], source()["decimal"]) == (";", ",")


def test_parquet_and_other_folders_are_read(new, project):
    table().to_parquet(project / "own data.parquet")
    new(path="own data.parquet")
    assert params().datasets["own-data"].source.name == "parquet"
    draw = np.random.default_rng(0)
    (project / "arrays").mkdir()
    np.save(project / "arrays/features.npy", draw.normal(size=(40, 3, 8, 8)))
    np.save(project / "arrays/targets.npy", draw.integers(0, 4, 40))
    assert "channels first" in new(path="arrays", target=None)
    assert source("arrays") == {
        "folder": "arrays", "shape": [3, 8, 8], "channel_order": "first", "classes": ["0", "1", "2", "3"],
    }  # fmt: skip
    for name in ("猫", "dog"):
        (project / "pets" / name).mkdir(parents=True)
        for number in range(5):
            Image.fromarray(draw.integers(0, 255, (9, 7), dtype=np.uint8)).save(project / f"pets/{name}/{number}.png")
    new(path="pets", target=None)
    assert source("pets") == {"folder": "pets", "classes": ["dog", "猫"], "size": [9, 7], "colour": "grey"}
    new(path="pets", target=None, size=(4, 4), name="small-pets")
    assert source("small-pets")["resize"] is True


def test_a_file_outside_of_the_project_is_named_by_its_whole_path(new, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "people.csv"
    printed = new(table(), path=str(outside))
    assert source()["file"] == str(outside)
    assert f"note: params.yaml names {outside}, outside of the project; on another machine" in printed


# ------------------------------------------------------------------------------------------------ refusing


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.rename(columns={"kind": "Kind"}),
         "people.csv: column 'kind' is missing; it has Kind, age, colour, deck, id, name, unit; did you mean 'Kind'?"),
        (lambda frame: frame.assign(kind="yes"),
         "people.csv: target 'kind': all 60 rows are 'yes', there is nothing to tell apart; name another column, or "
         "add rows of other classes"),
        (lambda frame: frame.assign(kind=frame.name + "!"), "people.csv: target 'kind': too few rows"),
        (lambda _: table(300).assign(kind=table(300).name),
         "people.csv: target 'kind': 300 different values in 300 rows are too many for classes (at most 100); name "
         "another column"),
        (lambda frame: frame.assign(kind=["rare"] * 2 + ["yes", "no"] * 29),
         "people.csv: target 'kind': too few rows with different features of the class 'rare' (2) for a stratified "
         "split: it takes 3"),
        (lambda frame: frame.assign(age=frame.age.where(frame.index != 2, np.inf)),
         "people.csv: column 'age': infinite in row 3; correct the values, or remove the rows"),
        (lambda frame: frame[["name", "unit", "kind"]],
         "people.csv: no column is left to learn from ('name': text with 60 different values, 'Row, number 0' for "
         "one; 'unit': is 'cm' in every row that has a value); add columns, or declare them by hand"),
        (lambda frame: frame[:0], "people.csv: has a header and no rows; add rows"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_trained_on_is_refused(refusal, change, message):
    assert refusal(change(table())).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "people.csv: is empty; give a header line and at least one row"),
        (b"PK\x03\x04\0\0", "people.csv: is no text table; give a .csv or .parquet file (export a spreadsheet as CSV)"),
        ("1,2,3\n4,5,6\n", "people.csv: line 1 is all numbers, but must name the columns; put a header line before it"),
        ("a,b,a,kind\n1,2,3,x\n", "people.csv: two columns are named 'a' (columns 1 and 3); rename one of the two"),
        ("a,kind\n1,x\n2\n", "people.csv: row 2 has 1 cells, the header has 2 (delimiter ','); correct the line"),
    ],
)
def test_a_file_that_is_no_table_is_refused(refusal, content, message):
    assert refusal(content) == message


def test_a_target_must_be_named(refusal):
    assert refusal(table(), target=None) == (
        "people.csv: name the column to predict, --target COLUMN; allowed: age, colour, deck, id, kind, name, unit"
    )


def test_names_that_are_taken_or_not_allowed_are_refused(refusal, new):
    assert refusal(table(), name="digits") == (
        "params.yaml: 'digits' is already declared under datasets; choose another name with --name, or remove the entry"
    )
    assert refusal(table(), name="Big") == (
        "'Big' is no allowed name; names are lower-case letters, digits and '-', begin with a letter or digit, and "
        "have at most 60 characters"
    )
    assert refusal(table(), path="数据.csv") == (
        "'数据' gives no name of lower-case letters, digits and '-'; choose one with --name NAME"
    )
    new(table())
    assert "'people' is already declared under datasets" in refusal(table())


def test_a_file_of_another_kind_and_a_missing_one_are_refused(refusal):
    assert refusal(path="none.csv") == "none.csv: missing; name an existing file or folder"
    assert refusal("x", path="book.xlsx").startswith("book.xlsx: '.xlsx' files cannot be read; allowed: .csv, .tsv,")


def test_params_in_one_line_cannot_be_added_to(refusal, project):
    path = project / "params.yaml"
    text = path.read_text(encoding="utf-8").replace(
        "datasets:\n", "suites: {one: {experiments: [wide], frameworks: [torch]}}\ndatasets:\n"
    )
    path.write_text(text, encoding="utf-8")
    assert re.fullmatch(r"params.yaml:\d+: suites stands in one line; give each entry lines of its own and try again",
                        refusal(table()))  # fmt: skip


def test_wrong_params_are_told_first(refusal, project):
    path = project / "params.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("units: 8", "units: 0"), encoding="utf-8")
    with pytest.raises(ParameterError, match="units: 0: must be greater than 0"):
        read_params(path)
    assert "units: 0: must be greater than 0" in refusal(table())


def test_images_of_unequal_size_are_refused_with_what_to_do(refusal, project):
    for name, size in (("a", (5, 5)), ("b", (5, 6))):
        (project / "pets" / name).mkdir(parents=True)
        Image.new("RGB", size).save(project / f"pets/{name}/1.png")
    told = refusal(path="pets", target=None)
    assert "6 by 5 pixels (height by width)" in told
    assert "5 by 5" in told
