"""Tests of paired differences: the same seeds under two methods."""

import functools
import math

import numpy as np
from scipy.special import stdtr, stdtrit

from fanin.lab.statistics.arguments import Values, numbers, positive, share
from fanin.lab.statistics.records import Equivalence, Estimate, Tested

FEWEST_PAIRS = 6  # of fewer, even differences of one sign have p > .05: the test could say nothing
AT_ONCE = 4_000_000  # sums held at once
EXACT_PAIRS = 16  # 2**16 sign patterns are listed one by one; above that, the signed-rank test
EXACT_RANKS = 50  # that are not zero: so many are added up one by one; above that, its normal approximation


def paired_test(differences: Values) -> Tested:
    """Two-sided test of "the differences are symmetric about zero".

    Up to 16 pairs: the exact sign-flip permutation test of the mean (of the signed ranks, where a difference is
    infinite). Beyond: Wilcoxon's signed-rank test, Pratt's way with zeros; exact where at most 50 differences are not zero,
    equal ones too, of which its normal approximation claims too much. p is NaN with fewer than six pairs, since the smallest
    p of n pairs is 2 / 2**n, and where a difference is NaN.

    Args:
        differences: shape (n,), one a pair.

    R. A. Fisher, The Design of Experiments (1935), section 21; F. Wilcoxon, Biometrics Bulletin 1 (1945); J. W. Pratt,
    JASA 54 (1959).

    Example:
        >>> paired_test([1, 2, 3, 4, 5, 6]).p
        0.03125
    """
    d = numbers("differences", differences)
    n = int(d.size)
    if n < FEWEST_PAIRS or np.isnan(d).any():
        return Tested(math.nan, "sign-flip", math.nan, n)
    if n <= EXACT_PAIRS and np.isfinite(d).all():
        return Tested(_sign_flip(d), "sign-flip", float(d.mean()), n)
    ranks = signed_ranks(d)
    test, statistic = "signed-rank" if n <= EXACT_PAIRS else "wilcoxon", float(ranks.mean())
    if np.count_nonzero(d) <= EXACT_RANKS:
        return Tested(_rank_flip(ranks), test, statistic, n)
    from scipy.stats import wilcoxon

    p = wilcoxon(d if np.isfinite(d).all() else ranks, zero_method="pratt").pvalue  # type: ignore[union-attr]
    return Tested(float(p), test, statistic, n)


