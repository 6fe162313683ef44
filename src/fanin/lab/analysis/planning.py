"""How many seeds a wanted difference needs: said before a study is run, and from its spread after it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from fanin.lab.analysis.pairs import differences, scores_of
from fanin.lab.analysis.records import ContextAnalysis
from fanin.lab.statistics import detectable_difference, seeds_needed, simulated_power, smallest_p
from fanin.lab.statistics.paired import FEWEST_PAIRS
from fanin.lab.study import grid
from fanin.lab.study.records import Bindings, Study
from fanin.lab.study.rows import RunRow

ALPHA = 0.05
MOST = 1000  # seeds that anybody would run
WANTED = 0.8  # power of what is called shown "4 times in 5"
# How often differences of that size are shown in the populations of `benchmarks/lab_statistics.py --only "said before"`, at worst and best.
ELSEWHERE = "5 to 10 times in 10"
FAR = 0.15  # from it, where differences are drawn again from those that were measured: they are not normal then


def comparisons_of(study: Study, plans: int | None = None) -> int:
    """Comparisons that a context of the study makes: each method against the first, and the two best.

    Args:
        study: any.
        plans: methods with their variables filled in; by the study's texts alone unless said.
    """
    methods = len(study.plans) if plans is None else plans
    return max(1, methods - 1 + (methods > 2))


def most_methods(study: Study, bindings: Bindings | None = None) -> int:
    """The most methods that a context of the study's grid has."""
    by_context: dict[str, set[str]] = {}
    for config in grid.configs(replace(study, seeds=(0,), lrs=study.lrs[:1]), bindings):
        by_context.setdefault(str(config.context), set()).add(config.plan)
    return max(map(len, by_context.values()))


def enough_seeds(comparisons: int) -> int:
    """The least seeds of each method, paired, that can show a difference in so many comparisons at once, after Holm.

    Example:
        >>> enough_seeds(1), enough_seeds(3)
        (6, 7)
    """
    return next(n for n in range(2, 100) if smallest_p(n) * comparisons <= ALPHA)


def too_few_seeds(seeds: int, comparisons: int) -> str:
    """Why so many seeds can never show a difference, in one sentence; "" where they can.

    Args:
        seeds: of each method, paired.
        comparisons: made at once, corrected after Holm: the smallest p then counts so many times.

    Example:
        >>> print(too_few_seeds(6, 3))
        6 seeds cannot show any difference in 3 comparisons at once, whatever comes out: the smallest p of 6 pairs, 0.031,
        times 3 is above 0.05; it takes 7.
    """
    least = smallest_p(seeds)
    if least * comparisons <= ALPHA:
        return ""
    enough = enough_seeds(comparisons)
    what = "one comparison" if comparisons == 1 else f"{comparisons} comparisons at once"
    pairs = "pair" if seeds == 1 else "pairs"
    p = f"the smallest p of {seeds} {pairs}, {least:.2g}," + ("" if comparisons == 1 else f" times {comparisons}")
    return (
        f"{seeds} seed{'' if seeds == 1 else 's'} cannot show any difference in {what}, whatever comes out: "
        f"{p} is above {ALPHA:g}; it takes {enough}."
    )


def power_before(study: Study, plans: int | None = None) -> str:
    """What so many seeds can show, in one sentence, before anything is known of the spread.

    "4 times in 5" is for scores that are roughly normal; how far it is from true for others, `ELSEWHERE` says.

    Args:
        study: that will be run.
        plans: methods of a context.

    Example:
        >>> print(power_before(Study("s", plans=("default", "fanin"), seeds=tuple(range(10)))))
        10 seeds show a difference of 1 standard deviation of the paired differences 4 times in 5 where scores are roughly normal
        (5 to 10 times in 10 where they are skewed or have humps); half of that takes 35 seeds.
    """
    if plans == 1:
        return "There is one method, and nothing to compare it with."
    n, made = len(study.seeds), comparisons_of(study, plans)
    if short := too_few_seeds(n, made):
        alone = smallest_p(n) <= ALPHA and any(e.kind == "better" for e in study.expectations)
        return short + (" (Expectations are tested one by one, for which they can be enough.)" if alone else "")
    size = detectable_difference(1.0, n, comparisons=made)
    half = seeds_needed(size / 2, 1.0, comparisons=made, most=MOST).seeds
    many = "" if made == 1 else f" among {made} comparisons"
    unit = "standard deviation" + ("" if round(size, 1) == 1 else "s")
    takes = f"; half of that takes {half:,} seeds" if half else ""
    return (
        f"{n} seeds show a difference of {size:.2g} {unit} of the paired differences 4 times in 5{many} where scores are "
        f"roughly normal ({ELSEWHERE} where they are skewed or have humps){takes}."
    )


def power_after(contexts: Sequence[ContextAnalysis], rows: Sequence[RunRow]) -> str:
    """What the study could have shown with the spread that it had, and what half of that would take; "" where it cannot be said.

    With many contexts it speaks of the middle one, of those whose score is the first one's.

    Args:
        contexts: analysed.
        rows: the study's runs.
    """
    found = [(c, pair) for c in contexts for pair in c.pairs if 0 < pair.verdict.detectable < math.inf]
    if not found:
        return ""
    found = [(c, pair) for c, pair in found if c.score == found[0][0].score]  # differences in others have other units
    size = median(pair.verdict.detectable for _, pair in found)
    c, pair = min(found, key=lambda f: abs(f[1].verdict.detectable - size))
    deltas = _deltas(c, pair.plan, pair.other, rows)
    near = Shown(pair.verdict.detectable, len(pair.seeds), pair.verdict.comparisons, deltas, c.score)
    text = f"With the spread that it had, this study could have shown a difference of {size:.2g} in {near.score} 4 times in 5"
    spread = float(np.std(near.deltas, ddof=1)) if len(near.deltas) > 1 else 0.0
    half = seeds_needed(size / 2, spread, comparisons=near.comparisons, most=MOST).seeds if spread > 0 else None
    every = "all" if len({c.score for c in contexts if c.score}) == 1 else "its"
    where = f" (the median over {every} comparisons)" if len(found) > 1 else ""
    takes = f"; half of that would take {half:,} seeds" if half else ""
    return f"{text}{where}{takes}.{not_normal(near)}"


@dataclass(frozen=True)
class Shown:
    """What one comparison could have shown 4 times in 5.

    Attributes:
        size: the difference.
        seeds: pairs.
        comparisons: made at once.
        deltas: paired differences that were measured.
        score: the metric.
    """

    size: float
    seeds: int
    comparisons: int
    deltas: tuple[float, ...]
    score: str


def not_normal(near: Shown) -> str:
    """A warning where the differences that were measured say that the power of normal ones is not theirs."""
    if len(near.deltas) < FEWEST_PAIRS or len(set(near.deltas)) < 2:
        return ""
    own = simulated_power(near.deltas, near.size, near.seeds, comparisons=near.comparisons)
    if abs(own - WANTED) <= FAR:
        return ""
    return f" That is so of normal differences; drawn again from those that were measured it is {10 * own:.0f} times in 10."


def _deltas(c: ContextAnalysis, plan: str, other: str, rows: Sequence[RunRow]) -> tuple[float, ...]:
    """Paired differences of two methods, each at its own learning rate."""
    first, second = c.cell(plan), c.cell(other)
    if first is None or second is None:
        return ()
    keys = {*first.keys, *second.keys}
    scores = scores_of((row for row in rows if row.key in keys), c.score, c.larger_is_better)
    return tuple(differences(scores(plan, first.lr), scores(other, second.lr)).values())
