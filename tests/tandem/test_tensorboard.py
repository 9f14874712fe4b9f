"""Event files, as TensorBoard's own reader sees them."""

from __future__ import annotations

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tandem.records import History
from tandem.tensorboard import write_logs

HISTORY = History(
    epochs=(1, 2, 3),
    learning_rate=(0.1, 0.05, 0.025),
    columns={
        "train_loss": (0.5, 0.25, None),
        "train_accuracy": (0.75, 0.875, 0.5),
        "valid_loss": (0.625, None, None),
        "valid_accuracy": (0.5, 0.75, 0.25),
    },
)
TIMES = (1000.5, 1001.5, 1002.5)


def scalars(folder) -> dict[str, list[tuple[float, int, float]]]:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    return {tag: [(e.wall_time, e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_both_parts_read_back_with_steps_times_and_values(tmp_path):
    write_logs(HISTORY, tmp_path, TIMES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train", "validation"]
    train = scalars(tmp_path / "train")
    assert set(train) == {"epoch_loss", "epoch_accuracy", "epoch_learning_rate"}
    assert train["epoch_loss"] == [(1000.5, 1, 0.5), (1001.5, 2, 0.25)]  # what is not finite is left out
    assert train["epoch_accuracy"] == [(1000.5, 1, 0.75), (1001.5, 2, 0.875), (1002.5, 3, 0.5)]
    assert [value for *_, value in train["epoch_learning_rate"]] == pytest.approx([0.1, 0.05, 0.025])
    valid = scalars(tmp_path / "validation")
    assert set(valid) == {"epoch_loss", "epoch_accuracy"}
    assert valid["epoch_loss"] == [(1000.5, 1, 0.625)]


def test_without_validation_rows_there_is_one_run(tmp_path):
    columns = {name: values for name, values in HISTORY.columns.items() if name.startswith("train")}
    write_logs(HISTORY.model_copy(update={"columns": columns}), tmp_path, TIMES)
    assert [path.name for path in tmp_path.iterdir()] == ["train"]


def test_the_same_history_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_logs(HISTORY, tmp_path / name, TIMES)
    for part in ("train", "validation"):
        (first,), (second,) = (list((tmp_path / name / part).iterdir()) for name in ("a", "b"))
        assert first.name == second.name
        assert first.read_bytes() == second.read_bytes()


def test_writing_imports_no_framework(python, tmp_path):
    script = (
        "import sys; from pathlib import Path\n"
        "from tandem.records import History; from tandem.tensorboard import write_logs\n"
        "history = History(epochs=(1,), learning_rate=(0.1,), columns={'train_loss': (1.0,)})\n"
        f"write_logs(history, Path({str(tmp_path)!r}), (1.0,))\n"
        "print(sorted({'tensorflow', 'keras', 'torch'} & set(sys.modules)))\n"
    )
    done = python("-c", script)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
    assert (tmp_path / "train").is_dir()