def paired_ps(differences: np.ndarray) -> np.ndarray:
    """p of `paired_test` of each row of finite differences: shape (samples, n) → (samples,); for simulations.

    Example:
        >>> paired_ps(np.array([[1, 2, 3, 4, 5, 6], [1, -2, 3, -4, 5, -6.0]])).tolist()
        [0.03125, 0.84375]
    """
    samples, n = differences.shape
    if n < FEWEST_PAIRS:
        return np.full(samples, np.nan)
    if n > EXACT_PAIRS:
        from scipy.stats import wilcoxon

        sizes = np.sort(np.abs(differences), axis=1)
        uneven = (np.diff(sizes) == 0).any(1) | (sizes[:, 0] == 0)  # SciPy chooses one way for all rows
        exact = uneven & (np.count_nonzero(differences, axis=1) <= EXACT_RANKS)
        ps = np.array([_rank_flip(signed_ranks(d)) if one else 1.0 for d, one in zip(differences, exact, strict=True)])
        for rows in (uneven & ~exact, ~uneven):
            if rows.any():
                ps[rows] = wilcoxon(differences[rows], zero_method="pratt", axis=1).pvalue  # type: ignore[union-attr]
        return ps
    signs = 1.0 - 2.0 * ((np.arange(2 ** (n - 1))[:, None] >> np.arange(n)) & 1)  # the other half mirrors them
    found = []
    for part in np.array_split(differences, 1 + samples * len(signs) // AT_ONCE):
        slack = 1e-12 * np.abs(part).sum(1, keepdims=True)
        found.append(np.mean(np.abs(part @ signs.T) >= np.abs(part.sum(1, keepdims=True)) - slack, axis=1))
    return np.concatenate(found)


def signed_ranks(d: np.ndarray) -> np.ndarray:
    """The sign of each difference times the rank of its size (the mean rank of equal ones), which infinite ones have too.

    Example:
        >>> signed_ranks(np.array([0.1, -0.2, -np.inf, 0.2])).tolist()
        [1.0, -2.5, -4.0, 2.5]
    """
    size = np.abs(d)
    ordered = np.sort(size)
    return np.sign(d) * (np.searchsorted(ordered, size, "left") + np.searchsorted(ordered, size, "right") + 1) / 2


def _sign_flip(d: np.ndarray) -> float:
    sums = np.zeros(1)
    for value in d:
        sums = np.concatenate([sums + value, sums - value])
    slack = 1e-12 * np.abs(d).sum()  # sums that are equal on paper differ in their last bits
    return float(np.mean(np.abs(sums) >= abs(d.sum()) - slack))


def _rank_flip(ranks: np.ndarray) -> float:
    """The sign-flip test of signed ranks, which are halves of whole numbers: the ways to each sum are counted, rank by rank."""
    sizes = np.rint(2 * np.abs(ranks[ranks != 0])).astype(int)
    total = int(sizes.sum())
    ways = np.zeros(total + 1)  # the share of sign patterns whose positive ranks add up to each number
    ways[0] = 1.0
    for size in sizes:
        more = ways / 2
        ways = more.copy()
        ways[size:] += more[:-size]
    away = np.abs(2 * np.arange(total + 1) - total)  # of positive less negative ranks from 0
    return min(1.0, float(ways[away >= abs(2 * ranks.sum()) - 0.5].sum()))


def paired_t(differences: Values) -> Tested:
    """Student's two-sided test of "the mean difference is zero"; right for normal differences of any number from two.

    Args:
        differences: shape (n,), one a pair, finite.

    Student, Biometrika 6 (1908).

    Example:
        >>> t = paired_t([1.0, 2.0, 3.0]); (round(t.statistic, 3), round(t.p, 4))
        (3.464, 0.0742)
    """
    d = numbers("differences", differences, finite=True)
    n = int(d.size)
    if n < 2:
        return Tested(math.nan, "paired t", math.nan, n)
    mean, error = float(d.mean()), float(d.std(ddof=1)) / math.sqrt(n)
    if np.ptp(d) == 0:  # whose deviation is not quite 0 in floating point
        return Tested(1.0 if mean == 0 else 0.0, "paired t", math.copysign(math.inf, mean) if mean else 0.0, n)
    return Tested(2 * float(stdtr(n - 1, -abs(mean / error))), "paired t", mean / error, n)


def hodges_lehmann(differences: Values, level: float = 0.95) -> Estimate:
    """The median of all pairwise averages (Walsh averages): a centre that odd seeds do not move, with its interval.

    The interval holds every shift that the signed-rank test does not refuse; it covers the centre of any symmetric
    population. `level` of the result is what it really covers, at least what was asked for; of fewer than six pairs none
    reaches 95 %, and the result is the whole range with the level that it has.

    Args:
        differences: shape (n,), one a pair, finite; at least one.
        level: coverage wanted.

    J. L. Hodges, E. L. Lehmann, Ann. Math. Statist. 34 (1963); J. W. Tukey, memorandum report 17, Princeton (1949).

    Example:
        >>> h = hodges_lehmann([1, 2, 3, 4, 5, 90]); (h.value, h.low, h.high, h.level)
        (3.5, 1.0, 90.0, 0.96875)
    """
    share("level", level)
    d = numbers("differences", differences, least=1, finite=True)
    n = int(d.size)
    i, j = np.triu_indices(n)
    averages = np.sort((d[i] + d[j]) / 2)
    cut, achieved = _signed_rank_cut(n, level)
    why = "" if cut else f"{n} pairs cannot reach a level of {level:g}, but {achieved:.3g}"
    inside = max(cut, 1)
    low, high = float(averages[inside - 1]), float(averages[averages.size - inside])
    return Estimate(float(np.median(averages)), low, high, achieved, n, "Hodges-Lehmann", not why, why)


@functools.lru_cache(maxsize=256)
def _signed_rank_cut(n: int, level: float) -> tuple[int, float]:
    """How many Walsh averages fall off each end, and the level that then remains."""
    ways = np.ones(1)
    for rank in range(1, n + 1):  # number of subsets of 1..rank with each sum, as shares
        padded = np.concatenate([ways, np.zeros(rank)])
        padded[rank:] += ways
        ways = padded / 2
    below = np.cumsum(ways)  # P(W <= w)
    cut = int(np.sum(below <= (1 - level) / 2))
    return cut, 1 - 2 * float(below[max(cut, 1) - 1])


def equivalence(differences: Values, margin: float, alpha: float = 0.05) -> Equivalence:
    """Two one-sided t-tests of "the mean difference is at least `margin` away from zero".

    Where both are refused, the methods are the same up to `margin`. A difference that was merely not shown says no such
    thing: with few seeds it is not shown either way.

    Args:
        differences: shape (n,), one a pair, finite; at least two.
        margin: largest difference that would not matter, in the metric's units, > 0.
        alpha: of each one-sided test.

    D. J. Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15 (1987).

    Example:
        >>> e = equivalence([0.001, -0.002, 0.001, 0.0, 0.002, -0.001], margin=0.01); (e.equivalent, e.p < 0.001)
        (True, True)
    """
    d = numbers("differences", differences, least=2, finite=True)
    margin, alpha = positive("margin", margin), share("alpha", alpha)
    n = int(d.size)
    mean, error = float(d.mean()), float(d.std(ddof=1)) / math.sqrt(n)
    half = float(stdtrit(n - 1, 1 - alpha)) * error
    if error > 0:
        p = float(stdtr(n - 1, (abs(mean) - margin) / error))
    else:
        p = 0.0 if abs(mean) < margin else 1.0
    return Equivalence(p <= alpha, p, mean - half, mean + half, margin, alpha, n)
