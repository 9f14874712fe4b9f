"""Fashion-MNIST: 70 000 grey images of clothes, 28 by 28 pixels."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from tandem.datasets.download import RemoteFile, fetch_file
from tandem.datasets.source import KnownSource, Options, Rows
from tandem.errors import DataError
from tandem.records import Description

_SITES = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
)
_DIGESTS = {
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
FILES = tuple(
    RemoteFile(f"fashion_mnist/{name}", tuple(site + name for site in _SITES), digest)
    for name, digest in _DIGESTS.items()
)


def read_idx(path: Path) -> np.ndarray:
    """Read a gzipped IDX file of unsigned bytes (format: http://yann.lecun.com/exdb/mnist/).

    Raises:
        DataError: the file is missing, damaged, cut short or of another format.
    """
    try:
        data = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: missing; run `dvc repro` to fetch it") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged ({error}); delete it and run `dvc repro`") from None
    axes = data[3] if len(data) > 3 else 0
    if len(data) < 4 + 4 * axes or data[:3] != b"\x00\x00\x08":
        raise DataError(f"{path}: no IDX file of unsigned bytes; delete it and run `dvc repro`")
    shape = tuple(np.frombuffer(data, dtype=">u4", count=axes, offset=4).tolist())
    values = np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * axes)
    if values.size != np.prod(shape):
        raise DataError(f"{path}: holds {values.size} bytes, its header says {shape}; delete it and run `dvc repro`")
    return values.reshape(shape)


class _FashionMnist(KnownSource):
    def fetch(self, directory: Path, options: Options) -> None:
        for file in FILES:
            fetch_file(file, directory)

    def load(self, directory: Path) -> tuple[Rows, Rows]:
        def part(prefix: str) -> Rows:
            images = read_idx(directory / f"{prefix}-images-idx3-ubyte.gz")
            labels = read_idx(directory / f"{prefix}-labels-idx1-ubyte.gz")
            return Rows(images, labels.astype(np.int64))

        return part("train"), part("t10k")


SOURCE = _FashionMnist(
    Description(
        title="Fashion-MNIST",
        reference="H. Xiao, K. Rasul and R. Vollgraf, arXiv:1708.07747, 2017; MIT licence, Zalando SE",
        task="classification",
        feature_shape=(28, 28),
        class_names=(
            "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ),
        target_name="article",
        own_test=True,
    ),
)  # fmt: skip
