"""Data sets by name, as arrays with a fixed split: `load("digits")`, `load("cifar10:5000:16")`, `load("imdb")`.

A spec is `name[:examples[:size]]`: `examples` bounds the training part, `size` is what the set says it is.
"""

import difflib
import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.records import Task

SPLIT_SEED = 0  # of subsets and splits: the data never changes with the seed of a run


@dataclass(frozen=True, eq=False)
class DataSet:
    """A task with its split.

    Attributes:
        name: as it was asked for.
        task: "classification" (targets are class indices), "language" (a class index per position) or "regression".
        train_inputs, test_inputs: float32 or int64, shape (examples, *forms[0]).
        train_targets, test_targets: int64 of shape (examples,) or (examples, positions); float32 for regression.
        classes: number of classes (0 for regression).
        forms: shapes that one example may be given the model in, the usual one first; all hold the same numbers.
        target: score that `steps to target` asks for unless another is given, None for none.
        vocabulary: number of ids where the inputs are ids, else 0.
        about: one sentence.
    """

    name: str
    task: Task
    train_inputs: np.ndarray
    train_targets: np.ndarray
    test_inputs: np.ndarray
    test_targets: np.ndarray
    classes: int
    forms: tuple[tuple[int, ...], ...]
    target: float | None = None
    vocabulary: int = 0
    about: str = ""

    def in_form(self, shape: tuple[int, ...]) -> "DataSet":
        """The same examples, each reshaped to `shape`."""
        train, test = (x.reshape(len(x), *shape) for x in (self.train_inputs, self.test_inputs))
        return replace(self, train_inputs=train, test_inputs=test, forms=(shape,))


Loader = Callable[[str, int | None, int | None], DataSet]


