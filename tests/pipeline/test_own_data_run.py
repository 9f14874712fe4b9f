"""A table of one's own goes from `tandem new` to a report and to predictions, in both frameworks."""

from __future__ import annotations

import csv
import html
import io
import re
from pathlib import Path

import numpy as np
import pytest
from workspace import Workspace, make_workspace

from tandem.records import DataDescription, read_record
from tandem.scaling import Scaler

pytestmark = pytest.mark.slow
ROWS = 240
HEADER = ["编号", "生还", "舱等", " 姓名 ", "性别", "年龄", "票价", "客舱", "登船"]


def titanic() -> bytes:
    """Passengers of mixed types: gaps, Chinese column names, a comma in a field, blanks, Windows line ends."""
    draw = np.random.default_rng(0)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(HEADER)
    for row in range(ROWS):
        woman, level = draw.random() < 0.4, int(draw.integers(1, 4))
        survived = draw.random() < 0.15 + 0.5 * woman + 0.1 * (3 - level)
        age = "" if draw.random() < 0.2 else f"{draw.uniform(1, 80):.1f}"
        fare, cabin = f" {draw.uniform(5, 90):.4f}", f"C{row}" if draw.random() < 0.2 else ""
        port = draw.choice(["S", "C", "Q", ""], p=[0.6, 0.2, 0.15, 0.05])
        name = f"Row {row}, {'Mrs.' if woman else 'Mr.'} <b>王</b>"
        writer.writerow(
            [row + 1, "是" if survived else "否", level, name, "女" if woman else "男", age, fare, cabin, port]
        )
    return stream.getvalue().encode("utf-8-sig")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A project in which the passengers have been added, trained and reported."""
    workspace = make_workspace(tmp_path_factory.mktemp("own"), repository=True)
    file = workspace.root / "own/titanic.csv"
    file.parent.mkdir(parents=True)
    file.write_bytes(titanic())
    for command in (("new", "own/titanic.csv", "--target", "生还"), ("suite", "titanic")):
        done = workspace.tandem(*command)
        assert done.returncode == 0, done.stderr
    workspace.edit("epochs: 100", "epochs: 12")
    workspace.edit("replicates: 3", "replicates: 1")
    done = workspace.tandem("run")
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace


def test_the_report_names_columns_classes_and_fills(workspace):
    page = (workspace.root / "reports/titanic-mlp.html").read_text(encoding="utf-8")
    text = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))
    assert "A first network predicts 生还 from 5 columns." in text
    assert (
        "Missing values become, as the training rows alone have it: 年龄, its median; 登船, a category of its own."
        in text
    )
    for words in ("性别", "女, 男", "C, Q, S, (missing)", "否", "是", "Keras", "PyTorch"):
        assert words in text
    assert "<b>王" not in page


def test_the_fill_is_that_of_the_training_rows(workspace):
    fit = workspace.root / "data/split/titanic/fit"
    description = read_record(DataDescription, fit / "description.json")
    features, train = np.load(fit / "features.npy"), np.load(fit / "folds/0/train.npy")
    scaler = read_record(Scaler, workspace.root / "data/scale/titanic/fold-0.json")
    age = description.feature_names.index("年龄")
    assert scaler.fill[age] == np.nanmedian(features[train, age])
    assert scaler.fill[age] != np.nanmedian(features[:, age])
    scaled = scaler.transform(features, "float64")
    assert np.isfinite(scaled).all()
    for place in description.categorical:
        assert np.array_equal(scaled[:, place], features[:, place])
    numeric = [place for place in range(len(description.columns)) if place not in description.categorical]
    assert scaled[train][:, numeric].mean(axis=0) == pytest.approx(np.zeros(len(numeric)), abs=1e-12)


def test_new_rows_are_predicted_and_an_unseen_category_is_refused(workspace, tmp_path):
    lines = titanic().decode("utf-8-sig").split("\r\n")
    rows = tmp_path / "new.csv"
    rows.write_text("\r\n".join(lines[:4]), encoding="utf-8")
    done = workspace.tandem("predict", "titanic-mlp", str(rows), "--framework", "torch")
    assert done.returncode == 0, done.stderr
    table = list(csv.reader(io.StringIO(done.stdout)))
    assert table[0] == ["label", "class", "probability of 否", "probability of 是"]
    assert len(table) == 4
    rows.write_text("\r\n".join([*lines[:2], lines[2].replace("女", "?!").replace("男", "?!")]), encoding="utf-8")
    done = workspace.tandem("predict", "titanic-mlp", str(rows), "--framework", "torch")
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {rows}: row 2, column '性别': '?!' is none of its categories; allowed: 女, 男; correct the file\n"
    )


def test_an_edit_of_the_file_is_seen_and_a_wrong_one_stops_before_training(workspace):
    assert workspace.dvc("status").strip() == "Data and pipelines are up to date."
    file: Path = workspace.root / "own/titanic.csv"
    before = file.read_bytes()
    file.write_bytes(before.replace("男".encode(), b"?!", 1))
    try:
        status = workspace.dvc("status")
        assert re.search(r"fetch@titanic:\s+changed deps:\s+modified:\s+own/titanic.csv", status)
        done = workspace.stage("fetch", "titanic")
        assert done.returncode == 1
        assert re.fullmatch(
            r"error: own/titanic.csv: column '性别': '\?!' is none of its categories \(1 such, row \d+\); "
            r"allowed: 女, 男; add it to the column's categories, or correct the cells\n",
            done.stderr,
        )
        assert (workspace.root / "data/raw/titanic/rows_features.npy").exists()  # what was there stays
    finally:
        file.write_bytes(before)
