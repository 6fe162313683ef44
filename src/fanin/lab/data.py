"""Data sets by name, as arrays with a fixed split: `load("digits")`, `load("cifar10:5000:16")`, `load("imdb")`.

A spec is `name[:examples[:size]]`: `examples` bounds the training part, `size` is what the set says it is.
"""

import difflib
import functools
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from fanin.errors import FaninTypeError, FaninValueError
from fanin.lab.tasks import Task
from fanin.records import Record

IGNORED = -100  # as a target of a position: it is neither trained on nor scored (PyTorch's own `ignore_index`)
DEFAULT_SCORE: dict[Task, str] = {
    "classification": "accuracy",
    "language": "accuracy",
    "regression": "r2",
    "multilabel": "f1",
}


@dataclass(frozen=True)
class Statistics(Record):
    """What was measured on the training inputs.

    Attributes:
        shape: of one example, in its usual form.
        train, held, test: numbers of examples.
        mean, std, least, most: over all numbers of all examples (of ids: of the ids).
        second_moment: mean square; what He's and Xavier's rules take to be 1.
        zeros: share of numbers that are exactly 0 (of ids: of padding).
        prior: share of each class (multilabel: of examples that have the label) in the training part; () for regression.
    """

    shape: tuple[int, ...]
    train: int
    held: int
    test: int
    mean: float
    std: float
    least: float
    most: float
    second_moment: float
    zeros: float
    prior: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class DataSet:
    """A task with its split.

    Attributes:
        name: as it was asked for.
        task: "classification" (targets are class indices), "language" (a class index per position), "regression", or
            "multilabel" (0 or 1 for each label).
        train_inputs, test_inputs: float32 or int64, shape (examples, *forms[0]).
        train_targets, test_targets: int64 of shape (examples,) or (examples, positions), where `IGNORED` stands for a
            position that does not count; float32 for regression, and of shape (examples, labels) for multilabel.
        classes: number of classes or labels (0 for regression).
        forms: shapes that one example may be given the model in, the usual one first; all hold the same numbers.
        target: score that `steps to target` asks for unless another is given, None for none.
        vocabulary: number of ids where the inputs are ids, else 0.
        about: one sentence.
        held_inputs, held_targets: validation part, None until `with_validation` takes one out of the training part.
        score: metric that targets, curves and verdicts speak of; the task's own unless the set says another.
        ordered: whether rows follow time (or a text), so that only the last of them may be held out.
        image: (channels, height, width) where the inputs are pictures (which may be augmented), else None.
        scale: factor that the inputs were multiplied by to give them a mean square of 1; ordinary learners divide by it.
        normalisation: what was done to the inputs, in words.
        version, source, terms: of the data: which edition, where it comes from, and under what terms.
        files: name → sha256 of the files that it was read from.
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
    held_inputs: np.ndarray | None = None
    held_targets: np.ndarray | None = None
    score: str = ""
    ordered: bool = False
    image: tuple[int, int, int] | None = None
    scale: float = 1.0
    normalisation: str = "none"
    version: str = ""
    source: str = ""
    terms: str = ""
    files: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.task not in DEFAULT_SCORE:
            raise FaninValueError(f"data: task={self.task!r} is unknown; accepted are {', '.join(DEFAULT_SCORE)}")
        shape = self.train_inputs.shape[1:]
        for form in self.forms:
            if math.prod(form) != math.prod(shape):
                raise FaninValueError(f"data: form={form} does not hold as many numbers as an example of shape {shape}")
        if not self.score:
            object.__setattr__(self, "score", DEFAULT_SCORE[self.task])

    def in_form(self, shape: tuple[int, ...]) -> "DataSet":
        """The same examples, each reshaped to `shape`."""
        parts = {name: getattr(self, name) for name in ("train_inputs", "held_inputs", "test_inputs")}
        shaped = {name: None if x is None else x.reshape(len(x), *shape) for name, x in parts.items()}
        return replace(self, **shaped, forms=(shape,))

    def with_validation(self, share: float) -> "DataSet":
        """The same set with a share of the training part held out for validation; the test part is left alone.

        Which rows are held out depends on the set alone, never on a run's seed. Classification is stratified: every class
        has its share. Where rows follow time the last ones are taken, others are drawn at random. The inputs keep the
        normalisation that was measured on the whole training part.

        Args:
            share: of the training part, 0 to below 1; 0 returns the set unchanged.

        Raises:
            FaninValueError: a share out of range or that leaves a part empty, or a set that has a validation part.

        Example:
            >>> data = load("digits").with_validation(0.1)
            >>> len(data.train_inputs), len(data.held_inputs), len(data.test_inputs)
            (1212, 135, 450)
        """
        from fanin.lab.datasets.parts import hold_out

        return hold_out(self, share)

    def validated(self, share: float) -> "DataSet":
        """The set as it is where it has a validation part of its own, else with a share held out (see `with_validation`)."""
        return self if self.held_inputs is not None else self.with_validation(share)

    @functools.cached_property
    def statistics(self) -> Statistics:
        """What is measured on the training inputs.

        Example:
            >>> measured = load("digits").statistics
            >>> measured.shape, round(measured.second_moment, 2), round(measured.zeros, 2)
            ((64,), 0.94, 0.06)
        """
        from fanin.lab.datasets.parts import measure

        return measure(self)

    @functools.cached_property
    def checksum(self) -> str:
        """SHA-256 of what the set is: of its files where it was read from files, else of its arrays."""
        digest = hashlib.sha256()
        if self.files:
            digest.update("".join(f"{name} {self.files[name]}\n" for name in sorted(self.files)).encode())
            return digest.hexdigest()
        for array in (self.train_inputs, self.train_targets, self.test_inputs, self.test_targets):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


Loader = Callable[[str, int | None, int | None], DataSet]


class Entry(NamedTuple):
    """A data set that can be asked for.

    Attributes:
        load: (spec, examples, size) → data set.
        about: one sentence that says what it is, and what its size means.
        source, terms: where it comes from, and under what terms.
        options: what the numbers after the name mean, in order.
        needs: what has to be there: "" for nothing beside scikit-learn, an extra, or "FANIN_DATA".
    """

    load: Loader
    about: str
    source: str = ""
    terms: str = ""
    options: tuple[str, ...] = ("examples", "size")
    needs: str = ""


def load(spec: "str | DataSet | tuple[np.ndarray, ...]") -> DataSet:
    """The data set of this name; a `DataSet`, or four arrays (train inputs, train targets, test inputs, test targets).

    A set that is loaded by name is kept for the rest of the process and its arrays are read-only; copy them to change them.

    Raises `FaninValueError` for an unknown name, an option that the set does not take, and absent or altered files.

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
    from fanin.lab.datasets.files import state

    return _load(spec, state())


