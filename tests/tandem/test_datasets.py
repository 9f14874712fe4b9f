"""Every source keeps the contract; files are fetched with checked digests, from a mirror or the network."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import shutil
import socket
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tandem import datasets
from tandem.datasets import california_housing, coffee, download, fashion_mnist, five_rule
from tandem.datasets.download import DownloadError, RemoteFile, fetch_file, sha256
from tandem.datasets.source import KnownSource
from tandem.errors import DataError

SHARED = ("source", "download", "own", "tables", "inference")
REMOTE = ("california_housing", "fashion_mnist")
LOCAL = tuple(
    name for name, source in datasets.all_sources().items() if isinstance(source, KnownSource) and name not in REMOTE
)
ROWS = {
    "breast_cancer": (569, None),
    "california_housing": (20_640, None),
    "coffee": (200, 2_000),
    "diabetes": (442, None),
    "digits": (1_797, None),
    "fashion_mnist": (60_000, 10_000),
    "five_rule": (6_000, 20_000),
}


@pytest.fixture(autouse=True)
def no_mirror(monkeypatch):
    monkeypatch.delenv(download.MIRROR_VARIABLE, raising=False)


@pytest.fixture
def use_mirror(mirror, monkeypatch) -> Path:
    monkeypatch.setenv(download.MIRROR_VARIABLE, str(mirror))
    return mirror


# ------------------------------------------------------------------------------------------- the contract


def test_the_sources_are_the_modules_of_the_folder():
    folder = Path(datasets.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", *SHARED}
    assert set(datasets.source_names()) == modules
    assert set(datasets.all_sources()) == modules
    assert modules >= set(ROWS)


def test_a_new_module_is_found_by_scanning(tmp_path, monkeypatch):
    (tmp_path / "made_up.py").write_text("from tandem.datasets.five_rule import SOURCE\n")
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(tmp_path)])
    datasets.source_names.cache_clear()
    try:
        assert "made_up" in datasets.source_names()
        assert datasets.describe("made_up", {}).title == "Five-number rule"
    finally:
        monkeypatch.undo()
        datasets.source_names.cache_clear()


def test_no_module_outside_the_scan_is_a_source():
    for name in (*SHARED, "../config", "os"):
        with pytest.raises(KeyError):
            datasets.source(name)


def known_sources() -> list[str]:
    return [name for name, source in datasets.all_sources().items() if isinstance(source, KnownSource)]


@pytest.mark.parametrize("name", known_sources())
def test_a_source_says_what_it_is_before_anything_is_fetched(name):
    known = datasets.describe(name, {})  # every option has a default
    assert known.title
    assert known.reference
    assert known.target_name
    assert known.task in ("classification", "regression")
    assert bool(known.class_names) == (known.task == "classification")
    assert len(set(known.class_names)) == len(known.class_names)
    assert len(set(known.feature_names)) == len(known.feature_names)
    if len(known.feature_shape) == 1:
        assert len(known.feature_names) == known.feature_shape[0]
    else:
        assert known.columns == ()


def check_rows(known, rows):
    count = len(rows)
    assert rows.features.shape == (count, *known.feature_shape)
    assert rows.targets.shape == (count,)
    assert rows.features.dtype in (np.float64, np.float32, np.uint8)
    assert np.isfinite(rows.features).all()
    if known.task == "classification":
        assert rows.targets.dtype == np.int64
        assert np.array_equal(np.unique(rows.targets), np.arange(len(known.class_names)))
    else:
        assert rows.targets.dtype == np.float64
        assert np.isfinite(rows.targets).all()


def check_round_trip(name, tmp_path):
    source = datasets.source(name)
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        source.fetch(folder, source.options())
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    assert all(sha256(first / file) == sha256(second / file) for file in names)
    rows, test = source.load(first)
    known = source.describe(source.options())
    check_rows(known, rows)
    assert known.own_test is (test is not None)
    if test is not None:
        check_rows(known, test)
    assert (len(rows), None if test is None else len(test)) == ROWS.get(name, (len(rows), test and len(test)))
    shutil.rmtree(first)
    first.mkdir()
    with pytest.raises(DataError, match="missing; run `dvc repro`"):
        source.load(first)


@pytest.mark.parametrize("name", LOCAL)
def test_what_a_source_fetches_it_loads_again_the_same_each_time(name, tmp_path):
    check_round_trip(name, tmp_path)


@pytest.mark.data
@pytest.mark.usefixtures("use_mirror")
@pytest.mark.parametrize("name", REMOTE)
def test_what_a_source_fetches_from_the_mirror_it_loads_again(name, tmp_path):
    check_round_trip(name, tmp_path)


# ------------------------------------------------------------------------------------------ data by rule


def test_five_numbers_are_positive_where_the_first_exceeds_the_fifth(tmp_path):
    five_rule.SOURCE.fetch(tmp_path, five_rule.FiveRuleOptions(samples=50, test_samples=30, seed=0))
    rows, test = five_rule.SOURCE.load(tmp_path)
    assert rows.features[0].tolist() == pytest.approx([0.63696169, 0.26978671, 0.04097352, 0.01652764, 0.81327024])
    for part in (rows, test):
        assert part.targets.tolist() == [int(row[0] > row[4]) for row in part.features]
        assert 0 <= part.features.min() < part.features.max() < 1
    drawn = np.random.default_rng(0).random((80, 5))
    assert np.array_equal(np.concatenate([rows.features, test.features]), drawn)


def test_roasts_are_good_in_the_triangle(tmp_path):
    coffee.SOURCE.fetch(tmp_path, coffee.CoffeeOptions())
    rows, test = coffee.SOURCE.load(tmp_path)
    assert rows.features[0].tolist() == pytest.approx([185.31763812, 12.69396457])
    assert int(rows.targets.sum()) == 43  # 21.5 % of 200
    for part in (rows, test):
        good = [175 < t < 260 and 12 < d < 15 and d <= 21 - 3 * t / 85 for t, d in part.features]
        assert part.targets.tolist() == good
        assert part.features.min(axis=0) == pytest.approx([150, 11.5], abs=3)
        assert part.features.max(axis=0) == pytest.approx([285, 15.5], abs=3)
    assert not np.isin(test.features, rows.features).any()


@pytest.mark.parametrize("seed", [0, 5])
def test_another_seed_draws_other_rows(seed):
    assert not np.array_equal(coffee.draw(20, seed).features, coffee.draw(20, seed + 1).features)


# ---------------------------------------------------------------------------------------- genuine data


@pytest.mark.data
def test_houses_have_the_features_that_scikit_learn_derives(use_mirror, tmp_path):
    california_housing.SOURCE.fetch(tmp_path, california_housing.SOURCE.options())
    rows, _ = california_housing.SOURCE.load(tmp_path)
    assert california_housing.SOURCE.description.feature_names[0] == "MedInc"
    assert rows.features[0].tolist() == pytest.approx(
        [8.3252, 41.0, 6.98412698, 1.02380952, 322.0, 2.55555556, 37.88, -122.23]
    )
    assert rows.targets[0] == pytest.approx(4.526)
    lines = (use_mirror / "california_housing/cal_housing.data").read_text().split()
    for line, features, target in zip(lines[::997], rows.features[::997], rows.targets[::997], strict=True):
        longitude, latitude, age, rooms, bedrooms, people, households, income, value = map(float, line.split(","))
        assert features.tolist() == [
            income, age, rooms / households, bedrooms / households, people, people / households, latitude, longitude,
        ]  # fmt: skip
        assert target == value / 100_000


@pytest.mark.data
@pytest.mark.usefixtures("use_mirror")
def test_clothes_have_their_published_order(tmp_path):
    fashion_mnist.SOURCE.fetch(tmp_path, fashion_mnist.SOURCE.options())
    rows, test = fashion_mnist.SOURCE.load(tmp_path)
    assert rows.features.shape == (60_000, 28, 28)
    assert test.features.shape == (10_000, 28, 28)
    assert rows.features.dtype == np.uint8
    assert rows.targets[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert test.targets[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]
    assert np.bincount(rows.targets).tolist() == [6000] * 10
    assert fashion_mnist.SOURCE.description.class_names[rows.targets[0]] == "Ankle boot"


# ----------------------------------------------------------------------------------------- damaged files


def idx(shape: tuple[int, ...], values: bytes) -> bytes:
    header = b"\0\0\x08" + bytes([len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
    return gzip.compress(header + values, mtime=0)


def test_an_idx_file_is_read_with_its_shape(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(idx((2, 1, 3), bytes(range(6))))
    assert fashion_mnist.read_idx(path).tolist() == [[[0, 1, 2]], [[3, 4, 5]]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx((2, 3), bytes(6))[:-12], r"damaged \(.*\); delete it and run `dvc repro`$"),
        (b"<html>", r"damaged \(Not a gzipped file .*\); delete it"),
        (gzip.compress(b"hello world", mtime=0), r"no IDX file of unsigned bytes; delete it"),
        (gzip.compress(b"\0\0\x08", mtime=0), r"no IDX file of unsigned bytes; delete it"),
        (gzip.compress(b"", mtime=0), r"no IDX file of unsigned bytes; delete it"),
        (gzip.compress(b"\0\0\x08\x03\0\0", mtime=0), r"no IDX file of unsigned bytes; delete it"),
        (idx((2, 3), bytes(5)), r"holds 5 bytes, its header says \(2, 3\); delete it"),
    ],
)
def test_a_damaged_idx_file_is_told(tmp_path, content, message):
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        fashion_mnist.read_idx(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [("1,2,3\n", "3 columns, expected 9"), ("a,b\n", "damaged"), ("1,2,3,4,5,6,7,8,9\n1,2\n", "damaged")],
)
def test_a_damaged_table_of_houses_is_told(tmp_path, content, message):
    (tmp_path / "cal_housing.data").write_text(content)
    with pytest.raises(DataError, match=rf"cal_housing.data: {message}.*delete it and run `dvc repro`"):
        california_housing.SOURCE.load(tmp_path)


# ------------------------------------------------------------------------------------------- the mirror

CONTENT = b"the right bytes\n" * 400
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def kept(tmp_path, monkeypatch) -> Path:
    """The right file in a mirror folder."""
    path = tmp_path / "mirror/folder/file.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    monkeypatch.setenv(download.MIRROR_VARIABLE, str(tmp_path / "mirror"))
    return path


@pytest.fixture
def target(tmp_path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def remote(*addresses: str) -> RemoteFile:
    return RemoteFile("folder/file.bin", addresses, DIGEST)


@pytest.mark.usefixtures("kept")
def test_a_file_of_the_mirror_is_copied_and_no_network_is_touched(target, monkeypatch):
    monkeypatch.setattr(socket, "socket", None)
    assert fetch_file(remote("http://127.0.0.1:9/"), target) == target / "file.bin"
    assert (target / "file.bin").read_bytes() == CONTENT


def test_a_file_that_the_mirror_lacks_is_told_with_what_to_put_there(kept, target):
    kept.unlink()
    with pytest.raises(DataError) as caught:
        fetch_file(remote(), target)
    assert str(caught.value) == (
        f"{kept}: missing; TANDEM_DATA names a folder without it; put the file there (sha256 {DIGEST}), "
        "or unset TANDEM_DATA to download it"
    )
    assert not isinstance(caught.value, DownloadError)


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[:-1] + b"!", b""], ids=["cut", "changed", "empty"])
def test_a_wrong_file_of_the_mirror_is_told_with_both_digests_and_not_copied(kept, target, content):
    kept.write_bytes(content)
    with pytest.raises(DataError) as caught:
        fetch_file(remote(), target)
    assert str(caught.value) == (
        f"{kept}: wrong sha256 {hashlib.sha256(content).hexdigest()}, expected {DIGEST}; the file is damaged or cut "
        f"short ({len(content)} bytes); delete it and fetch it again"
    )
    assert list(target.iterdir()) == []


# ------------------------------------------------------------------------------------------ the network


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    """Pauses between tries, noted instead of waited for."""
    noted: list[float] = []
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=noted.append))
    return noted


@pytest.fixture
def site():
    """A site on this machine; ``answers`` maps a path to (status, announced length, body)."""
    answers: dict[str, tuple[int, int, bytes]] = {}
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            status, length, body = answers.get(self.path, (404, 0, b""))
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield SimpleNamespace(address=f"http://127.0.0.1:{server.server_port}", answers=answers, asked=asked)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def closed() -> str:
    """An address on this machine at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_a_file_is_downloaded_and_checked(site, target):
    site.answers["/file.bin"] = (200, len(CONTENT), CONTENT)
    assert fetch_file(remote(f"{site.address}/file.bin"), target).read_bytes() == CONTENT
    assert [path.name for path in target.iterdir()] == ["file.bin"]


