"""An activation as theory needs it: values in 64 bits, the derivative where it is known, kinks, and its digits."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanin.activations import KNOWN, Activation, Array, table_points
from fanin.callables import framework_callers, prepared, resolution
from fanin.theory.derivatives import DERIVATIVES, Jump
from fanin.theory.quadrature import differentiation, integrate, legendre, to_ends

Function = str | Activation | Callable[[Any], Any]
EXACT = 1e-13  # a function is the known one where 95 % of its values are this near …
MOST_PLACES = 64  # more rough places than this within ±12 are noise
SEARCH = np.linspace(-12.0 - math.pi / 100, 12.0 + math.e / 100, 50)  # no panel ends at a round number, where kinks are
TOWARDS = 10.0 ** -np.arange(2, 9, 3)  # distances from a place (known to 1e-9) at which f is looked at
NEAR = 4e-9  # … and all are this near: PyTorch's softplus turns into a line at 20, where it is off by 2e-9


@dataclass(frozen=True)
class Curve:
    """A scalar function and what is known of it.

    Attributes:
        name: for messages.
        f: values, elementwise, of float64 arrays.
        df: the derivative, or None where it is taken from the values.
        kinks: where f or f' is not smooth (for a function by hand: those found within ±12).
        jumps: (place, value below, value above) where f jumps.
        singular: places where f is unbounded.
        activation: the known activation, if it is one.
        resolution: relative rounding of the values: 2.2e-16 in 64 bits, 1.2e-7 where a function works in 32 bits only.
    """

    name: str
    f: Callable[[Array], Array]
    df: Callable[[Array], Array] | None
    kinks: tuple[float, ...] = ()
    jumps: tuple[Jump, ...] = ()
    singular: tuple[float, ...] = ()
    activation: Activation | None = None
    resolution: float = float(np.finfo(np.float64).eps)

    @classmethod
    @np.errstate(all="ignore")  # of values that are not finite
    def of(cls, f: "Function | Curve") -> "Curve":
        """A curve from a name, an `Activation`, or a function; raises as `Activation.of` does.

        A function may have no finite value at single places (1/z, log|z|): these are singular points, to be reported.
        """
        if isinstance(f, Curve):
            return f
        if isinstance(f, str | Activation):
            return _known(Activation.of(f))
        activation = Activation.of(_finite(f))
        run, rounding = _in_64_bits(f)
        points = table_points()
        if activation.table is None and _same(run(points), activation(points), rounding):
            return _known(activation)
        name = getattr(f, "__name__", type(f).__name__)
        if rounding > 1e-12:  # in few bits a function is a staircase: its places cannot be told
            return cls(name, run, None, resolution=rounding)
        kinks, jumps, singular = rough_places(run)
        return cls(name, run, None, kinks, jumps, singular, resolution=rounding)


@functools.lru_cache(maxsize=256)
def _known(activation: Activation) -> Curve:
    if activation.table is not None:  # straight lines between its points
        kinks = tuple(table_points(activation.fineness).tolist())
        return Curve(str(activation), activation, None, kinks, resolution=1e-4, activation=activation)
    facts, p = DERIVATIVES[activation.name], activation.parameters
    f = KNOWN[activation.name][0]
    return Curve(
        name=str(activation),
        f=lambda z: np.asarray(f(z, *p), dtype=np.float64),
        df=lambda z: np.asarray(facts.df(z, *p), dtype=np.float64),
        kinks=facts.kinks(*p),
        jumps=facts.jumps(*p),
        activation=activation,
    )


def _same(y: Array, known: Array, rounding: float) -> bool:
    gap = np.abs(y - known) / (1 + np.abs(known))
    near = max(EXACT, 8 * rounding)
    return bool(np.mean(gap <= near) >= 0.95 and np.all(gap <= max(NEAR, near)))


def _in_64_bits(f: Callable[[Any], Any]) -> tuple[Callable[[Array], Array], float]:
    """The way of calling f that keeps the most digits, and its relative rounding."""
    f = prepared(f)
    best: tuple[Callable[[Array], Array], float] | None = None
    probe = np.linspace(-1.0, 1.0, 5)
    for run in (f, *framework_callers(f, double=True)):
        try:
            y = np.asarray(run(probe))
        except Exception:  # a user's function may raise anything; `Activation.of` has found a way that works
            continue
        if y.shape != probe.shape or y.dtype.kind != "f":
            continue
        rounding = resolution(y.dtype)
        if best is None or rounding < best[1]:
            best = (_flat(run), rounding)
        if rounding < 1e-12:
            break
    if best is None:  # number by number, in as many bits as one number comes back in
        best = (_flat(np.vectorize(f, otypes=[np.float64])), resolution(np.asarray(f(0.5)).dtype))
    return best


def _flat(run: Callable[[Array], Any]) -> Callable[[Array], Array]:
    """Calls with one axis: some functions take no other."""

    def on_array(z: Array) -> Array:
        return np.asarray(run(np.ascontiguousarray(z).ravel()), dtype=np.float64).reshape(np.shape(z))

    return on_array


def _finite(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """f itself, or f with zeros where it has no finite value, if these are single places between finite ones."""
    try:
        run, points = _in_64_bits(f)[0], table_points()
        with np.errstate(all="ignore"):
            lost = ~np.isfinite(run(points))
    except Exception:  # a user's function may raise anything, and `Activation.of` says which
        return f
    if not lost.any() or lost[[0, -1]].any() or (lost[1:] & lost[:-1]).any():
        return f

    def filled(z: Array) -> Array:
        with np.errstate(all="ignore"):
            y = run(z)
        return np.where(np.isfinite(y), y, 0.0)

    filled.__name__ = getattr(f, "__name__", type(f).__name__)
    return filled


def rough_places(f: Callable[[Array], Array]) -> tuple[tuple[float, ...], tuple[Jump, ...], tuple[float, ...]]:
    """Kinks, jumps and singular points of f within ±12, closed in on to 1e-13 by halving panels that stay rough."""

    def integrands(z: Array, half: Array) -> Array:
        y = f(z)
        slope = (y @ differentiation().T) / half
        return np.exp(-0.125 * np.square(z)) * np.stack([y, slope, np.square(slope)])

    x, _ = legendre()
    with np.errstate(all="ignore"):
        seen = np.abs(f(np.linspace(-3.0, 3.0, 61)))
    size = max(float(np.max(seen[np.isfinite(seen)], initial=0.0)), 1e-300)

    def defect(low: Array, high: Array) -> Array:
        half = 0.5 * (high - low)[:, None]
        ends = np.stack([low, high], axis=-1)
        missed = np.abs(f((low[:, None] + half) + half * x) @ to_ends() - f(ends))
        noise = 1e-14 * (size + np.abs(f(ends)))  # rounding is no kink
        return np.max(np.exp(-0.125 * np.square(ends)) * np.maximum(missed - noise, 0.0), axis=1) / size

    with np.errstate(all="ignore"):
        found = integrate(integrands, SEARCH, tolerance=1e-13, defect=defect)
        places = _clustered(found.rough, f)
        if len(places) > MOST_PLACES:
            return (), (), ()
        jumps, singular = [], []
        for i, place in enumerate(places):
            if not np.isfinite(f(np.array([round(place, 9)]))[0]):  # where f has no value is where it goes wrong
                places[i] = place = round(place, 9) + 0.0  # no -0
            if _unbounded(f, place, size):
                singular.append(place)
                continue
            low, high = _closed_in(f, place)
            gap = 4 * float(np.spacing(max(abs(low), 1.0)))  # what f is at the place itself (sign: 0) is of no matter
            below, above, near, far = (float(v) for v in f(np.array([low - gap, high + gap, low - 1e-6, high + 1e-6])))
            drift = max(abs(below - near), abs(above - far))
            change = abs(above - below)
            if change > 1e-7 * max(abs(above), abs(below)) and change > 1e-3 * drift:
                places[i] = low if abs(low) > gap else 0.0
                jumps.append((places[i], below, above))
    return tuple(places), tuple(jumps), tuple(singular)


def _unbounded(f: Callable[[Array], Array], place: float, size: float) -> bool:
    """Whether |f| grows for ever towards a place: on one side, over each thousandth of what is left of the way, by as much again.

    A step, a kink or a root comes to rest there, so that each change is a small part of the one before.
    """
    for side in (-1.0, 1.0):
        growth = np.diff(np.abs(f(np.add(place, side * TOWARDS))))
        if not np.isfinite(growth).all() or (growth[-2] > 0 and growth[-1] > max(0.5 * growth[-2], 1e-3 * size)):
            return True
    return False


def _closed_in(f: Callable[[Array], Array], place: float) -> tuple[float, float]:
    """The two neighbouring numbers, near a place, between which f changes most."""
    low, high = place - 1e-7, place + 1e-7
    while (middle := 0.5 * (low + high)) not in (low, high):
        a, b, c = (float(v) for v in f(np.array([low, middle, high])))
        low, high = (low, middle) if abs(b - a) > abs(c - b) else (middle, high)
    return low, high


def _clustered(rough: tuple[tuple[float, float], ...], f: Callable[[Array], Array]) -> list[float]:
    """Middles of runs of panels that nearly touch; where a run is wide, its largest value (about a singular point)."""
    runs: list[list[float]] = []
    for low, high in sorted(rough):
        if runs and low - runs[-1][-1] < 1e-5:
            runs[-1] += [low, high]
        else:
            runs.append([low, high])
    places = []
    for run in runs:
        if run[-1] - run[0] > 1e-9:
            values = np.abs(f(np.array(run)))
            places.append(run[int(np.argmax(np.where(np.isnan(values), np.inf, values)))])
        else:
            places.append(0.5 * (run[0] + run[-1]))
    return places
