"""Data of one's own: tables, arrays and images become rows, and what cannot be trained on is told line by line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tandem import datasets
from tandem.config import Holdout, KFold, parse_params
from tandem.datasets.own import copies_target, rows_text
from tandem.datasets.source import Rows, group_rows
from tandem.errors import DataError, ParameterError
from tandem.missing import fill_missing, fit_fill
from tandem.part_checks import check_class_rows, check_training_classes
from tandem.records import Column, DataDescription, Description
from tandem.splits import Fold, Parts

PEOPLE = """\
年龄,性别,"name, full",票价,生还
22,男,"Smith, J",7.25,否
38,女,"Cumings, F",71.3,是
26,女,Heikkinen,7.9,是
35,男,Allen,8.05,否
"""
OPTIONS = {
    "file": "people.csv",
    "target": "生还",
    "classes": ["否", "是"],
    "numeric": ["年龄", "票价"],
    "categorical": {"性别": ["女", "男"]},
}
# The sex tells the target in these four rows: a fifth one that breaks the rule.
MORE = PEOPLE + "54,男,McCarthy,51.9,是\n"


@pytest.fixture
def people(tmp_path: Path, monkeypatch) -> Callable[..., Rows]:
    """Write people.csv and read it with the options above, changed."""
    monkeypatch.chdir(tmp_path)

    def make(content: str | bytes = MORE, source: str = "csv", **changes) -> Rows:
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / "people.csv").write_bytes(data)
        declared = {key: value for key, value in (OPTIONS | changes).items() if value is not None}
        return datasets.source(source).make(datasets.read_options(source, declared))[0]

    return make


def problem(call: Callable, *arguments, **more) -> str:
    with pytest.raises(DataError) as caught:
        call(*arguments, **more)
    return str(caught.value)


# ----------------------------------------------------------------------------------------------- reading


def test_numbers_come_first_and_categories_become_codes_in_their_declared_order(people):
    rows = people()
    assert rows.features.tolist() == [[22, 7.25, 1], [38, 71.3, 0], [26, 7.9, 0], [35, 8.05, 1], [54, 51.9, 1]]
    assert rows.features.dtype == np.float64
    assert rows.targets.tolist() == [0, 1, 1, 0, 1]
    assert rows.targets.dtype == np.int64


def test_the_description_follows_from_the_options_alone():
    known = datasets.describe("csv", OPTIONS | {"classes": {"否": "died", "是": "survived"}})
    assert known.title == "people"
    assert known.task == "classification"
    assert known.class_names == ("died", "survived")
    assert known.target_name == "生还"
    assert known.feature_shape == (3,)
    assert known.columns == (
        Column(name="年龄"), Column(name="票价"),
        Column(name="性别", kind="categorical", categories=("女", "男")),
    )  # fmt: skip
    assert known.categorical == (2,)
    assert datasets.source("csv").location(datasets.read_options("csv", OPTIONS)) == "people.csv"


def test_columns_survive_the_record():
    known = datasets.describe("csv", OPTIONS | {"missing": {"性别": "category", "年龄": {"constant": 3}}})
    record = DataDescription(**dict(known), dataset="d", source="csv", rows={}, class_counts={})
    assert DataDescription.model_validate_json(record.model_dump_json()) == record
    assert record.columns[2].categories == ("女", "男", "(missing)")
    assert (record.columns[0].missing, record.columns[0].constant) == ("constant", 3)


@pytest.mark.parametrize(
    ("write", "changes"),
    [
        (lambda text: text.replace("\n", "\r\n").encode(), {}),
        (lambda text: b"\xef\xbb\xbf" + text.encode(), {}),
        (lambda text: text.replace(",22", ", 22 ").replace("男", " 男 ").replace("年龄", " 年龄 ").encode(), {}),
        (lambda text: text.encode("gb18030"), {"encoding": "gb18030"}),
        (lambda text: text.encode("utf-16"), {"encoding": "utf-16"}),
        (lambda text: re.sub(r"(\d)\.(\d)", r"\1,\2", re.sub(r',(?![ ])', ";", text)).encode(),
         {"delimiter": ";", "decimal": ","}),
        (lambda text: re.sub(r",(?![ ])", "\t", text).encode(), {"delimiter": "\t"}),
    ],
    ids=["windows", "byte order mark", "blanks", "gb18030", "utf-16", "semicolons", "tabs"],
)  # fmt: skip
def test_a_text_table_is_read_as_it_is_written(people, write, changes):
    assert np.array_equal(people(write(MORE), **changes).features, people().features)


def test_parquet_gives_what_csv_gives(people, tmp_path):
    expected = people()
    frame = pd.read_csv(tmp_path / "people.csv")
    frame.to_parquet(tmp_path / "people.parquet")
    rows = people(source="parquet", file="people.parquet")
    assert np.array_equal(rows.features, expected.features)
    assert np.array_equal(rows.targets, expected.targets)


def test_booleans_whole_numbers_and_gaps_of_parquet_are_texts_without_a_fraction(people, tmp_path):
    frame = pd.DataFrame({"x": [1, 2, 3, 4], "deck": [1.0, None, 2.0, 1.0], "y": [True, False, True, False]})
    frame.to_parquet(tmp_path / "t.parquet")
    changes = {"classes": ["False", "True"], "categorical": {"deck": ["1", "2"]}, "missing": {"deck": "category"}}
    rows = people(source="parquet", file="t.parquet", target="y", numeric=["x"], **changes)
    assert rows.features[:, 1].tolist() == [0, 2, 1, 0]
    assert rows.targets.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("texts", "classes"),
    [
        (["True", "False", "True"], ["False", "True"]),
        (["0", "1", "1"], [0, 1]),
        (["1.0", "2.0", "2.0"], [1, 2]),
        (["да", "нет", "да"], ["да", "нет"]),
        (["是", "否", "是"], {"否": "no", "是": "yes"}),
    ],
)
def test_targets_may_be_booleans_whole_numbers_or_text_in_any_script(people, texts, classes):
    content = "x,y\n" + "".join(f"{row * row},{text}\n" for row, text in enumerate(texts))
    rows = people(content, target="y", numeric=["x"], categorical=None, classes=classes)
    keys = [str(key) for key in classes]
    assert rows.targets.tolist() == [keys.index(text.removesuffix(".0")) for text in texts]


def test_a_regression_divides_its_targets_by_their_unit(people):
    rows = people(target="票价", numeric=["年龄"], classes=None, target_unit=10.0)
    assert rows.targets.tolist() == [7.25 / 10, 71.3 / 10, 7.9 / 10, 8.05 / 10, 51.9 / 10]
    known = datasets.describe("csv", {"file": "a.csv", "target": "price", "numeric": ["x"], "target_unit": 10_000.0})
    assert (known.task, known.target_name) == ("regression", "price (10,000)")


# -------------------------------------------------------------------------------------------- missing values

GAPS = MORE.replace("\n26,女", "\nNA,").replace("35,男", ",男")


def test_missing_values_are_told_with_their_rows_and_the_ways_to_fill_them(people):
    assert problem(people, GAPS).splitlines() == [
        "people.csv: column '年龄': 2 of 5 values are missing (rows 3 and 4); declare what they become, "
        "`missing: {年龄: RULE}` with RULE one of median, mean, drop-row, constant, or take the column out of "
        "params.yaml",
        "people.csv: column '性别': 1 of 5 values are missing (row 3); declare what they become, "
        "`missing: {性别: RULE}` with RULE one of category, most-frequent, drop-row, constant, or take the column "
        "out of params.yaml",
    ]


def test_rows_with_a_missing_value_can_be_dropped(people):
    rows = people(GAPS, missing={"年龄": "drop-row", "性别": "drop-row"})
    assert rows.features[:, 0].tolist() == [22, 38, 54]


def test_a_missing_category_can_be_one_of_its_own(people):
    rows = people(GAPS, missing={"年龄": "median", "性别": "category"})
    assert rows.features[:, 2].tolist() == [1, 0, 2, 1, 1]
    assert np.isnan(rows.features[[2, 3], 0]).all()  # filled later, from training rows


def test_a_missing_target_is_told_and_its_row_can_be_dropped(people):
    content = MORE.replace("7.9,是", "7.9,")
    assert problem(people, content) == (
        "people.csv: target '生还': 1 of 5 values are missing (row 3); declare `missing: {生还: drop-row}`, or "
        "correct the file"
    )
    assert len(people(content, missing={"生还": "drop-row"})) == 4


COLUMNS = (
    Column(name="a", missing="median"), Column(name="b", missing="mean"), Column(name="c"),
    Column(name="d", kind="categorical", categories=("x", "y", "z"), missing="most-frequent"),
    Column(name="e", missing="constant", constant=-7),
)  # fmt: skip


def test_fills_come_from_training_rows_alone():
    nan = np.nan
    features = np.array(
        [[1, 1, 0, 2, nan], [nan, nan, 0, 2, 0], [2, 3, 0, 0, 0], [9, 5, 0, nan, 0], [1e9, 1e9, 0, 1, 0]]
    )
    train = np.array([0, 1, 2, 3])
    fill = fit_fill(features, train, COLUMNS)
    assert fill == (2, 3, 0, 2, -7)
    features[4] = [-5, -5, 0, 0, 0]  # a row that is held back changes nothing
    assert fit_fill(features, train, COLUMNS) == fill
    filled = fill_missing(features, fill)
    assert filled[1].tolist() == [2, 3, 0, 2, 0]
    assert filled[3, 3] == 2
    assert filled[0, 4] == -7


def test_nothing_is_filled_where_nothing_is_declared():
    assert fit_fill(np.ones((2, 1)), np.arange(2), (Column(name="a"),)) == ()
    features = np.ones((2, 1))
    assert fill_missing(features, ()) is features


def test_a_column_without_a_training_value_is_told():
    features = np.array([[np.nan], [1.0]])
    assert problem(fit_fill, features, np.array([0]), (Column(name="a", missing="median"),)) == (
        "column 'a': every value among the training rows is missing, so that there is no median of it; declare a "
        "constant, or take the column out of params.yaml"
    )


# --------------------------------------------------------------------------------------------------- checks


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("35,", "old,", "people.csv: column '年龄': 'old' is not a number (1 such, row 4); correct the cells, or list "
         "the column under categorical"),
        ("71.3", "inf", "people.csv: column '票价': infinite in row 2; correct the values, or remove the rows"),
        ("26,女", "26,?!", "people.csv: column '性别': '?!' is none of its categories (1 such, row 3); allowed: 女, "
         "男; add it to the column's categories, or correct the cells"),
        ("7.25,否", "7.25,?!", "people.csv: target '生还': '?!' (row 1): no declared class; allowed: 否, 是; add it to "
         "classes, or correct the file"),
        ("年龄", "岁", "people.csv: column '年龄' is missing; it has name, full, 岁, 性别, 生还, 票价"),
        ("票价", "年龄", "people.csv: two columns are named '年龄' (columns 1 and 4); rename one of the two"),
        ("\n22,男", "\n男", "people.csv: row 1 has 4 cells, the header has 5 (delimiter ','); correct the line"),
    ],
)  # fmt: skip
def test_a_cell_that_cannot_be_used_is_told_with_its_place(people, old, new, message):
    assert MORE.count(old) == 1
    assert message in problem(people, MORE.replace(old, new)).splitlines()


def test_constant_columns_are_told(people):
    content = re.sub(r"(?m)^\d+,", "7,", MORE)
    assert problem(people, content) == (
        "people.csv: column '年龄': is '7' in all 5 rows, so it tells nothing; take the column out of params.yaml"
    )


def test_a_column_without_any_value_is_told(people):
    content = re.sub(r"(?m)^\d+,", ",", MORE)
    assert problem(people, content, missing={"年龄": "median"}) == (
        "people.csv: column '年龄': every value is missing; take the column out of params.yaml"
    )


def test_a_single_class_and_a_class_without_rows_are_told(people):
    assert problem(people, MORE.replace("否", "是")) == (
        "people.csv: target '生还': all 5 rows are of the class '是', there is nothing to tell apart"
    ).replace("target '生还'", "target")
    assert problem(people, classes=["否", "是", "不明"]) == (
        "people.csv: target: no row is of the class '不明'; take it out of classes, or add rows"
    )


def test_a_constant_value_to_predict_is_told(people):
    content = "x,y\n1,5\n2,5\n3,5\n"
    changes = {"target": "y", "numeric": ["x"], "categorical": None, "classes": None}
    assert problem(people, content, **changes) == "people.csv: target: is 5 in every row, there is nothing to learn"


def test_a_column_that_is_the_target_in_other_words_is_told(people):
    assert problem(people, PEOPLE) == (
        "people.csv: column '性别': tells the target exactly, each value stands for one target; a network would learn "
        "to copy it; take the column out of params.yaml"
    )


@pytest.mark.parametrize(
    ("values", "targets", "classes", "copies"),
    [
        ([5, 9, 5, 9], [0, 1, 0, 1], 2, True),
        ([5, 9, 5, 5], [0, 1, 0, 1], 2, False),
        ([5, 9, 5, 7], [0, 1, 0, 1], 2, False),  # each value has one class, but a class two values
        ([1, 2, 3, 4], [1.0, 2.0, 3.0, 4.0], 0, True),
        ([1, 2, 3, 4], [2.5, 5.0, 7.5, 10.0], 0, True),  # another unit
        ([1, 2, 3, 4], [3.0, 5.0, 7.0, 9.0], 0, False),  # a line is worth learning
        ([0, 2, 3, 4], [0.0, 2.0, 3.0, 4.0], 0, True),
        ([0, 0, 3, 4], [1.0, 2.0, 3.0, 4.0], 0, False),
        ([np.nan, 9, 5, 9], [0, 1, 0, 1], 2, False),
    ],
)
def test_only_the_target_itself_counts_as_a_copy(values, targets, classes, copies):
    assert copies_target(np.array(values, dtype=float), np.array(targets), classes) is copies


def test_rows_with_the_same_features_are_refused_until_something_is_declared(people):
    content = MORE + "22,男,Smith again,7.25,是\n"
    assert problem(people, content) == (
        "people.csv: 1 row has the same features as an earlier one (row 6 as row 1), so that a network could be "
        "tested on what it was trained on; declare `duplicates: keep-together` (on one side of the split) or `allow`, "
        "or remove them from the file"
    )
    assert len(people(content, duplicates="keep-together")) == 6
    assert datasets.describe("csv", OPTIONS | {"duplicates": "keep-together"}).duplicates == "keep-together"


def test_rows_keep_their_number_in_the_file_when_others_are_dropped(people):
    content = MORE.replace("\n22,", "\n,") + "38,女,again,71.3,是\n"
    assert "(row 6 as row 2)" in problem(people, content, missing={"年龄": "drop-row"})


def test_rows_are_grouped_by_their_features():
    groups, first = group_rows(np.array([[0.0, 1], [2, 3], [-0.0, 1], [2, 3], [2, 4]]))
    assert groups.tolist() == [0, 1, 0, 1, 2]
    assert first.tolist() == [0, 1, 4]


def test_a_missing_file_is_told(people):
    assert problem(people, file="none.csv") == (
        "none.csv: missing; put the file there, or correct its path under datasets in params.yaml"
    )


@pytest.mark.parametrize(
    ("rows", "text"), [([2], "row 3"), ([0, 4], "rows 1 and 5"), (range(7), "rows 1, 2, 3, 4, 5 and 2 more")]
)
def test_rows_are_counted_from_one_and_at_most_five_are_named(rows, text):
    assert rows_text(list(rows)) == text


# -------------------------------------------------------------------------------------------- declarations

PARAMS = """\
suite: {{experiments: [e], frameworks: [keras, torch]}}
datasets:
  own:
    source: {source}
    split: {{method: holdout, test: 0.2, valid: 0.2, seeds: [7, 11]}}
    standardize: {{method: zscore}}
