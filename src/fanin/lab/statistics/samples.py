"""Two methods whose runs are no pairs: other seeds, or other numbers of them."""

import functools
import itertools
import math

import numpy as np
from scipy.special import comb, stdtr, stdtrit

from fanin.lab.statistics.arguments import Values, count, numbers, share
from fanin.lab.statistics.means import FEWEST, skewness, t_limit
from fanin.lab.statistics.records import Estimate, Tested

EXACT_SPLITS = 200_000  # ways to deal the runs out that are listed one by one (ten and ten: 184,756)
RANDOM_SPLITS = 20_000


def welch_interval(a: Values, b: Values, level: float = 0.95) -> Estimate:
    """mean(a) - mean(b) with Welch's interval: spreads and numbers of runs may differ.

    Args:
        a, b: shapes (n,) and (m,), finite, at least two each.
        level: coverage of the interval.

    B. L. Welch, The generalization of "Student's" problem, Biometrika 34 (1947).

    Example:
        >>> i = welch_interval([5, 6, 7], [1, 2, 3]); (i.value, round(i.low, 3), round(i.high, 3))
        (4.0, 1.733, 6.267)
    """
    share("level", level)
    x, y = numbers("a", a, least=2, finite=True), numbers("b", b, least=2, finite=True)
    delta, error, df = _welch(x, y)
    half = float(stdtrit(df, 0.5 + level / 2)) * error if error > 0 else 0.0
    runs, fewer = int(x.size + y.size), int(min(x.size, y.size))
    why = ""
    if fewer < FEWEST:
        why = f"{fewer} values cannot show whether their population is skewed or has two humps; it takes {FEWEST}"
    elif abs(_skew_between(x, y)) > 1:
        why = "the values are too skewed for their number; see permutation_test"
    return Estimate(delta, delta - half, delta + half, level, runs, "Welch's t", not why, why)


def welch_test(a: Values, b: Values) -> Tested:
    """Two-sided test of "both means are equal", whatever the spreads.

    Args:
        a, b: shapes (n,) and (m,), finite; p is NaN where either has fewer than two.

    B. L. Welch, Biometrika 34 (1947).

    Example:
        >>> round(welch_test([5, 6, 7], [1, 2, 3]).p, 4)
        0.008
    """
    x, y = numbers("a", a, finite=True), numbers("b", b, finite=True)
    runs = int(x.size + y.size)
    if min(x.size, y.size) < 2:
        return Tested(math.nan, "welch", math.nan, runs)
    delta, error, df = _welch(x, y)
    if error == 0:
        return Tested(1.0 if delta == 0 else 0.0, "welch", math.copysign(math.inf, delta) if delta else 0.0, runs)
    return Tested(2 * float(stdtr(df, -abs(delta / error))), "welch", delta / error, runs)


def _welch(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    u, v = (float(part.var(ddof=1)) / part.size if np.ptp(part) else 0.0 for part in (x, y))
    error = math.sqrt(u + v)
    df = (u + v) ** 2 / (u**2 / (x.size - 1) + v**2 / (y.size - 1)) if error > 0 else 1.0
    delta = float(x.mean() - y.mean()) if error > 0 else float(x[0] - y[0])  # the mean of equal values rounds
    return delta, error, df


def _skew_between(x: np.ndarray, y: np.ndarray) -> float:
    """The skewness of the difference of the means over what the t-interval bears: skewness of equal sign cancels."""
    parts = [(float(v.var(ddof=1)) / v.size, float(skewness(v)) / t_limit(v.size)) for v in (x, y)]
    total = sum(u for u, _ in parts)
    return (parts[0][0] ** 1.5 * parts[0][1] - parts[1][0] ** 1.5 * parts[1][1]) / total**1.5 if total > 0 else 0.0


def permutation_test(a: Values, b: Values, seed: int = 0) -> Tested:
    """Two-sided test of "both samples come from one population" by the difference of their means.

    All ways to deal the runs out are listed up to 200,000 (ten and ten); beyond, 20,000 random ones and the real one.

    Args:
        a, b: shapes (n,) and (m,), finite, at least one each.
        seed: of the random ways.

    R. A. Fisher, The Design of Experiments (1935); E. J. G. Pitman, Suppl. J. R. Statist. Soc. 4 (1937); B. Phipson,
    G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010) for the one that is added.

    Example:
        >>> permutation_test([5, 6, 7], [1, 2, 3]).p
        0.1
    """
    x, y = numbers("a", a, least=1, finite=True), numbers("b", b, least=1, finite=True)
    count("seed", seed)
    pooled = np.concatenate([x, y])
    n, total = int(x.size), int(pooled.size)
    centred = pooled - pooled.mean()
    slack = 1e-12 * float(np.abs(centred).sum())
    seen = abs(float(centred[:n].sum())) - slack
    delta = float(x.mean() - y.mean())
    if comb(total, n) <= EXACT_SPLITS:
        return Tested(float(np.mean(np.abs(_all_sums(centred, n)) >= seen)), "permutation", delta, total)
    generator = np.random.default_rng(seed)
    sums = generator.permuted(np.broadcast_to(centred, (RANDOM_SPLITS, total)), axis=1)[:, :n].sum(1)
    return Tested((1 + int(np.sum(np.abs(sums) >= seen))) / (1 + RANDOM_SPLITS), "permutation", delta, total)


def _all_sums(values: np.ndarray, n: int) -> np.ndarray:
    """Sums of all ways to take n of the values."""
    return values[_ways(values.size, n)].sum(1)


@functools.lru_cache(maxsize=2)
def _ways(total: int, n: int) -> np.ndarray:
    chosen = itertools.chain.from_iterable(itertools.combinations(range(total), n))
    return np.fromiter(chosen, dtype=np.intp).reshape(-1, n)
