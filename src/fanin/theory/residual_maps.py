"""Residual streams: what L branches add to a signal and to its gradient, before, after and without norms."""

import math
from dataclasses import dataclass
from typing import Literal

from fanin.errors import FaninValueError
from fanin.records import Record
from fanin.theory.arguments import real
from fanin.theory.curves import Curve, Function
from fanin.theory.integrals import moments
from fanin.theory.maps import MOST, _checked, _checked_correlation, _checked_depth
from fanin.theory.pairs import pair_moments

Place = Literal["none", "pre", "post"]
PLACES = ("none", "pre", "post")


@dataclass(frozen=True)
class Stream(Record):
    """A residual stream at each depth; entry l is after l blocks (0: what goes in).

    Attributes:
        q: second moment of the stream.
        c: correlation of two inputs.
        gradient: squared norm of ∂loss/∂x_l relative to the end's.
    """

    q: tuple[float, ...]
    c: tuple[float, ...]
    gradient: tuple[float, ...]


def residual(
    f: Function | Curve,
    depth: int,
    sigma_w: float,
    sigma_b: float = 0.0,
    branch: float = 1.0,
    skip: float = 1.0,
    norm: Place = "none",
    q: float = 1.0,
    c: float = 0.0,
    inner: float = 1.0,
) -> Stream:
    """x ← skip · x + branch · V f(W norm(x) + b): second moments, correlations and gradients through `depth` blocks.

    Without norm q' = skip² q + branch² v E f²(σ_w² q + σ_b²) with v = `inner`² and gradients grow by skip² + branch² v σ_w² E f'²:
    polynomials or slow exponentials of depth where plain nets have fast ones (Yang & Schoenholz 2017, eq. 1 to 8). Before the
    branch ("pre") a norm makes q grow by a constant, so the l-th gradient factor is 1 + O(1/l); behind the sum ("post") each
    block divides by √(1 + …), and gradients fall by that (Xiong et al. 2020). branch = 1/√depth keeps q below e times its start
    (Hayou et al. 2021), branch = 0 (ReZero, SkipInit) makes every block the identity, at any depth (Bachlechner et al. 2020).

    Args:
        f: the branch's activation.
        depth: number of blocks.
        sigma_w, sigma_b: W has the variance σ_w² / fan_in, b σ_b².
        branch, skip: factors on branch and stream.
        norm: "none", "pre" or "post" (RMS or layer norm, without gain).
        q, c: the stream's second moment and correlation at the start.
        inner: V has the variance inner² / fan_in.

    Raises:
        FaninValueError: another place of the norm, a negative depth, deviations, q or c out of range, or nothing is left behind a block.

    Example:
        >>> residual("relu", 10_000, sigma_w=1.4142, branch=0.0).gradient[0]
        1.0
        >>> round(residual("relu", 100, sigma_w=2**0.5, branch=0.1).q[-1], 3)       # (1 + 1/100)^100
        2.705
    """
    if not isinstance(norm, str) or norm not in PLACES:
        raise FaninValueError(f"norm={norm!r} is not known; accepted are {', '.join(PLACES)}")
    _checked_depth(depth, 0)
    _checked(sigma_w, sigma_b, 1.0, inner=inner)
    if not all(abs(real(name, v)) <= MOST for name, v in (("branch", branch), ("skip", skip))):
        raise FaninValueError(f"branch={branch} and skip={skip} must be finite numbers (of a size up to {MOST:g})")
    if not 0 < real("q", q) <= MOST:
        raise FaninValueError(f"q={q} is not usable; it must be a finite number above 0")
    _checked_correlation(c)
    curve = Curve.of(f)
    qs, cs, factors = [float(q)], [float(c)], []
    for _ in range(depth):
        q, c, factor = _block(curve, qs[-1], cs[-1], sigma_w, sigma_b, branch, skip, norm, inner)
        qs.append(q)
        cs.append(c)
        factors.append(factor)
    gradient = [1.0]
    for factor in reversed(factors):
        gradient.append(gradient[-1] * factor)
    return Stream(tuple(qs), tuple(cs), tuple(reversed(gradient)))


def _block(
    curve: Curve,
    q: float,
    c: float,
    sigma_w: float,
    sigma_b: float,
    branch: float,
    skip: float,
    norm: Place,
    inner: float,
) -> tuple[float, float, float]:
    """The stream after a block, and the factor on the squared gradient."""
    if skip == 0 and branch == 0:
        raise FaninValueError("skip=0 and branch=0 leave nothing of the stream")
    if branch == 0:
        scale = skip**2 * q if norm == "post" else 1.0
        return skip**2 * q / scale, c, skip**2 / scale
    seen = 1.0 if norm == "pre" else q
    inside = sigma_w**2 * seen + sigma_b**2
    m = moments(curve, 0.0, inside)
    pair = pair_moments(curve, (sigma_w**2 * seen * c + sigma_b**2) / inside if inside > 0 else 1.0, inside)
    share = (branch * inner) ** 2
    total = skip**2 * q + share * m.f2
    if not total > 0:
        raise FaninValueError(f"skip={skip:g} and {curve.name} of variance {inside:g} leave nothing of the stream")
    common = skip**2 * q * c + share * pair.ff
    factor = skip**2 + share * sigma_w**2 * m.df2 * seen / q
    if norm == "post":
        return 1.0, common / total, factor / total
    return total, common / total, factor


def branch_scale(depth: int, growth: float = math.e) -> float:
    """The factor on every branch under which a stream of `depth` unit branches grows to `growth` times its second moment.

    (1 + s²)^depth = growth, near 1/√depth for growth e (Hayou et al. 2021; Zhang et al. 2019).

    Example:
        >>> round(branch_scale(100) * 10, 3)
        1.003
    """
    if not 1 <= real("depth", depth) < math.inf or not 1 < real("growth", growth) < math.inf:
        raise FaninValueError(f"depth={depth} must be at least 1 and growth={growth} above 1")
    return math.sqrt(math.expm1(math.log(growth) / depth))