def load(spec: "str | DataSet | tuple[np.ndarray, ...]") -> DataSet:
    """The data set of this name; a `DataSet`, or four arrays (train inputs, train targets, test inputs, test targets).

    Raises `FaninValueError` for an unknown name, an option that the set does not take, and absent files.

    Example:
        >>> load("digits").train_inputs.shape
        (1347, 64)
    """
    if isinstance(spec, DataSet):
        return spec
    if isinstance(spec, tuple | list):
        return from_arrays(*spec)
    if not isinstance(spec, str):
        raise FaninTypeError(
            f"data={spec!r} is a {type(spec).__name__}, but must be a name, a DataSet or four arrays "
            "(train inputs, train targets, test inputs, test targets)"
        )
    name, *options = spec.split(":")
    loaders = table()
    if name not in loaders:
        close = difflib.get_close_matches(name, loaders, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise FaninValueError(f"data={spec!r} is unknown; accepted are {', '.join(sorted(loaders))}{hint}")
    if len(options) > 2 or any(not o.isdecimal() or int(o) == 0 for o in options):
        raise FaninValueError(f"data={spec!r} does not parse; write name, name:examples or name:examples:size")
    numbers = [int(o) for o in options] + [None, None]
    return loaders[name][0](spec, numbers[0], numbers[1])


def table() -> dict[str, tuple[Loader, str]]:
    """Every data set: name → (loader, one sentence that says what it is and what its size means)."""
    from fanin.lab import data_files as files

    return {
        "digits": (_digits, "8 × 8 grey images of ten digits, 1,347 + 450, bundled with scikit-learn"),
        "digits_images": (_digits_images, "the same, as images (1, 8, 8) only"),
        "digits_autoencoder": (_digits_autoencoder, "the same images; the target is the input"),
        "diabetes": (_diabetes, "regression on ten features, 331 + 111, bundled with scikit-learn"),
        "cifar10": (files.cifar10, "photographs of ten kinds from FANIN_DATA; size: pixels along an edge (32)"),
        "imdb": (files.imdb, "film reviews, good or bad, from FANIN_DATA; size: words of one review (128)"),
        "tinyshakespeare": (files.tinyshakespeare, "next character, from FANIN_DATA; size: characters of one row (64)"),
    }


def from_arrays(*arrays: np.ndarray) -> DataSet:
    """A data set from four arrays; integer targets are class indices, others are regressed on."""
    if len(arrays) != 4:
        raise FaninValueError(
            f"data has {len(arrays)} arrays, but must have four: train inputs, train targets, test inputs, test targets"
        )
    train_x, train_y, test_x, test_y = (_as_array(a) for a in arrays)
    for part, x, y in (("training", train_x, train_y), ("test", test_x, test_y)):
        if len(x) != len(y) or len(x) == 0:
            raise FaninValueError(f"data: the {part} part has {len(x)} inputs and {len(y)} targets")
    if train_x.shape[1:] != test_x.shape[1:]:
        raise FaninValueError(
            f"data: training inputs have shape {train_x.shape[1:]}, but test inputs {test_x.shape[1:]} (examples aside)"
        )
    form = (train_x.shape[1:],)
    if train_y.dtype.kind != "i":
        return DataSet("arrays", "regression", train_x, train_y, test_x, test_y, 0, form)
    classes = int(max(train_y.max(), test_y.max())) + 1
    task: Task = "classification" if train_y.ndim == 1 else "language"
    return DataSet("arrays", task, train_x, train_y, test_x, test_y, classes, form)


def _as_array(value: object) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind in "iub":
        return array.astype(np.int64)
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    raise FaninTypeError(f"data holds an array of {array.dtype}, but must hold numbers")


def standardised(train: np.ndarray, test: np.ndarray, axis: int | tuple[int, ...] = 0) -> tuple[np.ndarray, np.ndarray]:
    """Both parts as float32, less the training part's mean and over its deviation along `axis` (constants stay 0)."""
    mean, std = train.mean(axis, keepdims=True, dtype=float), train.std(axis, keepdims=True, dtype=float)
    std = np.where(std > 0, std, 1.0)
    return ((train - mean) / std).astype(np.float32), ((test - mean) / std).astype(np.float32)


def fewer(spec: str, examples: int | None, available: int) -> int:
    """How many examples to take of the training part; raises where more are asked for than there are."""
    if examples is not None and examples > available:
        raise FaninValueError(f"data={spec!r} asks for {examples} examples, but the training part has {available}")
    return examples or available


def no_size(spec: str, size: int | None) -> None:
    """Raises where a size is given for a set that has none."""
    if size is not None:
        raise FaninValueError(f"data={spec!r} gives a size, but this set has none; write name or name:examples")


@functools.cache
def _digits_split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = (np.asarray(a) for a in load_digits(return_X_y=True))
    split = train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)
    train_x, test_x, train_y, test_y = (np.asarray(a) for a in split)
    train_x, test_x = standardised(train_x, test_x)
    return train_x, train_y.astype(np.int64), test_x, test_y.astype(np.int64)


def _digits(spec: str, examples: int | None, size: int | None) -> DataSet:
    no_size(spec, size)
    train_x, train_y, test_x, test_y = _digits_split()
    n = fewer(spec, examples, len(train_x))  # the split is shuffled, so that the first n are a fair sample
    forms = ((64,), (1, 8, 8), (8, 8))
    about = table()["digits"][1]
    return DataSet(spec, "classification", train_x[:n], train_y[:n], test_x, test_y, 10, forms, 0.9, about=about)


def _digits_images(spec: str, examples: int | None, size: int | None) -> DataSet:
    return _digits(spec, examples, size).in_form((1, 8, 8))


def _digits_autoencoder(spec: str, examples: int | None, size: int | None) -> DataSet:
    d = _digits(spec, examples, size)
    return replace(
        d, task="regression", train_targets=d.train_inputs, test_targets=d.test_inputs, classes=0, target=0.5
    )


def _diabetes(spec: str, examples: int | None, size: int | None) -> DataSet:
    from sklearn.datasets import load_diabetes
    from sklearn.model_selection import train_test_split

    no_size(spec, size)
    x, y = (np.asarray(a) for a in load_diabetes(return_X_y=True))
    train_x, test_x, train_y, test_y = (np.asarray(a) for a in train_test_split(x, y, test_size=0.25, random_state=0))
    n = fewer(spec, examples, len(train_x))
    train_x, test_x = standardised(train_x[:n], test_x)
    train_y, test_y = standardised(train_y[:n, None], test_y[:, None])
    return DataSet(spec, "regression", train_x, train_y, test_x, test_y, 0, ((10,),), 0.4)
