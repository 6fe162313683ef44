"""Activations as functions of a number, and their Gaussian integrals by quadrature.

An `Activation` is a record: a known name with parameters, or a table measured from code written by hand. Everything
that theory needs of it (gain, slope at zero, odd part, mean, kernel maps) is computed from its values, never looked up.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.callables import values
from fanin.errors import FaninTypeError, FaninValueError
from fanin.records import Record

Array = NDArray[np.float64]

TABLE_LIMIT = 12.0
TABLE_POINTS = 1201
FINER = (4, 16, 64)  # how many times finer a table gets while it is too coarse for its function
ASKED = 0.381966  # where between two points of a table its function is asked again: at no round part of a step
COARSE = 1e-3  # of E f(z)²: what straight lines between a table's points may cost
NODES = 6  # of a panel of the quadrature


def _sigmoid(z: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * z))


def _softplus(z: Array, beta: float = 1.0) -> Array:
    return np.logaddexp(0.0, beta * z) / beta


def _normal_cdf(z: Array) -> Array:
    from scipy.special import ndtr

    return ndtr(z)


def _elu(z: Array, alpha: float = 1.0) -> Array:
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0.0)))


def _gelu_tanh(z: Array) -> Array:
    return 0.5 * z * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))


def _tanhshrink(z: Array) -> Array:
    # z - tanh(z) loses all digits near 0: z³/3 - 2z⁵/15 + …, to rounding below 0.1.
    s = np.square(np.clip(z, -0.1, 0.1))
    series = s / 3 - 2 * s**2 / 15 + 17 * s**3 / 315 - 62 * s**4 / 2835 + 1382 * s**5 / 155925 - 21844 * s**6 / 6081075
    return np.where(np.abs(z) < 0.1, z * series, z - np.tanh(z))


def _squareplus(z: Array, b: float = 4.0) -> Array:
    root = np.sqrt(np.square(z) + b)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(z > 0, 0.5 * (z + root), 0.5 * b / (root - np.minimum(z, 0.0)))


def _erf(z: Array) -> Array:
    from scipy.special import erf

    return erf(z)


SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805

# name → (function of z and parameters, default parameters)
KNOWN: dict[str, tuple[Callable[..., Array], tuple[float, ...]]] = {
    "linear": (lambda z: z, ()),
    "relu": (lambda z: np.maximum(z, 0.0), ()),
    "leaky_relu": (lambda z, a=0.01: np.where(z > 0, z, a * z), (0.01,)),
    "relu6": (lambda z: np.clip(z, 0.0, 6.0), ()),
    "gelu": (lambda z: z * _normal_cdf(z), ()),
    "gelu_tanh": (_gelu_tanh, ()),
    "quick_gelu": (lambda z: z * _sigmoid(1.702 * z), ()),
    "silu": (lambda z: z * _sigmoid(z), ()),
    "mish": (lambda z: z * np.tanh(_softplus(z)), ()),
    "softplus": (_softplus, (1.0,)),
    "elu": (_elu, (1.0,)),
    "celu": (lambda z, a=1.0: np.where(z > 0, z, a * np.expm1(np.minimum(z, 0.0) / a)), (1.0,)),
    "selu": (lambda z: SELU_SCALE * _elu(z, SELU_ALPHA), ()),
    "tanh": (np.tanh, ()),
    "sigmoid": (_sigmoid, ()),
    "hardsigmoid": (lambda z: np.clip(z / 6 + 0.5, 0.0, 1.0), ()),
    "hardswish": (lambda z: z * np.clip(z / 6 + 0.5, 0.0, 1.0), ()),
    "hardtanh": (lambda z: np.clip(z, -1.0, 1.0), ()),
    "softsign": (lambda z: z / (1 + np.abs(z)), ()),
    "relu_squared": (lambda z: np.maximum(z, 0.0) ** 2, ()),
    "sin": (lambda z, w=1.0: np.sin(w * z), (1.0,)),
    "exp": (np.exp, ()),
    "abs": (np.abs, ()),
    "square": (np.square, ()),
    "logsigmoid": (lambda z: -_softplus(-z), ()),
    "tanhshrink": (_tanhshrink, ()),
    "softshrink": (lambda z, a=0.5: np.sign(z) * np.maximum(np.abs(z) - a, 0.0), (0.5,)),
    "hardshrink": (lambda z, a=0.5: np.where(np.abs(z) > a, z, 0.0), (0.5,)),
    "squareplus": (_squareplus, (4.0,)),
    "sparse_plus": (lambda z: np.where(z > 1, z, 0.25 * np.square(np.clip(z + 1, 0.0, 2.0))), ()),
    "sparse_sigmoid": (lambda z: np.clip(0.5 * (z + 1), 0.0, 1.0), ()),
    "erf": (_erf, ()),
    # Frameworks give these no default, or learn or draw the slope: the slope of rrelu is its mean, as in evaluation.
    "prelu": (lambda z, a=0.25: np.where(z > 0, z, a * z), (0.25,)),
    "rrelu": (lambda z, low=1 / 8, high=1 / 3: np.where(z > 0, z, 0.5 * (low + high) * z), (1 / 8, 1 / 3)),
    "threshold": (lambda z, t=0.0, value=0.0: np.where(z > t, z, value), (0.0, 0.0)),
}
NAMELESS = frozenset({"prelu", "rrelu", "threshold"})  # values alone do not tell them from leaky ReLUs
ALIASES = {
    "swish": "silu",
    "identity": "linear",
    "logistic": "sigmoid",
    "leakyrelu": "leaky_relu",
    "gelu_new": "gelu_tanh",
    "exponential": "exp",
    "hard_tanh": "hardtanh",
    "hard_sigmoid": "hardsigmoid",
    "hard_swish": "hardswish",
    "hard_silu": "hardswish",
    "log_sigmoid": "logsigmoid",
    "soft_sign": "softsign",
    "soft_shrink": "softshrink",
    "hard_shrink": "hardshrink",
    "tanh_shrink": "tanhshrink",
}
ALIASES |= {f"conv{d}d": "linear" for d in (1, 2, 3)} | {f"conv_transpose{d}d": "linear" for d in (1, 2, 3)}


@dataclass(frozen=True)
class Activation(Record):
    """A scalar function: a known `name` with `parameters`, or a `table` of its values on [-12, 12], evenly spaced.

    Example:
        >>> round(Activation("relu").gain, 4)
        1.4142
        >>> round(Activation.named("leaky_relu", 0.2).odd_slope, 4)      # of f(u) - f(-u) at 0
        1.2
    """

    name: str
    parameters: tuple[float, ...] = ()
    table: tuple[float, ...] | None = None

    @classmethod
    def named(cls, name: str, *parameters: float) -> "Activation":
        """The known activation of this name; raises `FaninValueError` for a name that is not known."""
        name = ALIASES.get(name.lower(), name.lower())
        if name not in KNOWN:
            raise FaninValueError(
                f"nonlinearity={name!r} is not known; accepted are {', '.join(sorted(KNOWN))}, or a function of a NumPy array"
            )
        if len(parameters) > len(KNOWN[name][1]):
            raise FaninValueError(f"nonlinearity={name!r} takes {len(KNOWN[name][1])} parameters, but got {parameters}")
        return cls(name, parameters or KNOWN[name][1])

    @classmethod
    def of(cls, f: "str | Activation | Callable[[Any], Any]") -> "Activation":
        """An activation from a name, a record, or an elementwise function: of NumPy arrays, of tensors, or of numbers."""
        if isinstance(f, Activation):
            return f
        if isinstance(f, str):
            return cls.named(f)
        if not callable(f):
            raise FaninTypeError(
                f"nonlinearity={f!r} cannot be used; accepted are a name or a function of a NumPy array"
            )
        if isinstance(f, type):
            raise FaninTypeError(f"nonlinearity={f.__name__} is a class; call it first, as in {f.__name__}()")
        return cls.tabulated(lambda z: values(f, z), getattr(f, "__name__", type(f).__name__))

    @classmethod
    def tabulated(cls, f: Callable[[Array], Array], name: str = "custom") -> "Activation":
        """The activation with the values of f, an elementwise function of float64 arrays: a known one, or a table.

        The table has the points of `table_points()`, or as many more as f needs: sin(30 z) turns five times in one unit.
        """
        first = found = cls.recognised(f(table_points()), name)
        for finer in FINER:
            if found.table is None or _resolves(found, f):
                return found
            found = cls(found.name, (), tuple(f(table_points(finer)).tolist()))
        return found if math.isfinite(first.second_moment()) else first

    @classmethod
    def recognised(cls, y: Array, name: str = "custom") -> "Activation":
        """The activation with these values on `table_points()`: a known one where it is one, a table otherwise."""
        z, table = table_points(), _known_values()
        fits = np.abs(table - y) <= 1e-5 + 1e-4 * np.abs(y)
        for known, fit in zip(KNOWN, np.all(fits, axis=1).tolist(), strict=True):
            if fit and known not in NAMELESS:
                return cls(known, KNOWN[known][1])
        slope = float(y[0] / z[0])
        if np.allclose(np.where(z > 0, z, slope * z), y, rtol=1e-4, atol=1e-5):
            return cls("leaky_relu", (slope,))
        return cls(name if name not in KNOWN else "custom", (), tuple(float(v) for v in y))

    def __call__(self, z: Array) -> Array:
        """f(z), elementwise; a table is interpolated and continued by straight lines."""
        z = np.asarray(z, dtype=np.float64)
        if self.table is None:
            return np.asarray(KNOWN[self.name][0](z, *self.parameters), dtype=np.float64)
        points, y = table_points(self.fineness), np.asarray(self.table)
        inside = np.interp(z, points, y)
        low = y[0] + (z - points[0]) * (y[1] - y[0]) / (points[1] - points[0])
        high = y[-1] + (z - points[-1]) * (y[-1] - y[-2]) / (points[-1] - points[-2])
        return np.where(z < points[0], low, np.where(z > points[-1], high, inside))

    @property
    def fineness(self) -> int:
        """How many times finer its table is than `table_points()`; 1 without a table."""
        return 1 if self.table is None else max(1, (len(self.table) - 1) // (TABLE_POINTS - 1))

    def second_moment(self, q: float = 1.0) -> float:
        """E[f(z)²] for z ~ N(0, q); infinite where f's table tells none, because f grows too fast or has a spike in it."""
        return _moments(self, float(q))[1]

    def mean(self, q: float = 1.0) -> float:
        """E[f(z)] for z ~ N(0, q)."""
        return _moments(self, float(q))[0]

    def slope_moment(self, q: float = 1.0) -> float:
        """E[f'(z)²] for z ~ N(0, q); the derivative is taken in the mean over one quadrature step."""
        return _moments(self, float(q))[2]

    @property
    def gain(self) -> float:
        """E[f(z)²]^(-1/2) for z ~ N(0, 1): the factor on a weight's deviation that keeps the second moment at 1.

        Infinite where there is none: f is zero everywhere, or its second moment is infinite.
        """
        moment = self.second_moment(1.0)
        return 1.0 / math.sqrt(moment) if 0 < moment < math.inf else math.inf

    @property
    def why_no_gain(self) -> str:
        """Why f has no gain, as a part of a sentence; empty where it has one."""
        if math.isfinite(self.gain):
            return ""
        if self.second_moment(1.0) == 0:
            return "is zero everywhere, so no gain keeps a signal through it"
        return (
            "has a second moment E f(z)², z ~ N(0, 1), that does not converge within 12 deviations (it grows too fast, or is "
            "singular), so no gain keeps a signal through it"
        )

    def odd(self, u: Array) -> Array:
        """o(u) = f(u) - f(-u): what a mirrored pair hands on."""
        return self(u) - self(-np.asarray(u, dtype=np.float64))

    @property
    def odd_slope(self) -> float:
        """o'(0)."""
        h = 1e-5 if self.table is None else 0.04 / self.fineness
        return float(self.odd(np.array([h]))[0]) / h

    @property
    def slope(self) -> float:
        """The mean of the slopes of f on both sides of 0 (f'(0) where f is smooth)."""
        return self.odd_slope / 2

    @property
    def is_odd(self) -> bool:
        """Whether f(-u) = -f(u)."""
        u = table_points()
        return bool(np.allclose(self(u), -self(-u), rtol=1e-4, atol=1e-6))

    @property
    def odd_is_linear(self) -> bool:
        """Whether f(u) - f(-u) is a straight line, so that a mirrored chain is exactly a linear net (|u| ≤ 4)."""
        u = np.linspace(-4, 4, 161)
        return bool(np.allclose(self.odd(u), self.odd_slope * u, rtol=2e-3, atol=2e-3))

    def __str__(self) -> str:
        default = KNOWN.get(self.name, (None, ()))[1]
        inside = ", ".join(f"{p:g}" for p in self.parameters) if self.parameters != default else ""
        return f"{self.name}({inside})" if inside else self.name