def test_the_second_address_serves_where_the_first_does_not(site, target, closed, pauses):
    site.answers["/file.bin"] = (200, len(CONTENT), CONTENT)
    addresses = (f"{closed}/file.bin", f"{site.address}/gone", f"{site.address}/file.bin")
    assert fetch_file(remote(*addresses), target).read_bytes() == CONTENT
    assert site.asked == ["/gone", "/file.bin"]  # a 404 is not tried again
    assert len(pauses) == 2  # between three tries


def test_wrong_bytes_at_the_first_address_leave_the_second_a_chance(site, target):
    site.answers["/wrong/file.bin"] = (200, 5, b"<html")
    site.answers["/file.bin"] = (200, len(CONTENT), CONTENT)
    addresses = (f"{site.address}/wrong/file.bin", f"{site.address}/file.bin")
    assert fetch_file(remote(*addresses), target).read_bytes() == CONTENT


def test_wrong_bytes_are_told_with_both_digests_and_nothing_is_left(site, target):
    body = b"<html>sign in first</html>"
    site.answers["/file.bin"] = (200, len(body), body)
    with pytest.raises(DataError) as caught:
        fetch_file(remote(f"{site.address}/file.bin"), target)
    assert f"file.bin: wrong sha256 {hashlib.sha256(body).hexdigest()}, expected {DIGEST}" in str(caught.value)
    assert list(target.iterdir()) == []


