"""From differences to a verdict in words."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import comb

from fanin.errors import FaninValueError
from fanin.lab.statistics.arguments import Values, numbers, share
from fanin.lab.statistics.corrections import holm
from fanin.lab.statistics.means import mean_interval
from fanin.lab.statistics.paired import equivalence, hodges_lehmann, paired_test
from fanin.lab.statistics.power import detectable_difference, smallest_p
from fanin.lab.statistics.records import Finding, Verdict
from fanin.lab.statistics.samples import permutation_test, welch_interval


def verdict(
    differences: Values,
    *,
    larger_is_better: bool = True,
    margin: float | None = None,
    alpha: float = 0.05,
    level: float = 0.95,
) -> Verdict:
    """What the paired differences of one method from another say; `verdicts` takes several comparisons at once.

    Args:
        differences: shape (n,), method less baseline in one metric, one a seed. Infinite ones (a loss that could not be
            scored) count by their ranks; NaN is refused.
        larger_is_better: whether larger values of the metric are.
        margin: largest difference that would not matter; with it the verdict also says whether the two are equivalent.
        alpha: p up to which a difference counts as shown.
        level: of the interval of the difference.

    Example:
        >>> v = verdict([0.04, 0.05, 0.03, 0.04, 0.06, 0.05]); (v.finding, v.test.p, v.wins)
        ('better', 0.03125, 6)
        >>> verdict([0.04, 0.05, 0.03, 0.04, 0.06]).finding
        'too few seeds to say'
    """
    return verdicts([differences], larger_is_better=larger_is_better, margin=margin, alpha=alpha, level=level)[0]


def verdicts(
    comparisons: Sequence[Values],
    *,
    larger_is_better: bool = True,
    margin: float | None = None,
    alpha: float = 0.05,
    level: float = 0.95,
) -> tuple[Verdict, ...]:
    """One verdict for each of several paired comparisons, corrected together after Holm.

    "Too few seeds to say" is the finding where no outcome could have shown a difference. That depends on the number of
    comparisons too: six seeds can show one, two at once need seven.

    Args:
        comparisons: for each its differences, shape (n,).
        larger_is_better, margin, alpha, level: as in `verdict`.

    Example:
        >>> [v.finding for v in verdicts([[1, 2, 3, 4, 5, 6], [1, -1, 2, -2, 3, -2]])]
        ['too few seeds to say', 'too few seeds to say']
    """
    share("alpha", alpha)
    found = [numbers(f"comparisons[{i}]", d, least=1) for i, d in enumerate(comparisons)]
    for i, d in enumerate(found):
        if np.isnan(d).any():
            raise FaninValueError(f"comparisons[{i}] has a difference that is NaN, but each must be a number")
    tests = [paired_test(d) for d in found]
    adjusted = holm([t.p for t in tests])
    reachable = holm([math.nan if math.isnan(t.p) else smallest_p(d.size) for t, d in zip(tests, found, strict=True)])
    results = []
    for d, test, p, least in zip(found, tests, adjusted, reachable, strict=True):
        whole = d.size > 1 and bool(np.isfinite(d).all())
        std = float(d.std(ddof=1)) if whole else math.nan
        more, fewer = int(np.sum(d > 0)), int(np.sum(d < 0))
        results.append(
            Verdict(
                finding=_finding(test.statistic, p, least, alpha, larger_is_better),
                difference=mean_interval(d, level),
                typical=hodges_lehmann(d).value if whole else math.nan,
                wins=more if larger_is_better else fewer,
                ties=int(d.size) - more - fewer,
                losses=fewer if larger_is_better else more,
                test=test,
                p_adjusted=p,
                comparisons=len(found),
                alpha=alpha,
                detectable=detectable_difference(std, d.size, alpha=alpha, comparisons=len(found))
                if whole
                else math.nan,
                equivalence=equivalence(d, margin, alpha) if margin is not None and whole else None,
            )
        )
    return tuple(results)


def unpaired_verdict(
    a: Values, b: Values, *, larger_is_better: bool = True, alpha: float = 0.05, level: float = 0.95
) -> Verdict:
    """What the runs of a method and of a baseline say that share no seeds: permutation test, Welch's interval.

    Args:
        a, b: shapes (n,) and (m,): the method's runs and the baseline's, finite, at least two each.
        larger_is_better, alpha, level: as in `verdict`.

    Example:
        >>> unpaired_verdict([0.95, 0.96, 0.94, 0.95], [0.90, 0.91, 0.92, 0.90]).finding
        'better'
    """
    share("alpha", alpha)
    x, y = numbers("a", a, least=2, finite=True), numbers("b", b, least=2, finite=True)
    test = permutation_test(x, y)
    least = (2.0 if x.size == y.size else 1.0) / float(comb(x.size + y.size, x.size))
    between = np.subtract.outer(x, y)
    more, fewer = int(np.sum(between > 0)), int(np.sum(between < 0))
    seeds = 2 / (1 / x.size + 1 / y.size)  # of each, in two equal samples of this precision
    spread = math.sqrt((x.var(ddof=1) / x.size + y.var(ddof=1) / y.size) * seeds / 2)
    return Verdict(
        finding=_finding(float(x.mean() - y.mean()), test.p, least, alpha, larger_is_better),
        difference=welch_interval(x, y, level),
        typical=float(np.median(between)),
        wins=more if larger_is_better else fewer,
        ties=int(between.size) - more - fewer,
        losses=fewer if larger_is_better else more,
        test=test,
        p_adjusted=test.p,
        comparisons=1,
        alpha=alpha,
        detectable=detectable_difference(spread, int(seeds), alpha=alpha, paired=False),
        paired=False,
    )


def _finding(centre: float, p: float, least: float, alpha: float, larger_is_better: bool) -> Finding:
    if math.isnan(p) or least > alpha:
        return "too few seeds to say"
    if p > alpha:
        return "no difference shown"
    return "better" if (centre > 0) == larger_is_better else "worse"