def gain(f: str | Activation | Callable[[Any], Any]) -> float:
    """The factor on a weight's standard deviation that keeps a signal's second moment through `f`.

    gain(f) = E[f(z)²]^(-1/2), z ~ N(0, 1), by quadrature (He et al. 2015, eq. 10, for any activation).

    Args:
        f: a name ("relu", "gelu", …), an `Activation`, or an elementwise function: of a NumPy array, of a tensor of a
            framework that is loaded (`torch.nn.GELU()`, `torch.relu`), or of one number.

    Raises:
        FaninValueError: the name is not known, the function does not map each number to a finite one by itself, or it has
            no gain: all of its values are zero, or E f(z)² is infinite.

    Example:
        >>> round(gain("gelu"), 4)
        1.5335
        >>> round(gain(lambda z: np.maximum(z, 0)), 4)
        1.4142
    """
    activation = Activation.of(f)
    if activation.why_no_gain:
        raise FaninValueError(f"nonlinearity={f!r} {activation.why_no_gain}")
    return activation.gain


@functools.cache
def table_points(finer: int = 1) -> Array:
    """The points at which an activation's table is kept: 1200 · finer + 1 of them, evenly on [-12, 12] (unitless)."""
    return np.linspace(-TABLE_LIMIT, TABLE_LIMIT, (TABLE_POINTS - 1) * finer + 1)


