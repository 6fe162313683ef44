"""What to draw: small frozen records, each complete in itself, JSON in and out.

A distribution that treats its weight as a matrix (orthogonal, identity, mirrored) carries the weight's `Axes`.
Every `std` is the standard deviation that the drawn numbers have, truncation included.
"""

import math
import sys
from dataclasses import dataclass
from typing import ClassVar

from fanin.errors import FaninValueError
from fanin.records import Record
from fanin.slots import Axes, Pairing

LEAST_CUT = 1e-6  # deviations: a Gaussian cut off there is flat, and one cut off much closer has no digits left


@dataclass(frozen=True)
class Distribution(Record):
    """Base of every distribution."""

    tagged: ClassVar[bool] = True


def _require(ok: bool, kind: str, field: str, value: object, accepted: str) -> None:
    if not ok:
        raise FaninValueError(f"{kind}: {field}={value!r} cannot be used; {field} must be {accepted}")


def _finite(x: float) -> bool:
    return isinstance(x, int | float) and -sys.float_info.max <= x <= sys.float_info.max


@dataclass(frozen=True)
class Normal(Distribution):
    """Independent Gaussian numbers with this standard deviation and mean."""

    std: float
    mean: float = 0.0

    def __post_init__(self) -> None:
        _require(_finite(self.std) and self.std >= 0, "Normal", "std", self.std, "a finite number of at least 0")
        _require(_finite(self.mean), "Normal", "mean", self.mean, "a finite number")


@dataclass(frozen=True)
class TruncatedNormal(Distribution):
    """Gaussian numbers cut symmetrically at `cut` sigmas of the parent, rescaled so that their deviation is `std`."""

    std: float
    cut: float = 2.0
    mean: float = 0.0

    def __post_init__(self) -> None:
        kind = "TruncatedNormal"
        _require(_finite(self.std) and self.std >= 0, kind, "std", self.std, "a finite number of at least 0")
        fits = _finite(self.cut) and self.cut >= LEAST_CUT
        _require(fits, kind, "cut", self.cut, f"a finite number of at least {LEAST_CUT:g}")
        _require(_finite(self.mean), kind, "mean", self.mean, "a finite number")


@dataclass(frozen=True)
class NormalBetween(Distribution):
    """Gaussian numbers of this standard deviation and mean, given that they lie between `low` and `high`.

    The deviation and the mean are those *before* the cut, as `torch.nn.init.trunc_normal_` reads them; `TruncatedNormal`
    has the deviation that the drawn numbers have.
    """

    std: float
    low: float
    high: float
    mean: float = 0.0

    def __post_init__(self) -> None:
        kind = "NormalBetween"
        _require(_finite(self.std) and self.std >= 0, kind, "std", self.std, "a finite number of at least 0")
        _require(_finite(self.mean), kind, "mean", self.mean, "a finite number")
        for field, value in (("low", self.low), ("high", self.high)):
            _require(_finite(value) or value in (math.inf, -math.inf), kind, field, value, "a number")
        _require(self.low < self.high, kind, "low", self.low, f"below high={self.high!r}")


@dataclass(frozen=True)
class Uniform(Distribution):
    """Independent numbers, uniform between mean - bound and mean + bound."""

    bound: float
    mean: float = 0.0

    def __post_init__(self) -> None:
        _require(
            _finite(self.bound) and self.bound >= 0, "Uniform", "bound", self.bound, "a finite number of at least 0"
        )
        _require(_finite(self.mean), "Uniform", "mean", self.mean, "a finite number")


