"""Elementwise functions by the name of their op, and what they do to a signal."""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import hermite_e

from fanin.theory import gaussian, tokens
from fanin.theory.gaussian import Array
from fanin.theory.state import State, through_activation
from fanin.theory.taps import bent
from fanin.traces.records import Op

ONE: dict[str, Callable[[Array], Array]] = {
    "abs": np.abs,
    "absolute": np.abs,
    "neg": np.negative,
    "negative": np.negative,
    "positive": lambda x: x,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "log2": np.log2,
    "sqrt": lambda x: np.sqrt(np.maximum(x, 0.0)),
    "rsqrt": lambda x: 1 / np.sqrt(np.maximum(x, 1e-300)),
    "reciprocal": lambda x: 1 / x,
    "square": np.square,
    "sin": np.sin,
    "cos": np.cos,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "atan": np.arctan,
    "sign": np.sign,
    "sgn": np.sign,
    "sigmoid": lambda x: 0.5 * (1 + np.tanh(0.5 * x)),
    "expit": lambda x: 0.5 * (1 + np.tanh(0.5 * x)),
    "special_expit": lambda x: 0.5 * (1 + np.tanh(0.5 * x)),
    "erf": lambda x: _erf(x),
    "softplus": lambda x: np.logaddexp(0.0, x),
    "relu": lambda x: np.maximum(x, 0.0),
}
TWO: dict[str, Callable[[Array, Array | float], Array]] = {
    "add": lambda x, y: x + y,
    "radd": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "subtract": lambda x, y: x - y,
    "rsub": lambda x, y: y - x,
    "mul": lambda x, y: x * y,
    "multiply": lambda x, y: x * y,
    "rmul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "true_divide": lambda x, y: x / y,
    "rdiv": lambda x, y: y / x,
    "pow": lambda x, y: np.power(x, y),
    "rpow": lambda x, y: np.power(y, x),
    "maximum": np.maximum,
    "minimum": np.minimum,
}
POSITIVE = ("sqrt", "rsqrt", "reciprocal", "log", "log1p", "log2")  # of sizes, which are positive
ORDER = 8  # of Hermite series
NORMS = np.sqrt([math.factorial(n) for n in range(ORDER + 1)])
MIXTURE = 256  # points at which the law of a sum is kept
SMALL = 0.02  # share of a sum's variance below which a part's shape does not matter


def _erf(x: Array) -> Array:
    from scipy.special import erf

    return erf(x)


@dataclass(frozen=True)
class Named:
    """The function of one elementwise op: by its name, with the constants beside it."""

    name: str
    constant: float = math.nan
    low: float = -math.inf
    high: float = math.inf

    @classmethod
    def of(cls, name: str, facts: Mapping[str, float]) -> "Named | None":
        """The function of this op, None where its name or its constant is not known."""
        if name.startswith("cl"):
            return cls("clamp", math.nan, facts.get("min", -math.inf), facts.get("max", math.inf))
        if name in TWO and "constant" in facts and facts["constant_rms"] - abs(facts["constant"]) < 1e-9:
            return cls(name, facts["constant"])
        return cls(name) if name in ONE else None

    def __call__(self, z: Array) -> Array:
        """f(z), elementwise."""
        if self.name == "clamp":
            return np.clip(z, self.low, self.high)
        with np.errstate(all="ignore"):
            return TWO[self.name](z, self.constant) if self.name in TWO else ONE[self.name](z)


def activated(u: State, f: gaussian.Function, width: int, examples: int) -> State:
    """The signal behind a function of each element, with what tells positions apart and the shape of the law."""
    y = through_activation(u, f, width, examples)
    followed = math.isfinite(u.apart) and u.kernel is None  # the kernel gives it too
    apart = gaussian.contrast(f, u.mean, u.q, u.apart) if followed else math.nan
    power = gaussian.moments(f, u.mean, u.variance).elasticity if u.profile else 1.0
    power = min(max(round(power, 3), 0.0), 2.0)
    profile = bent(u.profile, power)
    if u.profile and power != 1:  # positions of different size: E f² grows with this power of the variance
        uneven = math.prod(float(np.mean(np.maximum(np.asarray(axis), 0.0) ** power)) for axis in u.profile)
        half = math.prod(float(np.mean(np.maximum(np.asarray(axis), 0.0) ** (power / 2))) for axis in u.profile)
        y = y.but(mean=y.mean * half, q=y.q * uneven, s=y.s * uneven)
    if u.law is None:
        return tokens.activated(u, y.but(apart=apart, profile=profile), f)
    values, weights = u.law
    out = f(values)
    mean, q = float(weights @ out), float(weights @ out**2)
    if not (q > 0 and y.q > 0):
        return y.but(apart=apart, profile=profile)
    s, noise, apart = contrasts(values, out, weights, (u.s, u.noise, u.apart))
    return y.but(
        mean=mean, q=q, s=s, noise=noise, apart=apart, profile=profile, before=None, law=(out, weights)
    )  # fmt: skip