@functools.lru_cache(maxsize=4)
def _load(spec: str, state: tuple[object, ...]) -> DataSet:
    """`state` is that of the files behind the set, so that a changed file or another folder is read anew."""
    name, *options = spec.split(":")
    entries = table()
    if name not in entries:
        close = difflib.get_close_matches(name, entries, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise FaninValueError(f"data={spec!r} is unknown; accepted are {', '.join(sorted(entries))}{hint}")
    entry = entries[name]
    if len(options) > 2 or any(not o.isdecimal() or int(o) == 0 for o in options):
        accepted = [":".join((name, *entry.options[:i])) for i in range(len(entry.options) + 1)]
        raise FaninValueError(f"data={spec!r} does not parse; write {', '.join(accepted[:-1])} or {accepted[-1]}")
    given = dict(zip(entry.options, (int(o) for o in options), strict=False))
    if len(options) > len(entry.options):
        unused = "size" if "size" not in entry.options else "second number"
        raise FaninValueError(
            f"data={spec!r} gives a {unused}, but this set has none; write {name} or {':'.join((name, *entry.options))}"
        )
    data = entry.load(spec, given.get("examples"), given.get("size", given.get("length")))
    for array in (data.train_inputs, data.train_targets, data.test_inputs, data.test_targets):
        array.flags.writeable = False  # the set is shared by everyone in this process who asks for it
    return replace(
        data, about=data.about or entry.about, source=data.source or entry.source, terms=data.terms or entry.terms
    )


def table() -> dict[str, Entry]:
    """Every data set, by name.

    Example:
        >>> table()["digits"].about
        '8 × 8 grey images of ten digits, 1,347 + 450, bundled with scikit-learn'
    """
    from fanin.lab.datasets.catalogue import ENTRIES

    return dict(ENTRIES)


def from_arrays(*arrays: np.ndarray) -> DataSet:
    """A data set from four arrays; integer targets are class indices, true or false for each label makes a multilabel
    task, others are regressed on."""
    if len(arrays) != 4:
        raise FaninValueError(
            f"data has {len(arrays)} arrays, but must have four: train inputs, train targets, test inputs, test targets"
        )
    train_x, train_y, test_x, test_y = (_as_array(a) for a in arrays)
    labels = all(np.asarray(y).dtype.kind == "b" and np.ndim(y) == 2 for y in (arrays[1], arrays[3]))
    for part, x, y in (("training", train_x, train_y), ("test", test_x, test_y)):
        if len(x) != len(y) or len(x) == 0:
            raise FaninValueError(f"data: the {part} part has {len(x)} inputs and {len(y)} targets")
        for what, array in (("inputs", x), ("targets", y)):
            if not np.isfinite(array).all():
                raise FaninValueError(f"data: the {part} {what} hold NaN or infinite numbers, but must be finite")
    for what, one, other in (("inputs", train_x, test_x), ("targets", train_y, test_y)):
        if one.shape[1:] != other.shape[1:]:
            raise FaninValueError(
                f"data: training {what} have shape {one.shape[1:]}, but test {what} {other.shape[1:]} (examples aside)"
            )
    form = (train_x.shape[1:],)
    if labels:
        train_y, test_y = train_y.astype(np.float32), test_y.astype(np.float32)
        return DataSet("arrays", "multilabel", train_x, train_y, test_x, test_y, train_y.shape[1], form)
    if train_y.dtype.kind != "i":
        return DataSet("arrays", "regression", train_x, train_y, test_x, test_y.astype(np.float32), 0, form)
    if test_y.dtype.kind != "i":
        raise FaninValueError(
            "data: training targets are whole numbers, which count as classes, but test targets are not"
        )
    classes = int(max(train_y.max(), test_y.max())) + 1
    task: Task = "classification" if train_y.ndim == 1 else "language"
    if task == "classification" and min(train_y.min(), test_y.min()) < 0:
        raise FaninValueError("data: targets hold a negative number, but class indices count from 0")
    return DataSet("arrays", task, train_x, train_y, test_x, test_y, classes, form)


def _as_array(value: object) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:
        raise FaninTypeError("data holds rows of different lengths, but must hold arrays of numbers") from None
    if array.ndim == 0:
        raise FaninTypeError(f"data holds a {type(value).__name__}, but must hold arrays of numbers")
    if array.dtype.kind in "iub":
        return array.astype(np.int64)
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what has become infinite is refused
            return array.astype(np.float32)
    raise FaninTypeError(f"data holds an array of {array.dtype}, but must hold numbers")
