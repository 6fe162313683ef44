"""The grammar of `--batch` and `--targets`: tensors by type and shape, a file, or the name of a data set.

float32:8x3x32x32                       standard normal numbers
int64:8x128:50257                       whole numbers from 0 to 50256
float32:8x10,bool:8x1                   two inputs
input_ids=int64:2x16:100,labels=int64:2x16:100      inputs by name
batch.pt   batch.npz                    a file; of a .pt nothing but tensors is read
digits   cifar10:2000:16                a data set of `fanin.lab`
"""

import math
import re
from dataclasses import dataclass
from typing import TypeAlias

from fanin.errors import FaninValueError
from fanin.records import Record

FLOATS = ("float16", "bfloat16", "float32", "float64")
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")
DTYPES = (*FLOATS, *INTEGERS, "bool")
LARGEST = {"uint8": 2**8, "int8": 2**7, "int16": 2**15, "int32": 2**31, "int64": 2**63}
FILES = (".pt", ".pth", ".npz")
MOST_DIGITS = 19  # of 2**63
EXAMPLE = "float32:8x3x32x32, int64:8x128:50257, a .pt or .npz file, or a data set such as digits"


@dataclass(frozen=True)
class TensorSpec(Record):
    """One tensor to make up: random numbers of a type and shape.

    Attributes:
        dtype: element type.
        shape: its shape.
        below: whole numbers lie from 0 to below - 1; 0 for types that have no bound.
        name: the argument of the model's forward that it goes to, "" for the next one.
    """

    dtype: str
    shape: tuple[int, ...]
    below: int = 0
    name: str = ""

    def __str__(self) -> str:
        named = f"{self.name}=" if self.name else ""
        return f"{named}{self.dtype}:{'x'.join(map(str, self.shape))}" + (f":{self.below}" if self.below else "")


@dataclass(frozen=True)
class FileName(Record):
    """A batch in a file."""

    path: str


@dataclass(frozen=True)
class DataName(Record):
    """A batch out of a data set of the lab."""

    spec: str


BatchSource: TypeAlias = tuple[TensorSpec, ...] | FileName | DataName


def parse_batch(text: str, option: str = "--batch") -> BatchSource:
    """What a batch spec asks for.

    Raises:
        FaninValueError: it does not parse; the message ends with the spec and a caret under the character.

    Example:
        >>> parse_batch("int64:8x128:50257")[0].shape
        (8, 128)
    """
    if not text.strip():
        raise FaninValueError(f"{option} is empty; accepted are {EXAMPLE}")
    if text.lower().endswith(FILES):
        return FileName(text)
    if re.fullmatch(r"[a-z_]\w*(:\d+)*", text) and text.split(":")[0] not in DTYPES and not _looks_like_type(text):
        return DataName(text)
    return _Parser(text, option).tensors()


def _looks_like_type(text: str) -> bool:
    """Whether a name is more likely a misspelt type than a data set: float, int, int65, …"""
    return re.fullmatch(r"(float|int|uint|bfloat|complex|double|long|half|bool)\d*(:.*)?", text) is not None


class _Parser:
    """Reads tensor specs from left to right and knows where it stands."""

    def __init__(self, text: str, option: str) -> None:
        self.text, self.option, self.at = text, option, 0

    def tensors(self) -> tuple[TensorSpec, ...]:
        specs = [self.tensor()]
        while self.at < len(self.text):
            self.expect(",", 'a comma and another tensor, "x" and a number, or the end')
            specs.append(self.tensor())
        named = [s.name for s in specs if s.name]
        if named and len(named) != len(specs):
            self.fail(f"names some inputs ({', '.join(named)}) but not all", at=0)
        if len(set(named)) != len(named):
            self.fail(f"names {next(n for n in named if named.count(n) > 1)} twice", at=0)
        return tuple(specs)

    def tensor(self) -> TensorSpec:
        name = ""
        found = re.compile(r"([A-Za-z_]\w*)=").match(self.text, self.at)
        if found:
            name, self.at = found[1], found.end()
        start = self.at
        dtype = self.match(r"[A-Za-z]\w*")
        if dtype not in DTYPES:
            complex_ = " (complex inputs cannot be made up; give a file)" if dtype.startswith("complex") else ""
            self.fail(f"expected a type, one of {', '.join(DTYPES)}{complex_}", at=start)
        self.expect(":", 'a colon and a shape, such as ":8x3x32x32"')
        shape = [self.extent()]
        while self.at < len(self.text) and self.text[self.at] in "x×":
            self.at += 1
            shape.append(self.extent())
        if math.prod(shape) >= 2**63:
            self.fail("the shape has more numbers than a tensor can hold", at=start)
        return TensorSpec(dtype, tuple(shape), self.bound(dtype), name)

    def bound(self, dtype: str) -> int:
        at = self.at
        if dtype not in INTEGERS:
            if self.text[at : at + 1] == ":":
                self.fail(f"{dtype} takes no bound; only whole numbers do", at=at)
            return 0
        self.expect(":", f'a colon and a bound, such as ":100" for {dtype} from 0 to 99')
        at = self.at
        below = self.number("expected a bound, a whole number above 0")
        if not 0 < below <= LARGEST[dtype]:
            self.fail(f"the bound of {dtype} must be from 1 to {LARGEST[dtype]}", at=at)
        return below

    def extent(self) -> int:
        at = self.at
        size = self.number("expected a number")
        if size == 0:
            self.fail("an extent must be at least 1", at=at)
        return size

    def number(self, why: str) -> int:
        """A whole number; of more digits than any extent or bound has, the largest that there is plus one."""
        digits = self.match(r"[0-9]+") or self.fail(why)
        return int(digits) if len(digits.lstrip("0")) <= MOST_DIGITS else 10**MOST_DIGITS

    def match(self, pattern: str) -> str:
        found = re.compile(pattern).match(self.text, self.at)
        if found:
            self.at = found.end()
        return found[0] if found else ""

    def expect(self, letter: str, what: str) -> None:
        if self.text[self.at : self.at + 1] != letter:
            self.fail(f"expected {what}")
        self.at += 1

    def fail(self, why: str, at: int | None = None) -> str:
        at = self.at if at is None else at
        raise FaninValueError(
            f"{self.option} does not parse at character {at + 1}: {why}\n  {self.text}\n  {' ' * at}^"
        )
