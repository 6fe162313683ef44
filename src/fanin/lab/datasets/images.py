"""Photographs."""

import io

import numpy as np

from fanin.errors import FaninValueError
from fanin.lab.data import DataSet
from fanin.lab.datasets.files import Found, columns
from fanin.lab.datasets.parts import enough_to_test

CIFAR10_EDGE = 32  # pixels along an edge, as published


def cifar10(spec: str, examples: int | None, size: int | None) -> DataSet:
    """CIFAR-10: float32 (examples, 3, edge, edge), standardised per channel on the training part taken.

    Files: cifar10/train.parquet and cifar10/test.parquet with `img` {bytes, path} and `label`.
    Krizhevsky, Learning multiple layers of features from tiny images, 2009.
    """
    edge, found = size or CIFAR10_EDGE, Found()
    train_x, train_y = _images(spec, "train", examples, edge, found)
    test_x, test_y = _images(spec, "test", enough_to_test(examples), edge, found)
    train_x, test_x = _standardised(train_x, test_x)
    return DataSet(
        spec,
        "classification",
        *(train_x, train_y, test_x, test_y),
        classes=10,
        forms=((3, edge, edge), (3 * edge * edge,)),
        target=0.4,
        image=(3, edge, edge),
        normalisation="each channel less its mean and over its deviation, both of the training part",
        version=found.version,
        files=found.sums,
    )


def _images(spec: str, part: str, examples: int | None, edge: int, found: Found) -> tuple[np.ndarray, np.ndarray]:
    from PIL import Image

    encoded, labels = columns(spec, f"cifar10/{part}", examples, ("img", "label"), found)
    images = np.empty((len(labels), 3, edge, edge), dtype=np.uint8)
    for i, file in enumerate(encoded):
        try:
            image = Image.open(io.BytesIO(file["bytes"])).convert("RGB")
        except (OSError, KeyError, TypeError):
            raise FaninValueError(f"data={spec!r}: row {i} of the {part} part is no image that can be read") from None
        if image.size != (edge, edge):
            image = image.resize((edge, edge), Image.Resampling.BOX)
        images[i] = np.asarray(image).transpose(2, 0, 1)
    return images, np.asarray(labels, dtype=np.int64)


def _standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both parts as float32, per channel, by way of its 256 values: all of CIFAR-10 in float64 would need gigabytes."""
    done = tuple(np.empty(x.shape, dtype=np.float32) for x in (train, test))
    values = np.arange(256.0)
    for channel in range(train.shape[1]):
        counts = np.bincount(train[:, channel].reshape(-1), minlength=256)
        mean = counts @ values / counts.sum()
        std = (counts @ (values - mean) ** 2 / counts.sum()) ** 0.5
        scaled = ((values - mean) / (std or 1.0)).astype(np.float32)
        for x, out in zip((train, test), done, strict=True):
            out[:, channel] = scaled[x[:, channel]]
    return done[0], done[1]
