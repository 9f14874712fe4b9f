"""Arrays of one's own: a folder with ``features.npy`` and ``targets.npy``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from tandem.datasets.own import OwnOptions, as_texts, check_rows, existing, label_targets, mistake, rows_text
from tandem.datasets.source import ArraySource, Options, Rows, channels_last, numeric_columns
from tandem.errors import DataError
from tandem.records import Description
from tandem.storage import load_array


class NpyOptions(OwnOptions):
    """Which folder, and what a sample is."""

    folder: str = Field(min_length=1, description="With features.npy and targets.npy, from the project's folder.")
    shape: tuple[int, ...] = Field(min_length=1, description="Of one sample, as the file has it.")
    channel_order: Literal["first", "last"] = Field(
        default="last",
        description="Where a sample has its channels: first in a series or an image, second in a video, or last; "
        "they are moved to the end.",
    )
    columns: Annotated[tuple[str, ...], BeforeValidator(as_texts)] = Field(
        default=(), description="Names, for samples of rank 1; by default column 0, column 1, ..."
    )
    target: str = Field(default="target", description="What is predicted, for people.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(size < 1 for size in self.shape):
            raise mistake(f"shape {list(self.shape)}: every axis must be at least 1")
        if self.columns and self.shape != (len(self.columns),):
            raise mistake(f"columns names {len(self.columns)} columns, but shape is {list(self.shape)}")
        if self.channel_order == "first" and len(self.shape) < 2:
            raise mistake(f"channel_order: first needs samples of rank 2 or more, shape is {list(self.shape)}")
        return self

    def names(self) -> tuple[str, ...]:
        """Return the columns' names; empty for samples of a higher rank."""
        if len(self.shape) > 1:
            return ()
        return self.columns or tuple(f"column {place}" for place in range(self.shape[0]))


class _Npy(ArraySource):
    def describe(self, options: Options) -> Description:
        assert isinstance(options, NpyOptions)  # noqa: S101  (narrows the type)
        first = options.channel_order == "first"
        return Description(
            title=options.title or Path(options.folder).name,
            reference=options.reference,
            task="classification" if options.classes else "regression",
            feature_shape=channels_last(np.empty((0, *options.shape))).shape[1:] if first else options.shape,
            columns=numeric_columns(*options.names()),
            class_names=options.class_names,
            target_name=options.named_target(options.target),
            channels_first=first,
            duplicates=options.duplicates,
        )

    def location(self, options: Options) -> str:
        assert isinstance(options, NpyOptions)  # noqa: S101  (narrows the type)
        return options.folder

    def make(self, options: Options) -> tuple[Rows, None]:
        assert isinstance(options, NpyOptions)  # noqa: S101  (narrows the type)
        folder = existing(options.folder, "folder")
        features, targets = (_read(folder / f"{name}.npy") for name in ("features", "targets"))
        path = folder / "features.npy"
        if features.shape[1:] != options.shape:
            raise DataError(
                f"{path}: samples of shape {list(features.shape[1:])}, declared is {list(options.shape)}; "
                "correct shape under datasets in params.yaml"
            )
        if targets.shape != (len(features),):
            raise DataError(
                f"{folder / 'targets.npy'}: shape {list(targets.shape)}, features.npy has {len(features)} samples; "
                "give one target for each sample, in one dimension"
            )
        rows = Rows(_features(path, features, options), _targets(folder / "targets.npy", targets, options))
        _refuse_missing(path, rows.features)
        check_rows(path, rows, np.arange(len(rows)), numeric_columns(*options.names()), options)
        return rows, None


def _read(path: Path) -> np.ndarray:
    if not path.exists():
        raise DataError(f"{path}: missing; write it with numpy.save")
    try:
        return load_array(path)
    except DataError as error:
        reason = str(error).partition("(")[2].rpartition(")")[0]
        raise DataError(f"{path}: cannot be read as .npy ({reason}); write it with numpy.save") from None


def _features(path: Path, features: np.ndarray, options: NpyOptions) -> np.ndarray:
    if features.dtype.kind not in "fiub":
        raise DataError(f"{path}: holds {features.dtype}; give an array of numbers")
    if options.channel_order == "first":
        features = channels_last(features)
    small = features.dtype in (np.uint8, np.float32)
    return np.ascontiguousarray(features if small else features.astype(np.float64))


def _targets(path: Path, targets: np.ndarray, options: NpyOptions) -> np.ndarray:
    if options.classes:
        whole = targets.dtype.kind == "f" and bool(np.all(targets == np.floor(targets)))
        texts = [str(value) for value in (targets.astype(np.int64) if whole else targets).tolist()]
        return label_targets(path, texts, options.classes, options.target)
    if targets.dtype.kind not in "fiu":
        raise DataError(f"{path}: holds {targets.dtype}; give numbers, or declare classes")
    return targets.astype(np.float64) / options.target_unit


def _refuse_missing(path: Path, features: np.ndarray) -> None:
    if features.dtype == np.uint8:
        return
    bad = np.flatnonzero(np.isnan(features.reshape(len(features), -1)).any(axis=1))
    if len(bad):
        raise DataError(f"{path}: values are missing (NaN) in {rows_text(bad)}; fill them, or remove the rows")


SOURCE = _Npy(options=NpyOptions)
