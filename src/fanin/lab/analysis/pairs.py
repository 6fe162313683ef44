"""One method against another, seed by seed, each at its own best learning rate."""

import math
from collections.abc import Sequence

from fanin.lab.analysis.cells import steps_to_target
from fanin.lab.analysis.records import Cell, Pair
from fanin.lab.statistics import Tested, log_rank, verdicts
from fanin.lab.study.rows import RunRow


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
        rows: runs by key.
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
    deltas = {(a.plan, b.plan): differences(a, b) for a, b in wanted}
    wanted = [(a, b) for a, b in wanted if deltas[a.plan, b.plan]]  # others share no seed yet
    found = verdicts([list(deltas[a.plan, b.plan].values()) for a, b in wanted], larger_is_better=larger_is_better)
    return tuple(
        Pair(
            plan=a.plan,
            other=b.plan,
            seeds=tuple(deltas[a.plan, b.plan]),
            verdict=verdict,
            role="baseline" if b.plan == cells[0].plan else "best two",
            target=_log_rank(a, b, rows) if target is not None else None,
        )
        for (a, b), verdict in zip(wanted, found, strict=True)
    )


def differences(a: Cell, b: Cell) -> dict[int, float]:
    """Score of the first less that of the second, by seed, over the seeds that both have a finite score of."""
    first, second = dict(zip(a.seeds, a.scores, strict=True)), dict(zip(b.seeds, b.scores, strict=True))
    found = {seed: first[seed] - second[seed] for seed in sorted(set(first) & set(second))}
    return {seed: d for seed, d in found.items() if math.isfinite(d)}


def _log_rank(a: Cell, b: Cell, rows: dict[str, RunRow]) -> Tested:
    watched = (steps_to_target([rows[key] for key in cell.keys]) for cell in (a, b))
    return log_rank(*((times, reached) for times, reached, _ in watched))