@pytest.mark.usefixtures("pauses")
def test_a_body_that_breaks_off_is_tried_again_and_nothing_is_left(site, target):
    site.answers["/file.bin"] = (200, len(CONTENT), CONTENT[:100])
    with pytest.raises(DownloadError, match=r"^folder/file.bin: cannot be downloaded: http://127.0.0.1:\d+/file.bin "):
        fetch_file(remote(f"{site.address}/file.bin"), target)
    assert site.asked == ["/file.bin"] * 3
    assert list(target.iterdir()) == []


@pytest.mark.usefixtures("pauses")
def test_without_a_network_the_error_names_every_address_and_the_way_out(target, closed):
    addresses = (f"{closed}/a", f"{closed}/b")
    with pytest.raises(DownloadError) as caught:
        fetch_file(remote(*addresses), target)
    assert str(caught.value) == (
        f"folder/file.bin: cannot be downloaded: {addresses[0]} (ConnectionError); {addresses[1]} (ConnectionError); "
        "connect to the network and run again, or set TANDEM_DATA to a folder that holds folder/file.bin"
    )
    assert caught.value.exit_status == 75
    assert list(target.iterdir()) == []


def test_a_missing_page_is_told(site, target):
    with pytest.raises(DownloadError, match=r"/file.bin \(HTTPError\); connect to the network"):
        fetch_file(remote(f"{site.address}/file.bin"), target)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("name", REMOTE)
