"""Mean curves of a context, for the reports that are text."""

import math
from dataclasses import dataclass

from fanin.lab.analysis.records import ContextAnalysis
from fanin.lab.results import StudyResults
from fanin.reports.curves import going_on, grid_of, left_text, mean_band


@dataclass(frozen=True)
class MeanCurve:
    """The mean of a method's curves.

    Attributes:
        mean: held-out score at each step that was looked at, over the runs that go on there.
        left: how many runs go on at the end, "" where all do.
    """

    mean: list[float]
    left: str


def mean_curves(results: StudyResults, c: ContextAnalysis) -> dict[str, MeanCurve]:
    """Method → its mean curve; {} without curves."""
    curves = {cell.plan: [results.curve(results.by_key[key]) for key in cell.keys] for cell in c.done}
    steps = grid_of([[p.step for p in curve] for found in curves.values() for curve in found])
    if len(steps) < 3:
        return {}
    means = {}
    for plan, found in curves.items():
        known = [{p.step: p.held_score for p in curve} for curve in found if curve]
        lines = [[at.get(step, math.nan) for step in steps] for at in known]
        if any(going_on(lines)):
            means[plan] = MeanCurve(mean_band(lines)[0], left_text(going_on(lines)[-1], len(lines)))
    return means
