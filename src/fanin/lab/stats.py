"""Steps to a target as `fanin.compare` counts them, and the tests in plain numbers; `fanin.lab.statistics` has the whole."""

from collections.abc import Sequence

from fanin.errors import FaninValueError
from fanin.lab import statistics
from fanin.lab.records import StepsToTarget
from fanin.lab.statistics.corrections import holm
from fanin.lab.statistics.means import t_interval
from fanin.lab.statistics.paired import EXACT_PAIRS, FEWEST_PAIRS

__all__ = ["EXACT_PAIRS", "FEWEST_PAIRS", "holm", "kaplan_meier", "paired_test", "steps_to_target", "t_interval"]


def paired_test(differences: Sequence[float]) -> tuple[float, str]:
    """Two-sided p of "the differences are symmetric about zero", and the name of the test.

    See `fanin.lab.statistics.paired_test`.
    """
    found = statistics.paired_test(differences)
    return found.p, found.test


def kaplan_meier(times: Sequence[float], reached: Sequence[bool]) -> tuple[tuple[float, float], ...]:
    """The share of runs that have not reached the target yet: (time, share just after it) at each time of an event.

    See `fanin.lab.statistics.kaplan_meier`.
    """
    if len(times) != len(reached):
        raise FaninValueError(f"times has {len(times)} values and reached {len(reached)}, but they must be as many")
    if not len(times):
        return ()
    curve = statistics.kaplan_meier(times, reached)
    return tuple(zip(curve.times, curve.share, strict=True))


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