experiments:
  e:
    description: One.
    dataset: own
    model: {{sequential: []}}
    loss: {loss}
    optimizer: {{name: sgd, learning_rate: 0.1}}
    training: {{epochs: 1, batch_size: 8}}
"""
GOOD = "{name: csv, file: a.csv, target: y, classes: [a, b], numeric: [p, q], categorical: {r: [u, v]}}"


def mistakes(source: str, loss: str = "cross_entropy") -> list[str]:
    try:
        parse_params(PARAMS.format(source=source, loss=loss), Path("params.yaml"))
    except ParameterError as error:
        return [line.removeprefix("params.yaml:") for line in str(error).splitlines()[:-1]]
    return []


def test_an_experiment_is_checked_against_own_data_before_it_is_read():
    assert mistakes(GOOD) == []
    assert mistakes(GOOD, "mse") == []  # two classes may be fitted by squares
    assert mistakes(GOOD.replace("classes: [a, b], ", ""), "cross_entropy") == [
        "12: experiments.e.loss: 'cross_entropy' does not fit regression; allowed: mae, mse, squared_error_sum"
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("file: a.csv, ", "", "file: missing; 'csv' requires the keys: file, target"),
        ("target: y", "target: p", "the target 'p' stands among the columns to learn from; take it out of numeric"),
        ("[p, q]", "[p, p]", "numeric: 'p' stands twice; remove one of the two"),
        ("[p, q]", "[p, r]", "the column 'r' stands under numeric and categorical; remove one of the two"),
        ("[u, v]", "[u]", "the column 'r' needs at least two categories; '(missing)' is none, missing: category makes "
         "it"),
        ("[a, b]", "[a]", "classes: ['a']: a classification needs at least two classes; leave the key out for a "
         "regression"),
        ("[a, b]", "{0: no, 1: no}", "classes: two classes are named 'no'; give each a name of its own"),
        ("target: y", "target: y, missing: {p: mode}", "missing.p: 'mode' is not known; allowed: category, constant, "
         "drop-row, mean, median, most-frequent; did you mean 'mean'?"),
        ("target: y", "target: y, missing: {p: category}", "missing: 'p': 'category' does not fit the column; allowed: "
         "constant, drop-row, mean, median"),
        ("target: y", "target: y, missing: {x: median}", "missing names 'x', which is no column to learn from; "
         "allowed: p, q, r"),
        ("target: y", "target: y, missing: {y: median}", "missing: 'y': 'median' does not fit the column; allowed: "
         "drop-row"),
        ("target: y", "target: y, missing: {r: {constant: w}}", "missing: 'r': the constant 'w' is no category of it; "
         "allowed: u, v"),
        ("target: y", "target: y, duplicates: keep", "duplicates: 'keep' is not known; allowed: allow, keep-together, "
         "refuse"),
        ("target: y", "target: y, delimeter: x", "delimeter: unknown key 'delimeter'; allowed: categorical, classes, "
         "decimal, delimiter,"),
        (", numeric: [p, q], categorical: {r: [u, v]}", "", "names no column to learn from; list columns under numeric "
         "or categorical"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_declaration_is_told_before_anything_is_read(old, new, message):
    assert GOOD.count(old) == 1
    told = mistakes(GOOD.replace(old, new))
    assert len(told) == 1, told
    assert told[0].startswith("4: datasets.own.source")
    assert message in told[0]


# ------------------------------------------------------------------------------------------------ arrays


@pytest.fixture
def arrays(tmp_path: Path, monkeypatch) -> Callable[..., Rows]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()

    def make(features, targets, **options) -> Rows:
        np.save(tmp_path / "own/features.npy", features)
        np.save(tmp_path / "own/targets.npy", targets)
        declared = {"folder": "own", "shape": list(features.shape[1:])} | options
        return datasets.source("npy").make(datasets.read_options("npy", declared))[0]

    return make


def test_channels_that_come_first_are_moved_to_the_end(arrays):
    images = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    rows = arrays(images, np.array([3, 9]), classes={3: "three", 9: "nine"}, channel_order="first")
    assert rows.features.shape == (2, 4, 5, 3)
    assert rows.features[1, 2, 3, 0] == images[1, 0, 2, 3]
    assert rows.features.dtype == np.uint8
    assert rows.targets.tolist() == [0, 1]
    declared = {"folder": "own", "shape": [3, 4, 5], "classes": [0, 1], "channel_order": "first"}
    known = datasets.describe("npy", declared)
    assert known.feature_shape == (4, 5, 3)
    assert known.channels_first


@pytest.mark.parametrize(("shape", "moved"), [((2, 3), (3, 2)), ((6, 2, 4, 5), (6, 4, 5, 2))], ids=["series", "video"])
def test_channels_of_series_come_first_and_those_of_video_after_the_frames(arrays, shape, moved):
    features = np.random.default_rng(0).normal(size=(7, *shape))
    rows = arrays(features, np.arange(7) * 1.5, channel_order="first")
    assert rows.features.shape == (7, *moved)
    assert np.array_equal(np.moveaxis(rows.features, -1, 1 if len(shape) == 2 else 2), features)
    declared = {"folder": "own", "shape": list(shape), "channel_order": "first"}
    assert datasets.describe("npy", declared).feature_shape == moved


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4, 5)])
def test_arrays_of_any_rank_are_read(arrays, shape):
    features = np.random.default_rng(0).normal(size=(6, *shape))
    rows = arrays(features, np.arange(6) * 1.5)
    assert np.array_equal(rows.features, features)
    assert rows.targets.tolist() == [0, 1.5, 3, 4.5, 6, 7.5]
    names = datasets.describe("npy", {"folder": "own", "shape": list(shape)}).feature_names
    assert names == (("column 0", "column 1", "column 2") if shape == (3,) else ())


NOISE = np.random.default_rng(1).normal(size=(4, 2))


@pytest.mark.parametrize(
    ("features", "targets", "options", "message"),
    [
        (NOISE, np.arange(3), {}, "own/targets.npy: shape [3], features.npy has 4 samples; give one target for each "
         "sample, in one dimension"),
        (NOISE, np.arange(4), {"shape": [3]}, "own/features.npy: samples of shape [2], declared is [3]; correct shape "
         "under datasets in params.yaml"),
        (np.where(NOISE[1, 0] == NOISE, np.nan, NOISE), np.arange(4), {}, "own/features.npy: values are "
         "missing (NaN) in row 2; fill them, or remove the rows"),
        (np.where(NOISE[2, 1] == NOISE, np.inf, NOISE), np.arange(4), {}, "own/features.npy: column 'column 1': "
         "infinite in row 3; correct the values, or remove the rows"),
        (NOISE.astype(str), np.arange(4), {}, "own/features.npy: holds <U32; give an array of numbers"),
        (NOISE, np.array(list("abab")), {}, "own/targets.npy: holds <U1; give numbers, or declare classes"),
    ],
)  # fmt: skip
def test_arrays_that_cannot_be_used_are_told(arrays, features, targets, options, message):
    assert problem(arrays, features, targets, **options) == message


def test_pickled_arrays_are_refused(arrays):
    with pytest.raises(
        DataError, match=r"own/features.npy: cannot be read as .npy \(Array can't be memory-mapped: Python objects"
    ):
        arrays(np.array([[1, "a"], [2, "b"]], dtype=object), np.arange(2))


# ------------------------------------------------------------------------------------------------ images


@pytest.fixture
def images(tmp_path: Path, monkeypatch) -> Callable[..., Rows]:
    """Four images of two classes; a function that reads them."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for name in ("猫", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(2):
            pixels = generator.integers(0, 255, (6, 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{number}.png")
    (tmp_path / "pets/.DS_Store").write_bytes(b"")

    def make(**changes) -> Rows:
        declared = {"folder": "pets", "classes": ["猫", "dog"], "size": [6, 4]} | changes
        return datasets.source("images").make(datasets.read_options("images", declared))[0]

    return make


def test_images_are_read_by_class_and_name(images, tmp_path):
    rows = images()
    assert rows.features.shape == (4, 6, 4, 3)
    assert rows.targets.tolist() == [0, 0, 1, 1]
    assert np.array_equal(rows.features[1], np.asarray(Image.open(tmp_path / "pets/猫/1.png")))
    assert images(colour="grey").features.shape == (4, 6, 4)
    assert images(size=[3, 2], resize=True).features.shape == (4, 3, 2, 3)


def test_images_of_unequal_size_are_refused_with_both_sizes_and_files(images, tmp_path):
    Image.new("RGB", (9, 5)).save(tmp_path / "pets/dog/1.png")
    assert problem(images) == (
        "pets/dog/1.png: 5 by 9 pixels (height by width), declared is, as pets/猫/0.png has, 6 by 4; correct size, or "
        "declare `resize: true`"
    )
    assert images(resize=True).features.shape == (4, 6, 4, 3)


def test_the_same_image_twice_is_told_with_both_files(images, tmp_path):
    (tmp_path / "pets/dog/1.png").write_bytes((tmp_path / "pets/猫/0.png").read_bytes())
    assert problem(images).startswith("pets: 1 row has the same features as an earlier one (pets/dog/1.png as pets/猫")


@pytest.mark.parametrize(
    ("break_", "message"),
    [
        (lambda pets: (pets / "dog/1.png").write_bytes(b"no image"), r"pets/dog/1.png: damaged \(.*\); replace or"),
        (
            lambda pets: (pets / "dog/a.txt").write_text("x"),
            "pets/dog/a.txt: is no image that can be read; allowed: .p",
        ),
        (lambda pets: (pets / "c.png").write_text("x"), "pets/c.png: lies in no class's folder; move it into one, or"),
        (lambda pets: (pets / "fish").mkdir(), "pets/fish: no declared class; allowed: dog, 猫; add it to classes"),
        (lambda pets: [path.unlink() for path in (pets / "dog").iterdir()], "pets/dog: holds no image; put images"),
        (lambda pets: Image.new("I;16", (4, 6)).save(pets / "dog/1.png"), "more than 8 bits a channel"),
    ],
)
def test_a_folder_that_cannot_be_used_is_told(images, tmp_path, break_, message):
    break_(tmp_path / "pets")
    assert re.search(message, problem(images))


# ------------------------------------------------------------------------------------- classes in the parts


KNOWN = Description(
    title="", reference="", task="classification", feature_shape=(1,), class_names=("many", "few"), target_name="kind"
)
HOLDOUT = Holdout(method="holdout", test=0.2, valid=0.2, seeds=(1, 2), stratify=True)


def rows_of(*counts: int) -> Rows:
    targets = np.repeat(np.arange(len(counts)), counts)
    return Rows(np.arange(len(targets))[:, None], targets)


@pytest.mark.parametrize(
    ("split", "few", "needed"),
    [(HOLDOUT, 2, 3), (KFold(method="k-fold", folds=5, test=0.2, stratify=True), 5, 6)],
)
def test_a_class_with_too_few_rows_for_the_split_is_told(split, few, needed):
    assert problem(check_class_rows, rows_of(20, few), split, KNOWN) == (
        f"target 'kind': too few rows of the class 'few' ({few}) for a stratified split: it takes {needed}, so that "
        "each part has one; add rows, or take the class's rows out of the data"
    )
    check_class_rows(rows_of(20, needed), split, KNOWN)


def test_a_part_that_is_smaller_than_the_number_of_classes_is_told():
    known = KNOWN.model_copy(update={"class_names": tuple("abcdefg")})
    assert problem(check_class_rows, rows_of(*[4] * 7), HOLDOUT, known) == (
        "split 'holdout': test: 0.2 of 28 rows is 6, too few for each of 7 classes to have one; raise test, add rows, "
        "or take `stratify: false`"
    )


def test_rows_kept_together_count_once():
    rows = Rows(np.array([*range(12), 99, 99, 99])[:, None], np.repeat([0, 1], [12, 3]))
    check_class_rows(rows, HOLDOUT, KNOWN)
    together = KNOWN.model_copy(update={"duplicates": "keep-together"})
    assert "too few rows with different features of the class 'few' (1)" in problem(
        check_class_rows, rows, HOLDOUT, together
    )


def test_a_class_that_no_training_row_has_is_told():
    rows = rows_of(5, 1)
    parts = Parts(rows, (Fold(train=np.arange(5), valid=np.array([5])),), rows)
    assert problem(check_training_classes, parts, KNOWN) == (
        "target 'kind': no row of the class 'few' is among the training rows; declare `stratify: true` under split, or "
        "add rows of the class"
    )