def test_the_genuine_sources_give_up_with_the_same_error(name, target, closed, pauses, monkeypatch):
    module = {"california_housing": california_housing, "fashion_mnist": fashion_mnist}[name]
    if name == "california_housing":
        archive = RemoteFile(module.ARCHIVE.name, (closed,), module.ARCHIVE.sha256)
        monkeypatch.setattr(module, "ARCHIVE", archive)
    else:
        monkeypatch.setattr(
            module, "FILES", tuple(RemoteFile(file.name, (closed,), file.sha256) for file in module.FILES)
        )
    with pytest.raises(DownloadError, match=rf"^{name}/.*: cannot be downloaded: {closed}"):
        datasets.source(name).fetch(target, datasets.source(name).options())
    assert pauses
    assert list(target.iterdir()) == []


def test_the_fetch_stage_without_a_network_exits_with_try_again_later(python, write_params, tmp_path, closed):
    write_params()
    script = (
        "import sys; from types import SimpleNamespace\n"
        "from tandem.datasets import download, digits\n"
        "download.time = SimpleNamespace(sleep=lambda seconds: None)\n"
        f"file = download.RemoteFile('digits/digits.csv', ('{closed}/digits.csv',), '0')\n"
        "type(digits.SOURCE).fetch = lambda self, directory, options: download.fetch_file(file, directory)\n"
        "from stages import command, fetch\n"
        "sys.argv = ['fetch', 'digits']; sys.exit(command.run_stage_command(fetch.main))\n"
    )
    done = python("-c", script)
    assert done.returncode == 75
    assert done.stderr.startswith("error: digits/digits.csv: cannot be downloaded: http://127.0.0.1:")
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "data/raw").iterdir()) == []
