"""Steps to a target, as `fanin.compare` counts them; `fanin.lab.statistics` has everything else."""

from collections.abc import Sequence

from fanin.lab import statistics
from fanin.lab.records import StepsToTarget


def steps_to_target(target: float, reached_at: Sequence[int | None], horizon: int) -> StepsToTarget:
    """Median and restricted mean of the steps to a target; None stands for a run that was not there by `horizon`.

    A run that diverged counts as watched up to the horizon: it will never be there.
    """
    reached = sum(r is not None for r in reached_at)
    if not reached_at:
        return StepsToTarget(target, 0, 0, None, float("nan"), horizon)
    times = [horizon if r is None else r for r in reached_at]
    curve = statistics.kaplan_meier(times, [r is not None for r in reached_at], horizon=horizon)
    median = curve.median.value if curve.median.value < float("inf") else None
    return StepsToTarget(target, reached, len(times), median, curve.restricted_mean.value, horizon)
