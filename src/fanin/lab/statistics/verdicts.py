"""From differences to a verdict in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import comb

from fanin.errors import FaninValueError
from fanin.lab.statistics.arguments import Values, numbers, share
from fanin.lab.statistics.corrections import holm
from fanin.lab.statistics.means import mean_interval
from fanin.lab.statistics.paired import equivalence, hodges_lehmann, paired_test
from fanin.lab.statistics.power import detectable_difference, smallest_p
from fanin.lab.statistics.records import Finding, Tested, Verdict
from fanin.lab.statistics.samples import permutation_test, welch_interval


@dataclass(frozen=True)
class Question:
    """What verdicts of paired differences share; the fields are the arguments of `verdict`."""

    larger_is_better: bool = True
    margin: float | None = None
    alpha: float = 0.05
    level: float = 0.95


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
    found = [differences_of(f"comparisons[{i}]", d) for i, d in enumerate(comparisons)]
    tests = [paired_test(d) for d in found]
    return judged(found, tests, [t.p for t in tests], Question(larger_is_better, margin, alpha, level))


def differences_of(name: str, values: Values) -> np.ndarray:
    """Paired differences, checked."""
    d = numbers(name, values, least=1)
    if np.isnan(d).any():
        raise FaninValueError(f"{name} has a difference that is NaN, but each must be a number")
    return d


def judged(
    differences: Sequence[np.ndarray], tests: Sequence[Tested], ps: Sequence[float], question: Question
) -> tuple[Verdict, ...]:
    """Verdicts from differences and their tests; `ps` are what the findings rest on, before Holm's correction."""
    found = findings(differences, tests, ps, question)
    return tuple(
        _paired(d, test, p, word, len(differences), question)
        for d, test, p, word in zip(differences, tests, holm(ps), found, strict=True)
    )


def findings(
    differences: Sequence[np.ndarray], tests: Sequence[Tested], ps: Sequence[float], question: Question
) -> list[Finding]:
    """The findings of such verdicts."""
    least = holm([math.nan if math.isnan(p) else smallest_p(d.size) for p, d in zip(ps, differences, strict=True)])
    return [_finding(t.statistic, p, q, question) for t, p, q in zip(tests, holm(ps), least, strict=True)]


def _finding(statistic: float, p: float, least: float, question: Question) -> Finding:
    """`least` is the smallest p that the test could have given."""
    if math.isnan(p) or least > question.alpha:
        return "too few seeds to say"
    if p > question.alpha:
        return "no difference shown"
    return "better" if (statistic > 0) == question.larger_is_better else "worse"


def _paired(d: np.ndarray, test: Tested, p: float, found: Finding, comparisons: int, question: Question) -> Verdict:
    whole = d.size > 1 and bool(np.isfinite(d).all())
    alpha, margin = question.alpha, question.margin
    wins, losses = _sides(d, question)
    detectable = math.nan
    if whole:
        detectable = detectable_difference(float(d.std(ddof=1)), d.size, alpha=alpha, comparisons=comparisons)
    return Verdict(
        finding=found,
        difference=mean_interval(d, question.level),
        typical=hodges_lehmann(d).value if whole else float(np.median(d)),
        wins=wins,
        ties=int(d.size) - wins - losses,
        losses=losses,
        test=test,
        p_adjusted=p,
        comparisons=comparisons,
        alpha=alpha,
        detectable=detectable,
        equivalence=equivalence(d, margin, alpha) if margin is not None and whole else None,
    )


def _sides(d: np.ndarray, question: Question) -> tuple[int, int]:
    more, fewer = int(np.sum(d > 0)), int(np.sum(d < 0))
    return (more, fewer) if question.larger_is_better else (fewer, more)


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
    question = Question(larger_is_better, None, share("alpha", alpha), level)
    x, y = numbers("a", a, least=2, finite=True), numbers("b", b, least=2, finite=True)
    test = permutation_test(x, y)
    least = (2.0 if x.size == y.size else 1.0) / float(comb(x.size + y.size, x.size))
    between = np.subtract.outer(x, y)
    wins, losses = _sides(between, question)
    seeds = 2 / (1 / x.size + 1 / y.size)  # of each, in two equal samples of this precision
    spread = math.sqrt((x.var(ddof=1) / x.size + y.var(ddof=1) / y.size) * seeds / 2)
    return Verdict(
        finding=_finding(test.statistic, test.p, least, question),
        difference=welch_interval(x, y, level),
        typical=float(np.median(between)),
        wins=wins,
        ties=int(between.size) - wins - losses,
        losses=losses,
        test=test,
        p_adjusted=test.p,
        comparisons=1,
        alpha=alpha,
        detectable=detectable_difference(spread, int(seeds), alpha=alpha, paired=False),
        paired=False,
    )
