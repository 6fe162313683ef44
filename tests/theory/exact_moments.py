"""Moments of activations by 30-digit quadrature of formulas written down a second time, for `test_integrals.py`.

    python -m tests.theory.exact_moments

writes them all to exact_moments.json, which takes a few minutes; a test makes those of one Gaussian anew.
"""

import functools
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import mpmath as mp
from mpmath.calculus.quadrature import GaussLegendre

FILE = Path(__file__).with_suffix(".json")
DIGITS = 25  # that are written
SELU = (mp.mpf("1.0507009873554804934193349852946"), mp.mpf("1.6732632423543772848170429916717"))


def _sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def _elu(x, a=1):
    return x if x > 0 else a * mp.expm1(x)


def _clip(x, low, high):
    return min(max(x, mp.mpf(low)), mp.mpf(high))


# name → (function, places where it is not smooth)
DEFINED: dict[str, tuple[Callable, tuple[float, ...]]] = {
    "linear": (lambda x: x, ()),
    "relu": (lambda x: max(x, mp.mpf(0)), (0,)),
    "leaky_relu": (lambda x: x if x > 0 else x * mp.mpf(0.01), (0,)),
    "relu6": (lambda x: _clip(x, 0, 6), (0, 6)),
    "gelu": (lambda x: x * mp.ncdf(x), ()),
    "gelu_tanh": (lambda x: x / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (x + mp.mpf(0.044715) * x**3))), ()),
    "quick_gelu": (lambda x: x * _sigmoid(mp.mpf(1.702) * x), ()),
    "silu": (lambda x: x * _sigmoid(x), ()),
    "mish": (lambda x: x * mp.tanh(mp.log1p(mp.exp(x))), ()),
    "softplus": (lambda x: mp.log1p(mp.exp(x)), ()),
    "elu": (_elu, (0,)),
    "celu": (_elu, (0,)),
    "selu": (lambda x: SELU[0] * _elu(x, SELU[1]), (0,)),
    "tanh": (mp.tanh, ()),
    "sigmoid": (_sigmoid, ()),
    "hardsigmoid": (lambda x: _clip(x + 3, 0, 6) / 6, (-3, 3)),
    "hardswish": (lambda x: x * _clip(x + 3, 0, 6) / 6, (-3, 3)),
    "hardtanh": (lambda x: _clip(x, -1, 1), (-1, 1)),
    "softsign": (lambda x: x / (1 + abs(x)), (0,)),
    "relu_squared": (lambda x: max(x, mp.mpf(0)) ** 2, (0,)),
    "sin": (mp.sin, ()),
    "exp": (mp.exp, ()),
    "abs": (abs, (0,)),
    "square": (lambda x: x * x, ()),
    "logsigmoid": (lambda x: -mp.log1p(mp.exp(-x)), ()),
    "tanhshrink": (lambda x: x - mp.tanh(x), ()),
    "softshrink": (lambda x: mp.sign(x) * max(abs(x) - mp.mpf("0.5"), mp.mpf(0)), (-0.5, 0.5)),
    "hardshrink": (lambda x: x if abs(x) > mp.mpf("0.5") else mp.mpf(0), (-0.5, 0.5)),
    "squareplus": (lambda x: (x + mp.sqrt(x * x + 4)) / 2, ()),
    "sparse_plus": (lambda x: mp.mpf(0) if x <= -1 else (x if x >= 1 else (x + 1) ** 2 / 4), (-1, 1)),
    "sparse_sigmoid": (lambda x: _clip((x + 1) / 2, 0, 1), (-1, 1)),
    "erf": (mp.erf, ()),
    "prelu": (lambda x: x if x > 0 else x / 4, (0,)),
    "rrelu": (lambda x: x if x > 0 else x * (mp.mpf(1 / 8) + mp.mpf(1 / 3)) / 2, (0,)),
    "threshold": (lambda x: max(x, mp.mpf(0)), (0,)),
}
GAUSSIANS = [(0.0, 1.0), (0.3, 0.25), (-1.0, 4.0)]
EXTREME = [(0.0, 1e-12), (0.7, 1e-12), (0.0, 1e-4), (2.0, 100.0), (0.0, 1e6), (-6.0, 1.0)]


@functools.cache
def nodes() -> list[tuple[mp.mpf, mp.mpf]]:
    """48 Gauss-Legendre nodes and weights with 30 digits."""
    with mp.workdps(30):
        return GaussLegendre(mp.mp).calc_nodes(5, mp.mp.prec)


def exact(name: str, mean: float, variance: float) -> dict[str, tuple[mp.mpf, mp.mpf]]:
    """Each moment and the integral of its size, with 30 digits."""
    f, kinks = DEFINED[name]
    with mp.workdps(30):
        m, sd = mp.mpf(mean), mp.sqrt(mp.mpf(variance))
        # The derivative is a central difference of 60 digits, so that no formula for it enters.
        step = mp.mpf(10) ** -20 * min(sd, mp.mpf(1))
        places = {(mp.mpf(k) - m) / sd for k in kinks}
        places |= {-m / sd + mp.mpf(s) / sd for s in (-30, -10, -5, -2, -1, 0, 1, 2, 5, 10, 30)}
        places |= {mp.mpf(t) for t in (-16, -12, -9, -7, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 7, 9, 12, 16)}
        ends = sorted(t for t in places if abs(t) <= 16)
        total = [mp.mpf(0)] * 4
        size = [mp.mpf(0)] * 4
        for low, high in itertools.pairwise(ends):
            if high - low < mp.mpf(10) ** -25:
                continue
            for x, w in nodes():
                t = (low + high) / 2 + (high - low) / 2 * x
                z, p = m + sd * t, w * (high - low) / 2 * mp.npdf(t)
                y = f(z)
                with mp.workdps(60):
                    slope = (f(z + step) - f(z - step)) / (2 * step)
                for i, g in enumerate((y, y * y, slope * slope, y * slope)):
                    total[i] += p * g
                    size[i] += p * abs(g)
        return dict(zip(("f", "f2", "df2", "fdf"), zip(total, size, strict=True), strict=True))


def without_quadrature(name: str, variance: float) -> bool:
    """Where numbers grow, or swing, beyond what the quadrature's nodes can follow; closed forms stand in a test."""
    return (name == "exp" and variance > 50) or (name == "sin" and variance > 1e3)


def key(name: str, mean: float, variance: float) -> str:
    """Under which a case stands in the file."""
    return f"{name} {mean} {variance}"


@functools.cache
def written() -> dict[str, dict[str, list[str]]]:
    """What the file holds: the moment and the integral of its size, in decimals."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def decimals(moments: dict[str, tuple[mp.mpf, mp.mpf]]) -> dict[str, list[str]]:
    """As the file has them."""
    return {label: [mp.nstr(number, DIGITS) for number in pair] for label, pair in moments.items()}


if __name__ == "__main__":
    cases = [
        (name, mean, variance)
        for name in sorted(DEFINED)
        for mean, variance in (*GAUSSIANS, *EXTREME)
        if not without_quadrature(name, variance)
    ]
    found = {key(*case): decimals(exact(*case)) for case in cases}
    lines = ",\n".join(f"{json.dumps(case)}: {json.dumps(moments)}" for case, moments in found.items())
    FILE.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
