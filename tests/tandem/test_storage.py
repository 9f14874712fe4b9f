"""Writing that is all or nothing, whatever fails in between."""

from __future__ import annotations

import errno
import json
import os
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tandem.errors import DataError, StorageError
from tandem.storage import load_array, new_directory, new_file, write_json, write_text

NO_SPACE = (
    "{path}: no space left on the device; nothing was kept of it; free some space "
    "(`tandem clean` removes old runs) and run again"
)
NO_PERMISSION = "{path}: cannot be written ({reason}); nothing was kept of it; make the folder writable and run again"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A finished directory."""
    path = tmp_path / "outs/run"
    with new_directory(path) as partial:
        (partial / "a.txt").write_text("old")
        (partial / "inner").mkdir()
        (partial / "inner/b.txt").write_text("old too")
    return path


@pytest.fixture
def file(tmp_path) -> Path:
    """A finished file."""
    path = tmp_path / "files/a.json"
    write_text(path, "old")
    return path


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def fail_with(number: int):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    return fail


# -------------------------------------------------------------------------------------------------- success


def test_a_directory_replaces_the_old_one_whole(folder):
    with new_directory(folder) as partial:
        assert list(partial.iterdir()) == []
        (partial / "c.txt").write_text("new")
        assert contents(folder) == {"a.txt": b"old", "inner/b.txt": b"old too"}
    assert contents(folder.parent) == {"run/c.txt": b"new"}


def test_a_file_replaces_the_old_one_whole(file):
    with new_file(file) as partial:
        assert partial.suffix == ".json"
        partial.write_text("new")
        assert file.read_text() == "old"
    assert contents(file.parent) == {"a.json": b"new"}


def test_a_new_directory_can_be_read_by_others(folder):
    assert folder.stat().st_mode & 0o777 == 0o755


def test_text_is_written_as_utf_8_with_the_line_ends_given(tmp_path):
    write_text(tmp_path / "a.txt", "ä\r\n−\n")
    assert (tmp_path / "a.txt").read_bytes() == "ä\r\n−\n".encode()


def test_json_refuses_nan_and_leaves_the_old_file(file):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(file, {"loss": float("nan")})
    assert contents(file.parent) == {"a.json": b"old"}
    write_json(file, {"name": "Größe"})
    assert json.loads(file.read_text(encoding="utf-8")) == {"name": "Größe"}
    assert file.read_bytes().endswith(b"}\n")


# -------------------------------------------------------------------------------------------------- failures


class Interrupted(BaseException):
    """As a KeyboardInterrupt."""


@pytest.mark.parametrize("error", [ValueError, Interrupted])
def test_a_writer_that_raises_leaves_the_old_directory_and_nothing_else(folder, error):
    before = contents(folder.parent)

    def write() -> None:
        with new_directory(folder) as partial:
            (partial / "half.npy").write_bytes(b"half")
            raise error

    with pytest.raises(error):
        write()
    assert contents(folder.parent) == before
    assert [path.name for path in folder.parent.iterdir()] == ["run"]


@pytest.mark.parametrize("error", [ValueError, Interrupted])
def test_a_writer_that_raises_leaves_the_old_file_and_nothing_else(file, error):
    def write() -> None:
        with new_file(file) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert contents(file.parent) == {"a.json": b"old"}


def write_array(path: Path) -> None:
    with new_directory(path) as partial:
        np.save(partial / "x.npy", np.zeros(3))


@pytest.mark.parametrize("target", ["numpy.save", "pathlib.Path.replace", "tempfile.mkdtemp", "pathlib.Path.chmod"])
def test_a_full_disk_while_a_directory_is_written_is_told_and_keeps_the_old_one(folder, monkeypatch, target):
    before = contents(folder.parent)
    with monkeypatch.context() as patch:
        patch.setattr(target, fail_with(errno.ENOSPC))
        with pytest.raises(StorageError) as caught:
            write_array(folder)
    assert str(caught.value) == NO_SPACE.format(path=folder)
    assert contents(folder.parent) == before
    assert [path.name for path in folder.parent.iterdir()] == ["run"]
    write_array(folder)
    assert list(contents(folder.parent)) == ["run/x.npy"]


@pytest.mark.parametrize("target", ["pathlib.Path.write_text", "pathlib.Path.replace"])
def test_a_full_disk_while_a_file_is_written_is_told_and_keeps_the_old_one(file, monkeypatch, target):
    with monkeypatch.context() as patch:
        patch.setattr(target, fail_with(errno.ENOSPC))
        with pytest.raises(StorageError) as caught:
            write_text(file, "new")
    assert str(caught.value) == NO_SPACE.format(path=file)
    assert contents(file.parent) == {"a.json": b"old"}
    write_text(file, "new")
    assert contents(file.parent) == {"a.json": b"new"}


def test_a_disk_that_is_full_after_some_bytes_keeps_the_old_file(file):
    """A genuine limit of the operating system, not a patched function."""
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from tandem.errors import StorageError; from tandem.storage import write_text\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try: write_text(Path(sys.argv[1]), 'x' * 1000)\n"
        "except (StorageError, OSError) as error: print(type(error).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout == "StorageError\n"
    assert contents(file.parent) == {"a.json": b"old"}


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_place_that_cannot_be_written_is_told(file, monkeypatch, number):
    monkeypatch.setattr("pathlib.Path.write_text", fail_with(number))
    with pytest.raises(StorageError) as caught:
        write_text(file, "new")
    assert str(caught.value) == NO_PERMISSION.format(path=file, reason=os.strerror(number))
    assert contents(file.parent) == {"a.json": b"old"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere; the patched errors above stand for it")
def test_a_folder_without_permission_is_told(file):
    file.parent.chmod(0o555)
    try:
        with pytest.raises(StorageError, match=r"cannot be written \(Permission denied\)"):
            write_text(file, "new")
    finally:
        file.parent.chmod(0o755)


def test_a_file_where_a_folder_is_due_is_told(file):
    with pytest.raises(StorageError, match=re.escape(f"{file / 'b.txt'}: cannot be written (")):
        write_text(file / "b.txt", "new")


def test_the_cause_stays_with_the_error(file, monkeypatch):
    monkeypatch.setattr("pathlib.Path.write_text", fail_with(errno.ENOSPC))
    with pytest.raises(StorageError) as caught:
        write_text(file, "new")
    assert isinstance(caught.value.__cause__, OSError)


# ------------------------------------------------------------------------------------------- killed writers

KILLED = """
import os, signal, sys
from pathlib import Path
from tandem.storage import new_directory, new_file
with (new_directory if sys.argv[2] == "directory" else new_file)(Path(sys.argv[1])) as partial:
    (partial / "half" if partial.is_dir() else partial).write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_what_a_killed_writer_left_is_no_result_and_is_swept_by_the_next_one(folder, file, kind):
    path = folder if kind == "directory" else file
    before = contents(path) if kind == "directory" else path.read_bytes()
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), kind], check=False)
    assert done.returncode == -signal.SIGKILL
    left = [entry.name for entry in path.parent.iterdir() if entry != path]
    assert len(left) == 1
    assert ".partial-" in left[0]
    assert (contents(path) if kind == "directory" else path.read_bytes()) == before
    if kind == "directory":
        write_array(path)
    else:
        write_text(path, "new")
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_sweep_leaves_other_files_and_their_half_written_ones_alone(file):
    for name in ("b.json", "b.partial-1.json", "a.partial-1.txt", "aa.partial-1.json"):
        (file.parent / name).write_text("other")
    (file.parent / "a.partial-99.json").write_text("left")
    write_text(file, "new")
    assert set(contents(file.parent)) == {
        "a.json", "b.json", "b.partial-1.json", "a.partial-1.txt", "aa.partial-1.json",
    }  # fmt: skip