def contrasts(values: Array, out: Array, weights: Array, before: tuple[float, ...]) -> list[float]:
    """Contrasts behind a function of a signal that is not Gaussian, from those before it (zero and NaN stay).

    The signal is taken as an increasing function Q of a Gaussian number w, and a pair of examples as a Gaussian pair with the
    correlation ρ at which ½ E (Q(w_a) - Q(w_b))² = Σ a_n² (1 - ρⁿ) is the contrast before.
    """
    from scipy.special import ndtri

    w = ndtri(np.minimum(np.maximum(np.cumsum(weights) - weights / 2, 1e-12), 1 - 1e-12))
    basis = hermite_e.hermevander(w, ORDER) * weights[:, None] / NORMS
    first, then = (_series(x, basis, weights) for x in (values, out))
    gaps = _gaps()
    ends = np.log(np.maximum(gaps @ first, 1e-300)), np.log(np.maximum(gaps @ then, 1e-300))
    found = []
    for s in before:
        if not s > 0:
            found.append(s)
            continue
        # Between the points of the table in the logarithm, below its end in proportion.
        low = min(math.log(s) - ends[0][0], 0.0)
        found.append(math.exp(float(np.interp(math.log(s), *ends)) + low))
    return found


@functools.cache
def _gaps() -> Array:
    """1 - ρⁿ for pairs from alike to unrelated, a row each, and n = 1, 2, …"""
    rho = 1 - np.geomspace(1.0, 1e-6, 61)[::-1]
    return 1 - rho[:, None] ** np.arange(1, ORDER + 2)


def _series(x: Array, basis: Array, weights: Array) -> Array:
    """Squares of the Hermite coefficients of orders 1, 2, …, what is left of the variance in one more."""
    squares = (x @ basis)[1:] ** 2
    mean = float(weights @ x)
    return np.append(squares, max(float(weights @ (x - mean) ** 2) - float(squares.sum()), 0.0))


def of_positive(x: State, f: gaussian.Function) -> State:
    """The signal behind a function of positive numbers (statistics of a norm): taken as log-normal, with x's moments."""
    z, w = gaussian._grid(gaussian.COARSE)
    spread = math.log(max(x.q / x.mean**2, 1.0))
    y = f(np.exp(math.log(x.mean) - spread / 2 + math.sqrt(spread) * z))
    mean, q = float(w @ y), float(w @ y**2)
    share = min(x.s / x.variance, 1.0) if x.variance > 0 else 0.0
    return State(mean, q, share * max(q - mean**2, 0.0))


def law_of(x: State) -> tuple[Array, Array] | None:
    """The values of a signal that comes out of an activation, and their weights; None for a Gaussian one."""
    if x.law is not None:
        return x.law
    if x.before is None:
        return None
    z, w = gaussian._grid(MIXTURE)
    u = x.before.state
    return x.before.activation(u.mean + math.sqrt(u.variance) * z), w


def sum_law(a: State, b: State) -> tuple[Array, Array] | None:
    """The law of a sum of two unrelated signals, where one of them is not Gaussian and matters.

    A residual stream through ReLUs is a random walk that is reflected at zero: far from Gaussian.
    """
    if (a.variance < b.variance) != (law_of(a) is None) and law_of(a) is None:
        a, b = b, a
    first = law_of(a)
    if first is None:
        a, b = b, a
        first = law_of(a)
    total = a.variance + b.variance
    if first is None or total <= 0 or a.variance < SMALL * total:
        return None
    second = law_of(b)
    if second is None:
        nodes, chance = gaussian._grid(32)
        other = b.mean + math.sqrt(b.variance) * nodes
    else:
        other, chance = second
    sums = (first[0][:, None] + other[None, :]).ravel()
    likely = (first[1][:, None] * chance[None, :]).ravel()
    return compressed(sums, likely)


def compressed(values: Array, weights: Array) -> tuple[Array, Array]:
    """A law on fewer, evenly spaced points, with the same total, mean and second moment."""
    mean = float(weights @ values)
    deviation = math.sqrt(max(float(weights @ (values - mean) ** 2), 1e-300))
    low = max(float(values.min()), mean - 8 * deviation)
    high = min(float(values.max()), mean + 8 * deviation)
    step = max((high - low) / (MIXTURE - 1), 1e-300)
    place = np.clip((values - low) / step, 0, MIXTURE - 1)
    under = np.minimum(place.astype(np.int64), MIXTURE - 2)
    part = place - under
    chance = np.bincount(under, weights * (1 - part), MIXTURE) + np.bincount(under + 1, weights * part, MIXTURE)
    points = low + step * np.arange(MIXTURE)
    center = float(chance @ points)
    spread = math.sqrt(max(float(chance @ (points - center) ** 2), 1e-300))
    return np.asarray(mean + (points - center) * (deviation / spread), dtype=np.float64), chance.astype(np.float64)


def replayed(op: Op, arguments: list[Array]) -> Array | None:
    """The values of one op inside an activation written by hand, from those of its inputs; None where its name says nothing."""
    if op.kind == "shape":
        return arguments[0]
    if op.activation is not None and op.kind == "activation":
        return op.activation(arguments[0])
    with np.errstate(all="ignore"):
        if len(arguments) == 2 and op.name in TWO:
            return TWO[op.name](arguments[0], arguments[1])
        f = Named.of(op.name, op.facts)
        if f is not None:
            return f(arguments[0])
        return TWO[op.name](arguments[0], arguments[0]) if op.name in TWO and "constant" not in op.facts else None
