"""Sets that come with scikit-learn: always there, without a network."""

import functools
import hashlib
from dataclasses import replace

import numpy as np

from fanin.lab.data import DataSet
from fanin.lab.datasets.files import expect
from fanin.lab.datasets.parts import STANDARDISED, fewer, split, standardised

# name → sha256 of its inputs and targets, as scikit-learn 1.4 to 1.9 have them
CHECKSUMS = {
    "digits": "f19a7d92591ca0a1ffc65ec172e8149afdff995e0d2c4cb0afd151f38471ff90",
    "breast_cancer": "cdd5f37c36cbdfc2e5ee074cec7540fac54340874afb25917a673e446270d0d0",
    "wine": "c7e84e8e03b2b5a354287416d84d08945318450658a22a63c39973d8306c2ca4",
    "diabetes": "e9c1f7559552854a24dc45b41c446ce5f79f96e5da081bcce24b57492720b3f7",
}


def version() -> str:
    """Of scikit-learn, which the sets come with."""
    import sklearn

    return f"scikit-learn {sklearn.__version__}"


def _source(name: str) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    """Inputs and targets as they are stored, and their checksum by what it is of."""
    from sklearn import datasets

    options = {"scaled": False} if name == "diabetes" else {}
    x, y = (np.asarray(a, dtype="<f8") for a in getattr(datasets, f"load_{name}")(return_X_y=True, **options))
    where, checksum = f"sklearn.datasets.load_{name}", hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
    expect(f"data of {where}", checksum, (CHECKSUMS[name],))
    return x, y, {where: checksum}


@functools.cache
def _digits_split() -> tuple[tuple[np.ndarray, ...], dict[str, str]]:
    x, y, sums = _source("digits")
    parts = split("digits", None, x, y.astype(np.int64), y)
    return parts, sums


def digits(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Grey images of digits, standardised per pixel; the split is shuffled, so that the first n are a fair sample."""
    (train_x, train_y, test_x, test_y), sums = _digits_split()
    n = fewer(spec, examples, len(train_x))
    return DataSet(
        spec,
        "classification",
        *(train_x[:n], train_y[:n], test_x, test_y),
        classes=10,
        forms=((64,), (1, 8, 8), (8, 8)),
        target=0.9,
        image=(1, 8, 8),
        normalisation="each pixel less its mean and over its deviation, both of the 1,347 images of the training part",
        version=version(),
        files=sums,
    )


def digits_images(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Digits as images only."""
    return digits(spec, examples, size).in_form((1, 8, 8))


def digits_autoencoder(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Digits whose target is the input."""
    d = digits(spec, examples, size)
    targets = {"train_targets": d.train_inputs, "test_targets": d.test_inputs}
    return replace(d, task="regression", **targets, classes=0, target=0.5, score="", image=None)


def breast_cancer(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Malignant or benign, from 30 measures of cell nuclei. Street, Wolberg & Mangasarian 1993."""
    return _table(spec, examples, "breast_cancer", classes=2, target=0.95)


def wine(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Which of three cultivars, from 13 chemical measures. Aeberhard, Coomans & de Vel 1992."""
    return _table(spec, examples, "wine", classes=3, target=0.95)


def _table(spec: str, examples: int | None, name: str, classes: int, target: float) -> DataSet:
    x, y, sums = _source(name)
    parts = split(spec, examples, x, y.astype(np.int64), y)
    return DataSet(
        spec,
        "classification",
        *parts,
        classes=classes,
        forms=((x.shape[1],),),
        target=target,
        normalisation=STANDARDISED,
        version=version(),
        files=sums,
    )


def diabetes(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Progression of the disease a year on; both sides standardised. Efron et al., Annals of Statistics 2004."""
    x, y, sums = _source("diabetes")
    train_x, train_y, test_x, test_y = split(spec, examples, x, y[:, None])
    train_y, test_y = standardised(train_y, test_y)
    return DataSet(
        spec,
        "regression",
        *(train_x, train_y, test_x, test_y),
        classes=0,
        forms=((10,),),
        target=0.3,
        normalisation=STANDARDISED + ", the target too",
        version=version(),
        files=sums,
    )
