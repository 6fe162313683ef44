"""The learning rate of each method: its own best, by the held-out part."""

import math
from collections.abc import Sequence

import numpy as np

from fanin.lab.analysis.records import ChosenBy, LrPoint, LrWidth
from fanin.lab.statistics import Estimate, mean_interval, wilson
from fanin.lab.study.rows import RunRow

NEARLY = 0.05  # of the way from the constant prediction to the best: what "nearly as good" may miss
EQUAL = 1e-12


def lr_points(rows: Sequence[RunRow], score: str) -> tuple[LrPoint, ...]:
    """One point a learning rate, rising.

    Args:
        rows: of one method in one context.
        score: the metric.
    """
    by_lr: dict[float, list[RunRow]] = {}
    for row in rows:
        by_lr.setdefault(row.config.lr, [])
        if row.state == "done":
            by_lr[row.config.lr].append(row)
    most = max((len(found) for found in by_lr.values()), default=0)
    return tuple(
        _point(lr, found, score, bool(found) and 2 * len(found) >= most) for lr, found in sorted(by_lr.items())
    )


def _point(lr: float, rows: Sequence[RunRow], score: str, eligible: bool) -> LrPoint:
    whole = [row for row in rows if not row.diverged]
    diverged, every = len(rows) - len(whole), [row.held[score] for row in rows if score in row.held]
    return LrPoint(
        lr=lr,
        held=_given_convergence([row.held[score] for row in whole if score in row.held]),
        overall=math.fsum(every) / len(every) if every else math.nan,
        test=_given_convergence([row.metrics[score] for row in whole if score in row.metrics]),
        runs=len(rows),
        diverged=diverged,
        diverged_share=wilson(diverged, len(rows)),
        eligible=eligible,
    )


def _given_convergence(values: Sequence[float]) -> Estimate:
    if values:
        return mean_interval(values)
    return Estimate(math.nan, math.nan, math.nan, 0.95, 0, "none", False, "no run converged")


def choose(
    points: Sequence[LrPoint], rows: Sequence[RunRow], held_out: bool, larger_is_better: bool
) -> tuple[float, ChosenBy]:
    """The learning rate with the best mean held-out score, and what it was chosen by.

    Of learning rates that score the same, the one with fewer diverged runs, then the larger one, which gets there sooner.
    Where nothing is held out, nothing may be chosen by the test part: the mean training loss at the end decides (a
    diverged run's is infinite).

    Args:
        points: every learning rate of one method in one context.
        rows: its runs.
        held_out: whether the study holds a part out.
        larger_is_better: of the score.
    """
    able = [p for p in points if p.eligible]
    if len(points) < 2 or not able:
        return (points[0].lr if points else math.nan), "the only one"
    if held_out:
        values = {p.lr: p.overall if larger_is_better else -p.overall for p in able}
    else:
        values = {p.lr: -_training_loss([r for r in rows if r.config.lr == p.lr and r.state == "done"]) for p in able}
    values = {lr: -math.inf if math.isnan(v) else v for lr, v in values.items()}
    best = max(values.values())
    tied = [p for p in able if values[p.lr] == best or values[p.lr] >= best - EQUAL * max(1.0, abs(best))]
    chosen = min(tied, key=lambda p: (p.diverged / p.runs, -p.lr))
    return chosen.lr, "held-out score" if held_out else "training loss"


def _training_loss(rows: Sequence[RunRow]) -> float:
    losses = [math.inf if row.diverged else row.summary.get("last_loss", math.inf) for row in rows]
    return float(np.mean(losses)) if losses else math.inf


def edge_of(points: Sequence[LrPoint], lr: float, larger_is_better: bool, floor: float = math.nan) -> str:
    """ "smallest" or "largest" where the best learning rate is an end of the axis, and no other one scores as well.

    Args:
        points: every learning rate of one method in one context.
        lr: the chosen one.
        larger_is_better: of the score.
        floor: score that is no better than nothing learned: a method that stays below it has no best learning rate.
    """
    able = [p for p in points if p.runs]
    if len(able) < 2 or lr not in (able[0].lr, able[-1].lr):
        return ""
    sign = 1 if larger_is_better else -1
    best = next(sign * p.overall for p in able if p.lr == lr)
    others = [sign * p.overall for p in able if p.lr != lr and not math.isnan(p.overall)]
    if not others or not best > max(others) + EQUAL or best <= sign * floor:
        return ""
    return "smallest" if lr == able[0].lr else "largest"


def width_of(
    points: Sequence[LrPoint], lr: float, constant: float, larger_is_better: bool, floor: float = math.nan
) -> LrWidth | None:
    """The learning rates next to the best one that lose at most 5 % of what the best gains over the constant prediction.

    Args:
        points: every learning rate of one method in one context.
        lr: the chosen one.
        constant: what the best constant prediction scores on the test part; on the held-out part it scores about that.
        larger_is_better: of the score.
        floor: score that is no better than nothing learned: a method that stays below it has no range.
    """
    sign = 1 if larger_is_better else -1
    able = [p for p in points if p.runs and math.isfinite(p.overall)]
    places = [i for i, p in enumerate(able) if p.lr == lr]
    if not places or not math.isfinite(constant):
        return None
    at = places[0]
    gained = sign * (able[at].overall - constant)
    if gained <= 0 or sign * able[at].overall <= sign * floor:
        return None
    tolerance = NEARLY * gained
    good = [sign * p.overall >= sign * able[at].overall - tolerance for p in able]
    first = last = at
    while first > 0 and good[first - 1]:
        first -= 1
    while last < len(able) - 1 and good[last + 1]:
        last += 1
    low, high = able[first].lr, able[last].lr
    return LrWidth(low, high, math.log10(high / low), tolerance, first == 0 or last == len(able) - 1)
