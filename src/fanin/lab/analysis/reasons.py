"""Why an expectation did not come out, as far as the runs can tell."""

import math
from dataclasses import dataclass

import numpy as np

from fanin.lab.analysis.facts import LEARNED, perfect
from fanin.lab.analysis.pairs import Compared
from fanin.lab.analysis.records import Cell
from fanin.lab.statistics import Interval, Verdict, seeds_needed
from fanin.lab.study.records import Expectation


@dataclass(frozen=True)
class Evidence:
    """What one cell of the grid has to say about an expectation.

    Attributes:
        expectation: as it was written.
        metric: that it speaks of.
        larger: whether a larger value is better.
        plan, than: the runs of both methods, scored by that metric.
        constant: what the best constant prediction scores, NaN where it is not known.
        between: both compared, None where there is nothing to compare with.
    """

    expectation: Expectation
    metric: str
    larger: bool
    plan: Cell
    than: Cell | None
    constant: float
    between: Compared | None = None

    @property
    def sign(self) -> int:
        """What turns "better" into "larger"."""
        return 1 if self.larger else -1

    @property
    def by(self) -> float:
        """The least difference, or the tolerance."""
        return self.expectation.by

    @property
    def value(self) -> float | None:
        """The bound."""
        return self.expectation.value

    def mean(self, cell: Cell) -> float:
        """Over all runs that have the metric, diverged ones with what the constant prediction scores."""
        known = [s for s in cell.scores if not math.isnan(s)]
        return math.fsum(known) / len(known) if known else math.nan

    def means(self) -> dict[str, float]:
        """Of both methods."""
        found = {"mean": self.mean(self.plan)}
        return found | ({"other mean": self.mean(self.than)} if self.than else {})


def not_better(e: Evidence, found: Verdict, gain: float) -> str:
    """Why a difference that was expected was not shown, or was smaller."""
    if found.finding == "better":
        return f"it is better, but by {gain:.3g}, not by {e.by:g}"
    if found.finding == "worse":
        return _join(f"it is worse, by {-gain:.3g} (p = {found.test.p:.2g})", *_general(e))
    parts = [f"no difference was shown (p = {found.p_adjusted:.2g})"]
    if found.test.p <= found.alpha:
        parts.append(
            f"at their own learning rates p is {found.test.p:.2g}, but with the winner's the other does as well"
        )
    elif e.between is not None and e.between.p > found.test.p:
        parts.append(f"at their own learning rates p is {found.test.p:.2g}; both at the winner's differ less")
    limits = _ends(e)
    if limits:
        return _join(*parts, *limits)
    if math.isfinite(found.detectable) and found.detectable > max(e.by, abs(gain)):
        could = f"with this spread {found.test.count} seeds show a difference of {found.detectable:.2g} 4 times in 5"
        parts.append(could)
    elif math.isfinite(found.detectable):
        parts.append(f"one of {found.detectable:.2g} would have been, 4 times in 5")
    return _join(*parts, *_general(e))


def not_same(e: Evidence, interval: Interval, outside: bool) -> str:
    """Why two methods were not shown to be the same."""
    span = f"{interval.low:.3g} to {interval.high:.3g}"
    if outside:
        return _join(f"they differ: the interval of the difference, {span}, lies beyond ± {e.by:g}", *_general(e))
    parts = [f"the interval of the difference, {span}, is not within ± {e.by:g}"]
    if abs(interval.mean) < e.by and interval.std > 0:
        needed = seeds_needed(e.by - abs(interval.mean), interval.std).seeds
        parts.append(f"about {needed:,} seeds would narrow it enough" if needed else "no number of seeds would do")
    elif interval.std > 0:
        parts.append("and the mean difference is itself beyond that")
    return _join(*parts, *_general(e))


def beyond(e: Evidence, missed: float, interval: Interval) -> str:
    """Why a mean is on the wrong side of its bound."""
    assert e.value is not None
    parts = [f"the mean misses {e.value:g} by {missed:.3g}"]
    if interval.low <= e.value <= interval.high:
        parts.append("which the spread of the seeds could have done: the bound lies within the mean's interval")
    return _join(*parts, *_general(e))


def does_not_train(e: Evidence) -> str:
    """Why runs failed that were expected to train."""
    parts = [f"{e.plan.diverged} of {e.plan.runs} runs diverged"] if e.plan.diverged else []
    mean = e.mean(e.plan)
    above = e.sign * (mean - e.constant)
    if above > 0:
        parts.append(f"its mean, {mean:.3g}, is {above:.3g} better than a constant prediction, not more than {e.by:g}")
    elif not math.isnan(above):
        parts.append(f"it scores {mean:.3g}, no better than a constant prediction ({e.constant:.3g})")
    return _join(*parts, *_general(e))


def does_not_diverge(e: Evidence, wanted: float) -> str:
    """Why runs did not diverge."""
    parts = [f"{e.plan.diverged} of {e.plan.runs} runs diverged, a share below {wanted:g}"]
    if e.expectation.lr is None and len(e.plan.lrs) > 1:
        worst = max(e.plan.lrs, key=lambda p: (p.diverged / p.runs if p.runs else 0.0, p.lr))
        if worst.diverged > e.plan.diverged:
            parts.append(f"at its best learning rate; at {worst.lr:g} it was {worst.diverged} of {worst.runs}")
    return ": ".join(parts)


def _ends(e: Evidence) -> list[str]:
    """Where both methods are at the end of what the metric can show, no difference can be seen."""
    assert e.than is not None
    way = e.sign * (perfect(e.metric) - e.constant)
    here, there = e.mean(e.plan), e.mean(e.than)
    if math.isfinite(way) and way > 0:
        if max(e.sign * (m - e.constant) for m in (here, there)) < LEARNED * way:
            return ["floor: neither is better than a constant prediction"]
        room = e.sign * (perfect(e.metric) - there)
        if room < max(e.by, _spread(e)):
            return [f"ceiling: {e.than.plan} leaves only {room:.2g} to gain"]
    return []


def _spread(e: Evidence) -> float:
    known = [s for s in e.plan.scores if math.isfinite(s)]
    return float(np.std(known, ddof=1)) if len(known) > 1 else 0.0


def _general(e: Evidence) -> list[str]:
    """What may have played a part whatever the kind."""
    found = []
    for cell in filter(None, (e.plan, e.than)):
        if cell.edge:
            found.append(f"the best learning rate of {cell.plan} is the {cell.edge} of the grid, {cell.lr:g}")
        if cell.failed or cell.missing:
            found.append(f"{cell.failed + cell.missing} runs of {cell.plan} have no result")
    return found


def _join(*parts: str) -> str:
    return "; ".join(parts)
