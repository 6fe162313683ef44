"""Activations reshaped so that a deep net keeps its kernel: deep kernel shaping (DKS) and tailored activations (TAT).

A reshaped activation is g(x) = gain · (f(scale · x + shift) + offset). Its four numbers are solved from conditions on what a
layer with it does to the size q of its signal and to the correlation c of two signals:

    Q(q) = E[g(√q z)²],   C(c) = E[g(z) g(z')] with z, z' ~ N(0, 1) of correlation c

In a plain net of L activations the slopes multiply: C'(1) of the net is that of one layer to the power of L.
"""

import functools
import itertools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.activations import Activation
from fanin.errors import FaninValueError
from fanin.records import Record

Array = NDArray[np.float64]

KINKS = (0.0, -1.0, 1.0, -3.0, 3.0, 6.0)  # where the known activations have them: ends of panels of the quadrature
REACH = 10.0  # deviations
STEP = 1e-4  # of second differences
JUMP = 1e-3  # of a slope, seen over 1e-5: more is a kink
STARTS = tuple(itertools.product((1.0, 0.1, 0.5, 2.0), (0.0, 1.0, -1.0, 2.0), (0.0, 1.0, -1.0)))
SOLVED = 1e-7  # of the conditions
STEEP = 2.0  # TAT: a steepest slope beyond it has an unstable Q map (the authors' condition, there for slopes of 1)


@dataclass(frozen=True)
class Reshaped(Record):
    """An activation that is used as gain · (f(scale · x + shift) + offset).

    It can be called on numbers, NumPy arrays, and torch tensors or JAX arrays (then in the framework's own operations).

    Attributes:
        base: f.
        scale, shift: of the input.
        gain, offset: of the output.

    Example:
        >>> g = Reshaped(Activation.named("tanh"), scale=0.5, gain=2.0)
        >>> round(float(g(0.2)), 4)
        0.1993
    """

    base: Activation
    scale: float = 1.0
    shift: float = 0.0
    gain: float = 1.0
    offset: float = 0.0

    def __call__(self, x: Any) -> Any:
        """g(x), elementwise."""
        if type(x).__module__.partition(".")[0] == "torch":
            from fanin.reshaping_torch import function

            return self.gain * (function(self.base)(self.scale * x + self.shift) + self.offset)
        if type(x).__module__.partition(".")[0] in ("jax", "jaxlib"):
            from fanin.reshaping_jax import function as of_jax

            return self.gain * (of_jax(self.base)(self.scale * x + self.shift) + self.offset)
        return self.gain * (self.base(self.scale * np.asarray(x, dtype=np.float64) + self.shift) + self.offset)

    @property
    def activation(self) -> Activation:
        """The same function as a table, for what takes an `Activation` (to about four digits)."""
        return Activation.tabulated(self, f"reshaped_{self.base.name}")

    @property
    def spec(self) -> str:
        """The function as text that `parse` reads again, to the last digit."""
        numbers = ", ".join(f"{name}={getattr(self, name)!r}" for name in ("scale", "shift", "gain", "offset"))
        base = (
            f"{self.base.name}({', '.join(map(repr, self.base.parameters))})"
            if self.base.parameters
            else self.base.name
        )
        return f"reshaped({base}, {numbers})"

    @classmethod
    def parse(cls, spec: str) -> "Reshaped":
        """The function of this `spec`, as a plan's requirement has it.

        Raises:
            FaninValueError: where the text is not such a spec, or the activation is not known.

        Example:
            >>> g = Reshaped(Activation.named("leaky_relu", 0.3), gain=1.25)
            >>> Reshaped.parse(g.spec) == g
            True
        """
        found = re.fullmatch(r"reshaped\((\w+)(?:\(([^()]*)\))?, (scale=.*)\)", spec) if isinstance(spec, str) else None
        try:
            assert found is not None
            numbers = {k: float(v) for k, v in (pair.split("=") for pair in found[3].split(", "))}
            base = Activation.named(found[1], *(float(p) for p in (found[2] or "").split(",") if p.strip()))
            return cls(base, **numbers)
        except (AssertionError, ValueError, TypeError) as error:
            known = f" ({error})" if isinstance(error, FaninValueError) else ""
            raise FaninValueError(
                f"spec={spec!r} is no reshaped activation{known}; it reads 'reshaped(tanh, scale=…, shift=…, gain=…, offset=…)'"
            ) from None

    def __str__(self) -> str:
        inside = "x" if self.scale == 1 else f"{self.scale:.6g} * x"
        inside += f" {'+' if self.shift > 0 else '-'} {abs(self.shift):.6g}" if self.shift else ""
        inner = f"{self.base.name}({inside})" if not self.base.parameters else f"{self.base}({inside})"
        body = f"({inner} {'+' if self.offset > 0 else '-'} {abs(self.offset):.6g})" if self.offset else inner
        return body if self.gain == 1 else f"{self.gain:.6g} * {body}"