@dataclass(frozen=True)
class Signs(Distribution):
    """scale or -scale, each with probability ½."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        _require(_finite(self.scale), "Signs", "scale", self.scale, "a finite number")


@dataclass(frozen=True)
class Bernoulli(Distribution):
    """`value` with this probability (to 2^-32), else zero."""

    probability: float
    value: float = 1.0

    def __post_init__(self) -> None:
        ok = _finite(self.probability) and 0 <= self.probability <= 1
        _require(ok, "Bernoulli", "probability", self.probability, "a number from 0 to 1")
        _require(_finite(self.value), "Bernoulli", "value", self.value, "a finite number")


@dataclass(frozen=True)
class Integers(Distribution):
    """Whole numbers from `low` to `high` - 1, equally likely (to one part in 2^32 / (high - low))."""

    low: int
    high: int

    def __post_init__(self) -> None:
        for field, value in (("low", self.low), ("high", self.high)):
            ok = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**30
            _require(ok, "Integers", field, value, "an integer between -2**30 and 2**30")
        _require(self.low < self.high, "Integers", "low", self.low, f"below high={self.high!r}")


@dataclass(frozen=True)
class Permutations(Distribution):
    """Each line along an axis is a random order of 0 … n - 1, n being the extent of that axis; the lines are independent.

    Attributes:
        axis: along which the numbers are ordered.
    """

    axis: int = -1


@dataclass(frozen=True)
class Constant(Distribution):
    """One value everywhere."""

    value: float

    def __post_init__(self) -> None:
        _require(_finite(self.value), "Constant", "value", self.value, "a finite number")


@dataclass(frozen=True)
class Identity(Distribution):
    """gain times the (rectangular) identity from in to out, in every stacked block; all taps but the centre are zero."""

    axes: Axes
    gain: float = 1.0

    def __post_init__(self) -> None:
        _require(_finite(self.gain), "Identity", "gain", self.gain, "a finite number")


@dataclass(frozen=True)
class Orthogonal(Distribution):
    """gain times a random matrix with orthonormal rows or columns: (out) x (in * field), one for each stacked block.

    `scale_out` multiplies by sqrt(max(1, out / in)) besides, which keeps the mean square *per unit* where a layer widens.
    """

    axes: Axes
    gain: float = 1.0
    scale_out: bool = False

    def __post_init__(self) -> None:
        _require(_finite(self.gain), type(self).__name__, "gain", self.gain, "a finite number")


@dataclass(frozen=True)
class DeltaOrthogonal(Distribution):
    """gain times a random (out) x (in) matrix with orthonormal rows or columns on the kernel's centre tap, zeros elsewhere.

    `scale_out` as in `Orthogonal`.
    """

    axes: Axes
    gain: float = 1.0
    scale_out: bool = False

    def __post_init__(self) -> None:
        _require(_finite(self.gain), type(self).__name__, "gain", self.gain, "a finite number")


@dataclass(frozen=True)
class Mirrored(Distribution):
    """`base`, drawn for half of the units, laid out with signs so that units come in pairs f(u), f(-u).

    With `out` set, rows are (Q, -Q); with `in_` set, columns are (Q, -Q); with both, blocks [[Q, -Q], [-Q, Q]].
    A unit left over by an odd width gets a row of its own (drawn apart, at the scale of `base`, so that the other rows
    keep their orthogonality) and a zero column.

    Attributes:
        base: what the half-sized weight is drawn from; its axes have the half sizes.
        axes: the axes of the whole weight.
        out: how the outputs are paired, or None.
        in_: how the inputs are paired, or None.
    """

    base: Distribution
    axes: Axes
    out: Pairing | None = None
    in_: Pairing | None = None


@dataclass(frozen=True)
class Centred(Distribution):
    """`base` less its mean over the inputs: each output's weights sum to zero (per stacked block and tap of a kernel).

    A constant that all inputs share, such as the f(0) of a sigmoid, is then not handed on. `axes` are those of the base.
    """

    base: Distribution
    axes: Axes


@dataclass(frozen=True)
class Stack(Distribution):
    """Different distributions for consecutive blocks along one axis, such as the gates of an LSTM.

    Attributes:
        parts: one distribution a block.
        sizes: the extent of each block along `axis`; they add up to the axis.
        axis: which axis of the weight is cut into blocks.
    """

    parts: tuple[Distribution, ...]
    sizes: tuple[int, ...]
    axis: int = 0

    def __post_init__(self) -> None:
        _require(len(self.parts) == len(self.sizes) > 0, "Stack", "sizes", self.sizes, "one size for each part")


@dataclass(frozen=True)
class ZeroRows(Distribution):
    """`base` with these indices of axis 0 set to zero (an embedding's padding row)."""

    base: Distribution
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Sparse(Distribution):
    """`base` with the same number of zeros in each line along an axis, at random places.

    Attributes:
        base: what the numbers that stay are drawn from.
        zeros: how many numbers of each line are zero.
        axis: along which the zeros are counted; 0 counts, for each input of an (out, in) weight, the outputs without it.
    """

    base: Distribution
    zeros: int
    axis: int = 0

    def __post_init__(self) -> None:
        ok = isinstance(self.zeros, int) and not isinstance(self.zeros, bool) and self.zeros >= 0
        _require(ok, "Sparse", "zeros", self.zeros, "an integer of at least 0")


def _plain(kind: str, arguments: object) -> None:
    ok = isinstance(arguments, tuple) and all(map(_finite, arguments))
    _require(ok, kind, "arguments", arguments, "a tuple of finite numbers")


@dataclass(frozen=True)
class Formula(Distribution):
    """Exact values: `gain` times a named function of the place of each number. No chance is in it.

    Attributes:
        function: its name (see `fanin.formulas.formula`).
        arguments: numbers that the function takes besides.
        axes: what the axes of the weight mean, where the function asks for it.
        gain: factor on the values.
    """

    function: str
    arguments: tuple[float, ...] = ()
    axes: Axes | None = None
    gain: float = 1.0

    def __post_init__(self) -> None:
        _plain("Formula", self.arguments)
        _require(_finite(self.gain), "Formula", "gain", self.gain, "a finite number")


@dataclass(frozen=True)
class Mapped(Distribution):
    """`base`, number by number through a named function, computed in float64 and rounded once.

    Attributes:
        base: what is drawn.
        function: its name (see `fanin.formulas.mapping`).
        arguments: numbers that the function takes besides.
    """

    base: Distribution
    function: str
    arguments: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _plain("Mapped", self.arguments)


@dataclass(frozen=True)
class Built(Distribution):
    """`gain` times a whole weight that a named function builds from random numbers (Gaussian, uniform) of its own streams.

    A shard of it is cut out of the whole, which is built in float64 by NumPy everywhere.

    Attributes:
        function: its name (see `fanin.formulas.builder`).
        axes: what the axes of the weight mean.
        arguments: numbers that the function takes besides.
        stream: name that its random numbers come from, in place of the weight's own: weights with one stream are built
            from the same numbers (the query and the key of one attention).
        gain: factor on the values.
    """

    function: str
    axes: Axes
    arguments: tuple[float, ...] = ()
    stream: str | None = None
    gain: float = 1.0

    def __post_init__(self) -> None:
        _plain("Built", self.arguments)
        _require(_finite(self.gain), "Built", "gain", self.gain, "a finite number")
