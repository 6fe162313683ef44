"""One cell: runs of one configuration, some of which may have diverged."""

import numpy as np

from fanin.errors import FaninValueError
from fanin.lab.statistics.arguments import Values, numbers
from fanin.lab.statistics.means import mean_interval, median_interval
from fanin.lab.statistics.records import Cell, Estimate
from fanin.lab.statistics.shares import wilson


def given_convergence(values: Values, diverged: Values, *, larger_is_better: bool = True, level: float = 0.95) -> Cell:
    """The metric of the runs that converged, and apart from it the share that did not.

    One interval for the mean of both has no honest coverage: of five runs, three in five samples from a cell that diverges
    one time in ten hold no diverged run, and nothing in them says so (`benchmarks/lab_statistics.py` prints how often it
    covers). The median over all runs, a diverged run counting as worse than every other, has one, and needs no metric
    of a diverged run.

    Args:
        values: shape (n,), the metric, one a run; what a diverged run has there is not read.
        diverged: shape (n,), whether it did.
        larger_is_better: of the metric; says at which end diverged runs count in the median.
        level: of every interval.

    Example:
        >>> c = given_convergence([0.91, 0.93, 0.1, 0.92], [False, False, True, False])
        >>> round(c.metric.value, 3), c.metric.count, c.diverged.value, c.median.value
        (0.92, 3, 0.25, 0.915)
    """
    x, bad = numbers("values", values), np.asarray(diverged, dtype=bool)
    if bad.shape != x.shape:
        raise FaninValueError(f"values has {x.size} values and diverged {bad.size}, but they must be as many")
    none = Estimate(
        np.nan, np.nan, np.nan, level, 0, "none", False, "no run converged" if x.size else "there are no runs"
    )
    worst = -np.inf if larger_is_better else np.inf
    return Cell(
        metric=mean_interval(x[~bad], level) if (~bad).any() else none,
        diverged=wilson(int(bad.sum()), int(x.size), level),
        median=median_interval(np.where(bad, worst, x), level) if x.size else none,
    )
