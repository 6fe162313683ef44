"""How many seeds a wanted difference needs: said before a study is run, and from its spread after it."""

import math
from collections.abc import Sequence
from statistics import median

import numpy as np

from fanin.lab.analysis.pairs import scores_of
from fanin.lab.analysis.records import ContextAnalysis
from fanin.lab.statistics import detectable_difference, seeds_needed, smallest_p
from fanin.lab.study.records import Study
from fanin.lab.study.rows import RunRow

ALPHA = 0.05
MOST = 1000  # seeds that anybody would run


def comparisons_of(study: Study, plans: int | None = None) -> int:
    """Comparisons that a context of the study makes: each method against the first, and the two best.

    Args:
        study: any.
        plans: methods with their variables filled in; by the study's texts alone unless said.
    """
    methods = len(study.plans) if plans is None else plans
    return max(1, methods - 1 + (methods > 2))


def power_before(study: Study, plans: int | None = None) -> str:
    """What so many seeds can show, in one sentence, before anything is known of the spread.

    Args:
        study: that will be run.
        plans: methods with their variables filled in.

    Example:
        >>> print(power_before(Study("s", plans=("default", "fanin"), seeds=tuple(range(10)))))
        10 seeds show a difference of 1 standard deviation of the paired differences 4 times in 5; half of that takes 35 seeds.
    """
    n, made = len(study.seeds), comparisons_of(study, plans)
    if smallest_p(n) * made > ALPHA:
        enough = next(k for k in range(2, 100) if smallest_p(k) * made <= ALPHA)
        what = "one comparison" if made == 1 else f"{made} comparisons at once"
        return f"{n} seeds cannot show any difference in {what}; it takes {enough}."
    size = detectable_difference(1.0, n, comparisons=made)
    half = seeds_needed(size / 2, 1.0, comparisons=made, most=MOST).seeds
    many = "" if made == 1 else f" among {made} comparisons"
    unit = "standard deviation" + ("" if round(size, 1) == 1 else "s")
    takes = f"; half of that takes {half:,} seeds" if half else ""
    return f"{n} seeds show a difference of {size:.2g} {unit} of the paired differences 4 times in 5{many}{takes}."


def power_after(contexts: Sequence[ContextAnalysis], rows: Sequence[RunRow]) -> str:
    """What the study could have shown with the spread that it had, and what half of that would take; "" where it cannot be said.

    With many contexts it speaks of the middle one.

    Args:
        contexts: analysed.
        rows: the study's runs.
    """
    found: list[tuple[float, int, int, float, str]] = []
    for c in contexts:
        for pair in c.pairs:
            size = pair.verdict.detectable
            if 0 < size < math.inf:
                found.append(
                    (size, len(pair.seeds), pair.verdict.comparisons, _spread(c, pair.plan, pair.other, rows), c.score)
                )
    if not found:
        return ""
    size = median(sorted(f[0] for f in found))
    near = min(found, key=lambda f: abs(f[0] - size))
    text = (
        f"With the spread that it had, this study could have shown a difference of {size:.2g} in {near[4]} 4 times in 5"
    )
    half = seeds_needed(size / 2, near[3], comparisons=near[2], most=MOST).seeds if near[3] > 0 else None
    where = " (the median over all comparisons)" if len(found) > 1 else ""
    return f"{text}{where}" + (f"; half of that would take {half:,} seeds" if half else "") + "."


def _spread(c: ContextAnalysis, plan: str, other: str, rows: Sequence[RunRow]) -> float:
    first, second = c.cell(plan), c.cell(other)
    if first is None or second is None:
        return 0.0
    keys = {*first.keys, *second.keys}
    scores = scores_of((row for row in rows if row.key in keys), c.score)
    a, b = scores(plan, first.lr), scores(other, second.lr)
    deltas = [a[seed] - b[seed] for seed in set(a) & set(b)]
    return float(np.std(deltas, ddof=1)) if len(deltas) > 1 else 0.0
