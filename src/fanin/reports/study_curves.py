"""Mean curves of a context, for the reports that are text."""

import math

from fanin.lab.analysis.records import ContextAnalysis
from fanin.lab.results import StudyResults


def mean_curves(results: StudyResults, c: ContextAnalysis) -> dict[str, list[float]]:
    """Method → mean held-out score at each step that was looked at, over the runs that have it; {} without curves."""
    curves = {cell.plan: [results.curve(results.by_key[key]) for key in cell.keys] for cell in c.done}
    steps = sorted({p.step for found in curves.values() for curve in found for p in curve})
    if len(steps) < 3:
        return {}
    means = {}
    for plan, found in curves.items():
        by_step: dict[int, list[float]] = {}
        for point in (p for curve in found for p in curve if math.isfinite(p.held_score)):
            by_step.setdefault(point.step, []).append(point.held_score)
        if by_step:
            means[plan] = [math.fsum(by_step[s]) / len(by_step[s]) if s in by_step else math.nan for s in steps]
    return means
