"""Images of one's own: a folder with a folder for each class."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from tandem.datasets.own import Classes, OwnOptions, check_rows, existing
from tandem.datasets.source import ArraySource, Options, Rows
from tandem.errors import DataError, suggest
from tandem.records import Description

SUFFIXES = (".png", ".jpg", ".jpeg")
_IGNORED = {"thumbs.db", "desktop.ini"}
_EIGHT_BIT = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "La", "RGBa", "RGBX", "HSV", "LAB"}
Side = Annotated[int, Field(gt=0, le=10_000)]


class ImagesOptions(OwnOptions):
    """Which folder, and how large its images are."""

    folder: str = Field(min_length=1, description="With a folder of PNG or JPEG files for each class.")
    classes: Classes = Field(description="Folders by label, as a list or as a mapping to the classes' names.")
    size: tuple[Side, Side] = Field(description="Height and width in pixels.")
    colour: Literal["grey", "rgb"] = Field(default="rgb", description="One channel, or three.")
    resize: bool = Field(default=False, description="Bring images of another size to `size`.")
    target: str = Field(default="class", description="What is predicted, for people.")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image."""
        return self.size if self.colour == "grey" else (*self.size, 3)


class _Images(ArraySource):
    def describe(self, options: Options) -> Description:
        assert isinstance(options, ImagesOptions)  # noqa: S101  (narrows the type)
        return Description(
            title=options.title or Path(options.folder).name,
            reference=options.reference,
            task="classification",
            feature_shape=options.shape,
            class_names=options.class_names,
            target_name=options.target,
            resize=options.resize,
            duplicates=options.duplicates,
        )

    def location(self, options: Options) -> str:
        assert isinstance(options, ImagesOptions)  # noqa: S101  (narrows the type)
        return options.folder

    def make(self, options: Options) -> tuple[Rows, None]:
        assert isinstance(options, ImagesOptions)  # noqa: S101  (narrows the type)
        folder = existing(options.folder, "folder")
        found = class_folders(folder)
        classes = options.classes
        for name in found:
            if name not in classes:
                raise DataError(f"{folder / name}: no declared class; {suggest(name, classes)}; add it to classes")
        for name in classes:
            if name not in found:
                raise DataError(f"{folder / name}: missing; put the images of the class '{name}' into it")
        files = [path for name in classes for path in image_files(folder / name)]
        labels = [label for label, name in enumerate(classes) for _ in image_files(folder / name)]
        features = np.empty((len(files), *options.shape), dtype=np.uint8)
        for row, path in enumerate(files):
            features[row] = _pixels(path, options, files[0])
        rows = Rows(features, np.array(labels, dtype=np.int64))
        check_rows(folder, rows, np.arange(len(rows)), (), options, files)
        return rows, None


def class_folders(folder: Path) -> tuple[str, ...]:
    """Return the names of the folders in a folder, sorted.

    Raises:
        DataError: there are none, or images lie outside of them.
    """
    entries = sorted(entry for entry in folder.iterdir() if not _is_ignored(entry))
    strays = [entry for entry in entries if not entry.is_dir()]
    if strays:
        raise DataError(f"{strays[0]}: lies in no class's folder; move it into one, or away")
    if not entries:
        raise DataError(f"{folder}: holds no folder; put the images of each class into a folder of its own")
    return tuple(entry.name for entry in entries)


def image_files(folder: Path) -> tuple[Path, ...]:
    """Return a class's images, sorted by name.

    Raises:
        DataError: there are none, or a file is of another kind.
    """
    files = sorted(path for path in folder.iterdir() if not _is_ignored(path))
    for path in files:
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(f"{path}: is no image that can be read; allowed: {', '.join(SUFFIXES)}; move it away")
    if not files:
        raise DataError(f"{folder}: holds no image; put images there, or take the folder away and out of classes")
    return tuple(files)


def _is_ignored(path: Path) -> bool:
    return path.name.startswith(".") or path.name.lower() in _IGNORED


def read_image(path: Path, size: tuple[int, int] | None, grey: bool) -> np.ndarray:
    """Read an image upright, uint8 (height, width) or (height, width, 3).

    Args:
        path: of a PNG or JPEG file.
        size: height and width to bring it to; None: as it is.
        grey: one channel instead of three.

    Raises:
        DataError: it is damaged, or has more than eight bits a channel.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            if opened.mode not in _EIGHT_BIT:
                raise DataError(f"{path}: has more than 8 bits a channel (mode {opened.mode}); save it with 8 bits")
            image = ImageOps.exif_transpose(opened).convert("L" if grey else "RGB")
    except FileNotFoundError:
        raise DataError(f"{path}: missing; name an existing image") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: damaged ({error}); replace or remove it") from None
    if size is not None and (image.height, image.width) != size:
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _pixels(path: Path, options: ImagesOptions, first: Path) -> np.ndarray:
    pixels = read_image(path, options.size if options.resize else None, options.colour == "grey")
    if pixels.shape != options.shape:
        sizes = f"{pixels.shape[0]} by {pixels.shape[1]} pixels"
        other = "declared is" if path == first else f"declared is, as {first} has,"
        raise DataError(
            f"{path}: {sizes} (height by width), {other} {options.size[0]} by {options.size[1]}; correct size, or "
            "declare `resize: true`"
        )
    return pixels


def first_size(paths: Iterable[Path]) -> tuple[tuple[int, int], bool]:
    """Return the height and width of the first image, and whether all are grey; only headers are read.

    Raises:
        DataError: an image is damaged.
    """
    from PIL import Image

    sizes, grey = [], True
    for path in paths:
        try:
            with Image.open(path) as opened:
                turned = opened.getexif().get(0x0112, 1) >= 5  # orientation: on its side
                sizes.append((opened.width, opened.height) if turned else (opened.height, opened.width))
                grey = grey and opened.mode in ("1", "L", "LA")
        except (OSError, SyntaxError) as error:
            raise DataError(f"{path}: damaged ({error}); replace or remove it") from None
    return sizes[0], grey


SOURCE = _Images(options=ImagesOptions)
