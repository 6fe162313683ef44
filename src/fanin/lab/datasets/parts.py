"""What every set needs: samples and splits that never change, normalisation, and the measures of the inputs."""

import functools
from dataclasses import replace

import numpy as np

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.data import IGNORED, DataSet, Statistics

SPLIT_SEED = 0  # of subsets and splits: the data never changes with the seed of a run
CHUNK = 1 << 24  # numbers that are measured or normalised at once; whole images in float64 would not fit in memory
STANDARDISED = "each feature less its mean and over its deviation, both of the training part"


def fixed_generator(stream: int = 0) -> np.random.Generator:
    """Random numbers that are the same in every process; each use of them has a stream of its own."""
    return np.random.Generator(np.random.Philox(SPLIT_SEED + stream))


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


def sample(spec: str, part: str, examples: int | None, available: int) -> np.ndarray:
    """Row numbers in an order that is shuffled once and for all (files are interleaved by class)."""
    if part == "test" and examples is not None:
        examples = min(examples, available)
    return fixed_generator().permutation(available)[: fewer(spec, examples, available)]


def enough_to_test(examples: int | None) -> int | None:
    """Of a set whose training part is bounded: a fifth as many test examples, but at least 1,000, tell inits apart as well."""
    return None if examples is None else max(1000, examples // 5)


def split(
    spec: str, examples: int | None, x: np.ndarray, y: np.ndarray, classes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A quarter to test on, shuffled and (where classes are given) stratified; inputs standardised on the training part."""
    from sklearn.model_selection import train_test_split

    train_x, test_x, train_y, test_y = (
        np.asarray(a) for a in train_test_split(x, y, test_size=0.25, random_state=0, stratify=classes)
    )
    n = fewer(spec, examples, len(train_x))
    train_x, test_x = standardised(train_x[:n], test_x)
    return train_x, train_y[:n], test_x, test_y


@functools.lru_cache(maxsize=4)
def hold_out(data: DataSet, share: float) -> DataSet:
    """`DataSet.with_validation`; kept, since a worker asks for the same split run after run."""
    if isinstance(share, bool) or not isinstance(share, int | float):
        raise FaninTypeError(f"validation={share!r} is a {type(share).__name__}, but must be a number")
    if not 0 <= share < 1:
        raise FaninValueError(f"validation={share!r} must be a share of the training part, from 0 to below 1")
    if share == 0:
        return data
    if data.held_inputs is not None:
        raise FaninValueError(f"data={data.name!r} has a validation part already; validation must be 0")
    n = len(data.train_inputs)
    count = round(share * n)
    if not 0 < count < n:
        empty = "to train on" if count else "held out"
        raise FaninValueError(f"validation={share!r} of {n} training examples leaves none {empty}")
    held = np.zeros(n, dtype=bool)
    held[_held_rows(data, count)] = True
    return replace(
        data,
        train_inputs=_frozen(data.train_inputs[~held]),
        train_targets=_frozen(data.train_targets[~held]),
        held_inputs=_frozen(data.train_inputs[held]),
        held_targets=_frozen(data.train_targets[held]),
    )


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _held_rows(data: DataSet, count: int) -> np.ndarray:
    n = len(data.train_inputs)
    if data.ordered:
        return np.arange(n - count, n)
    order = fixed_generator(1).permutation(n)
    if data.task != "classification":
        return order[:count]
    classes, group, sizes = np.unique(data.train_targets[order], return_inverse=True, return_counts=True)
    wanted = sizes * (count / n)
    quota = np.floor(wanted).astype(int)
    largest_rest = np.argsort(quota - wanted, kind="stable")[: count - quota.sum()]
    quota[largest_rest] += 1
    return np.concatenate([order[group == c][: quota[c]] for c in range(len(classes))])


def measure(data: DataSet) -> Statistics:
    """`DataSet.statistics`."""
    x = data.train_inputs.reshape(len(data.train_inputs), -1)
    rows = max(1, CHUNK // max(1, x.shape[1]))
    total = squares = 0.0
    zeros = 0
    for i in range(0, len(x), rows):
        part = x[i : i + rows].astype(np.float64)
        total += float(part.sum())
        squares += float(np.vdot(part, part))
        zeros += int((part == 0).sum())
    mean, square = total / x.size, squares / x.size
    return Statistics(
        shape=data.forms[0],
        train=len(x),
        held=0 if data.held_inputs is None else len(data.held_inputs),
        test=len(data.test_inputs),
        mean=mean,
        std=max(0.0, square - mean**2) ** 0.5,
        least=float(x.min()),
        most=float(x.max()),
        second_moment=square,
        zeros=zeros / x.size,
        prior=class_prior(data),
    )


def class_prior(data: DataSet) -> tuple[float, ...]:
    """Share of each class, or of examples with each label, in the training part; () for regression."""
    y = data.train_targets
    if data.task == "regression":
        return ()
    if data.task == "multilabel":
        return tuple(float(share) for share in y.mean(0, dtype=float))
    counts = np.bincount(y[y != IGNORED].reshape(-1), minlength=data.classes)
    return tuple(float(share) for share in counts / counts.sum())
