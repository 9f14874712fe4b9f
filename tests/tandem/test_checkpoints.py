"""Checkpoints of unfinished trainings: found by their own key only, and never half-read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tandem import checkpoints
from tandem.checkpoints import Checkpoints, digest_of

FACTS = {"epoch": 3, "columns": {"train_loss": [0.1, float("inf")]}, "stopped": ""}
ARRAYS = {"dense_1/kernel": np.arange(6.0).reshape(2, 3), "best/dense_1/bias": np.zeros(0), "step": np.int64(7)}


@pytest.fixture
def kept(tmp_path) -> Checkpoints:
    return Checkpoints(tmp_path / "run", "key", save_seconds=0)


def test_a_checkpoint_reads_back_bit_for_bit(kept, tmp_path):
    kept.save(2, FACTS, lambda: ARRAYS)
    found = Checkpoints(tmp_path / "run", "key").load(2)
    assert found.facts == FACTS
    assert set(found.arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert np.array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == np.asarray(array).dtype


def test_the_newest_checkpoint_is_the_one_that_counts(kept):
    for epoch in (1, 2):
        kept.save(0, {"epoch": epoch}, lambda: ARRAYS)
    assert kept.load(0).facts == {"epoch": 2}


def test_another_key_replicate_or_folder_finds_nothing(kept, tmp_path):
    kept.save(0, FACTS, lambda: ARRAYS)
    kept.save_finished(1, FACTS, ARRAYS)
    assert Checkpoints(tmp_path / "run", "other").load(0) is None
    assert Checkpoints(tmp_path / "elsewhere", "key").load(0) is None
    assert kept.load(1) is None
    assert kept.load_finished(0) is None


def test_a_finished_replicate_takes_the_place_of_its_checkpoint(kept):
    kept.save(0, FACTS, lambda: ARRAYS)
    kept.save_finished(0, {"done": True}, ARRAYS)
    assert kept.load(0) is None
    assert kept.load_finished(0).facts == {"done": True}


@pytest.mark.parametrize("keep", [0, 10, 200, -1, -30])
def test_a_damaged_archive_counts_as_missing_and_is_removed(kept, tmp_path, keep):
    kept.save(0, FACTS, lambda: ARRAYS)
    (path,) = (tmp_path / "run/key").iterdir()
    path.write_bytes(path.read_bytes()[:keep])
    assert kept.load(0) is None
    assert not path.exists()
    kept.save(0, FACTS, lambda: ARRAYS)
    assert kept.load(0).facts == FACTS


def test_an_archive_with_a_changed_byte_counts_as_missing(kept, tmp_path):
    kept.save(0, FACTS, lambda: {"x": np.zeros(1000)})
    (path,) = (tmp_path / "run/key").iterdir()
    content = bytearray(path.read_bytes())
    content[content.index(bytes(4000)) + 2000] ^= 1
    path.write_bytes(content)
    assert kept.load(0) is None


def test_an_archive_without_facts_counts_as_missing(kept, tmp_path):
    (tmp_path / "run/key").mkdir(parents=True)
    np.savez(tmp_path / "run/key/replicate-0.npz", x=np.zeros(2))
    assert kept.load(0) is None


def test_pickled_objects_are_not_loaded(kept, tmp_path):
    (tmp_path / "run/key").mkdir(parents=True)
    np.savez(tmp_path / "run/key/replicate-0.npz", x=np.array([{}], dtype=object))
    assert kept.load(0) is None


def test_clear_removes_the_checkpoints_of_all_keys(kept, tmp_path):
    kept.save(0, FACTS, lambda: ARRAYS)
    Checkpoints(tmp_path / "run", "outdated", save_seconds=0).save(0, FACTS, lambda: ARRAYS)
    kept.clear()
    assert not (tmp_path / "run").exists()
    kept.clear()  # nothing there is no error


def test_a_checkpoint_is_saved_when_it_is_time_and_its_arrays_are_asked_for_then_only(tmp_path, monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(checkpoints, "time", SimpleNamespace(monotonic=lambda: clock.now))
    kept, asked = Checkpoints(tmp_path / "run", "key", save_seconds=5), []

    def save(after: float) -> None:
        clock.now += after
        kept.save(0, {"at": clock.now}, lambda: asked.append(clock.now) or ARRAYS)

    for seconds in (1, 3.5, 1, 4, 1.5, 0):  # at 101, 104.5, 105.5, 109.5, 111, 111
        save(seconds)
    assert asked == [105.5, 111]
    assert kept.load(0).facts == {"at": 111}


def test_the_key_depends_on_facts_and_code_and_not_on_their_order(tmp_path):
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(name)
    code = [tmp_path / "a.py", tmp_path / "b.py"]
    key = digest_of({"x": 1, "y": 2}, code)
    assert key == digest_of({"y": 2, "x": 1}, reversed(code))
    assert key != digest_of({"x": 1, "y": 3}, code)
    assert key != digest_of({"x": 1, "y": 2}, code[:1])
    (tmp_path / "a.py").write_text("changed")
    assert key != digest_of({"x": 1, "y": 2}, code)
    assert Path(key).name == key
