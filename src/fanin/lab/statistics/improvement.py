"""The chance that a run of one method beats a run of another."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.special import stdtrit

from fanin.errors import FaninValueError
from fanin.lab.statistics.arguments import Scores, columns, one_of, share
from fanin.lab.statistics.bootstrap import METHODS, RESAMPLES, stratified_bootstrap
from fanin.lab.statistics.records import Estimate


def probability_of_improvement(
    a: Scores, b: Scores, level: float = 0.95, method: str = "score", resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """The chance that a run of `a` beats one of `b` in a cell chosen at random; ties count as half.

    The interval holds every chance that a score test does not refuse; it stays an interval where one method wins always.
    Its variance is Hanley and McNeil's at the chance in question, made larger where the runs themselves spread more
    (DeLong's variance at the estimate), and its quantile is Student's.

    Args:
        a, b: matrices (runs × cells), or dictionaries cell → scores, with the same cells; larger scores are better.
        level: coverage of the interval.
        method: "score", or one of `stratified_bootstrap` ("percentile" is the paper's).
        resamples, seed: of the bootstrap.

    R. Agarwal et al., NeurIPS 2021, section 4.3; R. G. Newcombe, Statistics in Medicine 25 (2006), part 2, method 5;
    J. A. Hanley, B. J. McNeil, Radiology 143 (1982); E. R. DeLong et al., Biometrics 44 (1988).

    Example:
        >>> e = probability_of_improvement([[2.0], [3.0], [4.0]], [[1.0], [2.0], [1.5]])
        >>> round(e.value, 3), round(e.low, 2), round(e.high, 2)
        (0.944, 0.3, 1.0)
    """
    share("level", level)
    one_of("method", method, ("score", *METHODS))
    if isinstance(a, Mapping) and isinstance(b, Mapping) and a.keys() == b.keys():
        b = {cell: b[cell] for cell in a}
    elif isinstance(a, Mapping) or isinstance(b, Mapping):
        raise FaninValueError("a and b must have the same cells")
    x, y = columns("a", a), columns("b", b)
    if len(x) != len(y):
        raise FaninValueError(f"a has {len(x)} cells and b {len(y)}, but they must have the same")
    if method != "score":
        return stratified_bootstrap(
            dict(enumerate([*x, *y])), improvement_of, level=level, method=method, resamples=resamples, seed=seed
        )
    wins = [_wins(u, v) for u, v in zip(x, y, strict=True)]
    runs = sum(w.shape[0] + w.shape[1] for w in wins)
    value = float(np.mean([w.mean() for w in wins]))
    df = sum(w.shape[0] + w.shape[1] - 2 for w in wins)
    if df < 1:
        return Estimate(value, math.nan, math.nan, level, runs, "score", False, "one run of each has no spread")
    low, high = _score_ends(value, _variance(value, wins), float(stdtrit(df, 0.5 + level / 2)))
    return Estimate(value, low, high, level, runs, "score")


def improvement_of(pooled: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """The chance as a statistic of `stratified_bootstrap`: the cells are first all of the one method, then of the other."""
    ends = np.cumsum(sizes)
    cells = len(sizes) // 2
    parts = [pooled[..., end - n : end] for end, n in zip(ends, sizes, strict=True)]
    chances = [_wins(x, y).mean((-1, -2)) for x, y in zip(parts[:cells], parts[cells:], strict=True)]
    return np.asarray(sum(chances)) / cells


def _wins(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(..., n), (..., m) → (..., n, m): 1 where x beats y, ½ where they are equal."""
    return 0.5 + 0.5 * np.sign(x[..., :, None] - y[..., None, :])


def _variance(value: float, wins: Sequence[np.ndarray]) -> Callable[[float], float]:
    """The variance of the estimate as a function of the true chance, all cells having the same."""
    sizes = Counter(w.shape for w in wins)
    seen = sum(
        float(w.mean(1).var(ddof=1) / w.shape[0] + w.mean(0).var(ddof=1) / w.shape[1]) for w in wins if min(w.shape) > 1
    )

    def assumed(chance: float) -> float:
        return sum(cells * _hanley(chance, n, m) for (n, m), cells in sizes.items())

    there = assumed(value)
    excess = max(1.0, seen / there) if there > 0 else 1.0
    return lambda chance: assumed(chance) * excess / len(wins) ** 2


def _hanley(chance: float, n: int, m: int) -> float:
    pairs = (n + m) / 2 - 1
    return chance * (1 - chance) * (1 + pairs * ((1 - chance) / (2 - chance) + chance / (1 + chance))) / (n * m)


def _score_ends(value: float, variance: Callable[[float], float], quantile: float) -> tuple[float, float]:
    """The chances below and above `value` at which it is `quantile` standard deviations away."""
    ends = []
    for outside in (0.0, 1.0):
        inside = value
        for _ in range(40):
            middle = (inside + outside) / 2
            if abs(middle - value) <= quantile * math.sqrt(variance(middle)):
                inside = middle
            else:
                outside = middle
        ends.append(inside)
    return ends[0], ends[1]
