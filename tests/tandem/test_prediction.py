"""New rows from files, and the tables of predictions."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tandem.errors import DataError
from tandem.models import ModelDeclaration, resolve
from tandem.prediction import predictions_table, read_features
from tandem.records import DataDescription


def describe(**more) -> DataDescription:
    known = {
        "dataset": "roasts", "source": "coffee", "title": "", "reference": "", "task": "regression",
        "feature_shape": (3,), "feature_names": ("a", "b, c", "d"), "class_names": (), "target_name": "value",
        "rows": {}, "class_counts": {},
    }  # fmt: skip
    return DataDescription(**known | more)


COLUMNS = describe()
IMAGES = describe(feature_shape=(2, 2), feature_names=())


@pytest.fixture
def read(tmp_path):
    """Write a file and read it as rows to predict on."""

    def call(content: str | bytes, description: DataDescription = COLUMNS, name: str = "rows.csv") -> np.ndarray:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_features(path, description)

    return call


@pytest.fixture
def refusal(read, tmp_path):
    """The error about a file, without the path that it begins with."""

    def call(*arguments, **more) -> str:
        with pytest.raises(DataError) as caught:
            read(*arguments, **more)
        return str(caught.value).removeprefix(f"{tmp_path}/")

    return call


GOOD = [[1.0, 2.5, -3e4], [0.0, 1.0, 2.0]]


@pytest.mark.parametrize(
    "content",
    [
        'a,"b, c",d\n1,2.5,-3e4\n0,1,2\n',
        'd,extra,a,"b, c"\n-3e4,text,1,2.5\n2,,0,1\n',
        '\ufeffa,"b, c",d\n1,2.5,-3e4\n0,1,2\n',
        'a,"b, c",d\r\n1,2.5,-3e4\r\n0,1,2\r\n',
        'a, "b, c", d\n1, 2.5, -3e4\n 0 , 1 , 2 ',
        '"a","b, c","d"\n"1","2.5","-3e4"\n0,1,2\n\n',
    ],
    ids=["plain", "other order, extra column", "byte order mark", "windows", "blanks", "quotes, empty line"],
)
def test_named_columns_are_read_by_their_names(read, content):
    features = read(content)
    assert features.dtype == np.float64
    assert features.tolist() == GOOD


def test_images_have_a_column_for_each_pixel_row_by_row(read):
    assert read("p1,p2,p3,p4\n1,2,3,4\n5,6,7,8\n", IMAGES).tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,d\n1,2\n", "column 'b, c' is missing; it has a, d"),
        ('A,"b, c",D\n1,2,3\n', "column 'a' is missing (and d); it has A, D, b, c"),
        ('a,"b, c",d\n1,2,3\n1,many,3\n', "row 2, column 'b, c': 'many' is not a number; correct the file"),
        ('a,"b, c",d\n1,,3\n', "row 1, column 'b, c': '' is not a number; correct the file"),
        ('a,"b, c",d\n1,nan,3\n', "row 1, column 'b, c': 'nan' is not a number; correct the file"),
        ('a,"b, c",d\n1,NA,3\n', "row 1, column 'b, c': 'NA' is not a number; correct the file"),
        ('a,"b, c",d\n1,2,-inf\n', "row 1, column 'd': -inf is not a finite number; fill or drop the row"),
        ('a,"b, c",d\n1,2,1e999\n', "row 1, column 'd': inf is not a finite number; fill or drop the row"),
        ('a,"b, c",d\n', "has no rows; give at least one row to predict on"),
        ("", "is empty; give a header line and at least one row"),
        ("\n\n", "is empty; give a header line and at least one row"),
    ],
)
def test_a_csv_file_that_cannot_be_used_is_told_with_row_and_column(refusal, content, message):
    assert refusal(content) == f"rows.csv: {message}"


def test_a_row_with_too_many_cells_is_told(refusal):
    assert re.fullmatch(
        r"rows.csv: cannot be read as CSV \(.*line 3.*\); save it as UTF-8 CSV",
        refusal('a,"b, c",d\n1,2,3\n1,2,3,4\n'),
    )


def test_every_row_with_a_cell_too_many_does_not_shift_the_columns(refusal):
    """pandas would take the first column as row labels, and every number would land one column too far."""
    assert "cannot be read as CSV" in refusal('a,"b, c",d\n9,1,2,3\n9,4,5,6\n')


def test_a_column_that_stands_twice_is_refused(refusal):
    assert "column 'a' stands twice" in refusal('a,"b, c",d,a\n1,2,3,4\n')


def test_a_file_in_another_encoding_is_told(refusal):
    assert "cannot be read as CSV" in refusal('ä,"b, c",d\n1,2,3\n'.encode("utf-16"))


def test_an_image_file_with_another_number_of_pixels_is_told(refusal):
    message = "rows.csv: 3 columns, 'roasts' needs 4, one for each pixel"
    assert refusal("a,b,c\n1,2,3\n", IMAGES) == message


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DataError, match=rf"^{path}: missing; name an existing .csv or .npy or .parquet file$"):
            read_features(path, COLUMNS)


def test_a_file_of_another_kind_is_told(refusal):
    assert refusal("", name="rows.xlsx") == "rows.xlsx: '.xlsx' files cannot be read; allowed: .csv, .npy, .parquet"


# ------------------------------------------------------------------------------------------------ own data

OWN = describe(
    feature_names=None, source="csv",
    columns=(
        {"name": "年龄", "missing": "median"}, {"name": "票价"},
        {"name": "性别", "kind": "categorical", "categories": ("女", "男")},
        {"name": "港", "kind": "categorical", "categories": ("C", "(missing)"), "missing": "category"},
    ),
    feature_shape=(4,), table={"delimiter": ";", "decimal": ",", "encoding": "gb18030"},
)  # fmt: skip


def own(*rows: str) -> bytes:
    return "\r\n".join(["港;性别;年龄;票价;其他", *rows]).encode("gb18030")


def test_new_rows_of_own_data_are_written_as_the_data_was(read):
    features = read(own("C; 男 ;22;7,25;x", ";女;;8;"), OWN)
    assert features[0].tolist() == [22, 7.25, 1, 0]
    assert np.isnan(features[1, 0])  # the scaler fills it
    assert features[1, 1:].tolist() == [8, 0, 1]


def test_new_rows_can_come_from_a_parquet_file(tmp_path):
    frame = pd.DataFrame({"港": ["C", None], "性别": ["男", "女"], "年龄": [22, None], "票价": [7.25, 8]})
    frame.to_parquet(tmp_path / "rows.parquet")
    assert read_features(tmp_path / "rows.parquet", OWN)[:, 1:].tolist() == [[7.25, 1, 0], [8, 0, 1]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("C;未知;22;7;", "column '性别': '未知' is none of its categories; allowed: 女, 男; correct the file"),
        ("C;;22;7;", "column '性别': '' is none of its categories; allowed: 女, 男; correct the file"),
        ("(x);女;22;7;", "column '港': '(x)' is none of its categories; allowed: C; correct the file"),
        ("C;女;22;;", "column '票价': '' is not a number; correct the file"),
        ("C;女;old;7;", "column '年龄': 'old' is not a number; correct the file"),
    ],
)
def test_an_unseen_category_and_an_undeclared_gap_are_told(refusal, row, message):
    assert refusal(own("C;女;1;2;", row), OWN) == f"rows.csv: row 2, {message}"


def test_codes_in_an_array_are_checked(refusal):
    assert refusal(npy(np.array([[1.0, 2, 5, 0]])), OWN, name="rows.npy") == (
        "rows.npy: row 1, column '性别': 5 is no code of its categories; allowed: 0 to 1"
    )


def test_arrays_with_their_channels_first_are_moved(read):
    array = np.arange(24.0).reshape(1, 2, 3, 4)
    description = describe(feature_names=None, feature_shape=(3, 4, 2), channels_first=True)
    assert np.array_equal(read(npy(array), description, name="rows.npy"), np.moveaxis(array, 1, -1))


def test_images_are_read_from_files_and_folders(tmp_path):
    description = describe(feature_names=None, feature_shape=(2, 3, 3), source="images")
    for number in range(2):
        Image.new("RGB", (3, 2), (number, 7, 9)).save(tmp_path / f"{number}.png")
    assert read_features(tmp_path, description)[:, 0, 0].tolist() == [[0, 7, 9], [1, 7, 9]]
    assert read_features(tmp_path / "1.png", description).shape == (1, 2, 3, 3)
    Image.new("RGB", (4, 2)).save(tmp_path / "2.png")
    with pytest.raises(DataError) as caught:
        read_features(tmp_path, description)
    assert str(caught.value) == (
        f"{tmp_path}/2.png: 2 by 4 pixels (height by width), 'roasts' has 2 by 3; resize the image"
    )
    resized = description.model_copy(update={"resize": True})
    assert read_features(tmp_path, resized).shape == (3, 2, 3, 3)


# ------------------------------------------------------------------------------------------------ .npy files


def npy(array: np.ndarray, **more) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **more)
    return stream.getvalue()


@pytest.mark.parametrize("kind", [np.float32, np.uint8, np.int64])
def test_an_array_of_any_number_type_is_read(read, kind):
    features = read(npy(np.ones((2, 3), dtype=kind)), name="rows.npy")
    assert features.dtype == np.float64
    assert features.tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize(
    ("content", "description", "message"),
    [
        (npy(np.ones((2, 4))), COLUMNS, "rows of shape (4,), 'roasts' has (3,); reshape the array"),
        (npy(np.ones(3)), COLUMNS, "rows of shape (), 'roasts' has (3,); reshape the array"),
        (npy(np.ones((2, 4))), IMAGES, "rows of shape (4,), 'roasts' has (2, 2); reshape the array"),
        (npy(np.ones((0, 3))), COLUMNS, "has no rows; give at least one row to predict on"),
        (npy(np.array(1.0)), COLUMNS, "holds float64 of shape (); give an array of numbers, one row a sample"),
        (npy(np.array([["a"] * 3])), COLUMNS, "holds <U1 of shape (1, 3); give an array of numbers, one row a sample"),
        (npy(np.array([[1, 2, 3], [1, np.nan, 3]])), COLUMNS,
         "row 2, column 'b, c': nan is not a finite number; fill or drop the row"),
        (npy(np.array([[[1, 2], [np.inf, 4]]])), IMAGES,
         "row 1, position (1, 0): inf is not a finite number; fill or drop the row"),
    ],
)  # fmt: skip
def test_an_array_that_cannot_be_used_is_told(refusal, content, description, message):
    assert refusal(content, description, name="rows.npy") == f"rows.npy: {message}"


@pytest.mark.parametrize("content", [b"", b"text", npy(np.ones((2, 3)))[:-5]])
def test_a_damaged_array_is_told(refusal, content):
    pattern = r"rows.npy: cannot be read as .npy \(.+\); write it with numpy.save"
    assert re.fullmatch(pattern, refusal(content, name="rows.npy"), re.DOTALL)


def test_pickled_objects_are_refused(refusal):
    content = npy(np.array([[{}, 1, 2]], dtype=object), allow_pickle=True)
    assert "cannot be read as .npy (Object arrays cannot be loaded" in refusal(content, name="rows.npy")


def test_complex_numbers_are_refused(refusal):
    assert "holds complex128" in refusal(npy(np.ones((2, 3), dtype=complex)), name="rows.npy")


# --------------------------------------------------------------------------------------------------- tables


def table(text: str) -> list[list[str]]:
    assert text.endswith("\n")
    assert "\r" not in text
    return list(csv.reader(io.StringIO(text)))


def test_classes_have_a_label_a_name_and_their_probabilities():
    description = describe(task="classification", class_names=("bad, burnt", "good"))
    architecture = resolve(
        ModelDeclaration.model_validate({"sequential": ()}), (3,), "classification", "binary_cross_entropy", 2
    )
    rows = table(predictions_table(architecture, [np.array([[-np.log(3)], [np.log(3)]])], description))
    assert rows == [
        ["label", "class", "probability of bad, burnt", "probability of good"],
        ["0", "bad, burnt", "0.75", "0.25"],
        ["1", "good", "0.25", "0.75"],
    ]


def test_values_have_one_column_named_after_the_target():
    architecture = resolve(ModelDeclaration.model_validate({"sequential": ()}), (3,), "regression", "mse", 0)
    assert predictions_table(architecture, [np.array([[1.5], [-2e-7]])], COLUMNS) == "value\n1.5\n-2e-07\n"


def test_two_heads_have_a_column_each():
    declared = {"wide_deep": {"hidden": (2,), "outputs": ("joint", "deep")}}
    architecture = resolve(ModelDeclaration.model_validate(declared), (3,), "regression", "mse", 0)
    rows = table(predictions_table(architecture, [np.array([[1.0]]), np.array([[2.0]])], COLUMNS))
    assert rows == [["value (joint)", "value (deep)"], ["1", "2"]]