def test_names_with_brackets_are_swept_literally(tmp_path):
    (tmp_path / "a.partial-1").write_text("other")
    (tmp_path / "[a].partial-1").write_text("left")
    write_text(tmp_path / "[a]", "new")
    assert set(contents(tmp_path)) == {"[a]", "a.partial-1"}


# --------------------------------------------------------------------------------------------------- arrays


def test_an_array_is_opened_without_copying_it_and_cannot_be_changed(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6).reshape(2, 3))
    array = load_array(tmp_path / "x.npy")
    assert isinstance(array, np.memmap)
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1


def test_an_array_without_rows_can_be_read(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((0, 3)))
    assert load_array(tmp_path / "x.npy").shape == (0, 3)


def test_a_missing_array_says_how_to_make_it(tmp_path):
    with pytest.raises(DataError) as caught:
        load_array(tmp_path / "x.npy")
    assert str(caught.value) == f"{tmp_path / 'x.npy'}: missing; run `dvc repro` to make it"


@pytest.mark.parametrize("keep", [0, 5, 60, 130, -8])
def test_an_array_cut_short_is_told(tmp_path, keep):
    path = tmp_path / "x.npy"
    np.save(path, np.arange(100.0))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=rf"^{path}: damaged \(.+\); delete it and run `dvc repro`$"):
        load_array(path)


def test_pickled_objects_are_refused_unread(tmp_path):
    path = tmp_path / "x.npy"

    class Trap:
        def __reduce__(self):
            return (path.with_name("sprung").write_text, ("",))

    np.save(path, np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="damaged"):
        load_array(path)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError, match="damaged"):
        load_array(path)
    assert not path.with_name("sprung").exists()
