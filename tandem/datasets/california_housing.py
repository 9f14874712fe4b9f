"""California housing: median house values of 20 640 blocks of the 1990 census."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import numpy as np

from tandem.datasets.download import MIRROR_VARIABLE, RemoteFile, fetch_file
from tandem.datasets.source import KnownSource, Options, Rows, numeric_columns
from tandem.errors import DataError
from tandem.records import Description

ARCHIVE = RemoteFile(
    "california_housing/cal_housing.tgz",
    (
        "https://ndownloader.figshare.com/files/5976036",
        "https://www.dcc.fc.up.pt/~ltorgo/Regression/cal_housing.tgz",
    ),
    "aaa5c9a6afe2225cc2aed2723682ae403280c4a3695a2ddda4ffb5d8215ea681",
)
TABLE = RemoteFile(
    "california_housing/cal_housing.data",
    (),
    "a2b44dcc7e1c9091b43c4f458b25cbd1f7e8068d08edd26bc4703108d3fa6214",
)
_COLUMNS = 9


class _CaliforniaHousing(KnownSource):
    def fetch(self, directory: Path, options: Options) -> None:
        if os.environ.get(MIRROR_VARIABLE):
            fetch_file(TABLE, directory)
            return
        archive = fetch_file(ARCHIVE, directory)
        with tarfile.open(archive) as opened:
            member = opened.extractfile("CaliforniaHousing/cal_housing.data")
            if member is None:
                raise DataError(f"{archive}: holds no CaliforniaHousing/cal_housing.data; delete it and run again")
            (directory / "cal_housing.data").write_bytes(member.read())
        archive.unlink()

    def load(self, directory: Path) -> tuple[Rows, None]:
        """Read the table and derive the eight features that scikit-learn's loader gives."""
        path = directory / "cal_housing.data"
        try:
            table = np.loadtxt(path, delimiter=",", ndmin=2)
        except (FileNotFoundError, OSError):
            raise DataError(f"{path}: missing; run `dvc repro` to fetch it") from None
        except ValueError as error:
            raise DataError(f"{path}: damaged ({error}); delete it and run `dvc repro`") from None
        if table.shape[1] != _COLUMNS:
            raise DataError(f"{path}: {table.shape[1]} columns, expected {_COLUMNS}; delete it and run `dvc repro`")
        longitude, latitude, age, rooms, bedrooms, population, households, income, value = table.T
        features = np.column_stack(
            [
                income, age, rooms / households, bedrooms / households, population, population / households,
                latitude, longitude,
            ]
        )  # fmt: skip
        return Rows(features, value / 100_000), None


SOURCE = _CaliforniaHousing(
    Description(
        title="California housing",
        reference="R. Kelley Pace and R. Barry, Sparse spatial autoregressions, 1997; StatLib",
        task="regression",
        feature_shape=(8,),
        columns=numeric_columns(
            "MedInc", "HouseAge", "AveRooms", "AveBedrms", "Population", "AveOccup", "Latitude", "Longitude",
        ),
        target_name="median house value ($100,000)",
    ),
)  # fmt: skip