def _resolves(table: Activation, f: Callable[[Array], Array]) -> bool:
    """Whether straight lines between the points of a table of f have its second moment, seen between the points."""
    points = table_points(table.fineness)
    between = points[:-1] + ASKED * (points[1] - points[0])
    weights = np.exp(-0.5 * between**2)
    with np.errstate(over="ignore", invalid="ignore"):
        exact, lines = np.square(f(between)), np.square(table(between))
        return bool(abs(weights @ (exact - lines)) <= COARSE * (weights @ exact))


@functools.cache
def _known_values() -> Array:
    """Every known function on `table_points()`, a row each, in the order of `KNOWN`."""
    return np.stack([f(table_points(), *defaults) for f, defaults in KNOWN.values()])


@functools.cache
def quadrature(finer: int = 1) -> tuple[Array, Array]:
    """Nodes and weights for integrals against N(0, 1): composite Gauss-Legendre on [-12, 12], panels of 1/(20 · finer).

    The panels' ends fall on the kinks of the common activations (0, ±1, ±3, 6), so that they are integrated exactly.
    """
    x, w = np.polynomial.legendre.leggauss(NODES)
    panels = 480 * finer
    edges = np.linspace(-TABLE_LIMIT, TABLE_LIMIT, panels + 1)
    half = (edges[1] - edges[0]) / 2
    nodes = ((edges[:-1] + half)[:, None] + half * x[None, :]).ravel()
    weights = np.tile(half * w, panels) * np.exp(-0.5 * nodes**2) / math.sqrt(2 * math.pi)
    return nodes, weights


@functools.lru_cache(maxsize=65536)
def _moments(f: Activation, q: float) -> tuple[float, float, float]:
    nodes, weights = quadrature(f.fineness)
    z = nodes * math.sqrt(max(q, 0.0))
    with np.errstate(over="ignore", invalid="ignore"):
        y = f(z)
        h = 1e-4 * max(1.0, math.sqrt(max(q, 0.0)))
        slope = (f(z + h) - f(z - h)) / (2 * h)
        first, second, slopes = float(weights @ y), float(weights @ y**2), float(weights @ slope**2)
    if f.table is not None and (_diverges(weights * y**2) or (q > 1 and math.isinf(_moments(f, 1.0)[1]))):
        second = slopes = math.inf  # beyond its table f goes on in straight lines, so the true f is asked at q = 1
    return first, second, slopes


def _diverges(parts: Array) -> bool:
    """Whether the parts of an integral on the nodes do not add up to it: they have not died out at the ends, or one panel
    holds most of it, which is then as wide or narrow as the table made it."""
    panels = parts.reshape(-1, NODES).sum(axis=1)
    total = float(panels.sum())
    return not math.isfinite(total) or bool(max(panels[0], panels[-1]) > 1e-5 * total or panels.max() > 0.5 * total)
