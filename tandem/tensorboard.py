"""TensorBoard event files, in one layout for every framework.

Written with TensorBoard's own record format, without its gfile layer, which would import TensorFlow into a
process that trains with PyTorch.
"""

from __future__ import annotations

from pathlib import Path

from tandem.records import History

_FILE = "events.out.tfevents.tandem"
_PARTS = {"train": "train", "valid": "validation"}


def write_logs(history: History, directory: Path, wall_times: tuple[float, ...]) -> None:
    """Write a replicate's history as scalars ``epoch_loss``, ``epoch_<metric>`` and ``epoch_learning_rate``.

    The folders ``train`` and ``validation`` are runs of TensorBoard, as Keras's own callback names them.

    Args:
        history: of one replicate.
        directory: an existing folder.
        wall_times: seconds since 1970 at the end of each epoch.
    """
    for prefix, folder in _PARTS.items():
        tags = {
            f"epoch_{name.removeprefix(prefix + '_')}": values
            for name, values in history.columns.items()
            if name.startswith(f"{prefix}_")
        }
        if not tags:
            continue
        if prefix == "train":
            tags["epoch_learning_rate"] = history.learning_rate
        (directory / folder).mkdir(parents=True)
        _write_scalars(directory / folder / _FILE, history.epochs, tags, wall_times)


def _write_scalars(
    path: Path, steps: tuple[int, ...], tags: dict[str, tuple[float | None, ...]], times: tuple[float, ...]
) -> None:
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    with path.open("wb") as file:
        writer = RecordWriter(file)
        writer.write(event_pb2.Event(wall_time=times[0], file_version="brain.Event:2").SerializeToString())
        for position, step in enumerate(steps):
            values = [
                summary_pb2.Summary.Value(tag=tag, simple_value=value)
                for tag, column in tags.items()
                if (value := column[position]) is not None
            ]
            event = event_pb2.Event(wall_time=times[position], step=step, summary=summary_pb2.Summary(value=values))
            writer.write(event.SerializeToString())
        writer.flush()
