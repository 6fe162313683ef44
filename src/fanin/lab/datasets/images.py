"""Photographs."""

import io

import numpy as np

from fanin.lab.data import DataSet
from fanin.lab.datasets.files import Found, columns
from fanin.lab.datasets.parts import enough_to_test, standardised

CIFAR10_EDGE = 32  # pixels along an edge, as published


def cifar10(spec: str, examples: int | None, size: int | None) -> DataSet:
    """CIFAR-10: float32 (examples, 3, edge, edge), standardised per channel on the training part taken.

    Files: cifar10/train.parquet and cifar10/test.parquet with `img` {bytes, path} and `label`.
    Krizhevsky, Learning multiple layers of features from tiny images, 2009.
    """
    edge, found = size or CIFAR10_EDGE, Found()
    train_x, train_y = _images(spec, "train", examples, edge, found)
    test_x, test_y = _images(spec, "test", enough_to_test(examples), edge, found)
    train_x, test_x = standardised(train_x, test_x, axis=(0, 2, 3))
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
    images = np.empty((len(labels), 3, edge, edge), dtype=np.float32)
    for i, file in enumerate(encoded):
        image = Image.open(io.BytesIO(file["bytes"])).convert("RGB")
        if image.size != (edge, edge):
            image = image.resize((edge, edge), Image.Resampling.BOX)
        images[i] = np.asarray(image, dtype=np.float32).transpose(2, 0, 1)
    return images, np.asarray(labels, dtype=np.int64)
