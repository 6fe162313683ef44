"""Sets that come with scikit-learn: always there, without a network."""

import functools
from dataclasses import replace

import numpy as np

from fanin.lab.data import DataSet
from fanin.lab.datasets.parts import STANDARDISED, fewer, standardised


@functools.cache
def _digits_split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = (np.asarray(a) for a in load_digits(return_X_y=True))
    split = train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)
    train_x, test_x, train_y, test_y = (np.asarray(a) for a in split)
    train_x, test_x = standardised(train_x, test_x)
    return train_x, train_y.astype(np.int64), test_x, test_y.astype(np.int64)


def digits(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Grey images of digits, standardised per pixel; the split is shuffled, so that the first n are a fair sample."""
    train_x, train_y, test_x, test_y = _digits_split()
    n = fewer(spec, examples, len(train_x))
    return DataSet(
        spec,
        "classification",
        *(train_x[:n], train_y[:n], test_x, test_y),
        classes=10,
        forms=((64,), (1, 8, 8), (8, 8)),
        target=0.9,
        image=(1, 8, 8),
        normalisation=STANDARDISED,
        version=version(),
    )


def version() -> str:
    """Of scikit-learn, which the sets come with."""
    import sklearn

    return f"scikit-learn {sklearn.__version__}"


def digits_images(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Digits as images only."""
    return digits(spec, examples, size).in_form((1, 8, 8))


def digits_autoencoder(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Digits whose target is the input."""
    d = digits(spec, examples, size)
    targets = {"train_targets": d.train_inputs, "test_targets": d.test_inputs}
    return replace(d, task="regression", **targets, classes=0, target=0.5, score="", image=None)


def diabetes(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Progression of the disease a year on; both sides standardised. Efron et al., Annals of Statistics 2004."""
    from sklearn.datasets import load_diabetes
    from sklearn.model_selection import train_test_split

    x, y = (np.asarray(a) for a in load_diabetes(return_X_y=True))
    train_x, test_x, train_y, test_y = (np.asarray(a) for a in train_test_split(x, y, test_size=0.25, random_state=0))
    n = fewer(spec, examples, len(train_x))
    train_x, test_x = standardised(train_x[:n], test_x)
    train_y, test_y = standardised(train_y[:n, None], test_y[:, None])
    return DataSet(
        spec,
        "regression",
        *(train_x, train_y, test_x, test_y),
        classes=0,
        forms=((10,),),
        target=0.4,
        normalisation=STANDARDISED + ", the target too",
        version=version(),
    )
