"""One method in one context: its runs at the chosen learning rate, and what they say."""

import math
from collections.abc import Sequence
from statistics import median

from fanin.lab.analysis import choose
from fanin.lab.analysis.facts import floor_of
from fanin.lab.analysis.records import Cell
from fanin.lab.statistics import Survival, kaplan_meier, mean_interval, t_interval, wilson
from fanin.lab.study.rows import RunRow


def cell_of(
    plan: str,
    rows: Sequence[RunRow],
    score: str,
    *,
    larger_is_better: bool,
    held_out: bool = True,
    constant: float = math.nan,
    target: float | None = None,
    lr: float | None = None,
    method: str = "",
) -> Cell:
    """The cell of a method.

    Args:
        plan: what was run.
        rows: its runs in this context, at every learning rate.
        score: metric that the learning rate is chosen by.
        larger_is_better: of that metric.
        held_out: whether the study holds a part out.
        constant: what the best constant prediction scores.
        target: score that steps are counted to.
        lr: the learning rate to take; None for the best one.
        method: what the plan is called over all contexts, where that is another name.
    """
    points = choose.lr_points(rows, score)
    chosen, by = choose.choose(points, rows, held_out, larger_is_better)
    if lr is not None:
        chosen = next((p.lr for p in points if math.isclose(p.lr, lr, rel_tol=1e-9)), math.nan)
    here = [row for row in rows if row.config.lr == chosen]
    done = sorted((row for row in here if row.state == "done"), key=lambda row: row.config.seed)
    whole = [row for row in done if not row.diverged]
    floor = floor_of(score, constant)
    names = list(dict.fromkeys(name for row in done for name in row.metrics))
    return Cell(
        plan=plan,
        method=method or plan,
        lr=chosen,
        chosen_by=by,
        lrs=points,
        edge=choose.edge_of(points, chosen, larger_is_better, floor) if lr is None and held_out else "",
        width=choose.width_of(points, chosen, constant, larger_is_better, floor) if lr is None else None,
        keys=tuple(row.key for row in done),
        seeds=tuple(row.config.seed for row in done),
        scores=tuple(row.metrics.get(score, math.nan) for row in done),
        diverged=len(done) - len(whole),
        failed=sum(row.state == "failed" for row in here),
        missing=sum(row.state == "pending" for row in here),
        metrics={n: mean_interval(v) for n in names if (v := values_of(whole, n))},
        overall={n: math.fsum(v) / len(v) for n in names if (v := values_of(done, n))},
        diverged_share=wilson(len(done) - len(whole), len(done)),
        survival=_survival(done) if target is not None and done else None,
        seconds=t_interval([row.seconds for row in done]),
        summary=_medians(whole),
    )


def values_of(rows: Sequence[RunRow], metric: str) -> list[float]:
    """The metric of each run that has it."""
    return [row.metrics[metric] for row in rows if metric in row.metrics]


def _survival(done: Sequence[RunRow]) -> Survival:
    times, reached, horizon = steps_to_target(done)
    return kaplan_meier(times, reached, horizon)


def steps_to_target(done: Sequence[RunRow]) -> tuple[list[float], list[bool], float]:
    """Steps until the target or until the end of the watch, which of both, and the steps of a whole run.

    A run that diverged is watched to the end of a whole run: it will never be there.
    """
    horizon = float(max((row.planned_steps for row in done), default=0))
    times = [horizon if row.reached_at is None else float(row.reached_at) for row in done]
    return times, [row.reached_at is not None for row in done], horizon


def _medians(whole: Sequence[RunRow]) -> dict[str, float]:
    names = dict.fromkeys(name for row in whole for name in row.summary)
    found = {n: [row.summary[n] for row in whole if math.isfinite(row.summary.get(n, math.nan))] for n in names}
    return {name: median(values) for name, values in found.items() if values}