@dataclass(frozen=True)
class Maps:
    """What a layer with a reshaped activation does, at q = 1 and weights of gain 1.

    Attributes:
        q: Q(1). q_slope: Q'(1). c_zero: C(0). c_slope: C'(1). c_curve: C''(1) (infinite at a kink).
    """

    q: float
    q_slope: float
    c_zero: float
    c_slope: float
    c_curve: float


def maps(g: Reshaped) -> Maps:
    """The local maps of a reshaped activation, by quadrature (Martens et al. 2021, sections 4 and 5).

    Example:
        >>> found = maps(Reshaped(Activation.named("relu"), gain=2 ** 0.5))
        >>> round(found.q, 6), round(found.c_zero, 4), round(found.c_slope, 6)
        (1.0, 0.3183, 1.0)
    """
    u, z, w = _nodes(g.scale, g.shift)
    y = g.gain * (g.base(u) + g.offset)
    h = 1e-6
    slope = g.gain * g.scale * (g.base(u + h) - g.base(u - h)) / (2 * h)
    curve = g.gain * g.scale**2 * (g.base(u + STEP) - 2 * g.base(u) + g.base(u - STEP)) / STEP**2
    return Maps(
        q=float(w @ y**2),
        q_slope=float(w @ (y**2 * (z**2 - 1))) / 2,  # E[z g g'] by parts
        c_zero=float(w @ y) ** 2,
        c_slope=float(w @ slope**2),
        c_curve=math.inf if kinked(g.base) else float(w @ curve**2),
    )


@functools.lru_cache(maxsize=256)
def kinked(f: Activation) -> bool:
    """Whether the slope of f jumps somewhere (a table of values is a broken line)."""
    at, h = np.union1d(np.linspace(-8.0, 8.0, 1601), KINKS), 1e-5
    return f.table is not None or bool(np.abs((f(at + h) - 2 * f(at) + f(at - h)) / h).max() > JUMP)


@functools.lru_cache(maxsize=256)
def _steepest(f: Activation) -> float:
    z = np.linspace(-8.0, 8.0, 1601)
    return float(np.abs(np.diff(f(z)) / np.diff(z)).max())


def _nodes(scale: float, shift: float) -> tuple[Array, Array, Array]:
    """Points u = scale · z + shift with z, and weights of N(0, 1); no panel has a kink of a known activation inside."""
    ends = shift + scale * np.linspace(-REACH, REACH, 161)
    low, high = (ends[0], ends[-1]) if scale > 0 else (ends[-1], ends[0])
    edges = np.unique(np.concatenate([ends, [k for k in KINKS if low < k < high]]))
    x, w = _legendre()
    half = np.diff(edges) / 2
    u = ((edges[:-1] + half)[:, None] + half[:, None] * x).ravel()
    z = (u - shift) / scale
    weights = (half[:, None] * w).ravel() / abs(scale) * np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return u, z, weights


@functools.cache
def _legendre() -> tuple[Array, Array]:
    return np.polynomial.legendre.leggauss(8)


def _scaled(base: Activation, scale: float, shift: float, offset: float | None) -> Reshaped:
    """With this input, the offset that makes C(0) = 0 where none is given, and the gain that makes Q(1) = 1."""
    u, _, w = _nodes(scale, shift)
    y = base(u)
    moved = -float(w @ y) if offset is None else offset
    size = float(w @ (y + moved) ** 2)
    return Reshaped(base, scale, shift, 1.0 / math.sqrt(size) if size > 0 else math.inf, moved)


@functools.lru_cache(maxsize=256)
def shaped(base: Activation, c_slope: float) -> Reshaped:
    """DKS: f reshaped so that Q(1) = 1, Q'(1) = 1, C(0) = 0 and C'(1) = c_slope.

    Args:
        base: f. For "leaky_relu" (and "relu", which is one with slope 0) the slope is solved for in place of the input's scale,
            which a positively homogeneous function has no use for.
        c_slope: C'(1) of one layer, above 1: the net's to the power of one over its activations.

    Raises:
        FaninValueError: no numbers fulfil the conditions for this activation.

    Example:
        >>> found = maps(shaped(Activation.named("tanh"), 1.05))
        >>> abs(found.q - 1) < 1e-6, abs(found.q_slope - 1) < 1e-6, found.c_zero < 1e-6, abs(found.c_slope - 1.05) < 1e-6
        (True, True, True, True)
    """
    if base.name in ("relu", "leaky_relu"):

        def leaky(p: Array) -> Reshaped:
            return _scaled(Activation("leaky_relu", (float(p[0]),)), 1.0, float(p[1]), None)

        starts = tuple(itertools.product((0.5, 0.0, 0.8), (0.0, 1.0, -1.0)))
        return _solve(base, leaky, lambda m: (m.q_slope - 1, m.c_slope - c_slope), starts, f"C'(1) = {c_slope:g}")
    starts = tuple(dict.fromkeys(start[:2] for start in STARTS))
    return _solve(
        base,
        lambda p: _scaled(base, float(p[0]), float(p[1]), None),
        lambda m: (m.q_slope - 1, m.c_slope - c_slope),
        starts,
        f"C'(1) = {c_slope:g}",
    )


