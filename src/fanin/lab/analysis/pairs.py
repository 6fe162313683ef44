"""One method against another, seed by seed, each at its own best learning rate."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fanin.lab.analysis.cells import steps_to_target
from fanin.lab.analysis.records import Cell, Pair
from fanin.lab.statistics import Tested, log_rank, paired_test
from fanin.lab.statistics.verdicts import Question, findings, judged
from fanin.lab.study.rows import RunRow

Scores = Callable[[str, float], dict[int, float]]  # plan, learning rate → seed → score


@dataclass(frozen=True)
class Compared:
    """What a verdict on two methods rests on.

    Attributes:
        differences: by seed, the first's score less the second's.
        test: of these.
        p: the larger of the test's and of the same test where the loser takes the winner's learning rate.
    """

    differences: dict[int, float]
    test: Tested
    p: float


def scores_of(rows: Iterable[RunRow], metric: str, larger_is_better: bool) -> Scores:
    """What each method's finished runs score at each learning rate.

    A run that diverged and has no number (of a metric of the user's own) counts as infinitely bad.
    """
    worst = -math.inf if larger_is_better else math.inf
    found: dict[tuple[str, float], dict[int, float]] = {}
    for row in rows:
        if row.state == "done" and metric in row.metrics:
            value = row.metrics[metric]
            lost = row.diverged and math.isnan(value)
            found.setdefault((row.config.plan, row.config.lr), {})[row.config.seed] = worst if lost else value
    return lambda plan, lr: found.get((plan, lr), {})


def compared(a: Cell, b: Cell, scores: Scores, larger_is_better: bool) -> Compared:
    """Two methods, seed by seed, each at the learning rate of its cell, over the seeds that both have a score of.

    An infinite score (a perplexity that overflows) is a result and stays in: its difference counts by its rank.
    Two methods that are the same choose different learning rates now and then, and then differ indeed. So a difference
    counts only where it is there twice: at their own learning rates, and where the loser takes the winner's (the larger
    p of both; see `fanin.lab.statistics.tuned_verdicts`).
    """
    own = differences(scores(a.plan, a.lr), scores(b.plan, b.lr))
    test = paired_test(list(own.values()))
    winner = a.lr if (test.statistic > 0) == larger_is_better else b.lr
    again = differences(scores(a.plan, winner), scores(b.plan, winner))
    if a.lr == b.lr or math.isnan(test.p) or not again:
        return Compared(own, test, test.p)
    other = paired_test(list(again.values()))
    if math.isnan(other.p):  # too few runs there to ask
        return Compared(own, test, test.p)
    return Compared(own, test, max(test.p, other.p if other.statistic * test.statistic > 0 else 1.0))


def differences(first: dict[int, float], second: dict[int, float]) -> dict[int, float]:
    """By seed, what both have; none where a score is NaN or both are equally infinite."""
    found = {seed: first[seed] - second[seed] for seed in sorted(set(first) & set(second))}
    return {seed: d for seed, d in found.items() if not math.isnan(d)}


def best_first(cells: Sequence[Cell], score: str, larger_is_better: bool) -> list[Cell]:
    """The cells that have runs by their mean over all of them, the best first; of equals, the order of the study."""
    done = [c for c in cells if score in c.overall and not math.isnan(c.overall[score])]
    return sorted(done, key=lambda c: -c.overall[score] if larger_is_better else c.overall[score])


def pairs_of(
    cells: Sequence[Cell], rows: dict[str, RunRow], score: str, larger_is_better: bool, target: float | None
) -> tuple[Pair, ...]:
    """Each method against the first, then the two best against each other; Holm's correction is over all of these.

    Args:
        cells: the methods of one context, the baseline first.
        rows: the context's runs by key, at every learning rate.
        score: the metric.
        larger_is_better: of it.
        target: score that steps are counted to, None for none.
    """
    done = [c for c in cells if c.keys and score in c.overall]
    if len(done) < 2:
        return ()
    wanted = [(c, done[0]) for c in done[1:]] if cells[0].keys else []
    best, second = best_first(done, score, larger_is_better)[:2]
    if not wanted or cells[0].plan not in (best.plan, second.plan):
        wanted.append((best, second))
    scores = scores_of(rows.values(), score, larger_is_better)
    found = [(a, b, compared(a, b, scores, larger_is_better)) for a, b in wanted]
    found = [(a, b, c) for a, b, c in found if c.differences]  # others share no seed yet
    question = Question(larger_is_better)
    deltas, tests = [np.array(list(c.differences.values())) for _, _, c in found], [c.test for _, _, c in found]
    alone = findings(deltas, tests, [t.p for t in tests], question) if found else []
    verdicts = judged(deltas, tests, [c.p for _, _, c in found], question) if found else ()
    return tuple(
        Pair(
            plan=a.plan,
            other=b.plan,
            seeds=tuple(c.differences),
            verdict=verdict,
            role="baseline" if b.plan == cells[0].plan else "best two",
            in_disguise=own in ("better", "worse") and verdict.finding not in ("better", "worse"),
            target=_log_rank(a, b, rows) if target is not None else None,
        )
        for (a, b, c), verdict, own in zip(found, verdicts, alone, strict=True)
    )


def _log_rank(a: Cell, b: Cell, rows: dict[str, RunRow]) -> Tested:
    watched = (steps_to_target([rows[key] for key in cell.keys]) for cell in (a, b))
    return log_rank(*((times, reached) for times, reached, _ in watched))
