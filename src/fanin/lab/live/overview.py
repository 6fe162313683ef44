"""What can be said of a study before it is done: counts, and each method so far, without a verdict."""

import math
from collections.abc import Sequence
from typing import Any

from fanin.lab.analysis.axes import context_of, contexts_of, key_of, label_of, plans_of, varying_axes
from fanin.lab.analysis.choose import choose, lr_points
from fanin.lab.analysis.facts import larger_is_better
from fanin.lab.live.folder import LiveRun, Watched, counts_of
from fanin.lab.study.rows import RunRow


def overview(watched: Watched, context: int = 0) -> dict[str, Any]:
    """Everything but the curves, as JSON-ready data.

    Scores are the held-out part's: the test part is for the report, when all is done.

    Args:
        context: number of the context that methods are shown in; one that there is not stands for the first.
    """
    study, runs = watched.store.study, list(watched.runs.values())
    contexts = contexts_of(run.config for run in runs)
    places = {key_of(c): place for place, c in enumerate(contexts)}
    varying = varying_axes(contexts)
    members: list[list[LiveRun]] = [[] for _ in contexts]
    for run in runs:
        members[places[key_of(context_of(run.config))]].append(run)
    shown = context if 0 <= context < len(contexts) else 0
    here = members[shown] if members else []
    score = score_of([run.row for run in runs])
    counts = counts_of(runs)
    left = watched.left()
    return {
        "name": study.name,
        "question": study.question,
        "folder": str(watched.folder),
        "state": "running" if watched.locked else "stopped" if counts["waiting"] + counts["running"] else "done",
        "counts": counts,
        "total": len(runs),
        "left": None if left is None or not math.isfinite(left) else left,
        "contexts": [
            {"label": label_of(c, varying) or "all runs", "counts": counts_of(m)}
            for c, m in zip(contexts, members, strict=True)
        ],
        "context": shown,
        "score": score,
        "larger": larger_is_better(score) if score else True,
        "held_out": study.training.validation > 0,
        "lrs": sorted({run.config.lr for run in here}),
        "methods": [_method(plan, here, score, study.training.validation > 0) for plan in plans_of(study, [r.config for r in here])],
        "failures": _failures(runs),
        "log": list(watched.log())[-8:],
    }  # fmt: skip


def score_of(rows: Sequence[RunRow]) -> str:
    """The metric of the held-out part, "" before one run is done."""
    return next((name for row in rows for name in row.held if name != "loss"), "")


def _method(plan: str, runs: Sequence[LiveRun], score: str, held_out: bool) -> dict[str, Any]:
    own = [run for run in runs if run.config.plan == plan]
    rows = [run.row for run in own]
    points = lr_points(rows, score) if score else ()
    lr, by = choose(points, rows, held_out, larger_is_better(score)) if score else (math.nan, "the only one")
    chosen = [run for run in own if run.config.lr == lr]
    values = [row.held[score] for run in chosen if (row := run.row).state == "done" and score in row.held]
    reached = [run.row.reached_at for run in chosen if run.row.state == "done"]
    return {
        "plan": plan,
        "counts": counts_of(own),
        "total": len(own),
        "lr": None if math.isnan(lr) else lr,
        "by": by,
        "of_lr": len(chosen),
        "runs": len(values),
        "mean": sum(values) / len(values) if values else None,
        "low": min(values, default=None),
        "high": max(values, default=None),
        "reached": sorted(step for step in reached if step is not None),
        "diverged": sum(run.state == "diverged" for run in chosen),
        "points": [[p.lr, _number(p.overall), p.runs, p.diverged] for p in points],
    }


def _failures(runs: Sequence[LiveRun]) -> list[dict[str, Any]]:
    """Why runs failed, the most frequent first."""
    found: dict[str, int] = {}
    for run in runs:
        if run.state == "failed":
            found[run.row.error] = found.get(run.row.error, 0) + 1
    ordered = sorted(found.items(), key=lambda pair: -pair[1])
    return [{"error": error, "runs": count} for error, count in ordered[:5]]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