@functools.lru_cache(maxsize=256)
def tailored(base: Activation, c_curve: float) -> Reshaped:
    """TAT for smooth activations: f reshaped so that Q(1) = 1, Q'(1) = 1, C'(1) = 1 and C''(1) = c_curve.

    Args:
        base: f, with a continuous slope.
        c_curve: C''(1) of one layer, above 0: the net's over its activations.

    Raises:
        FaninValueError: f has a kink, or no numbers fulfil the conditions for it.

    Example:
        >>> found = maps(tailored(Activation.named("softplus"), 0.01))
        >>> abs(found.q - 1) < 1e-6, abs(found.c_slope - 1) < 1e-6, abs(found.c_curve - 0.01) < 1e-5
        (True, True, True)
    """
    if kinked(base):
        why = (
            "is known by a table of values, whose curvature says nothing"
            if base.table
            else "has a kink, where its curvature is infinite"
        )
        raise FaninValueError(
            f"tat: nonlinearity={str(base)!r} {why}; use 'leaky_relu', whose slope is solved for, or a smooth named activation"
        )
    return _solve(
        base,
        lambda p: _scaled(base, float(p[0]), float(p[1]), float(p[2])),
        lambda m: (m.q_slope - 1, m.c_slope - 1, 10 * (m.c_curve - c_curve)),
        STARTS,
        f"C''(1) = {c_curve:g}",
        reject=lambda g: abs(g.gain * g.scale) * _steepest(base) >= STEEP,
    )


def tailored_leaky(depth: int, c_zero: float) -> Reshaped:
    """TAT for ReLU: the leaky ReLU of which `depth` layers take two signals of correlation 0 to this correlation.

    Args:
        depth: number of activations in a row, at least 1.
        c_zero: the correlation η they reach, above 0 and below 1.

    Raises:
        FaninValueError: so few layers do not reach it, even as ReLUs.

    Example:
        >>> g = tailored_leaky(50, 0.9)
        >>> round(g.base.parameters[0], 3), round(maps(g).q, 6)
        (0.431, 1.0)
    """

    def reached(slope: float) -> float:
        c = 0.0
        for _ in range(depth):
            c = leaky_correlation(c, slope)
        return c

    if reached(0.0) < c_zero:
        raise FaninValueError(
            f"tat: {depth} ReLUs take uncorrelated signals to a correlation of {reached(0.0):.3g} only, short of {c_zero:g}; a "
            "shallow net needs no tailoring, or a smaller correlation"
        )
    low, high = 0.0, 1.0  # more slope, less correlation
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle) > c_zero else (low, middle)
    return Reshaped(Activation("leaky_relu", (low,)), gain=math.sqrt(2.0 / (1.0 + low**2)))


def leaky_correlation(c: float, slope: float) -> float:
    """C(c) of a leaky ReLU (Zhang et al. 2022, equation 9; Cho & Saul 2009 for slope 0)."""
    angle = math.sqrt(max(0.0, 1 - c * c)) + (math.pi - math.acos(min(1.0, c))) * c
    return ((1 - slope) ** 2 * angle / math.pi + 2 * slope * c) / (1 + slope**2)


def _solve(
    base: Activation,
    made: Callable[[Array], Reshaped],
    errors: Callable[[Maps], tuple[float, ...]],
    starts: tuple[tuple[float, ...], ...],
    wanted: str,
    reject: Callable[[Reshaped], bool] = lambda g: False,
) -> Reshaped:
    """The numbers at which all conditions hold, from the first start that leads there."""
    from scipy.optimize import fsolve

    def residuals(p: Array) -> Array:
        if not np.all(np.isfinite(p)) or abs(p[0]) > 1e3 or (p[0] == 0 and base.name not in ("relu", "leaky_relu")):
            return np.full(len(p), 1e3)
        with np.errstate(all="ignore"):
            found = np.asarray(errors(maps(made(p))))
        return np.where(np.isfinite(found), np.clip(found, -1e3, 1e3), 1e3)

    turned = None  # a solution that turns the input around, where there is no other
    for start in starts:
        solution = np.asarray(fsolve(residuals, np.asarray(start), full_output=True)[0])
        if np.abs(residuals(solution)).max() > SOLVED:
            continue
        found = made(np.where(np.abs(solution) < 1e-9, 0.0, solution))
        if not reject(found):
            if found.scale > 0:
                return found
            turned = turned or found
    if turned is not None:
        return turned
    raise FaninValueError(f"nonlinearity={str(base)!r} cannot be reshaped to Q(1) = 1, Q'(1) = 1 and {wanted}")
